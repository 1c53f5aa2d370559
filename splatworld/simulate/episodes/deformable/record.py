"""Episodes of deformable bodies: carried out, recorded, packed into shards."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
import torch
from torch import Tensor

from splatworld.core.checks import InputError
from splatworld.core.robot import ACTION_SECONDS
from splatworld.episodes import SUBSTATES
from splatworld.simulate.episodes.deformable.draw import Hand, draw_scene
from splatworld.simulate.episodes.deformable.families import DeformableConfig, Parameters, for_split
from splatworld.simulate.episodes.deformable.physics import Physics, Scene
from splatworld.simulate.episodes.deformable.shapes import KINDS, Shape

ATTEMPTS = 20
"""Draws of one episode until one has room and does not break."""
DEEPEST = 0.012
"""m of penetration from which on an episode counts as broken."""
STRETCHED = 1.1
"""Length of an edge of a rope or cloth, over that at rest, from which on an episode counts as broken."""
FARTHEST = 1.5
"""m from the middle of the table at which a body counts as lost."""
FASTEST = 10.0
"""m/s from which on an episode counts as exploded."""


@dataclass(frozen=True)
class Episode:
    """One recorded scene of T actions and M nodes.

    Attributes:
        scene: as it was drawn; it may have settled since.
        actions: [T, 4] increments commanded: x, y, z m and yaw rad.
        targets: [T + 1, 4] where the tool's servos were commanded to at the ends of actions.
        points: [T + 1, M, 3] m, nodes at the ends of actions.
        velocities: [T + 1, M, 3] m/s.
        joints: [T * SUBSTATES + 1, 4] of the tool, as achieved, every 20 ms.
        joint_velocities: the same, m/s and rad/s.
        penetration: [T + 1] m, deepest since the state before.
    """

    scene: Scene
    actions: np.ndarray
    targets: np.ndarray
    points: np.ndarray
    velocities: np.ndarray
    joints: np.ndarray
    joint_velocities: np.ndarray
    penetration: np.ndarray

    def moved(self) -> float:
        """m, farthest that a node got from where it started."""
        return float(np.linalg.norm(self.points - self.points[0], axis=-1).max())


def record(physics: Physics, next_action: Callable[[], np.ndarray], count: int) -> Episode:
    """Carry out `count` actions, given one by one by `next_action`, and record."""
    states, hands = [(physics.points, physics.velocities)], [(physics.joints, physics.joint_velocities)]
    actions, targets, deepest = [], [physics.target.copy()], [0.0]
    every = round(ACTION_SECONDS / physics.scene.step) // SUBSTATES
    for _ in range(count):
        actions.append(np.asarray(next_action(), float))
        deep = 0.0
        for step, _ in enumerate(physics.act(actions[-1]), 1):
            deep = max(deep, physics.penetration)
            if step % every == 0:
                hands.append((physics.joints, physics.joint_velocities))
        states.append((physics.points, physics.velocities))
        targets.append(physics.target.copy())
        deepest.append(deep)
    points, velocities = (np.array(column) for column in zip(*states, strict=True))
    joints, rates = (np.array(column) for column in zip(*hands, strict=True))
    given = np.array(actions).reshape(-1, 4)
    sunk = np.array(deepest)
    return Episode(physics.scene, given, np.array(targets), points, velocities, joints, rates, sunk)


def fault(episode: Episode) -> str | None:
    """What is wrong with an episode: "exploded", "sunk", "stretched" or "lost"; None if nothing is."""
    numbers = (episode.points, episode.velocities, episode.joints, episode.joint_velocities)
    if not all(np.isfinite(array).all() for array in numbers) or np.abs(episode.velocities).max() > FASTEST:
        return "exploded"
    shape = episode.scene.shape
    if episode.penetration.max() > DEEPEST or episode.points[..., 2].min() < shape.radius - DEEPEST:
        return "sunk"
    if shape.dimension < 3 and (_lengths(shape, episode.points) > STRETCHED * _lengths(shape, shape.points)).any():
        return "stretched"
    return "lost" if np.abs(episode.points[..., :2]).max() > FARTHEST else None


def _lengths(shape: Shape, points: np.ndarray) -> np.ndarray:
    a, b = shape.edges.T
    return np.linalg.norm(points[..., a, :] - points[..., b, :], axis=-1)


def episode(config: DeformableConfig, split: str, seed: int, number: int) -> tuple[Episode, Counter[str]]:
    """The episode `number` of a seed, and why draws before it were dropped.

    Raises:
        InputError: no draw of many has room or holds together.
    """
    dropped: Counter[str] = Counter()
    drawn_from = for_split(config, split)
    for attempt in range(ATTEMPTS):
        keys = [seed, zlib.crc32(config.family.encode()), zlib.crc32(split.encode()), number, attempt]
        rng = np.random.default_rng(keys)
        scene = draw_scene(drawn_from, split, rng)
        if scene is None:
            dropped["no room"] += 1
            continue
        physics = Physics(scene)
        hand = Hand(physics, drawn_from, rng)
        found = record(physics, hand.action, round(config.seconds / ACTION_SECONDS))
        wrong = fault(found)
        if wrong is None:
            return found, dropped
        dropped[wrong] += 1
    raise InputError(f"simulate: {config.family} fails {ATTEMPTS} times in a row ({dict(dropped)}); widen its ranges.")


def pack(episodes: Sequence[Episode], numbers: Sequence[int]) -> tuple[dict[str, Tensor], list[str], list[str]]:
    """The tensors of a shard, as `splatworld.node_episodes` reads them, and the names of obstacles and tools."""
    obstacles = sorted({name for e in episodes for name in e.scene.obstacles})
    tools = sorted({e.scene.tool.name for e in episodes if e.scene.tool})
    scenes = [e.scene for e in episodes]
    shapes = [scene.shape for scene in scenes]
    arrays: dict[str, np.ndarray] = {
        "numbers": np.array(numbers),
        "kinds": np.array([KINDS.index(shape.kind) for shape in shapes]),
        "node_counts": np.array([len(shape.points) for shape in shapes]),
        "edge_counts": np.array([len(shape.edges) for shape in shapes]),
        "triangle_counts": np.array([len(shape.outside) for shape in shapes]),
        "edges": np.concatenate([shape.edges for shape in shapes]),
        "triangles": np.concatenate([shape.outside for shape in shapes]),
        "element_counts": np.array([len(shape.elements) for shape in shapes]),
        "elements": np.concatenate([_of_four(shape.elements) for shape in shapes]),
        "natural": np.concatenate([shape.points for shape in shapes]),
        "radius": np.array([shape.radius for shape in shapes]),
        "tool_ids": np.array([tools.index(s.tool.name) if s.tool else -1 for s in scenes]),
        "held": np.array([-1 if s.held is None else s.held for s in scenes]),
        "force": np.array([s.tool.servo.force if s.tool else np.zeros(4) for s in scenes]),
        "obstacle_ids": np.array([obstacles.index(s.obstacles[0]) if s.obstacles else -1 for s in scenes]),
        "obstacle_poses": np.array([s.obstacle_poses[0] if s.obstacles else (0, 0, 0, 1, 0, 0, 0) for s in scenes]),
        "points": np.concatenate([e.points for e in episodes], axis=1),
        "velocities": np.concatenate([e.velocities for e in episodes], axis=1),
    }
    for name in ("actions", "targets", "joints", "joint_velocities"):
        arrays[name] = np.array([getattr(e, name) for e in episodes])
    for each in fields(Parameters):
        arrays[f"truth.{each.name}"] = np.array([asdict(scene.parameters)[each.name] for scene in scenes])
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
    return {n: t.float() if t.is_floating_point() else t for n, t in tensors.items()}, obstacles, tools


def _of_four(elements: np.ndarray) -> np.ndarray:
    """Elements [Q, 2 to 4] as [Q, 4], -1 where there is no node."""
    full = np.full((len(elements), 4), -1)
    full[:, : elements.shape[1]] = elements
    return full
