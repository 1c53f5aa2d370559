"""How far the support reaches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor


@dataclass(frozen=True)
class Area:
    """Which part of the plane z = 0 is support.

    Attributes:
        low: [2] m, corner of the first cell.
        cell: m.
        inner: [X, Y] bool, cells of the support, those under bodies included.
        distance: [X, Y] m, from each cell to the support.
    """

    low: Tensor
    cell: float
    inner: Tensor
    distance: Tensor

    @classmethod
    def of(cls, points: Tensor, cell: float) -> Area:
        """The largest connected part of what lies in the plane, with its holes filled.

        Args:
            points: [P, 3] m, on the support.
            cell: m.
        """
        if not len(points):
            empty = torch.zeros(1, 1)
            return cls(torch.zeros(2), cell, empty.bool(), empty + torch.inf)
        low, high = points[:, :2].quantile(0.001, dim=0), points[:, :2].quantile(0.999, dim=0)
        points = points[((points[:, :2] >= low) & (points[:, :2] <= high)).all(dim=1)]
        shape = tuple(((high - low) / cell).long().add(1).tolist())
        grid = np.zeros(shape, dtype=bool)
        grid[tuple(((points[:, :2] - low) / cell).long().T.numpy())] = True
        wide = ndimage.binary_closing(np.pad(grid, 4), iterations=3)[4:-4, 4:-4]
        numbers, count = ndimage.label(wide)
        if count:
            wide = numbers == 1 + int(np.argmax(ndimage.sum_labels(wide, numbers, range(1, count + 1))))
        inner = ndimage.binary_fill_holes(wide)
        return cls(low, cell, torch.from_numpy(inner), torch.from_numpy(ndimage.distance_transform_edt(~inner) * cell))

    def inside(self, points: Tensor) -> Tensor:
        """[P] bool, whether points [P, 3] lie over the support."""
        return self._distance(points) <= 2 * self.cell

    def near(self, points: Tensor, reach: float) -> Tensor:
        """[P] bool, whether points [P, 3] lie over the support or up to `reach` m beyond its edge."""
        return self._distance(points) <= reach

    def _distance(self, points: Tensor) -> Tensor:
        index = ((points[:, :2] - self.low) / self.cell).floor().long()
        last = torch.tensor(self.inner.shape) - 1
        beyond = (index - index.clamp(min=torch.zeros(2).long(), max=last)).abs().amax(dim=1) * self.cell
        index = index.clamp(min=torch.zeros(2).long(), max=last)
        return self.distance[index[:, 0], index[:, 1]] + beyond
