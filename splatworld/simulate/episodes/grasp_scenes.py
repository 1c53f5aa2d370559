"""Where a gripper closes from above on a body on the table: about it, at its edge, beside it, or down upon it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.spatial import ConvexHull

from splatworld.core.robot import GRIP_FORCE
from splatworld.geometry.convex import crossed
from splatworld.robot.tools import FINGER_SIZE
from splatworld.simulate.episodes.families import FAMILIES, draw_shapes, for_split
from splatworld.simulate.episodes.footprint import yawed
from splatworld.simulate.episodes.scene import Parameters
from splatworld.simulate.episodes.shapes import rotation, shape, stable_poses

OPENING = 0.08
"""m between the open fingers."""
AIMS = {"good": 0.55, "slanted": 0.15, "edge": 0.1, "beside": 0.08, "blocked": 0.12}
"""Where the fingers go -> share of the scenes: about sides that face them, about others, at the body's edge or its top,
past it, upon it."""
FLAT = 0.003
"""m by which a side that faces a finger is nearer to it in one place than in another, at most."""
WEAK, WEAK_FORCE = 0.4, (1.0, 8.0)
"""Share of the scenes in which the grip is weaker than usual, and N, log-uniform."""
DESCEND, CLOSE, LIFT, CARRY, LOWER, OPEN, LEAVE = 6, 5, 5, 10, 5, 3, 6
"""Actions that each part takes; lifting is the test whether the body is held."""
CLOSED, LIFTED = DESCEND + CLOSE, DESCEND + CLOSE + LIFT
CARRIED, PLACED = LIFTED + CARRY, LIFTED + CARRY + LOWER + OPEN + LEAVE
"""Actions after which the fingers are closed, the body lifted, carried, and put down and left."""
CLOSING = 0.02
"""m by which the fingers near each other in an action."""
PLACES, SCENES = 60, 200
"""Places tried on a body before another one is drawn, and bodies before giving up."""


@dataclass(frozen=True)
class GraspScene:
    """One body, and what the gripper is told to do.

    Attributes:
        shape: name in the library.
        pose: [7] world_from_body where it lies.
        parameters: of the body, hidden.
        aim: of `AIMS`.
        force: N, by which each finger presses; known.
        start: [5] x, y, z m of the tips' middle, yaw rad, width m.
        way: [PLACED, 5] increments of x, y, z and yaw, and the width that is commanded.
    """

    shape: str
    pose: np.ndarray
    parameters: Parameters
    aim: str
    force: float
    start: np.ndarray
    way: np.ndarray


def draw_grasp(split: str, rng: np.random.Generator) -> GraspScene:
    """A scene by chance, of shapes of a split of `families.SPLITS`."""
    config = for_split(FAMILIES["push"], split)
    aim = str(rng.choice(list(AIMS), p=list(AIMS.values())))
    for _ in range(SCENES):
        name = draw_shapes(config, split, 1, rng)[0]
        quats, heights, weights = stable_poses(name)
        side = rng.choice(len(quats), p=weights)
        lying = np.array([*rng.normal(0, 0.03, 2), heights[side], *yawed(quats[side], rng.uniform(0, 2 * np.pi))])
        place = _aimed(name, lying, aim, rng)
        if place is None:
            continue
        force = GRIP_FORCE
        if rng.random() < WEAK:
            force = float(np.exp(rng.uniform(*np.log(WEAK_FORCE))))
        start, way = _way(place, _corners(name, lying)[:, 2].max(), rng)
        return GraspScene(name, lying, config.ranges.draw((name,), rng), aim, force, start, way)
    raise RuntimeError(f"draw_grasp: no body of {SCENES} has a place to be {aim}.")


def good_grasp(name: str, lying: np.ndarray, parameters: Parameters, rng: np.random.Generator) -> GraspScene | None:
    """A scene in which fingers close with the usual force about sides of a lying body that face them; None if none of
    `PLACES` tries finds any."""
    place = _aimed(name, lying, "good", rng)
    if place is None:
        return None
    start, way = _way(place, _corners(name, lying)[:, 2].max(), rng)
    return GraspScene(name, lying, parameters, "good", GRIP_FORCE, start, way)


def _aimed(name: str, lying: np.ndarray, aim: str, rng: np.random.Generator) -> np.ndarray | None:
    """[4] a place by chance at which closing is `aim`; None if none of `PLACES` is."""
    for _ in range(PLACES):
        place = _place(name, lying, rng)
        if _aim(name, lying, place) == aim:
            return place
    return None


def _place(name: str, lying: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[4] x, y, z, yaw of the tips near the body."""
    corners = _corners(name, lying)
    low, high = corners.min(0), corners.max(0)
    # Past its outline by as much as a finger is wide.
    at = rng.uniform(low[:2] - 0.03, high[:2] + 0.03)
    least = max(0.003, high[2] - FINGER_SIZE[2] + 0.005)
    return np.array([*at, rng.uniform(least, max(high[2] - 0.001, least + 0.001)), rng.uniform(-np.pi, np.pi)])


