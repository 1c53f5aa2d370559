"""How high splats lie above the support, and how surely: what stands up hangs together in clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from splatworld.bodies.area import Area
from splatworld.bodies.surface import Samples, normals, sample
from splatworld.core.splats import Splats

UPWARD = 0.8
"""Cosine between a splat's normal and up, from which it may be support."""
PATCH = 10
"""Cells along the side of the patches by which the support's own unevenness is told."""
MAD = 1.4826
"""Standard deviations in a median distance, where errors are normal."""


@dataclass(frozen=True)
class Ground:
    """The support as it came out.

    Attributes:
        rough: m, three standard deviations of its splats from the plane: what is higher stands up.
        uneven: m, three standard deviations of the height of a patch of it from that of the patches around: by so much
            the height of a thing above its surroundings may err, however many splats tell of it.
        over: how far it reaches.
    """

    rough: float
    uneven: float
    over: Area

    @classmethod
    def of(cls, splats: Splats, weights: Tensor, *, solid: Tensor, reach: float, lowest: float, cell: float) -> Ground:
        """Measure it.

        Args:
            splats: N splats, support at z = 0.
            weights: [N] how much each is seen.
            solid: [N] bool, those that are no haze.
            reach: m, within which of the plane it lies.
            lowest: m, less counts as smooth.
            cell: m, side of the cells of space.
        """
        flat = (normals(splats)[:, 2].abs() > UPWARD) & (splats.means[:, 2].abs() < reach) & solid
        rough = max(3 * _deviation(splats.means[flat, 2], weights[flat]), lowest)
        level = (splats.means[:, 2].abs() < rough) & (weights > 0) & (splats.opacities > 0.1)
        points = sample(splats, level).points
        over = Area.of(points[points[:, 2].abs() < 2 * rough], 2 * cell)
        own = splats.means[level]
        return cls(rough, 3 * _unevenness(own[over.inside(own)].numpy(), PATCH * cell), over)


def clusters(above: Samples, cell: float) -> Tensor:
    """[P] numbers from 1 of what hangs together: cells of space that hold points and touch."""
    if not len(above.points):
        return torch.zeros(0, dtype=torch.int64)
    cells = ((above.points - above.points.min(dim=0).values) / cell).long()
    filled = np.zeros(tuple((cells.max(dim=0).values + 1).tolist()), dtype=bool)
    filled[tuple(cells.T.numpy())] = True
    return torch.from_numpy(ndimage.label(filled, np.ones((3, 3, 3)))[0][tuple(cells.T.numpy())]).long()


def owned(above: Samples, numbers: Tensor, count: int) -> Tensor:
    """[count] for each splat the number that most of its samples have, 0 for one without samples."""
    labels = torch.zeros(count, dtype=torch.int64)
    if len(numbers):
        # Of values for one index numpy keeps the last; torch keeps any.
        pairs, times = torch.stack([above.owners, numbers]).unique(dim=1, return_counts=True)
        order = times.argsort(stable=True)
        labels.numpy()[pairs[0, order].numpy()] = pairs[1, order].numpy()
    return labels


def _deviation(heights: Tensor, weights: Tensor) -> float:
    """Standard deviation of heights [M] from 0, by their weighted median distance."""
    if len(heights) < 10:
        return 0.0
    away, order = heights.abs().sort()
    share = weights[order].cumsum(0)
    return MAD * float(away[int((share < share[-1] / 2).sum())])


def _unevenness(points: np.ndarray, side: float) -> float:
    """Standard deviation in m of the median heights of square patches [M, 3] from those around them."""
    if not len(points):
        return 0.0
    place = np.floor((points[:, :2] - points[:, :2].min(axis=0)) / side).astype(int)
    shape = tuple(place.max(axis=0) + 1)
    patch = np.ravel_multi_index(tuple(place.T), shape)
    numbers, counts = np.unique(patch, return_counts=True)
    parts = np.split(points[np.argsort(patch, kind="stable"), 2], np.cumsum(counts)[:-1])
    heights = np.full(shape, np.nan)
    heights.flat[numbers[counts >= 10]] = [np.median(part) for part in parts if len(part) >= 10]
    around = ndimage.generic_filter(heights, _median_around, size=3, mode="constant", cval=np.nan)
    away = np.abs(heights - around)
    return MAD * float(np.nanmedian(away)) if np.isfinite(away).any() else 0.0


def _median_around(window: np.ndarray) -> float:
    """The median of the known values [9] around the one in the middle."""
    known = np.delete(window, 4)
    known = known[np.isfinite(known)]
    return float(np.median(known)) if len(known) else np.nan
