"""Which way is up: the floor or table top that things stand on, as points in space and cameras show it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from splatworld.core import pose

TOLERANCE = 0.01
"""How far a point of the support may lie off its plane, as a share of the cameras' median distance."""
CELL = 0.02
"""Side of the cells that points are thinned to, as a share of that distance: a plane counts by its area, not by how
much there is to see on it."""
TRIALS = 6000
"""Planes tried."""
LEAST_SHARE = 0.04
"""Share of the cells that a support holds at least."""
UPRIGHT = 0.2
"""Mean cosine between the cameras' own up and a support's, at least: below, it is a wall that is looked at."""
HIDDEN = 10
"""Tolerances below a support within which nothing is seen."""
ABOVE = 0.95
"""Share of the cameras that are above a support."""
ROLL = 0.35
"""Spread of the sine of the cameras' roll about a support's normal, at which it counts 1/e as much."""


@dataclass(frozen=True)
class Support:
    """A plane that bodies stand on.

    Attributes:
        up: [3] float64 unit normal, on the side of the cameras.
        point: [3] float64, the middle of what was seen of it.
        share: of the scene's surface that lies in it, 0 to 1.
        std: degrees, standard deviation of `up`.
    """

    up: Tensor
    point: Tensor
    share: float
    std: float


def find_support(
    points: Tensor, world_from_camera: Tensor, *, up: Tensor | None = None, seed: int = 0
) -> Support | None:
    """The plane with the largest area among those that cameras look down on and that are not walls to them.

    RANSAC (Fischler and Bolles, 1981) over points thinned to one a cell, then least squares on the points near it. A
    wall is told from a table by the cameras: who looks at a wall has its own up across the normal, and pitches; who
    looks at a table has it along the normal, and does not roll about it.

    Args:
        points: [M, 3] on surfaces.
        world_from_camera: [T, 7] of cameras held more or less upright.
        up: [3] up, where it is known: only planes within 5 degrees of level are then looked at.
        seed: of the random choices.

    Returns:
        None where no plane holds enough of the points.
    """
    places = points.double().numpy()
    places = places[np.isfinite(places).all(axis=1)]
    poses = world_from_camera.double()
    if len(places) < 50 or not len(poses):
        return None
    centers = poses[:, :3].numpy()
    distance = float(np.median(np.linalg.norm(centers - np.median(places, axis=0), axis=1)))
    cells = _thin(places, CELL * distance)
    tolerance = TOLERANCE * distance
    normals, heights = _planes(cells, centers, seed)
    weight = _weights(normals, poses, up)
    weight[((centers @ normals.T) - heights > tolerance).mean(axis=0) < ABOVE] = 0
    usable = np.flatnonzero(weight)
    scores = weight[usable] * [_standing(cells @ normals[i] - heights[i], tolerance) for i in usable]
    if not len(usable) or scores.max() <= 0:
        return None
    best = usable[scores.argmax()]
    support = _refine(cells, normals[best], heights[best], tolerance)
    # A tilted plane through a wall becomes the wall.
    return support if support is not None and _weights(support.up.numpy()[None], poses, up)[0] > 0 else None


def _weights(normals: np.ndarray, poses: Tensor, up: Tensor | None) -> np.ndarray:
    """[P] from 0 to 1: how well planes of these normals [P, 3] go with how the cameras were held, or with `up`."""
    if up is not None:
        return (normals @ (up.double() / up.double().norm()).numpy() > np.cos(np.radians(5))).astype(float)
    axes = pose.quat_to_matrix(poses[:, 3:]).numpy()
    lean = -(axes[:, :, 1].mean(axis=0) @ normals.T)
    rolls = ((axes[:, :, 0] @ normals.T) ** 2).mean(axis=0)
    return np.where(lean > UPRIGHT, np.exp(-rolls / ROLL**2), 0.0)


def _thin(points: np.ndarray, side: float) -> np.ndarray:
    """[C, 3] the mean point of each cell that holds any."""
    keys = np.floor(points / max(side, 1e-12)).astype(np.int64)
    _, index = np.unique(keys, axis=0, return_inverse=True)
    sums = np.zeros((index.max() + 1, 3))
    np.add.at(sums, index.ravel(), points)
    return sums / np.bincount(index.ravel())[:, None]


def _planes(cells: np.ndarray, centers: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Normals [P, 3] towards the cameras and heights [P] of planes through three random points."""
    generator = np.random.default_rng(seed)
    a, b, c = (cells[generator.integers(len(cells), size=TRIALS)] for _ in range(3))
    normals = np.cross(b - a, c - a)
    length = np.linalg.norm(normals, axis=1)
    kept = length > 1e-9 * float(np.ptp(cells, axis=0).max()) ** 2
    normals, a = normals[kept] / length[kept, None], a[kept]
    heights = (normals * a).sum(axis=1)
    side = np.sign(np.median(centers @ normals.T - heights, axis=0))
    side[side == 0] = 1
    return normals * side[:, None], heights * side


def _standing(heights: np.ndarray, tolerance: float) -> int:
    """Cells in the plane less those shortly below it, from their heights [C] above it: a table top hides what is there,
    the lid of a box or a sloping keyboard does not."""
    below = (heights < -1.5 * tolerance) & (heights > -HIDDEN * tolerance)
    return int((np.abs(heights) < tolerance).sum()) - int(below.sum())


def _refine(cells: np.ndarray, normal: np.ndarray, height: float, tolerance: float) -> Support | None:
    """Least squares on what lies near, nearer each time."""
    for factor in (1.5, 1.0, 0.7, 0.7):
        near = cells[np.abs(cells @ normal - height) < factor * tolerance]
        if len(near) < max(10, LEAST_SHARE * len(cells)):
            return None
        middle = near.mean(axis=0)
        _, spread, axes = np.linalg.svd(near - middle, full_matrices=False)
        normal = axes[2] * np.sign(axes[2] @ normal)
        height = float(normal @ middle)
    # How well a regression of the residuals knows the tilt about its weaker axis.
    std = np.degrees(spread[2] / max(spread[1], 1e-12) / np.sqrt(len(near)))
    return Support(torch.from_numpy(normal), torch.from_numpy(middle), len(near) / len(cells), float(std))
