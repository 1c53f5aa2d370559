"""The surface where a sampled function is zero."""

from __future__ import annotations

import numpy as np
import torch

from splatworld.core.checks import InputError
from splatworld.core.mesh import Mesh

_CORNERS = np.array([[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)])
_TETRAHEDRA = np.array([[0, 1, 3, 7], [0, 3, 2, 7], [0, 2, 6, 7], [0, 6, 4, 7], [0, 4, 5, 7], [0, 5, 1, 7]])
"""A cube cut along its diagonal from corner 0 to 7: neighbouring cubes cut their common face alike."""


def isosurface(values: np.ndarray, origin: np.ndarray, spacing: float) -> Mesh:
    """The surface values = 0 by marching tetrahedra: closed and without crossings whatever the samples are.

    Doi & Koide, "An efficient method of triangulating equi-valued surfaces by using tetrahedral cells" (1991).

    Args:
        values: [X, Y, Z], negative inside; positive on the border.
        origin: [3] m of the first sample.
        spacing: m.

    Raises:
        InputError: the border is not outside, or nothing is inside.
    """
    if not (values < 0).any():
        raise InputError("isosurface: nothing is inside.")
    border = np.ones_like(values, dtype=bool)
    border[1:-1, 1:-1, 1:-1] = False
    if not (values[border] >= 0).all():
        raise InputError("isosurface: the solid reaches the border of the grid; give it room.")
    size = np.array(values.shape)
    stride = np.array([size[1] * size[2], size[2], 1])
    inside = values < 0
    mixed = np.zeros(size - 1, dtype=int)
    for dx, dy, dz in _CORNERS:
        mixed += inside[dx : size[0] - 1 + dx, dy : size[1] - 1 + dy, dz : size[2] - 1 + dz]
    cubes = np.argwhere((mixed > 0) & (mixed < 8))
    corners = (cubes @ stride)[:, None] + _CORNERS @ stride
    tets = corners[:, _TETRAHEDRA].reshape(-1, 4)
    within = np.take(inside, tets)
    count = within.sum(axis=1)
    edges = []  # of three edges a triangle, each an inside and an outside sample
    for lone, many in ((1, False), (3, True)):
        chosen = tets[count == lone]
        odd = (within[count == lone] != many).argmax(axis=1)
        rest = np.array([[1, 2, 3], [0, 3, 2], [0, 1, 3], [0, 2, 1]])[odd]  # seen from the odd one, the same turn
        apex = np.take_along_axis(chosen, odd[:, None], 1).repeat(3, axis=1)
        others = np.take_along_axis(chosen, rest if many else rest[:, ::-1], 1)
        edges.append(np.stack([apex, others], axis=2))
    two = count == 2
    order = np.argsort(~within[two], axis=1, kind="stable")
    chosen = np.take_along_axis(tets[two], order, 1)
    a, b, c, d = chosen.T
    quad = [np.stack(pair, axis=1) for pair in ((a, c), (a, d), (b, d), (b, c))]
    # The turn of a quad follows from whether the order is an even permutation.
    pairs = [order[:, i] > order[:, j] for i in range(4) for j in range(i + 1, 4)]
    even = (np.sum(pairs, axis=0) % 2 == 0)[:, None, None]
    for one, other, third in ((0, 1, 2), (0, 2, 3)):
        there = np.stack([quad[one], quad[other], quad[third]], axis=1)
        back = np.stack([quad[third], quad[other], quad[one]], axis=1)
        edges.append(np.where(even, back, there))
    ends = np.sort(np.concatenate(edges), axis=2)
    keys, faces = np.unique(ends[..., 0] * size.prod() + ends[..., 1], return_inverse=True)
    low, high = keys // size.prod(), keys % size.prod()
    at_low, at_high = values.ravel()[low].astype(np.float64), values.ravel()[high].astype(np.float64)
    # Not in the sample itself: there several edges would meet in one point.
    share = np.clip(at_low / (at_low - at_high), 1e-3, 1 - 1e-3)[:, None]
    where = [np.stack(np.unravel_index(index, values.shape), axis=1) for index in (low, high)]
    vertices = origin + spacing * ((1 - share) * where[0] + share * where[1])
    return Mesh(torch.from_numpy(vertices), torch.from_numpy(faces.reshape(-1, 3).astype(np.int64)))
