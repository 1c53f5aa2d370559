"""What no camera saw: the support under bodies, and the backs and undersides of bodies."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch
from scipy import ndimage
from scipy.spatial import cKDTree
from torch import Tensor

from splatworld import native
from splatworld.bodies.floor import Floor, floor_of
from splatworld.bodies.lift import lift, views
from splatworld.bodies.surface import sample
from splatworld.bodies.symmetry import Looks, looks, mirrored
from splatworld.core import pose
from splatworld.core.camera import Camera
from splatworld.core.checks import InputError
from splatworld.core.mesh import Mesh
from splatworld.core.splats import Provenance, Splats, joined
from splatworld.core.world import World
from splatworld.geometry.mesh import surface_points
from splatworld.geometry.splat_surface import surface_of_splats
from splatworld.render.ops import rasterize
from splatworld.render.sh import C0

THIN = 0.0005
"""m, standard deviation of completed splats across the surface."""
NEIGHBOURS = 12
"""Seen splats that give a hidden one its colour."""
DENSITY = 1.6
"""Distance of completed splats on a body, in the median spread of its seen ones."""
MOST = 4000
"""Completed splats that a body gets at most."""
NEAR = 0.012
"""m, how far off the support splats lie that were completed of it."""
IN_SIGHT = 0.05
"""Change of a capture's picture, in pixels times colour, for which a completed splat has to go and a seen one stays."""
ROUNDS = 3
"""Times that such splats are looked for: with some gone, others come into sight."""


def complete(world: World) -> World:
    """The world with splats of provenance COMPLETED where bodies hide the support and themselves.

    Bodies that have their shape are left as they are, and so is the support that was completed before: they may stand
    elsewhere than when they were captured, and the support may show what was below bodies that are gone.

    Args:
        world: Z up, support near z = 0, with bodies; what was completed of rigid ones without a shape is made anew.

    Returns:
        The world; splats of the background inside of the bodies it completes are gone where no camera saw them.
    """
    fresh = [i for i, body in enumerate(world.bodies) if body.kind == "rigid" and body.mesh is None]
    if not fresh:
        return world
    world = replace(world, splats=world.splats.select(~_completed(world, fresh)))
    added = []
    floor = floor_of(world)
    if floor is not None:
        world = replace(world, splats=world.splats.select(~_buried(world, floor, fresh) | _in_sight(world)))
        added.append(below_bodies(world, floor, fresh))
    seen = looks(world)
    with ThreadPoolExecutor(native.get_threads()) as pool:
        added += pool.map(lambda index: _hidden_sides(world, seen, index), fresh)
    return replace(world, splats=joined([world.splats, _out_of_sight(world, joined([*added, _none(world.splats)]))]))


def enclosing(splats: Splats) -> Mesh | None:
    """A closed mesh around a body's splats, down to the support; None if they enclose nothing.

    Of a body that stands on the support splats may hang below it, which nobody saw: of a flat one on a rough support
    more than half. A shape that reached down there would be thrown up as soon as it moved.
    """
    low, high = splats.means[:, 2].quantile(torch.tensor([0.02, 0.9])).tolist() if len(splats) else (0.0, 0.0)
    stands = low < 0.02 and high > 0
    try:
        return surface_of_splats(splats, support_height=0.0 if stands else None)
    except InputError:
        return None


def flat_splats(points: Tensor, normals: Tensor, spread: Tensor, colors: Tensor, like: Splats, body: int) -> Splats:
    """Thin round splats on a surface.

    Args:
        points: [P, 3] m.
        normals: [P, 3] unit.
        spread: [P] m, standard deviation along the surface.
        colors: [P, 3] in 0 to 1.
        like: gives the number of harmonics.
        body: owner.
    """
    count = len(points)
    up = torch.tensor([0.0, 0.0, 1.0])
    turned = torch.cat([1 + normals[:, 2:].float(), torch.linalg.cross(up.expand(count, 3), normals.float())], dim=1)
    turned = torch.where(normals[:, 2:] < -0.9999, torch.tensor([0.0, 1.0, 0.0, 0.0]), turned)
    sh = torch.zeros(count, like.sh.shape[1], 3)
    sh[:, 0] = (colors.float() - 0.5) / C0
    thin = torch.minimum(torch.full_like(spread, THIN), spread)
    return Splats(
        means=points.float(),
        log_scales=torch.stack([spread, spread, thin], dim=1).float().log(),
        quats=pose.normalize_quat(turned),
        opacity_logits=torch.full((count,), 3.0),
        sh=sh,
        body_ids=torch.full((count,), body, dtype=torch.int32),
        provenance=torch.full((count,), int(Provenance.COMPLETED), dtype=torch.uint8),
    )


def _out_of_sight(seen: World, completed: Splats) -> Splats:
    """Those completed splats that leave the capture's pictures as they are: what a camera saw needs no guess.

    Neither colours change nor whose the pixels are, as under white keys on a white table.
    """
    cameras = views(seen)
    bodies = len(seen.bodies)
    before = [_picture(seen.splats, bodies, camera) for camera in cameras]
    for _ in range(ROUNDS):
        both = joined([seen.splats, completed])
        change = torch.zeros(len(completed))
        for camera, (picture, owners) in zip(cameras, before, strict=True):
            now, owners_now = _picture(both, bodies, camera)
            taken = (owners_now != owners) & (owners >= 0)
            difference = torch.maximum((now - picture).abs().amax(dim=-1), taken.float())[..., None]
            change = torch.maximum(change, lift(both, camera, difference)[len(seen.splats) :, 0])
        keep = change < IN_SIGHT
        if bool(keep.all()):
            break
        completed = completed.select(keep)
    return completed


