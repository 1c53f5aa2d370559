"""The closed surface of one body, from the splats on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
import torch
from scipy import ndimage

from splatworld.core import pose
from splatworld.core.checks import InputError, check_finite
from splatworld.core.mesh import Mesh
from splatworld.core.splats import Splats
from splatworld.geometry.isosurface import isosurface
from splatworld.geometry.mesh import components, from_manifold, to_manifold, volume

FAINTEST = 0.1
"""Splats less opaque than this show no surface."""

CELLS_ACROSS = 64
BORDER = 8
"""Cells between the splats and the walls of the box in which the surface is sought."""

BALLS = (1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 11.0, 15.0, 20.0)
"""Radii in cells of the balls that are tried."""
LEAKS = 0.1
"""Share of the splats that may have the outside on both sides before a ball is too small for the gaps between them."""

CORNERS = np.array([[0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 0, 0, 1, 1], [0, 1, 0, 1, 0, 1, 0, 1]]).T


def surface_of_splats(splats: Splats, *, support_height: float | None = None, cell: float | None = None) -> Mesh:
    """A closed mesh around one body's splats, observed and completed.

    Where the outside is, a ball tells that rolls over the splats from outside and is too large for the gaps between
    them: it gives each splat the side that faces out, and its depth below the envelope. Poisson reconstruction (Kazhdan
    et al., "Poisson surface reconstruction", 2006), by cosine transforms on a regular grid, then averages over the
    noise and closes smoothly what has no splats. Splats deep below the envelope count little: they are hidden by those
    before them, so nothing in the pictures held them in place.

    Args:
        splats: of one body.
        support_height: z of the plane that the body stands on, closed there; what lies below it is ignored.
        cell: m between samples of the surface; None: `CELLS_ACROSS` along the longest side, not below a splat's width.

    Returns:
        A closed mesh in the splats' frame.

    Raises:
        InputError: too few splats to enclose anything.
    """
    check_finite("surface_of_splats", "means", splats.means)
    cloud = _cloud(splats, support_height)
    extent = np.ptp(cloud.points, axis=0) if len(cloud.points) else np.zeros(3)
    if len(cloud.points) < 20 or not (extent > 0).all():
        raise InputError(f"surface_of_splats: {len(splats)} splats show no surface, expected some on every side.")
    box = _Box(cloud.points, support_height, cell or max(float(extent.max()) / CELLS_ACROSS, cloud.width))
    depth = _depth_below_envelope(box, cloud)
    step = 1.5 * box.cell * cloud.normals
    outward = np.sign(box.read(depth, cloud.points - step) - box.read(depth, cloud.points + step))
    weights = cloud.weights * np.exp(-np.maximum(box.read(depth, cloud.points), 0) / cloud.width)
    indicator = _poisson(box, cloud.points, outward[:, None] * cloud.normals, weights)
    return _extract(box, indicator, support_height)


@dataclass(frozen=True)
class _Cloud:
    """Samples of the splats.

    Attributes:
        points: [P, 3] m on the splats' middle planes.
        normals: [P, 3] unit, of unknown sign.
        weights: [P].
        width: m, a splat's typical deviation along its shorter axis.
    """

    points: np.ndarray
    normals: np.ndarray
    weights: np.ndarray
    width: float


class _Box:
    """A regular grid around the points; above a support plane it begins half a cell over it, so that fields that are
    mirrored at its walls are mirrored at the plane."""

    def __init__(self, points: np.ndarray, support_height: float | None, cell: float) -> None:
        low, high = points.min(axis=0) - BORDER * cell, points.max(axis=0) + BORDER * cell
        if support_height is not None:
            low[2] = support_height + cell / 2
        self.cell, self.low = cell, low
        self.size = np.maximum(np.ceil((high - low) / cell).astype(int) + 1, 4)

    def read(self, field: np.ndarray, points: np.ndarray) -> np.ndarray:
        return ndimage.map_coordinates(field, ((points - self.low) / self.cell).T, order=1, mode="nearest")

    def spread(self, points: np.ndarray, values: np.ndarray, sigma: float) -> np.ndarray:
        """The points' values on the grid, blurred by `sigma` cells."""
        at = (points - self.low) / self.cell
        first = np.floor(at).astype(int)
        share = at - first
        flat = np.zeros(int(np.prod(self.size)))
        for corner in CORNERS:
            weight = np.prod(np.where(corner, share, 1 - share), axis=1) * values
            index = np.clip(first + corner, 0, self.size - 1)
            flat += np.bincount(np.ravel_multi_index(tuple(index.T), tuple(self.size)), weight, len(flat))
        return ndimage.gaussian_filter(flat.reshape(self.size), sigma)