def _aim(name: str, lying: np.ndarray, place: np.ndarray) -> str | None:
    """Which of `AIMS` closing at a place [4] is; None if none of them clearly."""
    across, thick, long = FINGER_SIZE
    turn = np.array([[np.cos(place[3]), -np.sin(place[3])], [np.sin(place[3]), np.cos(place[3])]])

    def lines(x: np.ndarray, y: np.ndarray, z: np.ndarray, way: tuple[float, float, float]) -> np.ndarray:
        """[X, Y, Z, 2] where lines through these places of the hand, along `way` of it, enter and leave the body."""
        local = np.stack(np.meshgrid(x, y, z, indexing="ij"), -1)
        flat = local.reshape(-1, 3) @ np.block([[turn, np.zeros((2, 1))], [0, 0, 1]]).T + [*place[:3]]
        along = np.array([*(turn @ way[:2]), way[2]])
        return _spans(name, lying, flat, along).reshape(*local.shape[:-1], 2)

    side = np.linspace(OPENING / 2, OPENING / 2 + thick, 3)
    xs = np.linspace(-across / 2, across / 2, 5)
    under = lines(xs, np.concatenate([-side, side]), np.zeros(1), (0, 0, 1))
    palm = lines(np.linspace(-0.015, 0.015, 3), np.linspace(-0.06, 0.06, 7), np.array([long]), (0, 0, 1))
    top_below, top_palm = np.nanmax(under[..., 1], initial=-1), np.nanmax(palm[..., 1], initial=-1)
    if top_palm > -0.002:
        return None
    if top_below > 0.004:
        return "blocked"
    if top_below > -0.002:
        return None
    between = lines(xs, np.zeros(1), np.linspace(0.001, long - 0.001, 12), (0, 1, 0))[:, 0]
    hit = np.isfinite(between[..., 0]) & (between[..., 0] < OPENING / 2) & (between[..., 1] > -OPENING / 2)
    if not hit.any():
        return "beside"
    whole, deep = hit.any(1), hit.sum(1).max() * long / 12
    wide = np.nanmax(between[..., 1]) < OPENING / 2 - 0.003 and np.nanmin(between[..., 0]) > -OPENING / 2 + 0.003
    if not wide:
        return None
    if whole.all() and deep > 0.008:
        flat = all(np.ptp(side[hit]) < FLAT for side in np.moveaxis(between, -1, 0))
        return "good" if flat else "slanted"
    return "edge" if whole.sum() <= 3 or deep < 0.006 else None


def _spans(name: str, lying: np.ndarray, points: np.ndarray, along: np.ndarray) -> np.ndarray:
    """[L, 2] m along lines through points [L, 3], where they enter and leave the body; NaN for those that miss it."""
    turn = rotation(lying[3:])
    return crossed(_planes(name), (points - lying[:3]) @ turn, (along @ turn)[None])


@lru_cache(maxsize=256)
def _planes(name: str) -> tuple[np.ndarray, ...]:
    """[F, 4] of each part of a shape: outward normals and offsets of its sides."""
    return tuple(ConvexHull(part.vertices).equations for part in shape(name).parts)


def _corners(name: str, lying: np.ndarray) -> np.ndarray:
    return shape(name).hull @ rotation(lying[3:]).T + lying[:3]


def _way(place: np.ndarray, top: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Where the gripper starts and what it is told, for a place [4] and the height of the body's top."""
    above = max(top + 0.01, place[2] + 0.03) - place[2]
    lift, heading, far = rng.uniform(0.06, 0.1), rng.uniform(-np.pi, np.pi), rng.uniform(0.05, 0.3)
    parts: list[tuple[int, Sequence[float] | np.ndarray]] = [
        (DESCEND, (0, 0, -above, 0)),
        (CLOSE, np.zeros(4)),
        (LIFT, (0, 0, lift, 0)),
        (CARRY, (far * np.cos(heading), far * np.sin(heading), 0, rng.uniform(-1, 1))),
        (LOWER, (0, 0, rng.uniform(0, 0.004) - lift, 0)),
        (OPEN, np.zeros(4)),
        (LEAVE, (0, 0, top + 0.03, 0)),
    ]
    way = np.zeros((PLACED, 5))
    way[:, :4] = np.concatenate([np.outer(_paced(count), np.asarray(whole)) for count, whole in parts])
    closing = OPENING - CLOSING * np.arange(1, CLOSE + 1)
    opening = OPENING - CLOSING * np.arange(OPEN - 1, -1, -1)
    way[:, 4] = OPENING
    way[DESCEND:CLOSED, 4] = np.maximum(closing, 0)
    way[CLOSED : CARRIED + LOWER, 4] = 0
    way[CARRIED + LOWER : CARRIED + LOWER + OPEN, 4] = opening
    return np.array([place[0], place[1], place[2] + above, place[3], OPENING]), way


def _paced(count: int) -> np.ndarray:
    """[count] shares of a way: half as fast at its ends."""
    pace = np.ones(count)
    pace[[0, -1]] = 0.5
    return pace / pace.sum()
