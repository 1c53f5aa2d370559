"""Where a body meets the support: what heights cannot tell from it, the body's outline a little higher does."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from scipy.spatial import cKDTree
from torch import Tensor

from splatworld.bodies.consensus import AGREED
from splatworld.bodies.floor import SAME_HUE
from splatworld.bodies.surface import sample
from splatworld.core.splats import Splats
from splatworld.render.sh import C0

SLICES = (1.0, 1.5, 2.5)
"""Heights, in the roughness of the support, between which a body's two outlines are taken."""
CELLS = 0.4
"""Cells of the outlines' pictures, in those of space."""
MARGIN = 4
"""Cells around them."""
DARKEST = 0.05
"""Mean colour below which there is no telling of a hue."""
BODY_AROUND, SUPPORT_AROUND = 12, 50
"""Splats nearest to one in doubt that show the hue of the body above it and of the support around."""


def with_feet(splats: Splats, labels: Tensor, *, solid: Tensor, raised: Tensor, rough: float, cell: float) -> Tensor:
    """Labels [N] with the splats below bodies' outlines that are too low for their height to tell.

    Two outlines just above what is uncertain say how the body goes on below: as wide, or narrower as a ball does, so
    that the shade below it stays the support's. Only splats that pictures show unlike the support are taken; shade
    keeps the support's hue, so that what has that and not the body's stays too.

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
        own &= ~_shade(splats, own, labels == label, (labels == 0) & (means[:, 2].abs() < rough) & (raised <= AGREED))
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


def _shade(splats: Splats, doubted: Tensor, body: Tensor, support: Tensor) -> Tensor:
    """[N] bool, those of the `doubted` splats that have the hue of the support near them and not that of the body."""
    result = torch.zeros_like(doubted)
    body, support = (known & (_mean_color(splats) > DARKEST) for known in (body, support))
    doubted = doubted & (_mean_color(splats) > DARKEST)
    if not (doubted.any() and body.any() and support.any()):
        return result
    colors = (0.5 + C0 * splats.sh[:, 0]).clamp(0, 1)
    hue = colors / colors.sum(dim=1, keepdim=True).clamp(min=1e-6)
    around = _nearest(splats.means, support, doubted, SUPPORT_AROUND)
    light = hue[around].median(dim=1).values
    above = hue[_nearest(splats.means, body, doubted, BODY_AROUND)]
    own = hue[doubted]
    like_support = (own - light).abs().amax(dim=1) < SAME_HUE
    like_body = ((own[:, None] - above).abs().amax(dim=2) < SAME_HUE).any(dim=1)
    result[doubted] = like_support & ~like_body
    return result


def _mean_color(splats: Splats) -> Tensor:
    return (0.5 + C0 * splats.sh[:, 0]).clamp(0, 1).mean(dim=1)


def _nearest(means: Tensor, known: Tensor, doubted: Tensor, count: int) -> Tensor:
    """[D, K] numbers of the `known` splats nearest to each of the `doubted` ones."""
    numbers = torch.nonzero(known).squeeze(1)
    _, index = cKDTree(means[known].numpy()).query(means[doubted].numpy(), k=range(1, min(count, len(numbers)) + 1))
    return numbers[torch.from_numpy(index)]
