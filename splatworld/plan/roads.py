"""Ways of the tool around what stands on the support."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from splatworld.plan.shadows import Obstacles

CELL = 0.01
"""m between the knots of the net that ways are searched on."""
TIGHT, ROOMY = 0.002, 0.015
"""m: nearer than the first there is no way; below the second a way counts as longer, up to `DETOUR` times."""
DETOUR = 4.0
SLACK = 0.002
"""m that a tool may sink in deeper while it leaves what it touches."""
STEPS = ((1, 0), (0, 1), (1, 1), (1, -1), (2, 1), (1, 2), (2, -1), (1, -2))


@dataclass(frozen=True)
class Roads:
    """Shortest ways from one place.

    Attributes:
        start: [2] m.
        low: [2] m of the first knot.
        shape: knots along x and y.
        length: [X * Y] m to each knot, what is tight counting as longer; infinite where no way leads.
        before: [X * Y] the knot before each on its way.
        obstacles: what was gone around.
    """

    start: np.ndarray
    low: np.ndarray
    shape: tuple[int, int]
    length: np.ndarray
    before: np.ndarray
    obstacles: Obstacles

    def lengths(self, places: np.ndarray) -> np.ndarray:
        """[N] m to places [N, 2]; infinite where no way leads."""
        knots, inside = self._knots(places)
        straight = np.linalg.norm(places - self.start, axis=1)
        # A straight way over a few cells need not go by way of the knots.
        near = straight < 3 * CELL
        found = np.where(inside, self.length[knots], np.inf)
        return np.where(near & np.isfinite(found), np.minimum(found, straight), found)

    def way(self, place: np.ndarray) -> np.ndarray:
        """[W, 2] m corners of the way to a place [2], without the start; bends that are not needed are cut off."""
        knot = int(self._knots(place[None])[0][0])
        corners = [place]
        while knot >= 0 and self.length[knot] > 0:
            corners.append(self.low + CELL * np.array(divmod(knot, self.shape[1])))
            knot = int(self.before[knot])
        return self._tightened(np.array([self.start, *corners[:0:-1], place]))

    def _knots(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        at = np.round((places - self.low) / CELL).astype(int)
        inside = ((at >= 0) & (at < self.shape)).all(axis=1)
        at = np.clip(at, 0, np.array(self.shape) - 1)
        return at[:, 0] * self.shape[1] + at[:, 1], inside

    def _tightened(self, corners: np.ndarray) -> np.ndarray:
        kept, here = [], 0
        while here < len(corners) - 1:
            ahead = next(
                k for k in range(len(corners) - 1, here, -1) if k == here + 1 or self._is_free(corners[[here, k]])
            )
            kept.append(corners[ahead])
            here = ahead
        return np.array(kept)

    def _is_free(self, ends: np.ndarray) -> bool:
        count = max(2, int(np.linalg.norm(ends[1] - ends[0]) / (CELL / 2)) + 1)
        line = ends[0] + np.linspace(0, 1, count)[:, None] * (ends[1] - ends[0])
        gaps = self.obstacles.gap(line)
        # From where it is tight anyway it may lead on as long as it gets no tighter.
        return bool((gaps >= min(ROOMY - CELL / 2, gaps[0] - 1e-6, gaps[-1] - 1e-6)).all())


def find_roads(obstacles: Obstacles, start: np.ndarray, low: np.ndarray, high: np.ndarray) -> Roads:
    """Shortest ways (Dijkstra, 1959) within a rectangle.

    Args:
        obstacles: of the tool.
        start: [2] m; if it touches something, the way leads away from it first.
        low, high: [2] m, corners of where the tool may go.
    """
    low = np.minimum(low, start)
    shape = tuple(int(n) for n in np.ceil((np.maximum(high, start) - low) / CELL).astype(int) + 1)
    x, y = np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij")
    knots = low + CELL * np.stack([x, y], axis=-1).reshape(-1, 2)
    gaps = obstacles.gap_on_grid(
        low[0] + CELL * np.arange(shape[0]), low[1] + CELL * np.arange(shape[1]), ROOMY
    ).ravel()
    here = np.linalg.norm(knots - start, axis=1)
    # A tool that touches something may leave it, but not through it: it would take it along.
    tightest = min(TIGHT, float(obstacles.gap(start[None])[0])) - SLACK
    near = here < 2.5 * CELL
    free = (gaps > TIGHT) | (near & (gaps > tightest))
    dearer = 1 + (DETOUR - 1) * np.clip((ROOMY - gaps) / ROOMY, 0, 1)
    number = np.arange(len(knots)).reshape(shape)
    rows, columns, weights = [], [], []
    for dx, dy in STEPS:
        ys, yt = (slice(0, shape[1] - dy), slice(dy, None)) if dy >= 0 else (slice(-dy, None), slice(0, dy))
        a, b = number[: shape[0] - dx, ys].ravel(), number[dx:, yt].ravel()
        open_ = free[a] & free[b]
        rows.append(a[open_])
        columns.append(b[open_])
        weights.append(CELL * np.hypot(dx, dy) * (dearer[a] + dearer[b])[open_] / 2)
    # The start is a knot of its own, tied to the free ones around it.
    around = np.flatnonzero(free & near)
    around = around[obstacles.gap((knots[around] + start) / 2) > tightest]
    rows.append(np.full(len(around), len(knots)))
    columns.append(around)
    weights.append(np.maximum(here[around], 1e-6))
    parts = np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))
    net = csr_matrix(parts, shape=(len(knots) + 1,) * 2)
    length, before = dijkstra(net, directed=False, indices=len(knots), return_predecessors=True)
    before = np.where((before < 0) | (before == len(knots)), -1, before)
    return Roads(start, low, (shape[0], shape[1]), length[:-1], before[:-1], obstacles)
