"""Where a body meets the support: what heights cannot tell from it, the body's outline a little higher does."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from splatworld.bodies.consensus import AGREED
from splatworld.bodies.surface import sample
from splatworld.core.splats import Splats

SLICES = (1.0, 1.5, 2.5)
"""Heights, in the roughness of the support, between which a body's two outlines are taken."""
CELLS = 0.4
"""Cells of the outlines' pictures, in those of space."""
MARGIN = 4
"""Cells around them."""


def with_feet(splats: Splats, labels: Tensor, *, solid: Tensor, raised: Tensor, rough: float, cell: float) -> Tensor:
    """Labels [N] with the splats below bodies' outlines that are too low for their height to tell.

    Two outlines just above what is uncertain say how the body goes on below: as wide, or narrower as a ball does, so
    that the shade below it stays the support's. Only splats that pictures show unlike the support are taken.

    Args:
        splats: N splats, support at z = 0.
        labels: [N] 0 for the background.
        solid: [N] bool, those that make outlines.
        raised: [N] share of the pictures in which each looks unlike the support.
        rough: m, below which heights tell nothing.
        cell: m, side of the cells of space.
    """
    result, side = labels.clone(), CELLS * cell
    means = splats.means
    low = (labels == 0) & (means[:, 2].abs() < rough) & (raised > AGREED)
    for label in labels[labels > 0].unique().tolist():
        points = sample(splats, (labels == label) & solid).points
        points = points[(points[:, 2] > SLICES[0] * rough) & (points[:, 2] < SLICES[2] * rough)]
        if not len(points):
            continue
        corner = points[:, :2].min(dim=0).values - MARGIN * side
        shape = tuple(((points[:, :2].max(dim=0).values - corner) / side).long().add(1 + MARGIN).tolist())
        lower = points[:, 2] < SLICES[1] * rough
        below, above = (_outline((points[own, :2] - corner) / side, shape) for own in (lower, ~lower))
        foot = torch.from_numpy(_foot(below, above))
        place = ((means[:, :2] - corner) / side).floor().long()
        inside = ((place >= 0) & (place < torch.tensor(shape))).all(dim=1)
        own = low & (result == 0) & inside
        own[own.clone()] = foot[place[own, 0], place[own, 1]]
        result[own] = label
    return result


def _outline(places: Tensor, shape: tuple[int, ...]) -> np.ndarray:
    """[X, Y] bool, what points at places [P, 2] in cells enclose."""
    picture = np.zeros(shape, dtype=bool)
    picture[tuple(places.long().T.numpy())] = True
    picture = ndimage.binary_fill_holes(ndimage.binary_closing(picture, iterations=MARGIN - 1))
    return ndimage.binary_opening(picture)


def _foot(below: np.ndarray, above: np.ndarray) -> np.ndarray:
    """[X, Y] bool, the outline on the support to within a cell, if the body goes on as between two outlines."""
    both = below | above
    depth = ndimage.distance_transform_edt(both)
    rim = below & ~ndimage.binary_erosion(below)
    narrower = max(0.0, float(np.median(depth[rim])) - 1) if rim.any() else 0.0
    # From the middle of the lower slice to that of the upper one, and from there down to the support.
    middles = (SLICES[0] + SLICES[1]) / 2, (SLICES[1] + SLICES[2]) / 2
    narrower *= middles[1] / (middles[1] - middles[0])
    return both & (depth > narrower - 1)
