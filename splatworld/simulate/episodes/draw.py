"""Scenes of a family by chance: what lies, stands, falls and slides where."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from splatworld.simulate.episodes.captured import captured
from splatworld.simulate.episodes.families import CapturedConfig, FamilyConfig, draw_shapes, tool_numbers
from splatworld.simulate.episodes.footprint import footprint, height, separation, yawed
from splatworld.simulate.episodes.physics import GRAVITY
from splatworld.simulate.episodes.pusher import Stroke, plan_stroke
from splatworld.simulate.episodes.scene import Scene, Tool
from splatworld.simulate.episodes.shapes import shape, stable_poses
from splatworld.simulate.episodes.tools import Servo, tool

TRIES = 60
SETTLE = 0.4
"""s given to scenes that start at rest."""


def draw_scene(config: FamilyConfig, split: str, rng: np.random.Generator) -> tuple[Scene, Stroke | None] | None:
    """A scene of the family as `split` draws it, and the tool's first stroke; None if the bodies found no room."""
    if isinstance(config, CapturedConfig):
        return _draw_captured(config, split, rng)
    low, high = config.bodies
    # Few bodies are as instructive as many, and cheaper.
    count = int(np.clip(low + rng.geometric(0.3) - 1, low, high)) if low < 3 else int(rng.integers(low, high + 1))
    names = draw_shapes(config, split, count, rng)
    fixed = np.zeros(count, bool)
    if count > 1 and rng.random() < config.fixed:
        fixed[rng.choice(count, int(rng.integers(1, min(3, count))), replace=False)] = True
    parameters = config.ranges.draw(names, rng)
    poses, twists = np.zeros((count, 7)), np.zeros((count, 6))
    laid = lay(names, config, rng)
    if laid is None:
        return None
    poses[:] = laid
    if config.family == "fall":
        _lift(names, fixed, poses, twists, config, rng)
    elif config.family == "slide":
        _launch(fixed, twists, config, rng)
    elif config.family == "collide":
        _aim(names, fixed, poses, twists, parameters.table_friction, config, rng)
    else:
        armed = arm(names, fixed, poses, config, split, rng)
        if armed is None:
            return None
        return Scene(names, fixed, poses, twists, parameters, armed[0], SETTLE, config.step), armed[1]
    return Scene(names, fixed, poses, twists, parameters, step=config.step), None


def _draw_captured(config: CapturedConfig, split: str, rng: np.random.Generator) -> tuple[Scene, Stroke] | None:
    """A world's bodies where they rest in it, with a tool; None if it finds no place beside one."""
    _, bodies = captured(config.world)
    names = tuple(bodies)
    fixed = np.array([body.kind == "static" for body in bodies.values()])
    poses = np.stack([body.rest_pose.double().numpy() for body in bodies.values()])
    poses[:, :2] -= config.origin
    # A capture's surfaces are off by millimetres, and a start within the table would throw bodies up.
    poses[:, 2] -= np.minimum([height(shape(name), at)[0] for name, at in zip(names, poses, strict=True)], 0) * ~fixed
    drawn = config.ranges.draw(names, rng)
    known = np.array([body.mass for body in bodies.values()])
    mass = np.where(known > 0, known, drawn.mass)
    parameters = replace(drawn, mass=mass, inertia=drawn.inertia * (mass / drawn.mass)[:, None, None])
    armed = arm(names, fixed, poses, config, split, rng)
    if armed is None:
        return None
    return Scene(names, fixed, poses, np.zeros((len(names), 6)), parameters, armed[0], SETTLE, config.step), armed[1]


def lay(names: tuple[str, ...], config: FamilyConfig, rng: np.random.Generator) -> np.ndarray | None:
    """Poses [B, 7] of bodies on the table or on each other, in some cluster; None if they found no room."""
    poses = np.zeros((len(names), 7))
    polygons: list[np.ndarray] = []
    stacking = rng.random() < config.stacked
    for index, name in enumerate(names):
        quats, heights, weights = stable_poses(name)
        for attempt in range(TRIES):
            side = rng.choice(len(quats), p=weights)
            pose = np.array([0, 0, heights[side], *yawed(quats[side], rng.uniform(0, 2 * np.pi))])
            if index and stacking and attempt == 0 and rng.random() < 0.6:
                below = int(rng.integers(index))
                pose[:2] = poses[below, :2] + rng.normal(0, 0.005, 2)
                pose[2] += height(shape(names[below]), poses[below])[1] + 1e-4
                if all(k == below or separation(polygons[k], footprint(shape(name), pose)) > 0 for k in range(index)):
                    break
                continue
            if index:
                set_beside(pose, name, polygons[int(rng.integers(index))], config, rng)
            else:
                pose[:2] = rng.normal(0, 0.05, 2)
            polygon = footprint(shape(name), pose)
            if np.abs(pose[:2]).max() < 0.4 and all(separation(polygon, other) > 5e-4 for other in polygons):
                break
        else:
            return None
        poses[index] = pose
        polygons.append(footprint(shape(name), pose))
    return poses


