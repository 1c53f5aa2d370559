"""Signed distances: sampled on a grid around a closed mesh, read off it anywhere."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from splatworld import native
from splatworld.core.checks import InputError, check_finite, check_shape
from splatworld.core.mesh import Mesh
from splatworld.core.shape import DistanceGrid
from splatworld.geometry.mesh import solid

MARGIN = 0.05
"""m that a grid reaches beyond the mesh: contacts and clearances are read within."""

FINEST_SPACING, COARSEST_SPACING = 0.0015, 0.003
"""m, when none is given: a crease between two faces is rounded by up to half of it."""
FEWEST_SAMPLES, MOST_SAMPLES_ACROSS = 64, 192
"""Along the longest side, when no spacing is given."""

MOST_SAMPLES = 1 << 27
TRIANGLES_A_LEAF = 4


def distance_grid(
    mesh_or_parts: Mesh | tuple[Mesh, ...], spacing: float | None = None, *, margin: float = MARGIN
) -> DistanceGrid:
    """Distances to the surface of a closed mesh, or of the union of several, negative inside.

    Every sample holds the exact distance to the outer surface (to a thousandth of it): where parts overlap, their
    insides do not count. Its sign is the winding number's, by counting crossings along z exactly.

    Args:
        mesh_or_parts: closed, in the body's frame.
        spacing: m between samples; None: `FEWEST_SAMPLES` along the longest side, but between `FINEST_SPACING` and
            `COARSEST_SPACING`, and of huge things `MOST_SAMPLES_ACROSS`.
        margin: m that the grid reaches beyond the mesh on every side.

    Raises:
        InputError: an open mesh, a spacing that is not positive, or more than `MOST_SAMPLES` samples.
    """
    mesh = solid(mesh_or_parts)
    low, high = mesh.vertices.amin(0).double(), mesh.vertices.amax(0).double()
    extent = high - low + 2 * margin
    if spacing is None:
        longest = float(extent.max())
        spacing = min(max(longest / (FEWEST_SAMPLES - 1), FINEST_SPACING), COARSEST_SPACING)
        spacing = max(spacing, longest / (MOST_SAMPLES_ACROSS - 1))
    if not spacing > 0:
        raise InputError(f"distance_grid: spacing is {spacing}, expected m above 0.")
    size = [int(n) for n in torch.ceil(extent / spacing - 1e-6) + 1]
    if size[0] * size[1] * size[2] > MOST_SAMPLES:
        raise InputError(f"distance_grid: {size} samples at {spacing} m are too many; give a larger spacing.")
    # Centred: a mesh's planes rarely fall on samples then, and the slack is the same on both sides.
    origin = (low + high) / 2 - spacing * (torch.tensor(size, dtype=torch.float64) - 1) / 2
    leaves = 1
    while leaves * TRIANGLES_A_LEAF < len(mesh.faces):
        leaves *= 2
    values = torch.empty(size, dtype=torch.float32)
    native.load().fill_distances(
        (mesh.vertices.double() - origin).float().contiguous(),
        mesh.faces.int().contiguous(),
        torch.empty(len(mesh.faces), dtype=torch.int32),
        torch.empty(2 * leaves, 6, dtype=torch.float32),
        torch.zeros(3),
        spacing,
        values,
    )
    return DistanceGrid(origin, spacing, values)


def signed_distance(grid: DistanceGrid, points: Tensor) -> tuple[Tensor, Tensor]:
    """Distance to a body's surface and the direction in which it grows.

    Linear between samples. Beyond the grid it is the distance to the surface point that is nearest to where the grid
    ends: exact while that point stays the nearest, never less than sqrt(e^2 + v^2) with e the distance to the grid and
    v the value at its border, which the true distance never is either. Where the border is inside the solid (the
    background), it rises from there by e.

    Args:
        grid: in the body's frame.
        points: [..., 3] m in the body's frame.

    Returns:
        [...] m, negative inside, and its gradient [..., 3], of the points' type. The distance is differentiable in the
        points, once.

    Raises:
        InputError: points that are not finite.
    """
    check_shape("signed_distance", "points", points, ("...", 3))
    check_finite("signed_distance", "points", points)
    distance, gradient = _SignedDistance.apply(points, grid)
    return distance, gradient


def is_known(grid: DistanceGrid, points: Tensor) -> Tensor:
    """[...] bool, whether what is at points [..., 3] was seen; beyond a grid with unknown parts nothing is.

    Raises:
        ShapeError: points of another shape.
    """
    check_shape("is_known", "points", points, ("...", 3))
    if grid.known is None:
        return torch.ones(points.shape[:-1], dtype=torch.bool)
    last = torch.tensor(grid.known.shape) - 1
    at = torch.round((points.double() - grid.origin) / grid.spacing)
    inside = ((at >= 0) & (at <= last)).all(dim=-1)
    x, y, z = torch.where(inside[..., None], at, torch.zeros_like(at)).long().unbind(-1)
    return inside & grid.known[x, y, z]


class _SignedDistance(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, points: Tensor, grid: DistanceGrid) -> tuple[Tensor, Tensor]:
        # From the grid's corner, in double: far from the world's origin a float keeps too few digits.
        local = (points.detach().double() - grid.origin).float().reshape(-1, 3).contiguous()
        distance, gradient = torch.empty(len(local)), torch.empty(len(local), 3)
        native.load().sample_distances(
            grid.values.contiguous(), torch.zeros(3), grid.spacing, local, distance, gradient
        )
        distance = distance.reshape(points.shape[:-1]).to(points.dtype)
        gradient = gradient.reshape(points.shape).to(points.dtype)
        ctx.mark_non_differentiable(gradient)
        ctx.save_for_backward(gradient)
        return distance, gradient

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (slope,) = ctx.saved_tensors
        return gradients[0][..., None] * slope, None
