"""Contact primitives of a gripper: where fingers that come from above can close on a body."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from splatworld.core.state import State
from splatworld.geometry.convex import crossed
from splatworld.geometry.shapes import Shapes
from splatworld.plan.hands import Hand, stands_free
from splatworld.plan.shadows import Obstacles, part_corners

SAMPLES = 800
"""Places that are looked at on a body."""
ROOM = 0.012
"""m that each finger keeps from a body before it closes, where it opens so wide."""
TIGHT = 0.003
"""m that it keeps at least."""
ABOVE = 0.003
"""m that fingers keep above what the body stands on."""
BITE = 0.008
"""m of the body that are between the fingers from below, at least half of it where it is flatter."""
GRID = (5, 6)
"""Lines between the fingers, across and up, on which it is looked how thick a body is there."""
SPARSE = 0.6
"""Share of those lines that must meet it."""
STEEP = 0.008
"""m by which each side may be nearer to its finger in one place than in another: half of a pad's width, as steep as
usual friction bears."""
LEVER = 0.15
"""m of doubt for each m that the grip is beside a body's middle."""


@dataclass(frozen=True)
class Grasps:
    """N places to close on a body.

    Attributes:
        body: [N].
        at: [N, 4] m and rad, as `Hand.at`.
        width: [N] m between the fingers before they close.
        thick: [N] m of the body between them.
        doubt: [N] m: how much less thick the body is in one place than in another, and how far beside its middle.
    """

    body: np.ndarray
    at: np.ndarray
    width: np.ndarray
    thick: np.ndarray
    doubt: np.ndarray

    @classmethod
    def none(cls) -> Grasps:
        """No grasp."""
        none = np.zeros(0)
        return cls(none.astype(int), np.zeros((0, 4)), none, none, none)

    def __len__(self) -> int:
        return len(self.body)

    def __getitem__(self, index: Any) -> Grasps:
        return Grasps(**{f.name: getattr(self, f.name)[index] for f in fields(Grasps)})


def all_grasps(grasps: list[Grasps]) -> Grasps:
    """All of some grasps."""
    return Grasps(**{f.name: np.concatenate([getattr(each, f.name) for each in grasps]) for f in fields(Grasps)})


def sample_grasps(
    hand: Hand, shapes: Shapes, state: State, obstacles: Obstacles, body: int, rng: np.random.Generator
) -> Grasps:
    """Places by chance where a hand from above can close on a body, those of least doubt first.

    Args:
        hand: that closes.
        shapes: of the world.
        state: a single one.
        obstacles: all, of a point.
        body: which.
        rng: decides all.
    """
    parts = [part_corners(shapes, state, k) for k, owner in enumerate(shapes.part_bodies.tolist()) if owner == body]
    if not parts:
        return Grasps.none()
    corners = np.concatenate(parts)
    low, high = corners.min(axis=0), corners.max(axis=0)
    bite = min(BITE, (high[2] - low[2]) / 2)
    lowest, top = max(low[2] + ABOVE, high[2] - hand.deep + ABOVE), high[2] - bite
    if lowest > top:
        return Grasps.none()
    at = np.column_stack([
        rng.uniform(low[:2], high[:2], (SAMPLES, 2)),
        lowest + (top - lowest) * rng.random(SAMPLES) ** 2 - hand.tips,
        hand.at[3] + rng.uniform(-np.pi / 2, np.pi / 2, SAMPLES),
    ])  # fmt: skip
    near, far, full = _sides(hand, parts, at, high[2])
    fits = full & (far - near < hand.most - 2 * TIGHT)
    at, near, far = at[fits], near[fits], far[fits]
    along = np.column_stack([np.cos(at[:, 3]), np.sin(at[:, 3])])
    at[:, :2] += along * ((near + far) / 2)[:, None]
    near, far, full, slant = _sides(hand, parts, at, high[2], slants=True)
    thick = far - near
    width = np.minimum(thick + 2 * ROOM, hand.most)
    origin = state.world_from_body[body].double().numpy()[:2]
    beside = np.abs(((origin - at[:, :2]) * np.column_stack([-np.sin(at[:, 3]), np.cos(at[:, 3])])).sum(axis=1))
    kept = np.flatnonzero(full & (thick < hand.most - 2 * TIGHT) & stands_free(hand, obstacles, at, width, TIGHT))
    found = Grasps(np.full(len(at), body), at, width, thick, slant + LEVER * beside)[kept]
    return found[np.argsort(found.doubt, kind="stable")]


def _sides(hand: Hand, parts: list[np.ndarray], at: np.ndarray, top: float, *, slants: bool = False) -> Any:
    """Where fingers meet a body of convex parts: [N] m along from the middle, to the right and to the left; [N] bool
    whether there is enough of it; and [N] m by which its sides slant, if asked for, and then not too much."""
    count = len(at)
    across = np.linspace(-hand.pad[0], hand.pad[0], GRID[0])
    bottom = at[:, 2] + hand.tips
    up = np.linspace(0.05, 0.95, GRID[1]) * (np.minimum(bottom + hand.deep, top) - bottom)[:, None] + bottom[:, None]
    c, s = np.cos(at[:, 3])[:, None, None], np.sin(at[:, 3])[:, None, None]
    shape = (count, *GRID)
    starts = np.stack(
        [
            np.broadcast_to(at[:, 0, None, None] - s * across[:, None], shape),
            np.broadcast_to(at[:, 1, None, None] + c * across[:, None], shape),
            np.broadcast_to(up[:, None], shape),
        ],
        axis=-1,
    )
    ways = np.stack(np.broadcast_arrays(c, s, 0.0 * c), axis=-1)
    ways = np.broadcast_to(ways, (*shape, 3))
    planes = [hull for part in parts if (hull := _faces(part)) is not None]
    spans = crossed(planes, starts.reshape(-1, 3), ways.reshape(-1, 3)).reshape(*shape, 2)
    met = np.isfinite(spans[..., 0])
    low, high = np.where(met, spans[..., 0], np.inf), np.where(met, spans[..., 1], -np.inf)
    near, far = low.min(axis=(1, 2), initial=np.inf), high.max(axis=(1, 2), initial=-np.inf)
    full = met.mean(axis=(1, 2)) >= SPARSE if count else np.zeros(0, bool)
    near, far = np.where(full, near, 0.0), np.where(full, far, 0.0)
    if not slants:
        return near, far, full
    inward = np.where(met, spans[..., 0], -np.inf).max(axis=(1, 2), initial=-np.inf) - near
    outward = far - np.where(met, spans[..., 1], np.inf).min(axis=(1, 2), initial=np.inf)
    return near, far, full & (np.maximum(inward, outward) < STEEP), np.where(full, inward + outward, 0.0)


def _faces(corners: np.ndarray) -> np.ndarray | None:
    """[F, 4] planes of the hull of corners [V, 3]; None where they span no volume."""
    try:
        return np.asarray(ConvexHull(corners).equations)
    except (QhullError, ValueError):
        return None