def splat_points(splats: Splats) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Five points a splat, on the plane of its two longer axes: its middle and one deviation along each.

    Returns:
        points [5 N, 3] m; unit normals [5 N, 3] of unknown sign; weights [5 N], the Gaussian's opacity there.
    """
    order = splats.log_scales.argsort(dim=-1)
    scales = torch.gather(splats.scales.double(), 1, order)
    rotation = pose.quat_to_matrix(pose.normalize_quat(splats.quats.double()))
    axes = torch.gather(rotation, 2, order[:, None].expand(-1, 3, 3))
    normal, short, long = axes[..., 0], axes[..., 1] * scales[:, 1:2], axes[..., 2] * scales[:, 2:]
    offsets = torch.stack([torch.zeros_like(long), long, -long, short, -short])
    height = torch.tensor([1.0, 0.6, 0.6, 0.6, 0.6], dtype=torch.float64)[:, None]
    points = (splats.means.double() + offsets).reshape(-1, 3)
    return points.numpy(), normal.repeat(5, 1).numpy(), (height * splats.opacities.double()).reshape(-1).numpy()


def _cloud(splats: Splats, support_height: float | None) -> _Cloud:
    splats = splats.select(splats.opacities > FAINTEST)
    points, normals, weights = splat_points(splats)
    above = np.ones(len(points), dtype=bool) if support_height is None else points[:, 2] > support_height
    width = float(splats.scales.sort(dim=-1).values[:, 1].median()) if len(splats) else 0.0
    return _Cloud(points[above], normals[above], weights[above], width)


def _depth_below_envelope(box: _Box, cloud: _Cloud) -> np.ndarray:
    """[X, Y, Z] m below the surface on which the smallest ball rolls that does not fall through; negative outside."""
    empty = np.ones(box.size, dtype=bool)
    at = np.clip(np.round((cloud.points - box.low) / box.cell).astype(int), 0, box.size - 1)
    empty[tuple(at.T)] = False
    clearance = ndimage.distance_transform_edt(empty) * box.cell
    step = 1.5 * box.cell * cloud.normals
    best, least = clearance, np.inf
    for radius in np.array(BALLS) * box.cell:
        free, _ = ndimage.label(clearance > radius)
        reached = free == free[0, 0, -1]
        if not free[0, 0, -1]:
            break
        depth = (ndimage.distance_transform_edt(~reached) - ndimage.distance_transform_edt(reached)) * box.cell - radius
        bare = np.maximum(box.read(depth, cloud.points + step), box.read(depth, cloud.points - step)) < box.cell / 4
        leak = float(cloud.weights[bare].sum() / cloud.weights.sum())
        if leak < least:
            best, least = depth, leak
        if leak < LEAKS:
            break
    return best


def _poisson(box: _Box, points: np.ndarray, normals: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[X, Y, Z] an indicator of the solid: negative inside, positive outside, 0 on the points' weighted median."""
    density = box.read(box.spread(points, weights, 2.0), points)
    even = weights / np.maximum(density, np.quantile(density, 0.02))  # as much a patch, however many splats are on it
    divergence = np.zeros(box.size)
    for axis in range(3):
        field = np.moveaxis(box.spread(points, even * normals[:, axis], 1.0), axis, 0)
        between = (field[1:] + field[:-1]) / 2
        part = np.moveaxis(divergence, axis, 0)
        part[:-1] += between
        part[1:] -= between
    waves = [2 - 2 * np.cos(np.pi * np.arange(n) / n) for n in box.size]
    eigenvalues = waves[0][:, None, None] + waves[1][:, None] + waves[2]
    eigenvalues[0, 0, 0] = 1
    spectrum = scipy.fft.dctn(divergence, type=2) / -eigenvalues
    spectrum[0, 0, 0] = 0
    indicator = scipy.fft.idctn(spectrum, type=2)
    found = box.read(indicator, points)
    order = np.argsort(found)
    middle = np.searchsorted(np.cumsum(weights[order]), weights.sum() / 2)
    return indicator - found[order[middle]]


def _extract(box: _Box, indicator: np.ndarray, support_height: float | None) -> Mesh:
    """The largest piece of the surface indicator = 0, flat on the support plane."""
    steepness = np.quantile(np.abs(indicator), 0.5) / 2
    field = np.pad(np.clip(indicator / steepness, -1, 1), 1, constant_values=1.0)
    low = box.low - box.cell
    if support_height is not None:
        field[1:-1, 1:-1, 0] = np.abs(field[1:-1, 1:-1, 1])
    field[[0, 1, -2, -1]] = field[:, [0, 1, -2, -1]] = 1.0
    field[:, :, [-2, -1]] = 1.0
    if not (field < 0).any():
        raise InputError("surface_of_splats: the splats enclose nothing, expected some on every side.")
    mesh = isosurface(field, low, box.cell)
    if support_height is not None:
        vertices = mesh.vertices.clone()
        vertices[:, 2] = torch.where(vertices[:, 2] < support_height + 0.4 * box.cell, support_height, vertices[:, 2])
        mesh = Mesh(vertices, mesh.faces)
    whole = max(components(mesh), key=volume)
    return from_manifold(to_manifold(whole).simplify(0.1 * box.cell))
