"""Scenes of a deformable body by chance, and how the tool is led in them."""

from __future__ import annotations

import numpy as np

from splatworld.core.robot import ACTION_SECONDS
from splatworld.simulate.episodes.deformable.families import (
    MOTIONS,
    DeformableConfig,
    draw_shape,
    draw_tool,
)
from splatworld.simulate.episodes.deformable.physics import Physics, Scene, grip_height
from splatworld.simulate.episodes.deformable.shapes import Shape
from splatworld.simulate.episodes.families import shape_numbers
from splatworld.simulate.episodes.footprint import footprint, height, yawed
from splatworld.simulate.episodes.scene import Tool
from splatworld.simulate.episodes.shapes import shape as library_shape
from splatworld.simulate.episodes.shapes import stable_poses
from splatworld.simulate.episodes.tools import MAX_SPEED, Servo, tool

TRIES = 60
SETTLE = 0.4
"""s that lying bodies are given."""
FAR = 0.4
"""m, tools stay this near to the middle of the table along x and y."""
ACCELERATION = 2.0
"""m/s^2 at most from one action to the next."""
UPRIGHT = np.array([1.0, 0.0, 0.0, 0.0])


def draw_scene(config: DeformableConfig, split: str, rng: np.random.Generator) -> Scene | None:
    """A scene of the family as `split` draws it; None if there was no room."""
    shape = draw_shape(config, rng)
    parameters = config.ranges.draw(shape, rng)
    motion = str(rng.choice(MOTIONS, p=config.motions))
    points = _laid(shape, rng)
    if points is None:
        return None
    points[:, 2] += shape.radius
    obstacles, poses = _obstacles(config, split, points, motion, rng)
    velocities = np.zeros_like(points)
    if motion == "fall":
        points[:, 2] += rng.uniform(*config.drop) + _tops(obstacles, poses)
        velocities += rng.normal(0, (0.15, 0.15, 0.05), 3)
        spin = rng.normal(0, (0.7, 0.7, 1.5))
        velocities += np.cross(spin, points - points.mean(0))
        return Scene(shape, points, velocities, parameters, None, None, obstacles, poses, 0.0, config.step)
    name = draw_tool(config, split, motion, rng)
    force = float(np.exp(rng.uniform(*np.log(config.force))))
    servo = Servo(np.array([force, force, force, 0.05 * force]))
    if motion == "hold":
        node = int(rng.choice(shape.rim if rng.random() < 0.7 else len(points)))
        at = points[node] - (0, 0, grip_height(name))
        held = Tool(name, servo, np.array([*at, rng.uniform(-np.pi, np.pi)]))
        return Scene(shape, points, velocities, parameters, held, node, obstacles, poses, SETTLE, config.step)
    spot = beside(shape, points, name, poses[:, :2], rng)
    if spot is None:
        return None
    pusher = Tool(name, servo, spot)
    return Scene(shape, points, velocities, parameters, pusher, None, obstacles, poses, SETTLE, config.step)


def beside(
    shape: Shape, points: np.ndarray, name: str, posts: np.ndarray, rng: np.random.Generator
) -> np.ndarray | None:
    """A free place [4] for a tool on the table from where a push meets the body at points [M, 3]; None if none is.

    Args:
        shape, points: the body as it lies.
        name: of the tool.
        posts: [O, 2] m, middles of obstacles.
        rng: decides all.
    """
    solid = tool(name)
    low = float(solid.hull[:, 2].min())
    clearance = min(rng.uniform(0.0008, 0.004), 0.5 * shape.radius if shape.dimension < 3 else 0.004)
    for _ in range(TRIES):
        heading = rng.uniform(0, 2 * np.pi)
        ahead = np.array([np.cos(heading), np.sin(heading)])
        yaw = heading + (rng.normal(0, 0.25) if rng.random() < 0.75 else rng.uniform(-np.pi, np.pi))
        shadow = footprint(solid, np.array([0, 0, 0, *yawed(UPRIGHT, yaw)]))
        front, wide = (shadow @ ahead).max(), np.abs(shadow).max()
        goal = points[rng.integers(len(points)), :2]
        back = shape.radius + front + rng.uniform(0.004, 0.02)
        # Back from the goal until nothing is in the way.
        for extra in np.arange(0.0, 0.3, 0.01):
            spot = goal - ahead * (back + extra)
            near = np.linalg.norm(points[:, :2] - spot, axis=1).min() > wide + shape.radius + shape.spacing / 2
            free = len(posts) == 0 or np.linalg.norm(posts - spot, axis=1).min() > 0.12
            if near and free and np.abs(spot).max() < FAR:
                return np.array([*spot, clearance - low, (yaw + np.pi) % (2 * np.pi) - np.pi])
    return None


