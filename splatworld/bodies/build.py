"""From a fitted world of one piece to a world of bodies: segment, complete, give shape and mass."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from splatworld import native
from splatworld.bodies.complete import complete, enclosing
from splatworld.bodies.config import SegmentConfig
from splatworld.bodies.correct import body_index
from splatworld.bodies.joints import reframed
from splatworld.bodies.segment import segment
from splatworld.core import pose
from splatworld.core.body import Body
from splatworld.core.checks import InputError
from splatworld.core.mesh import Mesh
from splatworld.core.world import World
from splatworld.geometry.background import background_shape
from splatworld.geometry.convex import convex_parts
from splatworld.geometry.distance import distance_grid
from splatworld.geometry.mesh import mass_properties, transform_mesh

DENSITY = 400.0
"""kg/m^3 until something is learned of a body: between full packets and hollow vessels."""
SHAPED = ("rigid", "articulated")
"""Kinds of bodies that are given shape and mass from their splats."""
NOISE = 0.002
"""m by which surfaces of splats are off."""


def build_bodies(
    world: World, *, config: SegmentConfig | None = None, progress: Callable[..., Any] | None = None
) -> World:
    """Find the bodies of a world and give them hidden sides, closed surfaces, distances, masses and inertias.

    Args:
        world: fitted, Z up, support at z = 0; bodies it already has are forgotten.
        config: of the segmentation.
        progress: called with (stage, done, total), or with one sentence.

    Raises:
        InputError: as `segment`.
    """
    return refresh(segment(world, config, progress=progress), progress=progress)


def refresh(world: World, *, progress: Callable[..., Any] | None = None) -> World:
    """The world after its bodies were changed: hidden sides, shape and mass for every body that moves and has no shape.

    Where the splats hang on nodes, what is completed stays as it is.
    """
    if world.skin is None:
        world = complete(world)
    bodies = list(world.bodies)
    bare = [index for index, body in enumerate(bodies) if body.kind in SHAPED and body.mesh is None]
    with ThreadPoolExecutor(native.get_threads()) as pool:
        shapes = zip(bare, pool.map(lambda index: _shaped(world, index), bare), strict=True)
        for done, (index, body) in enumerate(shapes, 1):
            # Its joint may have been told anew since, from the frame of a parent that was shaped.
            bodies = reframed(bodies, index, replace(body, joint=bodies[index].joint))
            if progress is not None:
                progress("bodies: shapes", done, len(bare))
    world = replace(world, bodies=tuple(bodies))
    if world.cameras and world.scale.source != "none":
        with suppress(InputError):  # too large for a grid: the background goes without
            world = replace(world, bodies=(background_shape(world), *world.bodies[1:]))
    return world


def set_mass(world: World, name: str, mass: float) -> World:
    """The world with a body of known mass; its inertia is that of the same solid, denser or lighter.

    Args:
        world: with the body.
        name: of the body.
        mass: kg.

    Raises:
        InputError: no such body, the background, a body without a shape to tell its inertia from, or a mass that is
            none.
    """
    index = body_index(world, name)
    body = world.bodies[index]
    if not (mass > 0 and math.isfinite(mass)):
        raise InputError(f"mass: {mass} kg for {name!r}, expected a positive number.")
    if index == 0 or not body.mass or body.inertia is None:
        raise InputError(f"mass: {name!r} is the background or has no shape, from which its inertia would follow; "
                         "name a body that `info` gives a mass.")  # fmt: skip
    weighed = replace(body, mass=float(mass), weighed=True, inertia=body.inertia * (mass / body.mass))
    return replace(world, bodies=(*world.bodies[:index], weighed, *world.bodies[index + 1 :]))


def describe(world: World) -> list[dict[str, Any]]:
    """Name, kind, splats, size [3] m, mass in kg and a summary in words of every body."""
    rows = []
    for index, body in enumerate(world.bodies):
        own = world.splats.means[world.splats.body_ids == index]
        size = (own.quantile(0.99, dim=0) - own.quantile(0.01, dim=0)).tolist() if len(own) else [0.0, 0.0, 0.0]
        if body.mesh is not None:
            size = (body.mesh.vertices.amax(dim=0) - body.mesh.vertices.amin(dim=0)).tolist()
        words = f"{body.kind}, {len(own)} splats"
        if index:
            words += ", " + " x ".join(f"{100 * side:.1f}" for side in size) + " cm"
            words += f", {1000 * body.mass:.0f} g" if body.mass else ""
        rows.append(
            {
                "name": body.name,
                "kind": body.kind,
                "splats": len(own),
                "size": size,
                "mass": body.mass,
                "summary": words,
            }
        )
    return rows


def shaped(
    body: Body, mesh: Mesh, *, world_from_mesh: Tensor | None = None, density: float = DENSITY, noise: float = 0.0
) -> Body:
    """The body with a surface and all that follows from it: convex parts, distance grid, mass and inertia.

    Args:
        body: any, which keeps a mass that was told; its frame moves to the centre of mass, with the axes of the mesh.
        mesh: closed.
        world_from_mesh: [7] where the mesh lies; in the world's frame by default.
        density: kg/m^3.
        noise: m by which the mesh is off; convex parts leave out what is smaller.

    Raises:
        InputError: the mesh is open or flat, or the density is not positive.
    """
    mass, center, inertia = mass_properties(mesh, density)
    if body.weighed:
        mass, inertia = body.mass, inertia * (body.mass / mass)
    mesh_from_body = torch.cat([center, pose.identity(dtype=torch.float64)[3:]])
    rest = mesh_from_body if world_from_mesh is None else pose.compose(world_from_mesh, mesh_from_body)
    local = transform_mesh(mesh, pose.inverse(mesh_from_body))
    parts, grid = convex_parts(local, noise=noise), distance_grid(local)
    return replace(body, rest_pose=rest, mesh=local, parts=parts, grid=grid, mass=mass, inertia=inertia)


def _shaped(world: World, index: int) -> Body:
    """The body with the shape that its splats enclose; as it is where they enclose nothing."""
    body = world.bodies[index]
    mesh = enclosing(world.splats.select(world.splats.body_ids == index))
    if mesh is None:
        return body
    try:
        return shaped(body, mesh, noise=NOISE)
    except InputError:
        return body
