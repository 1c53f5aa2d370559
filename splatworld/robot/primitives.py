"""Meshes of the simple shapes that robot files and tools are made of, centred on the origin."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import trimesh

from splatworld.core.checks import InputError
from splatworld.core.mesh import Mesh
from splatworld.geometry.mesh import joined as joined_meshes

SEGMENTS = 48
"""Corners of a circle; the chord is then at most 0.2 % of the radius inside it."""


def box(size: tuple[float, float, float]) -> Mesh:
    """A box with edges `size` [3] m along the axes."""
    return _mesh("box", size, lambda: trimesh.creation.box(extents=size))


def sphere(radius: float) -> Mesh:
    """A sphere, radius in m."""
    return _mesh("sphere", (radius,), lambda: trimesh.creation.icosphere(subdivisions=3, radius=radius))


def cylinder(radius: float, length: float) -> Mesh:
    """A cylinder along z, m."""
    return _mesh("cylinder", (radius, length), lambda: trimesh.creation.cylinder(radius, length, sections=SEGMENTS))


def capsule(radius: float, length: float) -> Mesh:
    """A cylinder along z of `length` m between two half spheres."""

    def make() -> trimesh.Trimesh:
        made = trimesh.creation.capsule(height=length, radius=radius, count=[SEGMENTS, SEGMENTS])
        return made.apply_translation(-made.bounds.mean(axis=0))

    return _mesh("capsule", (radius, length), make)


def ellipsoid(radii: tuple[float, float, float]) -> Mesh:
    """An ellipsoid with half axes `radii` [3] m."""
    return _mesh("ellipsoid", radii, lambda: trimesh.creation.icosphere(subdivisions=3).apply_scale(radii))


def painted(mesh: Mesh, rgb: tuple[float, float, float]) -> Mesh:
    """The mesh in one colour, sRGB from 0 to 1."""
    color = torch.tensor([round(255 * min(max(channel, 0.0), 1.0)) for channel in rgb], dtype=torch.uint8)
    return Mesh(mesh.vertices, mesh.faces, color.expand(len(mesh.vertices), 3).contiguous())


def joined(meshes: list[Mesh]) -> Mesh | None:
    """One mesh of all, grey where a mesh has no colours; None of none."""
    if not meshes:
        return None
    return joined_meshes([each if each.colors is not None else painted(each, GREY) for each in meshes])


GREY = (0.85, 0.85, 0.85)
"""Of what has no colour of its own."""


def _mesh(shape: str, sizes: tuple[float, ...], make: Callable[[], trimesh.Trimesh]) -> Mesh:
    if not all(np.isfinite(size) and size > 0 for size in sizes):
        raise InputError(f"{shape}: its sizes are {list(sizes)} m, expected positive numbers; correct them.")
    made = make()
    return Mesh(torch.from_numpy(np.array(made.vertices, np.float64)), torch.from_numpy(np.array(made.faces, np.int64)))
