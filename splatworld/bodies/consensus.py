"""Bodies from the regions of many pictures: splats that most views show in one region belong together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from torch import Tensor

from splatworld.bodies.lift import lift, vote
from splatworld.core.camera import Camera
from splatworld.core.splats import Splats

NEIGHBOURS = 12
"""Splats around each that it may belong together with."""
TIED = 0.8
"""Share of the views of two neighbours that must show them in one region; less, and a leak in a few views joins two
bodies."""
AGREED = 0.5
"""Share of weight that settles a question."""
SEEN = 0.05
"""Weight in pixels below which a view says nothing of a splat."""


@dataclass(frozen=True)
class Looks:
    """What the pictures say together.

    Attributes:
        groups: [N] int64 of splats, 0 for the support and for what no region agrees on.
        surrounded: [G] share of each group's outlines, where others than the picture's edge bound it, that is against
            the support.
        raised: [N] share of what is seen of a splat that lies in regions, not in the support.
    """

    groups: Tensor
    surrounded: Tensor
    raised: Tensor


def consensus(
    splats: Splats,
    pictures: list[tuple[Camera, Tensor]],
    *,
    least: float,
    reach: float,
    progress: Callable[..., Any] | None = None,
) -> Looks:
    """Group splats by the regions of pictures, whose numbers mean nothing across pictures.

    Neighbouring splats are tied where four in five of the views that show both have them in one region. A splat that is
    tied to most of its neighbours lies within a thing, and what hangs together by ties of such splats is a group (as in
    DBSCAN, Ester et al., 1996): a chain of chance ties joins nothing. Each region then stands for the group that holds
    most of it, and the pictures vote.

    Args:
        splats: N splats at rest.
        pictures: cameras, and the regions [H, W] they see, 0 for the support, -1 for what does not matter.
        least: weight in pixels, of all pictures together, that a group has at least.
        reach: m, how far apart neighbours are at most.
        progress: called with (stage, done, total).
    """
    shown = np.full((len(splats), len(pictures)), -1)
    weights = np.zeros(shown.shape, dtype=np.float32)
    for view, (camera, regions) in enumerate(pictures):
        kinds = torch.arange(int(regions.max()) + 1)
        sums = lift(splats, camera, (regions[..., None] == kinds).float())
        weights[:, view] = sums.sum(dim=1)
        shown[:, view] = np.where(weights[:, view] > SEEN, sums.argmax(dim=1), -1)
        if progress is not None:
            progress("bodies: regions", view + 1, len(pictures))
    weights[shown < 0] = 0
    total = weights.sum(axis=1)
    share = (weights * (shown > 0)).sum(axis=1) / np.maximum(total, SEEN)
    raised = np.flatnonzero(share > AGREED)
    groups = np.zeros(len(splats), dtype=np.int64)
    if len(raised) > 1:
        tied = _tied(splats.means[raised].double().numpy(), shown[raised], reach)
        heavy = np.bincount(tied, weights=total[raised]) >= least
        groups[raised] = (np.cumsum(heavy) * heavy)[tied]
    count = int(groups.max()) + 1
    renamed = [
        (camera, _renamed(regions, shown[:, view], weights[:, view], groups, count))
        for view, (camera, regions) in enumerate(pictures)
    ]
    votes = vote(splats, renamed, count)
    ids = torch.where(votes.sum(dim=1) > SEEN, votes.argmax(dim=1), 0)
    return Looks(ids, _surrounded([picture.numpy() for _, picture in renamed], count), torch.from_numpy(share))


def _tied(places: np.ndarray, shown: np.ndarray, reach: float) -> np.ndarray:
    """[M] numbers of the components of splats at `places` [M, 3] that views [M, V] `shown` in regions tie."""
    count = min(NEIGHBOURS, len(places) - 1)
    away, index = cKDTree(places).query(places, k=count + 1)
    near, other = away[:, 1:] < reach, index[:, 1:]
    both = np.zeros(other.shape, dtype=np.int64)
    same = np.zeros(other.shape, dtype=np.int64)
    for view in shown.T:
        both += (view[:, None] >= 0) & (view[other] >= 0)
        same += (view[:, None] > 0) & (view[:, None] == view[other])
    tied = near & (same > TIED * both)
    core = tied.sum(axis=1) > AGREED * near.sum(axis=1)
    first, place = np.nonzero(tied & core[:, None] & core[other])
    links = coo_matrix((np.ones(len(first)), (first, other[first, place])), shape=(len(places),) * 2)
    return connected_components(links, directed=False)[1]


def _renamed(regions: Tensor, shown: np.ndarray, weights: np.ndarray, groups: np.ndarray, count: int) -> Tensor:
    """The picture [H, W] with each region's group; -1, which abstains, where no group holds most of a region."""
    kinds = int(regions.max()) + 1
    seen = shown >= 0
    cell = shown[seen] * count + groups[seen]
    table = np.bincount(cell, weights=weights[seen], minlength=kinds * count).reshape(kinds, count)
    best = table.argmax(axis=1)
    sure = table.max(axis=1) > AGREED * table.sum(axis=1)
    names = np.where(sure & (best > 0), best, -1)
    names[0] = 0
    return torch.where(regions < 0, -1, torch.from_numpy(names)[regions.long()])


def _surrounded(pictures: list[np.ndarray], count: int) -> Tensor:
    """[count] share of each label's neighbouring pixels of other labels that are support."""
    table = np.zeros((count + 1, count + 1))
    for picture in pictures:
        for a, b in ((picture[1:], picture[:-1]), (picture[:, 1:], picture[:, :-1])):
            differ = a != b
            np.add.at(table, (a[differ], b[differ]), 1)  # -1, which abstains, counts in the last row
            np.add.at(table, (b[differ], a[differ]), 1)
    return torch.from_numpy(table[:-1, 0] / np.maximum(table[:-1].sum(axis=1), 1))
