"""Contact primitives: go round a body to a place beside it, then push along a direction.

A push is a few numbers; a planner samples them, predicts each push from where the tool would stand before it, and
samples again around the best. Going there touches nothing, so that it need not be predicted.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from splatworld.plan.roads import TIGHT, Roads
from splatworld.plan.shadows import Obstacles, hull

GAP = 0.006
"""m between tool and body before a push."""
AWAY = 2.0
"""m from which a stroke looks for the body."""
WITHIN = 0.25
"""Share of pushes that begin within a body: behind a drawer's handle, between the arms of a hook."""


@dataclass(frozen=True)
class PushConfig:
    """How pushes are made.

    Attributes:
        steps: actions of one.
        speed: m/s at most.
        shortest, longest: m beyond the first contact.
        turn: rad, standard deviation of how a push bends.
        aimed: share of pushes that go about towards where the body shall be.
    """

    steps: int = 10
    speed: float = 0.2
    shortest: float = 0.003
    longest: float = 0.15
    turn: float = 0.35
    aimed: float = 0.6


@dataclass(frozen=True)
class Pushes:
    """N pushes.

    Attributes:
        body: [N] which body.
        heading: [N] rad, where a push goes first.
        offset: [N] of its line from the middle of the body's shadow, as a share of half its width: -1 to 1.
        length: [N] m beyond the first contact, or from where the tool is.
        turn: [N] rad to the left by the end.
        here: [N] bool, pushes from where the tool is now rather than from beside the body.
        depth: [N] which of the body's parts that lie on its line a push meets, as a share of them; 0: the first.
    """

    body: np.ndarray
    heading: np.ndarray
    offset: np.ndarray
    length: np.ndarray
    turn: np.ndarray
    here: np.ndarray
    depth: np.ndarray

    @classmethod
    def none(cls) -> Pushes:
        """No push."""
        none = np.zeros(0)
        return cls(none.astype(int), none, none, none, none, none.astype(bool), none)

    def __len__(self) -> int:
        return len(self.body)

    def __getitem__(self, index: Any) -> Pushes:
        return Pushes(**{f.name: getattr(self, f.name)[index] for f in fields(Pushes)})


def joined(pushes: list[Pushes]) -> Pushes:
    """All of some pushes."""
    return Pushes(**{f.name: np.concatenate([getattr(each, f.name) for each in pushes]) for f in fields(Pushes)})


@dataclass(frozen=True)
class Ground:
    """What pushes are laid out on.

    Attributes:
        obstacles: of the tool.
        roads: from where the tool is.
        shadows: body -> [K, 2] m, its convex shadow.
        targets: body -> [2] m where its origin shall be.
        origins: body -> [2] m where its origin is.
        low, high: [2] m, corners of where the tool may go.
    """

    obstacles: Obstacles
    roads: Roads
    shadows: dict[int, np.ndarray]
    targets: dict[int, np.ndarray]
    origins: dict[int, np.ndarray]
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Strokes:
    """Pushes laid out: where the tool goes.

    Attributes:
        starts: [N, 2] m where the tool stands before.
        places: [N, T, 2] m at the end of each action.
        travel: [N] m of the way to the start; infinite where none leads there.
    """

    starts: np.ndarray
    places: np.ndarray
    travel: np.ndarray

    def __getitem__(self, index: Any) -> Strokes:
        return Strokes(self.starts[index], self.places[index], self.travel[index])


def sample_pushes(
    ground: Ground, weights: dict[int, float], count: int, config: PushConfig, rng: np.random.Generator
) -> Pushes:
    """Pushes by chance.

    Args:
        ground: where.
        weights: body -> share of the pushes it gets.
        count: how many.
        config: of the pushes.
        rng: decides all.
    """
    names = np.array(list(weights))
    share = np.array(list(weights.values())) / sum(weights.values())
    body = rng.choice(names, count, p=share)
    towards = np.array([ground.targets[b] - ground.origins[b] for b in body.tolist()]).reshape(-1, 2)
    aimed = rng.random(count) < config.aimed
    heading = np.where(
        aimed, np.arctan2(towards[:, 1], towards[:, 0]) + rng.normal(0, 0.5, count), rng.uniform(-np.pi, np.pi, count)
    )
    far = np.clip(1.2 * np.linalg.norm(towards, axis=1) + 0.02, 2 * config.shortest, config.longest)
    length = np.exp(rng.uniform(np.log(config.shortest), np.log(far)))
    offset, turn = rng.uniform(-1, 1, count), rng.normal(0, config.turn, count)
    depth = np.where(rng.random(count) < WITHIN, rng.random(count), 0.0)
    return Pushes(body, heading, offset, length, turn, np.zeros(count, bool), depth)


