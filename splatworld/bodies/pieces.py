"""Which splats hang together: the parts that a body is split into, and what stands up at a point."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from splatworld.bodies.surface import sample
from splatworld.core.splats import Splats

PIECES = 2
"""Parts that a body is split into."""
CELLS_ACROSS = 48
"""Cells along the longest side of what a click picks or a split parts."""
MOST_CELLS = 200
"""Cells along a side of a grid at most."""


def halves(splats: Splats) -> Tensor:
    """[n] bool, the smaller of two parts.

    Cells are eroded until they fall apart; what is left of the two largest pieces draws the splats nearest to it.
    A body that never falls apart is cut across its longest side.
    """
    means = splats.means
    size = float((means.quantile(0.98, dim=0) - means.quantile(0.02, dim=0)).max()) / CELLS_ACROSS
    # Strays far off must not make the grid large.
    tail = means.quantile(0.02, dim=0) - CELLS_ACROSS * size
    low = torch.maximum(means.min(dim=0).values, tail) - 8 * size
    filled, _, _ = _cells(splats, low, max(size, 1e-9))
    depth = ndimage.distance_transform_edt(ndimage.binary_fill_holes(ndimage.binary_closing(filled, iterations=2)))
    for level in np.linspace(0, 0.9, 19) * depth.max():
        numbers, count = ndimage.label(depth > level)
        sizes = ndimage.sum_labels(depth > level, numbers, range(1, count + 1)) if count > 1 else np.zeros(0)
        order = np.argsort(-sizes)[:PIECES]
        if len(order) == PIECES and sizes[order[1]] > 0.03 * sizes.sum():
            away = [ndimage.distance_transform_edt(numbers != 1 + i) for i in order]
            cell = tuple(((means - low) / size).long().clamp(min=0).T.numpy())
            inside = [np.minimum(c, n - 1) for c, n in zip(cell, depth.shape, strict=True)]
            first, second = (torch.from_numpy(a[tuple(inside)]) for a in away)
            return second < first
    spread = means - means.mean(dim=0)
    along = spread @ torch.linalg.svd(spread, full_matrices=False)[2][0]
    return along > along.median()


def grown(splats: Splats, free: Tensor, point: Tensor, distance: float) -> Tensor:
    """Indices of the free splats that hang together at a point; lengths follow the view's distance."""
    size, start = distance / 120, distance / 100
    near = free & ((splats.means - point.float()).norm(dim=1) < 0.5 * distance)
    near &= (splats.means[:, 2] > start) & (splats.opacities > 0.2)
    own = torch.nonzero(near).squeeze(-1)
    if not len(own):
        return own
    part = splats.select(own)
    low = part.means.min(dim=0).values - 8 * size
    filled, cells, owners = _cells(part, low, size)
    numbers, _ = ndimage.label(filled, np.ones((3, 3, 3)))
    each = torch.from_numpy(numbers[tuple(cells.T.numpy())])
    nearest = (cells - (point.float() - low) / size).norm(dim=1)
    if float(nearest.min()) > 4 or not math.isfinite(float(nearest.min())):
        return own[:0]
    return own[owners[each == each[nearest.argmin()]].unique()]


def _cells(splats: Splats, low: Tensor, size: float) -> tuple[np.ndarray, Tensor, Tensor]:
    """Cells that splats fill [X, Y, Z] bool, and every sample's cell [P, 3] and owner [P]; strays go to the rim."""
    samples = sample(splats, torch.ones(len(splats), dtype=torch.bool))
    cells = ((samples.points - low) / size).clamp(0, MOST_CELLS - 1).long()
    filled = np.zeros(tuple((cells.max(dim=0).values + 1).tolist()), dtype=bool)
    filled[tuple(cells.T.numpy())] = True
    return filled, cells, samples.owners