def set_beside(
    pose: np.ndarray, name: str, neighbour: np.ndarray, config: FamilyConfig, rng: np.random.Generator
) -> None:
    """Move `pose` so that the body stands a gap away from a neighbour's polygon [P, 2]."""
    angle = rng.uniform(0, 2 * np.pi)
    away = np.array([np.cos(angle), np.sin(angle)])
    mine = footprint(shape(name), np.array([0, 0, 0, *pose[3:]]))
    reach = (neighbour @ away).max() - (mine @ away).min()
    across = np.array([-away[1], away[0]])
    middle = neighbour.mean(0)
    pose[:2] = away * (reach + rng.uniform(*config.crowd)) + across * (middle @ across + rng.normal(0, 0.03))


def _lift(
    names: tuple[str, ...],
    fixed: np.ndarray,
    poses: np.ndarray,
    twists: np.ndarray,
    config: FamilyConfig,
    rng: np.random.Generator,
) -> None:
    """Let some of the bodies fall, turned at random, onto the table or onto what is below."""
    loose = np.flatnonzero(~fixed)
    falling = rng.permutation(loose)[: int(rng.integers(1, min(3, len(loose)) + 1))]
    top = max((height(shape(names[k]), poses[k])[1] for k in range(len(names)) if k not in falling), default=0.0)
    for number in falling:
        quat = rng.normal(size=4)
        poses[number, 3:] = quat / np.linalg.norm(quat)
        if rng.random() < 0.6:  # above another body
            poses[number, :2] = poses[int(rng.integers(len(names))), :2] + rng.normal(0, 0.03, 2)
        low, high = height(shape(names[number]), poses[number])
        start = rng.uniform(*config.drop) + top
        poses[number, 2] += start - low
        top = start + high - low
        twists[number] = rng.normal(0, (0.1, 0.1, 0.1, 1.5, 1.5, 1.5))


def _launch(fixed: np.ndarray, twists: np.ndarray, config: FamilyConfig, rng: np.random.Generator) -> None:
    """Give some of the bodies a speed along the table and a spin."""
    loose = np.flatnonzero(~fixed)
    for number in rng.permutation(loose)[: int(rng.integers(1, len(loose) + 1))]:
        angle, speed = rng.uniform(0, 2 * np.pi), rng.uniform(*config.speed)
        twists[number, :2] = speed * np.cos(angle), speed * np.sin(angle)
        twists[number, 5] = rng.normal(0, 4.0) * (rng.random() < 0.7)


def _aim(
    names: tuple[str, ...],
    fixed: np.ndarray,
    poses: np.ndarray,
    twists: np.ndarray,
    friction: np.ndarray,
    config: FamilyConfig,
    rng: np.random.Generator,
) -> None:
    """Send bodies against others, fast enough to arrive in spite of friction."""
    loose = np.flatnonzero(~fixed)
    for number in rng.permutation(loose)[: 1 if rng.random() < 0.7 else 2]:
        other = int(rng.choice([k for k in range(len(names)) if k != number]))
        towards = poses[other, :2] - poses[number, :2]
        distance = np.linalg.norm(towards)
        if distance < 1e-3:  # it stands on the other
            continue
        polygons = [footprint(shape(names[k]), poses[k]) for k in (number, other)]
        gap = max(separation(*polygons), 0.0)
        speed = np.sqrt(rng.uniform(*config.speed) ** 2 + 2 * friction[number] * GRAVITY * gap)
        turn = rng.normal(0, 0.15)
        c, s = np.cos(turn), np.sin(turn)
        twists[number, :2] = speed / distance * np.array([[c, -s], [s, c]]) @ towards
        twists[number, 5] = rng.normal(0, 2.0) * (rng.random() < 0.5)


def arm(
    names: tuple[str, ...],
    fixed: np.ndarray,
    poses: np.ndarray,
    config: FamilyConfig,
    split: str,
    rng: np.random.Generator,
    rise: tuple[float, float] | None = None,
) -> tuple[Tool, Stroke] | None:
    """A tool before its first stroke; None if nothing can be pushed. `rise` as of `plan_stroke`."""
    force = np.exp(rng.uniform(*np.log(config.force)))
    servo = Servo(np.array([force, force, force, 0.05 * force]))
    for _ in range(TRIES):
        name = f"{rng.choice(config.tools)}-{rng.choice(tool_numbers(split)):02d}"
        stroke = plan_stroke(names, fixed, poses, tool(name), config.speed, rng, rise=rise)
        if stroke is not None:
            return Tool(name, servo, stroke.start), stroke
    return None