class Hand:
    """Leads the tool of a scene, action by action, along waypoints towards and past the body, or while it holds."""

    def __init__(self, physics: Physics, config: DeformableConfig, rng: np.random.Generator) -> None:
        self._physics, self._rng = physics, rng
        self._speed = float(np.exp(rng.uniform(*np.log(config.speed))))
        self._velocity = np.zeros(4)
        self._way: list[np.ndarray] = []
        self._pause = 0

    def action(self) -> np.ndarray:
        """The next action [4]: increments of x, y, z m and yaw rad."""
        scene, rng = self._physics.scene, self._rng
        if scene.tool is None:
            return np.zeros(4)
        if not self._way:
            self._way = self._hold() if scene.held is not None else self._push()
        if self._pause or rng.random() < 0.02:
            self._pause = self._pause - 1 if self._pause else int(rng.integers(1, 4))
            wanted = np.zeros(4)
        else:
            left = self._way[0] - self._physics.target
            left[3] = (left[3] + np.pi) % (2 * np.pi) - np.pi
            seconds = max(np.linalg.norm(left[:3]) / self._speed, abs(left[3]) / MAX_SPEED[3], ACTION_SECONDS)
            if seconds <= ACTION_SECONDS:
                self._way.pop(0)
            wanted = left / seconds
        change = wanted - self._velocity
        change[:3] *= min(1.0, ACCELERATION * ACTION_SECONDS / max(float(np.linalg.norm(change[:3])), 1e-12))
        self._velocity = np.clip(self._velocity + change, -MAX_SPEED, MAX_SPEED)
        return self._velocity * ACTION_SECONDS

    def _push(self) -> list[np.ndarray]:
        """From where the tool is, in two legs, through the body; later from another free place."""
        scene, rng, here = self._physics.scene, self._rng, self._physics.joints
        points = self._physics.points
        assert scene.tool is not None
        way: list[np.ndarray] = []
        if np.linalg.norm(points[:, :2] - here[:2], axis=1).min() < 0.02 or rng.random() < 0.3:
            spot = beside(scene.shape, points, scene.tool.name, scene.obstacle_poses[:, :2], rng)
            if spot is not None:
                up, over = here.copy(), spot.copy()
                top = max(float(points[:, 2].max()), _tops(scene.obstacles, scene.obstacle_poses))
                up[2] = over[2] = max(here[2], top + 0.02 - float(tool(scene.tool.name).hull[:, 2].min()))
                way, here = [up, over, spot], spot
        goal = points[rng.integers(len(points)), :2]
        ahead = goal - here[:2]
        ahead /= max(np.linalg.norm(ahead), 1e-6)
        end = goal + ahead * rng.uniform(0.04, 0.2)
        bend = (here[:2] + end) / 2 + np.array([-ahead[1], ahead[0]]) * rng.normal(0, 0.03)
        turn = rng.normal(0, 0.3) * (rng.random() < 0.4)
        for place in (bend, end):
            way.append(np.array([*np.clip(place, -FAR, FAR), here[2], here[3] + turn]))
        return way

    def _hold(self) -> list[np.ndarray]:
        """Up, over some place of the table or of the body, and down again or not."""
        scene, rng, here = self._physics.scene, self._rng, self._physics.joints
        assert scene.tool is not None
        floor = scene.shape.radius - grip_height(scene.tool.name)
        points = self._physics.points
        size = np.linalg.norm(points[:, :2] - here[:2], axis=1).max()
        if rng.random() < 0.5:  # across the body, which folds it
            goal = points[rng.integers(len(points)), :2] + rng.normal(0, 0.02, 2)
        else:
            angle = rng.uniform(0, 2 * np.pi)
            goal = here[:2] + rng.uniform(0.05, 0.25) * np.array([np.cos(angle), np.sin(angle)])
        goal = np.clip(goal, -FAR, FAR)
        high = floor + (rng.uniform(0.0, 0.5) * min(size, 0.25) if rng.random() < 0.8 else 0.0)
        layer = 2 * scene.shape.radius * (rng.random() < 0.5)
        yaw = here[3] + rng.normal(0, 0.4)
        way = [np.array([*(here[:2] + (goal - here[:2]) * 0.3), high, here[3]]), np.array([*goal, high, yaw])]
        if rng.random() < 0.6:
            way.append(np.array([*goal, floor + layer, yaw]))
        return way


