"""What of a world nobody has seen: the space between things, and the far sides of bodies."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree
from torch import Tensor

from splatworld.core import pose
from splatworld.core.shape import DistanceGrid
from splatworld.core.splats import Provenance
from splatworld.core.world import World
from splatworld.geometry.distance import signed_distance

CELLS_ACROSS = 24
"""Of a body's surface, along its longest side, that are told apart by what was seen of them."""
VOTES = 5
"""Splats that say whether a place of a surface was seen."""
PLANE = 0.0005
"""m below the support that still count as its surface."""
SURFACE = 0.002
"""m, standard deviation of a surface that was made of a capture's splats."""
CREASES = 1 / 6
"""Of a grid's spacing: standard deviation of a surface that was given exactly."""


def unseen_space(world: World) -> DistanceGrid | None:
    """Distances to the space that no camera of the capture has seen, in the frame of the background.

    A cell before the first sample that was not seen, at the border of the grid, and just below the plane of the support
    it is 0: what lies between a sample that was seen and one that was not counts as unseen. The inside of bodies
    that can move counts as seen where they were captured: when they go, there is nothing left there.

    Returns:
        m, negative in unseen space; None where the background does not say what was seen.
    """
    first = world.bodies[0]
    if first.grid is None or first.grid.known is None:
        return None
    grid, known = first.grid, first.grid.known.clone()
    for body in world.bodies[1:]:
        if body.grid is not None and body.kind != "static":
            own_from_grid = pose.compose(pose.inverse(body.rest_pose.double()), first.rest_pose.double())
            _add_inside(known, grid, body.grid, own_from_grid)
    top = _support(grid)
    heights = grid.origin[2] + grid.spacing * torch.arange(known.shape[2], dtype=torch.float64)
    open_ = known if top is None else known | (heights < top)
    away = distance_transform_edt(np.pad(open_.numpy(), 1))[1:-1, 1:-1, 1:-1]
    values = torch.from_numpy((away - 1) * grid.spacing)
    if top is not None:
        values = torch.minimum(values, heights - top + PLANE)
    return DistanceGrid(grid.origin, grid.spacing, values.float(), known)


def _support(grid: DistanceGrid) -> float | None:
    """m, the top of what is solid all the way down; None if there is no such thing.

    Splats of a background are shells of half a spacing: what is deeper lies below a plane, and its distance says how
    far. The grid's samples blur where that begins; a plane does not.
    """
    solid = torch.nonzero(grid.values < -0.75 * grid.spacing)
    if not len(solid):
        return None
    tops = grid.origin[2] + grid.spacing * solid[:, 2] - grid.values[tuple(solid.T)]
    return float(tops.mean()) if float(tops.max() - tops.min()) < SURFACE else None


def _add_inside(known: Tensor, grid: DistanceGrid, body: DistanceGrid, own_from_grid: Tensor) -> None:
    """Marks samples of `grid` inside a body, to the accuracy of its own grid."""
    reach = body.spacing * (torch.tensor(body.values.shape, dtype=torch.float64) - 1)
    corners = body.origin + reach * torch.cartesian_prod(*torch.tensor([[0.0, 1.0]] * 3, dtype=torch.float64))
    placed = (pose.transform(pose.inverse(own_from_grid), corners) - grid.origin) / grid.spacing
    last = torch.tensor(grid.values.shape)
    low = torch.minimum(torch.floor(placed.amin(0)).long().clamp(min=0), last)
    high = torch.minimum((torch.ceil(placed.amax(0)).long() + 1).clamp(min=0), last)
    axes = [torch.arange(int(low[k]), int(high[k])) for k in range(3)]
    at = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    if not at.numel():
        return
    inside = signed_distance(body, pose.transform(own_from_grid, grid.origin + grid.spacing * at))[0] <= body.spacing
    known[tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))] |= inside


def seen_surfaces(world: World, boxes: Tensor) -> list[DistanceGrid | None]:
    """Which parts of bodies' surfaces were seen, by the provenance of the splats nearest to them.

    Args:
        world: with splats.
        boxes: [B, 6] m, least and greatest corner of each body's shape.

    Returns:
        For each body, in its frame, a coarse grid whose mask says so; None where all of it was seen, or was given.
    """
    means, owners = world.splats.means.double(), world.splats.body_ids
    completed = world.splats.provenance == Provenance.COMPLETED
    guessed = torch.bincount(owners[completed].long(), minlength=len(world.bodies))
    found: list[DistanceGrid | None] = [None] * len(world.bodies)
    for index, (body, box) in enumerate(zip(world.bodies, boxes.double(), strict=True)):
        low, high = box[:3], box[3:]
        if index == 0 or not guessed[index] or not bool((low <= high).all()):
            continue
        spacing = max(float((high - low).max()) / (CELLS_ACROSS - 1), 1e-6)
        size = [int(n) for n in torch.ceil((high - low) / spacing) + 2]
        axes = [low[k] + spacing * torch.arange(size[k], dtype=torch.float64) for k in range(3)]
        cells = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
        own = owners == index
        local = pose.transform(pose.inverse(body.rest_pose.double()), means[own])
        nearest = cKDTree(local).query(cells.reshape(-1, 3).numpy(), k=min(VOTES, len(local)))[1]
        guess = completed[own].numpy()[nearest].reshape(np.prod(size), -1).mean(-1) > 0.5
        known = torch.from_numpy(~guess).reshape(size)
        found[index] = DistanceGrid(low, spacing, torch.zeros(size), known)
    return found


def nearest_inside(grid: DistanceGrid, points: Tensor) -> Tensor:
    """Points [..., 3] of a grid's frame, those beyond it taken to its border."""
    reach = grid.spacing * (torch.tensor(grid.values.shape, dtype=torch.float64) - 1)
    return torch.minimum(torch.maximum(points, grid.origin), grid.origin + reach)


def surface_deviations(world: World, spacings: Tensor) -> Tensor:
    """[B] m, standard deviation of each body's surface; `spacings` [B] m are those of their distance grids."""
    captured = world.splats.provenance != Provenance.IMPORTED
    count = torch.bincount(world.splats.body_ids[captured].long(), minlength=len(world.bodies))
    given = CREASES * spacings.float()
    # Capsules have no creases, nor has a plane that stands for the background.
    smooth = [body.capsules is not None or (body.grid is None and body.mesh is None) for body in world.bodies]
    given[torch.tensor(smooth)] = 0.0
    return torch.where(count > 0, given.clamp(min=SURFACE), given)
