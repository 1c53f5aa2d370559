"""Solids made of convex parts, with a mesh and mass properties that agree with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.spatial import ConvexHull

from splatworld.core.mesh import Mesh
from splatworld.geometry import mesh as meshes
from splatworld.geometry.convex import convex_hull

SEGMENTS = 48
"""Corners of the polygon that stands for a circle in meshes."""


@dataclass(frozen=True)
class Part:
    """One convex piece of a solid, in the solid's frame.

    Attributes:
        kind: "box", "cylinder" (along z), "sphere" or "hull".
        center: [3] m; zero for a hull.
        size: half extents [3] m of a box, (radius, half height, 0) of a cylinder, (radius, 0, 0) of a sphere, zero for
            a hull.
        vertices: [V, 3] m corners of its convex mesh; of a hull the part itself.
    """

    kind: str
    center: np.ndarray
    size: np.ndarray
    vertices: np.ndarray

    @cached_property
    def mesh(self) -> Mesh:
        """The part as a closed convex mesh."""
        return convex_hull(torch.from_numpy(self.vertices))

    def moved(self, offset: np.ndarray) -> Part:
        """The part moved by [3] m."""
        center = self.center if self.kind == "hull" else self.center + offset
        return Part(self.kind, center, self.size, self.vertices + offset)


@dataclass(frozen=True)
class Solid:
    """A body's shape; its frame sits at the centre of mass of the uniformly filled solid.

    Attributes:
        mesh: closed surface.
        parts: convex pieces whose union is the solid; they may overlap.
        volume: m^3, which is the mass at unit density.
        inertia: [3, 3] m^5 about the centre at unit density.
    """

    mesh: Mesh
    parts: tuple[Part, ...]
    volume: float
    inertia: np.ndarray

    @cached_property
    def hull(self) -> np.ndarray:
        """[V, 3] m corners of the convex hull."""
        vertices = np.concatenate([part.vertices for part in self.parts])
        return vertices[ConvexHull(vertices).vertices]

    @cached_property
    def radius(self) -> float:
        """m from the centre to the farthest point."""
        return float(np.linalg.norm(self.hull, axis=1).max())


def union(parts: Sequence[Part]) -> Solid:
    """The solid that convex parts make together, moved so that its centre of mass is the origin."""
    whole = meshes.solid(tuple(part.mesh for part in parts))
    volume, center, inertia = meshes.mass_properties(whole, 1.0)
    moved = Mesh(whole.vertices - center, whole.faces)
    return Solid(moved, tuple(part.moved(-center.numpy()) for part in parts), volume, inertia.numpy())


def box(low: Sequence[float] | np.ndarray, high: Sequence[float] | np.ndarray) -> Part:
    """The box between two corners [3] m."""
    low, high = np.asarray(low, float), np.asarray(high, float)
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    return Part("box", (low + high) / 2, (high - low) / 2, low + corners * (high - low))


def bars(thickness: float, *rectangles: tuple[float, float, float, float]) -> list[Part]:
    """Boxes of one thickness over rectangles (x, y, width, height), m."""
    return [box((x, y, 0), (x + w, y + h, thickness)) for x, y, w, h in rectangles]


def cylinder(radius: float, low: float, high: float) -> Part:
    """The cylinder about z between two heights, m."""
    angle = 2 * np.pi * np.arange(SEGMENTS) / SEGMENTS
    step = 2 * np.pi / SEGMENTS
    # The polygon has the circle's area, so that its mesh has the cylinder's volume.
    ring = radius * np.sqrt(step / np.sin(step)) * np.column_stack([np.cos(angle), np.sin(angle)])
    vertices = np.concatenate([np.column_stack([ring, np.full(SEGMENTS, z)]) for z in (low, high)])
    return Part("cylinder", np.array([0, 0, (low + high) / 2]), np.array([radius, (high - low) / 2, 0]), vertices)


def sphere(radius: float) -> Part:
    """The sphere about the origin, m; its mesh has points spread as on a sunflower."""
    k = np.arange(300) + 0.5
    z, angle = 1 - 2 * k / 300, np.pi * (1 + 5**0.5) * k
    ring = np.sqrt(1 - z * z)
    vertices = radius * np.column_stack([ring * np.cos(angle), ring * np.sin(angle), z])
    return Part("sphere", np.zeros(3), np.array([radius, 0, 0]), vertices)


def hull(points: np.ndarray) -> Part:
    """The convex hull of points [V, 3] m."""
    return Part("hull", np.zeros(3), np.zeros(3), points[ConvexHull(points).vertices])


def prism(polygon: np.ndarray, height: float, *, taper: float = 1.0) -> Part:
    """A convex polygon [P, 2] m drawn up along z; its upper end is `taper` times as large, about the origin."""
    lower = np.column_stack([polygon, np.zeros(len(polygon))])
    return hull(np.concatenate([lower, np.column_stack([polygon * taper, np.full(len(polygon), height)])]))
