"""Scenes by chance of what stands and may fall over: tall bodies pushed at some height, and stacks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from splatworld.simulate.episodes.draw import TRIES, arm, set_beside
from splatworld.simulate.episodes.families import FamilyConfig, draw_shapes
from splatworld.simulate.episodes.footprint import beyond, footprint, height, separation, yawed
from splatworld.simulate.episodes.pusher import Stroke
from splatworld.simulate.episodes.scene import Scene
from splatworld.simulate.episodes.shapes import base_margins, shape, stable_poses

SLENDER = (1.8, 6.0)
"""Height of the centre over its foot's distance from the edge of the base, of what counts as tall."""
LEAST = 0.025
"""m, height of its centre."""
RISE = {"topple": (0.25, 0.9), "stack": (0.05, 0.7)}
"""Family -> of the pushed body's height, where the tool's lowest point is."""
STANDS = 0.004
"""m inside of what is below, least place of a centre above it in a stack."""
SETTLE = 1.0
"""s given to come to rest."""


def draw_standing(config: FamilyConfig, split: str, rng: np.random.Generator) -> tuple[Scene, Stroke | None] | None:
    """A scene of the family topple or stack, and the tool's only stroke; None if the bodies found no room."""
    low, high = config.bodies
    count = int(rng.integers(low, high + 1))
    drawn = _stacked(config, split, count, rng) if config.family == "stack" else _tall(config, split, count, rng)
    if drawn is None:
        return None
    names, poses = drawn
    fixed, twists, parameters = np.zeros(count, bool), np.zeros((count, 6)), config.ranges.draw(names, rng)
    alone = config.family == "stack" and rng.random() < config.alone
    armed = None if alone else arm(names, fixed, poses, config, split, rng, RISE[config.family])
    if armed is None:
        return (Scene(names, fixed, poses, twists, parameters, None, SETTLE, config.step), None) if alone else None
    return Scene(names, fixed, poses, twists, parameters, armed[0], SETTLE, config.step), replace(armed[1], last=True)


def _tall(
    config: FamilyConfig, split: str, count: int, rng: np.random.Generator
) -> tuple[tuple[str, ...], np.ndarray] | None:
    """Shapes and poses [B, 7] of bodies that stand on a narrow side, some near enough to fall against each other."""
    names: list[str] = []
    poses: list[np.ndarray] = []
    polygons: list[np.ndarray] = []
    for _ in range(TRIES):
        name = draw_shapes(config, split, 1, rng)[0]
        quats, heights, _ = stable_poses(name)
        slender = heights / base_margins(name)
        sides = np.flatnonzero((slender > SLENDER[0]) & (slender < SLENDER[1]) & (heights > LEAST))
        if not len(sides):
            continue
        side = int(rng.choice(sides))
        pose = np.array([*rng.normal(0, 0.05, 2), heights[side], *yawed(quats[side], rng.uniform(0, 2 * np.pi))])
        if polygons:
            set_beside(pose, name, polygons[int(rng.integers(len(polygons)))], config, rng)
        polygon = footprint(shape(name), pose)
        if all(separation(polygon, other) > 5e-4 for other in polygons):
            names.append(name)
            poses.append(pose)
            polygons.append(polygon)
        if len(names) == count:
            return tuple(names), np.array(poses)
    return None


def _stacked(
    config: FamilyConfig, split: str, count: int, rng: np.random.Generator
) -> tuple[tuple[str, ...], np.ndarray] | None:
    """Shapes and poses [B, 7] of bodies on their broadest sides, one upon the other, the first at the bottom."""
    for _ in range(TRIES):
        names = draw_shapes(config, split, count, rng)
        sides = [int(np.argmax(stable_poses(name)[2])) for name in names]
        if rng.random() < 0.5:  # often what is broad lies below
            order = np.argsort([-base_margins(name)[side] for name, side in zip(names, sides, strict=True)])
            names, sides = tuple(names[k] for k in order), [sides[k] for k in order]
        poses = np.zeros((count, 7))
        top = 0.0
        for index, (name, side) in enumerate(zip(names, sides, strict=True)):
            quats, heights, _ = stable_poses(name)
            poses[index] = [
                *rng.normal(0, 0.05, 2),
                top + heights[side],
                *yawed(quats[side], rng.uniform(0, 2 * np.pi)),
            ]
            if index:
                aside = 0.35 * base_margins(names[index - 1])[sides[index - 1]]
                poses[index, :2] = poses[index - 1, :2] + rng.normal(0, aside, 2)
            top = height(shape(name), poses[index])[1] + 1e-4
        if _balanced(names, poses):
            return names, poses
    return None


def _balanced(names: tuple[str, ...], poses: np.ndarray) -> bool:
    """Whether the centre of all that is above each body, weighed by volume, lies well inside of its top's outline."""
    volumes = np.array([shape(name).volume for name in names])
    for below in range(len(names) - 1):
        centre = np.average(poses[below + 1 :, :2], axis=0, weights=volumes[below + 1 :])
        outlines = [footprint(shape(names[k]), poses[k]) for k in (below, below + 1)]
        if max(beyond(outline, centre[None]) for outline in outlines) > -STANDS:
            return False
    return True
