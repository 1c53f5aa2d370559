"""Ropes, cloths and soft blocks as nodes joined to segments, triangles and tetrahedra."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, permutations

import numpy as np

KINDS = ("rope", "cloth", "soft")


@dataclass(frozen=True)
class Shape:
    """A deformable thing at rest: straight along x, flat on z = 0, or standing on it.

    Attributes:
        kind: one of `KINDS`.
        points: [M, 3] m, its nodes.
        elements: [Q, 2 to 4] int64 nodes of each segment, triangle or tetrahedron.
        radius: m by which it is thicker than its elements.
        spacing: m between neighbouring nodes along the axes.
    """

    kind: str
    points: np.ndarray
    elements: np.ndarray
    radius: float
    spacing: float

    @property
    def dimension(self) -> int:
        return KINDS.index(self.kind) + 1

    @cached_property
    def edges(self) -> np.ndarray:
        """[E, 2] int64 pairs of nodes that an element joins, each once, in order."""
        pairs = np.concatenate([self.elements[:, pair] for pair in combinations(range(self.elements.shape[1]), 2)])
        return np.unique(np.sort(pairs, axis=1), axis=0)

    @cached_property
    def measure(self) -> float:
        """m, m^2 or m^3: its length, area or volume."""
        first, *others = np.moveaxis(self.points[self.elements], 1, 0)
        sides = np.stack([other - first for other in others], axis=1)
        gram = np.linalg.det(sides @ np.swapaxes(sides, 1, 2))
        return float(np.sqrt(np.maximum(gram, 0)).sum() / np.prod(range(1, self.dimension + 1)))

    @cached_property
    def rim(self) -> np.ndarray:
        """Nodes at which it is gripped: a rope's ends, a cloth's outline; of a soft body its surface."""
        if self.dimension == 3:
            return np.unique(self.outside)
        pieces = combinations(range(self.dimension + 1), self.dimension)
        parts = np.concatenate([self.elements[:, list(piece)] for piece in pieces])
        places, count = np.unique(np.sort(parts, axis=1), axis=0, return_counts=True)
        return np.unique(places[count == 1])

    @cached_property
    def outside(self) -> np.ndarray:
        """[F, 3] triangles: all of a cloth's, of a soft body those of its surface, facing outward; none of a rope."""
        if self.dimension < 3:
            return self.elements if self.dimension == 2 else np.zeros((0, 3), np.int64)
        faces = np.concatenate([self.elements[:, list(face)] for face in combinations(range(4), 3)])
        opposite = np.concatenate([self.elements[:, k] for k in (3, 2, 1, 0)])
        _, first, count = np.unique(np.sort(faces, axis=1), axis=0, return_index=True, return_counts=True)
        outer, inner = faces[first[count == 1]], opposite[first[count == 1]]
        a, b, c = np.moveaxis(self.points[outer], 1, 0)
        inward = (np.cross(b - a, c - a) * (self.points[inner] - a)).sum(-1) > 0
        outer[inward] = outer[inward][:, ::-1]
        return outer


def rope(length: float, spacing: float, radius: float) -> Shape:
    """A straight rope along x; its nodes are evenly spaced, about as asked."""
    count = max(2, round(length / spacing))
    points = np.zeros((count + 1, 3))
    points[:, 0] = np.linspace(-length / 2, length / 2, count + 1)
    index = np.arange(count)
    return Shape("rope", points, np.column_stack([index, index + 1]), radius, length / count)


def cloth(cells: np.ndarray, spacing: float, radius: float) -> Shape:
    """A cloth of the square cells [X, Y] that are True."""
    triangles = []
    for x, y in np.argwhere(cells):
        a, b, c, d = (x, y), (x + 1, y), (x + 1, y + 1), (x, y + 1)
        # Diagonals alternate, so that no direction is stiffer.
        triangles += [(a, b, c), (a, c, d)] if (x + y) % 2 == 0 else [(a, b, d), (b, c, d)]
    return _from_grid("cloth", np.array(triangles), spacing, radius)


def soft(cells: np.ndarray, spacing: float, radius: float) -> Shape:
    """A soft body of the cubic cells [X, Y, Z] that are True, six tetrahedra each (Kuhn, 1960)."""
    tetrahedra = []
    for cell in np.argwhere(cells):
        for order in permutations(range(3)):
            way = np.zeros((4, 3), int)
            for step, axis in enumerate(order, 1):
                way[step] = way[step - 1]
                way[step, axis] += 1
            tetrahedra.append(cell + way)
    return _from_grid("soft", np.array(tetrahedra), spacing, radius)


def _from_grid(kind: str, corners: np.ndarray, spacing: float, radius: float) -> Shape:
    """A shape of elements [Q, N, 2 or 3] on whole numbers."""
    places, index = np.unique(corners.reshape(-1, corners.shape[-1]), axis=0, return_inverse=True)
    points = np.zeros((len(places), 3))
    points[:, : places.shape[1]] = places * spacing
    points[:, :2] -= (points[:, :2].min(0) + points[:, :2].max(0)) / 2
    return Shape(kind, points, index.reshape(corners.shape[:2]).astype(np.int64), radius, spacing)