def _in_sight(world: World) -> Tensor:
    """[N] bool, splats that the capture's pictures show, such as the shade below what bulges over its foot."""
    shown = torch.zeros(len(world.splats))
    for camera in views(world):
        shown = torch.maximum(shown, lift(world.splats, camera, torch.ones(camera.height, camera.width, 1))[:, 0])
    return shown > IN_SIGHT


def _picture(splats: Splats, bodies: int, camera: Camera) -> tuple[Tensor, Tensor]:
    """Colours [H, W, 3], and whose each pixel is [H, W]."""
    shown = rasterize(splats, pose.identity(bodies), camera)
    return shown.image, shown.body_ids


def _none(splats: Splats) -> Splats:
    return splats.select(torch.zeros(len(splats), dtype=torch.bool))


def _completed(world: World, bodies: list[int]) -> Tensor:
    """[N] bool, splats that were completed of some bodies."""
    ids = world.splats.body_ids
    return (world.splats.provenance == int(Provenance.COMPLETED)) & torch.isin(ids, ids.new_tensor(bodies))


def _hidden(floor: Floor, fresh: list[int]) -> np.ndarray:
    """[Y, X] bool, cells of the support that are hidden by no other bodies than these."""
    return floor.hidden & ((floor.caster == 0) | np.isin(floor.caster, fresh))


def _buried(world: World, floor: Floor, fresh: list[int]) -> Tensor:
    """[N] bool, splats of the background where only some bodies are: leftovers of the fit that nobody sees."""
    means = world.splats.means
    rows, columns, inside = floor.index(means)
    deep = torch.from_numpy(ndimage.binary_erosion(floor.hidden, iterations=1) & _hidden(floor, fresh))
    seen = world.splats.provenance != int(Provenance.COMPLETED)
    top = torch.full(floor.hidden.shape, -1.0)
    bodies = world.splats.body_ids > 0
    flat = rows * top.shape[1] + columns
    top.view(-1).scatter_reduce_(0, flat[bodies & inside], means[bodies & inside, 2], "amax")
    top = torch.from_numpy(ndimage.maximum_filter(top.numpy(), 5))
    return ~bodies & seen & inside & deep[rows, columns] & (means[:, 2] > -0.05) & (means[:, 2] < top[rows, columns])


def below_bodies(world: World, floor: Floor, fresh: list[int], *, lower: float = 0.0) -> Splats:
    """Splats of the support where some bodies hide it and none are yet, its texture carried on.

    Args:
        world: with bodies.
        floor: the support of it.
        fresh: numbers of the bodies.
        lower: m, how far below the support.
    """
    own = world.splats.means[_completed(world, [0])]
    at_row, at_column, inside = floor.index(own)
    there = inside & ((own[:, 2] - floor.height).abs() < NEAR)
    filled = np.zeros_like(floor.hidden)
    filled[at_row[there].numpy(), at_column[there].numpy()] = True
    colors = floor.bare
    rows, columns = np.nonzero(_hidden(floor, fresh) & ~ndimage.binary_closing(filled))
    x, y = floor.low[:, None] + (np.stack([columns, rows]) + 0.5) * floor.cell
    points = torch.from_numpy(np.stack([x, y, np.full_like(x, floor.height - lower)], axis=1))
    normals = torch.tensor([0.0, 0.0, 1.0]).expand(len(points), 3)
    spread = torch.full((len(points),), 0.6 * floor.cell)
    return flat_splats(points, normals, spread, torch.from_numpy(colors[rows, columns]), world.splats, 0)


def _hidden_sides(world: World, seen: Looks, index: int) -> Splats:
    """Splats of a body where none was seen: by its symmetries, else on its closed surface, coloured like near ones."""
    own = world.splats.select(world.splats.body_ids == index)
    solid = own.select(own.opacities > 0.2)
    if not len(solid):
        return solid
    gap = DENSITY * float(solid.scales.sort(dim=1).values[:, 1].median())
    copies = mirrored(solid, world.splats.select(world.splats.body_ids != index), seen, gap)
    own, solid = joined([own, copies]), joined([solid, copies])
    mesh = enclosing(own)
    if mesh is None:
        return copies
    around = sample(solid, torch.ones(len(solid), dtype=torch.bool)).points.numpy()
    corners = mesh.vertices[mesh.faces].numpy()
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() / 2
    gap = max(gap, (area / MOST) ** 0.5)
    points, normals = surface_points(mesh, max(1, int(2 * area / gap**2)), 0)
    bare = torch.from_numpy(cKDTree(around).query(points.numpy())[0] > 1.5 * gap)
    points, normals = points[bare], normals[bare]
    if not len(points):
        return copies
    away, near = cKDTree(solid.means.numpy()).query(points.numpy(), k=min(NEIGHBOURS, len(solid)))
    away, near = np.atleast_2d(away.T).T, np.atleast_2d(near.T).T
    weights = torch.from_numpy(1 / np.maximum(away, 1e-4) ** 2)[..., None] * solid.opacities[near][..., None]
    shades = (0.5 + C0 * solid.sh[:, 0]).clamp(0, 1)
    colors = (weights * shades[near]).sum(dim=1) / weights.sum(dim=1)
    spread = torch.full((len(points),), 0.7 * gap)
    return joined([copies, flat_splats(points, normals, spread, colors, world.splats, index)])
