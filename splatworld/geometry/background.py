"""What never moves: where the static background is, where it is not, and where nobody has looked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from splatworld.core.body import Body
from splatworld.core.camera import project, resize
from splatworld.core.checks import InputError
from splatworld.core.shape import DistanceGrid
from splatworld.core.splats import Splats
from splatworld.core.world import World
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

MOST_SAMPLES = 1 << 25


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
        pixels, depth = project(camera, points)
        column, row = torch.floor(pixels).nan_to_num(-1).clamp(-1, 1e6).long().unbind(-1)
        inside = (depth > 0) & (column >= 0) & (row >= 0) & (column < camera.width) & (row < camera.height)
        column, row = column.clamp(0, camera.width - 1), row.clamp(0, camera.height - 1)
        surface = torch.where(shown.alpha > OPAQUE, shown.median_depth, torch.zeros(()))[row, column]
        known |= inside & (depth <= surface + tolerance)
    return known


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
