"""Shadows of bodies on the table: convex polygons, and how far apart they are."""

from __future__ import annotations

import numpy as np
from scipy.spatial import ConvexHull

from splatworld.simulate.episodes.shapes import rotation
from splatworld.simulate.episodes.solids import Solid


def footprint(solid: Solid, pose: np.ndarray) -> np.ndarray:
    """Counter-clockwise convex polygon [P, 2] m under a solid at `pose` [7]."""
    flat = (solid.hull @ rotation(pose[3:]).T)[:, :2] + pose[:2]
    return flat[ConvexHull(flat).vertices]


def height(solid: Solid, pose: np.ndarray) -> tuple[float, float]:
    """Lowest and highest z, m, of a solid at `pose` [7]."""
    z = solid.hull @ rotation(pose[3:])[2] + pose[2]
    return float(z.min()), float(z.max())


def separation(a: np.ndarray, b: np.ndarray) -> float:
    """m between convex polygons [P, 2], at most their distance; negative where they overlap."""
    return max(beyond(a, b), beyond(b, a))


def beyond(a: np.ndarray, b: np.ndarray) -> float:
    """m by which all points `b` [P, 2] lie beyond the line through an edge of a convex polygon `a` [P, 2], at most."""
    edges = np.roll(a, -1, axis=0) - a
    normals = np.column_stack([edges[:, 1], -edges[:, 0]])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return float((normals @ b.T - np.einsum("ij,ij->i", normals, a)[:, None]).min(1).max())


def yawed(quat: np.ndarray, yaw: float) -> np.ndarray:
    """The orientation `quat` [4] turned about the vertical by `yaw` rad."""
    c, s = np.cos(yaw / 2), np.sin(yaw / 2)
    w, x, y, z = quat
    return np.array([c * w - s * z, c * x - s * y, c * y + s * x, c * z + s * w])
