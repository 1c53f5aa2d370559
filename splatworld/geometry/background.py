"""What never moves: where the static background is, where it is not, and where nobody has looked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from splatworld.core import pose
from splatworld.core.body import Body
from splatworld.core.camera import Camera, project, resize
from splatworld.core.checks import InputError
from splatworld.core.shape import DistanceGrid
from splatworld.core.splats import Splats
from splatworld.core.world import World
from splatworld.geometry.distance import distance_grid, is_known, signed_distance
from splatworld.geometry.mesh import joined, transform_mesh
from splatworld.geometry.splat_surface import splat_points
from splatworld.render.render import render

SPACING = 0.02
"""m between samples: walls and furniture need no more, and the support plane is linear."""

ROOM_AROUND = 0.4
"""m around the bodies that is kept."""

OPAQUE = 0.5
"""Splats and pixels less opaque than this show no surface."""

MOST_VIEWS, VIEW_SIDE = 60, 240
"""Views that are looked through, spread evenly over the capture, and their longer side in px."""

MOST_SAMPLES, MOST_JOINED = 1 << 25, 1 << 22
"""Samples of a grid, and of one around two: from these on it gets coarser."""


def background_shape(
    world: World, *, support_height: float | None = 0.0, spacing: float = SPACING, around: float = ROOM_AROUND
) -> Body:
    """The static background, body 0, with a distance grid and its mask of what was seen.

    Samples are distances to the background's splats, negative within half a cell of them, and to the support plane,
    negative below. A sample is known if a camera of the capture saw it: in front of the rendered depth it is free, at
    the depth it is the surface; what lies behind, and what no camera faced, is unknown. What a body hides is unknown
    too.

    Args:
        world: metric, with the cameras of its capture.
        support_height: z of the support; None without one.
        spacing: m between samples.
        around: m kept around the bodies; without bodies, around the middle nine tenths of the splats.

    Returns:
        Body 0 with `grid`.

    Raises:
        InputError: no splats, or too many samples.
    """
    if not len(world.splats):
        raise InputError("background_shape: the world has no splats, expected those of a capture.")
    means = world.splats.means.double()
    of_bodies = means[world.splats.body_ids > 0]
    if len(of_bodies):
        low, high = of_bodies.amin(0), of_bodies.amax(0)
    else:
        low, high = torch.quantile(means[:: max(1, len(means) // 100_000)], torch.tensor([0.05, 0.95]).double(), dim=0)
    low, high = low - around, high + around
    size = [int(n) for n in torch.ceil((high - low) / spacing) + 1]
    if not spacing > 0 or np.prod(size) > MOST_SAMPLES:
        raise InputError(f"background_shape: {size} samples at {spacing} m; give a larger spacing.")
    if support_height is not None:  # a layer of samples on the plane: below it the linear pieces are exact
        low[2] = support_height - spacing * torch.ceil((support_height - low[2]) / spacing)
    axes = [low[k] + spacing * torch.arange(size[k], dtype=torch.float64) for k in range(3)]
    samples = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    distance = _distance(world.splats.select(world.splats.body_ids == 0), samples, support_height, spacing)
    known = seen(world, samples.reshape(-1, 3), tolerance=spacing).reshape(size)
    return replace(world.bodies[0], grid=DistanceGrid(low, spacing, distance.float().contiguous(), known))


def seen(world: World, points: Tensor, *, tolerance: float) -> Tensor:
    """Which points [P, 3] a camera of the capture saw as free or as a surface, with the world as captured.

    Args:
        world: with cameras.
        points: m, world frame.
        tolerance: m behind a surface that still count as the surface.

    Returns:
        [P] bool.
    """
    known = torch.zeros(len(points), dtype=torch.bool)
    cameras = list(world.cameras.values())
    for index in np.unique(np.linspace(0, len(cameras) - 1, min(len(cameras), MOST_VIEWS)).astype(int)):
        camera = replace(cameras[index], distortion=None, motion=None, shutter=None)
        share = VIEW_SIDE / max(camera.size)
        camera = resize(camera, (max(1, round(camera.width * share)), max(1, round(camera.height * share))))
        shown = render(world, None, camera)
        surface = torch.where(shown.alpha > OPAQUE, shown.median_depth, torch.zeros(()))
        known |= in_front(camera, surface, points) >= -tolerance
    return known


def in_front(camera: Camera, surface: Tensor, points: Tensor) -> Tensor:
    """How far points [P, 3] lie before the surface that a camera saw in their pixels.

    Args:
        camera: undistorted.
        surface: [H, W] m, its depth.
        points: m, world frame.

    Returns:
        [P] m along the optical axis, negative behind it; -inf outside of the picture.
    """
    pixels, depth = project(camera, points.to(camera.world_from_camera))
    column, row = torch.floor(pixels).nan_to_num(-1).clamp(-1, 1e6).long().unbind(-1)
    inside = (depth > 0) & (column >= 0) & (row >= 0) & (column < camera.width) & (row < camera.height)
    column, row = column.clamp(0, camera.width - 1), row.clamp(0, camera.height - 1)
    return torch.where(inside, surface[row, column] - depth, -torch.inf)


def _distance(splats: Splats, samples: Tensor, support_height: float | None, spacing: float) -> Tensor:
    splats = splats.select((splats.opacities > OPAQUE) & (splats.scales.amax(-1) < 10 * spacing))
    points = splat_points(splats)[0]
    if support_height is not None:
        points = points[points[:, 2] > support_height + spacing / 2]
    shape = samples.shape[:-1]
    distance = torch.full(shape, float("inf"), dtype=torch.float64)
    if len(points):
        near = cKDTree(points).query(samples.reshape(-1, 3).numpy())[0]
        distance = torch.from_numpy(near).reshape(shape) - spacing / 2
    if support_height is not None:
        distance = torch.minimum(distance, samples[..., 2] - support_height)
    elif not len(points):
        raise InputError("background_shape: no opaque splat and no support, so nothing to keep clear of.")
    return distance


def joined_background(one: Body, other: Body) -> Body:
    """Two static backgrounds as one, in the frame of the first and under its name.

    Meshes and convex parts lie side by side. Of two grids, or of a grid and parts, comes one grid around both, as fine
    as the finer: the nearer surface counts, and known is what either saw; where one has unknown parts, the other, if it
    has none, knows what lies within its own grid.

    Raises:
        InputError: parts that are open meshes.
    """
    one_from_other = pose.compose(pose.inverse(one.rest_pose.double()), other.rest_pose.double())
    meshes = [mesh for mesh in (one.mesh, other.mesh and transform_mesh(other.mesh, one_from_other)) if mesh]
    parts = (*one.parts, *(transform_mesh(part, one_from_other) for part in other.parts))
    grid = None
    if one.grid is not None or other.grid is not None:
        spacing = min(body.grid.spacing for body in (one, other) if body.grid is not None)
        placed = ((one, pose.identity(dtype=torch.float64)), (other, one_from_other))
        grid = _joined_grids([(found, at) for body, at in placed if (found := _grid_of(body, spacing))], spacing)
    return replace(one, mesh=joined(meshes) if meshes else None, parts=parts, grid=grid)


def _grid_of(body: Body, spacing: float) -> DistanceGrid | None:
    return distance_grid(body.parts, spacing) if body.grid is None and body.parts else body.grid


def _joined_grids(grids: list[tuple[DistanceGrid, Tensor]], spacing: float) -> DistanceGrid:
    """One grid in the frame of the first body, from grids and their poses [7] there."""
    first, at = grids[0]
    if len(grids) == 1 and torch.equal(at, pose.identity(dtype=torch.float64)):
        return first
    spans = [_span(grid, at) for grid, at in grids]
    low, high = torch.stack([s[0] for s in spans]).amin(0), torch.stack([s[1] for s in spans]).amax(0)
    spacing = max(spacing, float((high - low).clamp(min=spacing).prod() / MOST_JOINED) ** (1 / 3))
    # Samples of the first stay where they are if its spacing does: a plane through them stays sharp.
    low = first.origin - spacing * torch.ceil((first.origin - low) / spacing - 1e-6)
    size = [int(n) for n in torch.ceil((high - low) / spacing - 1e-6) + 1]
    axes = [low[k] + spacing * torch.arange(size[k], dtype=torch.float64) for k in range(3)]
    samples = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    values, known = torch.full(size, float("inf")), torch.zeros(size, dtype=torch.bool)
    for grid, at in grids:
        local = pose.transform(pose.inverse(at), samples)
        values = torch.minimum(values, signed_distance(grid, local)[0].float())
        own = torch.ones_like(grid.values, dtype=torch.bool) if grid.known is None else grid.known
        known |= is_known(replace(grid, known=own), local)
    unknown = any(grid.known is not None for grid, _ in grids)
    return DistanceGrid(low, spacing, values, known if unknown else None)


def _span(grid: DistanceGrid, at: Tensor) -> tuple[Tensor, Tensor]:
    """Lowest and highest corner [3] of the box around a grid whose frame lies at pose `at` [7]."""
    far = grid.spacing * (torch.tensor(grid.values.shape, dtype=torch.float64) - 1)
    corners = grid.origin.double() + far * torch.cartesian_prod(*torch.tensor([[0.0, 1.0]] * 3, dtype=torch.float64))
    placed = pose.transform(at, corners)
    return placed.amin(0), placed.amax(0)