def _laid(shape: Shape, rng: np.random.Generator) -> np.ndarray | None:
    """Nodes [M, 3] on the plane z = 0: turned, a rope bent; None if it would cross itself."""
    points = shape.points.copy()
    if shape.kind == "rope":
        for _ in range(TRIES):
            count, length = len(points) - 1, shape.spacing
            # A smooth random course: its curvature is a sum of two waves.
            s = np.linspace(0, 1, count)
            curve = sum(rng.normal(0, 4.0) * np.cos(2 * np.pi * (k * s / 2 + rng.random())) for k in range(3))
            most = 0.6 * 2 * np.arcsin(min(1.0, length / 0.06)) / length  # radii of 3 cm and more
            angle = np.cumsum(np.clip(curve, -most, most) * length)
            steps = length * np.column_stack([np.cos(angle), np.sin(angle), np.zeros(count)])
            points = np.concatenate([np.zeros((1, 3)), np.cumsum(steps, 0)])
            apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
            index = np.arange(count + 1)
            if apart[np.abs(index[:, None] - index) > 3].min(initial=1.0) > 4 * shape.radius:
                break
        else:
            return None
        points[:, :2] -= points[:, :2].mean(0)
    yaw = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
    points[:, :2] = points[:, :2] @ turn.T + rng.normal(0, 0.03, 2)
    return points


def _obstacles(
    config: DeformableConfig, split: str, points: np.ndarray, motion: str, rng: np.random.Generator
) -> tuple[tuple[str, ...], np.ndarray]:
    """At most one thing that stands on the table: beside the body, or below one that falls."""
    none = (), np.zeros((0, 7))
    if rng.random() > config.obstacle:
        return none
    name = f"{rng.choice(config.obstacles)}-{rng.choice(shape_numbers(split)):03d}"
    quats, heights, weights = stable_poses(name)
    side = rng.choice(len(quats), p=weights)
    at = np.array([0, 0, heights[side], *yawed(quats[side], rng.uniform(0, 2 * np.pi))])
    shadow = footprint(library_shape(name), at)
    for _ in range(TRIES):
        at[:2] = points[:, :2].mean(0) + rng.normal(0, 0.05 if motion == "fall" else 0.15, 2)
        gap = np.linalg.norm(points[:, :2] - at[:2], axis=1).min() - np.linalg.norm(shadow, axis=1).max()
        if motion == "fall" or gap > 0.02:
            return (name,), at[None]
    return none


def _tops(names: tuple[str, ...], poses: np.ndarray) -> float:
    """m, how high obstacles reach."""
    return max((height(library_shape(name), at)[1] for name, at in zip(names, poses, strict=True)), default=0.0)