def vary_pushes(parents: Pushes, config: PushConfig, scale: float, rng: np.random.Generator) -> Pushes:
    """Pushes near given ones.

    Args:
        parents: [N].
        config: of the pushes.
        scale: how near; 1 is about as wide as they were sampled.
        rng: decides all.
    """
    count = len(parents)
    return Pushes(
        body=parents.body,
        heading=parents.heading + rng.normal(0, 0.6 * scale, count),
        offset=np.clip(parents.offset + rng.normal(0, 0.5 * scale, count), -1, 1),
        length=np.clip(parents.length * np.exp(rng.normal(0, scale, count)), config.shortest, config.longest),
        turn=parents.turn + rng.normal(0, config.turn * scale, count),
        here=parents.here,
        depth=parents.depth,
    )


def lay_out(pushes: Pushes, ground: Ground, config: PushConfig) -> Strokes:
    """Where the tool goes in each push."""
    ahead = np.column_stack([np.cos(pushes.heading), np.sin(pushes.heading)])
    across = np.column_stack([-ahead[:, 1], ahead[:, 0]])
    starts = np.broadcast_to(ground.roads.start, (len(pushes), 2)).copy()
    free, length = np.ones(len(pushes), bool), pushes.length.copy()
    for body in np.unique(pushes.body).tolist():
        rows = np.flatnonzero((pushes.body == body) & ~pushes.here)
        aside = (ground.shadows[body] - ground.origins[body]) @ across[rows].T
        low, high = aside.min(axis=0), aside.max(axis=0)
        middle = (low + high) / 2 + pushes.offset[rows] * (high - low) / 2
        back = ground.origins[body] + across[rows] * middle[:, None] - AWAY * ahead[rows]
        parts = ground.obstacles.of(body)
        hits = parts.hits(back, ahead[rows])
        count = np.isfinite(hits).sum(axis=0)
        hit = hits[(pushes.depth[rows] * count).astype(int), np.arange(len(rows))] if len(hits) else 0.0 * middle
        starts[rows] = back + ahead[rows] * np.where(count > 0, hit - GAP, 0.0)[:, None]
        # Between arms it needs room on every side: what it fits tightly it would not get out of again.
        free[rows] = (count > 0) & (parts.gap(starts[rows]) > np.where(pushes.depth[rows] > 0, TIGHT, 0.0))
        free[rows] &= ground.obstacles.without([body]).gap(starts[rows]) > TIGHT
        length[rows] += GAP
    free &= ((starts >= ground.low) & (starts <= ground.high)).all(axis=1)
    travel = np.where(free, np.where(pushes.here, 0.0, ground.roads.lengths(starts)), np.inf)
    share = _progress(length, config)
    heading = pushes.heading[:, None] + pushes.turn[:, None] * (share - 0.5 * np.diff(share, axis=1, prepend=0.0))
    steps = np.diff(share, axis=1, prepend=0.0)[..., None] * np.stack([np.cos(heading), np.sin(heading)], axis=-1)
    places = starts[:, None] + length[:, None, None] * np.cumsum(steps, axis=1)
    inside = ((places >= ground.low) & (places <= ground.high)).all(axis=(1, 2))
    return Strokes(starts, places, np.where(inside, travel, np.inf))


def shadow(corners: np.ndarray) -> np.ndarray:
    """[K, 2] convex shadow of corners [V, 3]."""
    return hull(corners[:, :2])


def _progress(length: np.ndarray, config: PushConfig) -> np.ndarray:
    """[N, T] share of each stroke [N] m that is done after each action: slower at first and at last, then a rest in
    which bodies stop."""
    step = 0.1 * config.speed
    moving = np.clip(np.ceil(length / step) + 1, 3, config.steps - 1)[:, None]
    t = np.arange(config.steps)[None]
    speed = np.where(t < moving, 1.0, 0.0)
    speed = np.where((t == 0) | (t == moving - 1), 0.5, speed)
    done = np.cumsum(speed, axis=1)
    return done / done[:, -1:]
