"""Ways of a hand: to a body, down, close, lift, carry it to where it shall be, lower, open, up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from splatworld.core import pose
from splatworld.core.state import State
from splatworld.geometry.shapes import Shapes
from splatworld.plan.cost import BodyToPose
from splatworld.plan.goals import Aim
from splatworld.plan.grasps import ROOM, Grasps
from splatworld.plan.hands import Hand, highest, stands_free
from splatworld.plan.shadows import Obstacles, body_corners

OVER = 0.015
"""m that a hand and what it carries keep above what they cross."""
LIFTED = 0.03
"""m by which a body is lifted at least."""
SET_DOWN = 0.001
"""m above its place at which a body is let go."""
LIFT_SPEED, CARRY_SPEED, LOWER_SPEED = 0.2, 0.35, 0.12
"""m/s."""
TURN, FINGERS = 0.15, 0.02
"""rad that the hand turns and m that its fingers move in an action."""
PRESSED = 2
"""Actions in which closed fingers press before the body is lifted."""
AT = 0.004
"""m up to which the hand is where it should be."""


@dataclass(frozen=True)
class Ways:
    """N ways; a row is x, y, z of the tool's frame, m, how the fingers' line is headed, rad, and their width, m.

    Attributes:
        starts: [N, 5] from where on they are predicted.
        rows: [N, T, 5] after each action from there; those that are shorter wait at their end.
        approaches: how the hand gets to each start, [K, 5].
        doubt: [N] m.
        seconds: [N] s that each takes.
    """

    starts: np.ndarray
    rows: np.ndarray
    approaches: tuple[np.ndarray, ...]
    doubt: np.ndarray
    seconds: np.ndarray

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: Any) -> Ways:
        some = np.arange(len(self))[index]
        approaches = tuple(self.approaches[k] for k in some)
        return Ways(self.starts[some], self.rows[some], approaches, self.doubt[some], self.seconds[some])


@dataclass(frozen=True)
class Load:
    """A body, and where it shall be.

    Attributes:
        origin: [3] m where it is.
        corners: [V, 3] m of it.
        place: [2] m where its origin shall be.
        rise: m by which it shall be higher.
        turn: rad by which it shall be turned about the vertical.
        others: of a point, all but the body.
        everything: of a point.
    """

    origin: np.ndarray
    corners: np.ndarray
    place: np.ndarray
    rise: float
    turn: float
    others: Obstacles
    everything: Obstacles


def load_of(shapes: Shapes, state: State, aim: Aim, obstacles: Obstacles) -> Load:
    """What an aim says of its body; `obstacles` are all, of a point."""
    body = aim.body  # type: ignore[union-attr]
    now, target = state.world_from_body[body].double(), aim.target(state)
    corners = body_corners(shapes, state, [body])
    below, turn = corners[:, 2].min() - float(now[2]), 0.0
    if isinstance(aim, BodyToPose):
        away = pose.multiply_quats(aim.pose[3:].double(), pose.conjugate_quat(now[3:]))
        local = torch.from_numpy(corners) - now[:3]
        below = float(pose.rotate(away, local)[:, 2].min())
        turn = float(pose.log(torch.cat([now[:3], away]))[5]) if aim.radius > 0 else 0.0
    rise = float(target[2]) + below - corners[:, 2].min()
    everything = obstacles
    return Load(now[:3].numpy(), corners, target[:2].numpy(), rise, turn, obstacles.without([body]), everything)


def carry_ways(hand: Hand, load: Load, grasps: Grasps, extra: np.ndarray, speed: float) -> tuple[Grasps, Ways]:
    """Ways that grasp a body and put it where it shall be, and the grasps of them; those that find no room there are
    left out.

    Args:
        hand: now.
        load: the body.
        grasps: [N] of it.
        extra: [N] m that it is lifted higher than it must be.
        speed: m/s of the empty hand.
    """
    starts = np.column_stack([grasps.at, grasps.width])
    rows, approaches = [], []
    for k in range(len(grasps)):
        start = starts[k]
        here = _is_at(hand, start) and hand.width > grasps.thick[k]
        approaches.append(np.zeros((0, 5)) if here else approach(hand, start, load.everything, speed))
        start[4] = hand.width if here else start[4]
        closing = start[4] - FINGERS * np.arange(1, int((start[4] - grasps.thick[k]) / FINGERS) + 1)
        shut = np.repeat(start[None], len(closing) + PRESSED, axis=0)
        shut[:, 4] = [*closing, *np.zeros(PRESSED)]
        wide = float(grasps.thick[k]), float(grasps.width[k])
        rows.append(np.concatenate([shut, *_delivered(hand, load, shut[-1], wide, extra[k])]))
    ends = np.array([row[-1, :4] for row in rows]).reshape(-1, 4)
    free = stands_free(hand, load.others, _down(ends, rows, load, hand), grasps.width, 0.0)
    keep = np.flatnonzero(free)
    ways = _stacked(starts[keep], [rows[k] for k in keep], [approaches[k] for k in keep], grasps.doubt[keep])
    return grasps[keep], ways


def held_ways(hand: Hand, load: Load, extra: np.ndarray) -> Ways:
    """Ways on from here, the body held: lifted higher by `extra` [N] m than it must be."""
    now = np.array([*hand.at, 0.0])
    wide = hand.width, hand.width + 2 * ROOM
    rows = [np.concatenate(_delivered(hand, load, now, wide, each)) for each in extra]
    starts = np.repeat(np.array([[*hand.at, hand.width]]), len(extra), axis=0)
    return _stacked(starts, rows, [np.zeros((0, 5))] * len(extra), np.zeros(len(extra)))


def leaving_way(hand: Hand, top: float) -> Ways:
    """Fingers open, then go up until they are above `top` m."""
    start = np.array([*hand.at, hand.width])
    wide = min(hand.width + 2 * ROOM, hand.most)
    opened = np.array([*hand.at, wide])
    up = opened.copy()
    up[2] = max(up[2], top + OVER - hand.tips)
    return _stacked(start[None], [np.concatenate(legs(start, [(opened, 1.0), (up, LIFT_SPEED)]))],
                    [np.zeros((0, 5))], np.zeros(1))  # fmt: skip


def approach(hand: Hand, start: np.ndarray, everything: Obstacles, speed: float) -> np.ndarray:
    """[K, 5] up, across and down to where a grasp begins."""
    now = np.array([*hand.at, hand.width])
    near = np.hypot(*(start[:2] - now[:2])) < AT and abs(start[3] - now[3]) < 0.05 and abs(start[4] - now[4]) < AT
    if near and now[2] > start[2]:
        return np.concatenate(legs(now, [(start, LIFT_SPEED)]))
    over = highest(everything, now[:2], start[:2], hand.reach) + OVER - hand.tips
    over = max(over, now[2], start[2])
    # Fingers that are about something let go of it first.
    opened = np.array([*now[:4], max(now[4], min(now[4] + 2 * ROOM, hand.most))]) if now[2] < over else now
    up, there = opened.copy(), start.copy()
    up[2] = there[2] = over
    return np.concatenate(legs(now, [(opened, speed), (up, speed), (there, speed), (start, speed)]))


def legs(start: np.ndarray, goals: Sequence[tuple[np.ndarray, float]]) -> list[np.ndarray]:
    """[K, 5] of each straight leg to a row at a speed in m/s, half as fast at its ends; none where nothing changes."""
    found, here = [], start
    for goal, speed in goals:
        away = goal - here
        most = max(np.linalg.norm(away[:3]) / (0.1 * speed), abs(away[3]) / TURN, abs(away[4]) / FINGERS)
        if most > 1e-6:
            count = int(np.ceil(most - 1e-6)) + (most > 2)
            pace = np.ones(count)
            if count > 2:
                pace[[0, -1]] = 0.5
            found.append(here + np.cumsum(pace / pace.sum())[:, None] * away)
        here = goal
    return found or [np.zeros((0, 5))]


def _delivered(hand: Hand, load: Load, start: np.ndarray, wide: tuple[float, float], extra: float) -> list[np.ndarray]:
    """Legs from where the body is held to where it was let go and the hand is above it; the fingers are as wide as it
    is, then open so wide."""
    c, s = np.cos(load.turn), np.sin(load.turn)
    arm = start[:2] - load.origin[:2]
    bottom = load.corners[:, 2].min()
    end = start.copy()
    end[:2] = load.place + np.array([[c, -s], [s, c]]) @ arm
    end[2] += load.rise + SET_DOWN
    end[3] += load.turn
    lift = 0.0
    if np.hypot(*(end[:2] - start[:2])) > 2 * AT or abs(load.turn) > 0.1:
        reach = max(hand.reach, float(np.linalg.norm(load.corners[:, :2] - start[:2], axis=1).max()))
        over = highest(load.others, start[:2], end[:2], reach) + OVER
        lift = max(0.0, max(over, bottom + load.rise + LIFTED) - bottom)
    up, there, opened = start.copy(), end.copy(), end.copy()
    up[2] += lift + extra
    there[2] = up[2]
    loose = end.copy()
    loose[4], opened[4] = wide[0], min(wide[1], hand.most)
    above = opened.copy()
    above[2] += max(0.0, load.corners[:, 2].max() - (start[2] + hand.tips)) + OVER
    carried = legs(start, [(up, LIFT_SPEED), (there, CARRY_SPEED), (end, LOWER_SPEED)])
    return carried + legs(loose, [(opened, 1.0), (above, CARRY_SPEED)])


def _down(ends: np.ndarray, rows: list[np.ndarray], load: Load, hand: Hand) -> np.ndarray:
    """[N, 4] where hands let go, from where they end above."""
    down = ends.copy()
    down[:, 2] = [row[0, 2] + load.rise + SET_DOWN for row in rows]
    return down


def _is_at(hand: Hand, start: np.ndarray) -> bool:
    return bool(np.abs(hand.at[:3] - start[:3]).max() < AT and abs(hand.at[3] - start[3]) < 0.05)


def _stacked(starts: np.ndarray, rows: list[np.ndarray], approaches: list[np.ndarray], doubt: np.ndarray) -> Ways:
    most = max((len(row) for row in rows), default=1)
    padded = [np.concatenate([row, np.repeat(row[-1:], most - len(row), axis=0)]) for row in rows]
    seconds = 0.1 * np.array([len(row) + len(way) for row, way in zip(rows, approaches, strict=True)])
    return Ways(starts, np.array(padded).reshape(-1, most, 5), tuple(approaches), doubt, seconds)
