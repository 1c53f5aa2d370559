"""Everything that contact and distance queries read of a world, packed into arrays once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from splatworld import native
from splatworld.core.body import Body
from splatworld.core.mesh import Mesh
from splatworld.core.shape import DistanceGrid
from splatworld.core.world import World
from splatworld.geometry.contact_points import clusters, contact_points
from splatworld.geometry.distance import distance_grid
from splatworld.geometry.mesh import solid

PLANE_REACH = 16.0
"""m, half the side of the grid that stands for an endless support."""


@dataclass(frozen=True)
class Shapes:
    """The collision shapes of B bodies, each in its body's frame.

    Attributes:
        boxes: [B, 6] float32 m, least and greatest corner; least above greatest where a body has no shape.
        spheres: [B, 4] float32 m, middle and radius of a ball around the shape; radius -1 without one.
        grid_values: [G] float32 m, the samples of all distance grids, one grid after the other.
        grid_known: [G] bool, which of them were seen.
        grid_start: [B] int64 where a body's samples begin; -1 without a grid.
        grid_size: [B, 3] int32.
        grid_origin: [B, 3] float32 m.
        grid_spacing: [B] float32 m.
        points: [C, 3, 16] float32 m, points of surfaces in clusters of 16; the last ones of a body repeat.
        normals: [C, 3, 16] float32, where the surface faces there.
        cluster_spheres: [C, 4] float32 m around each cluster.
        cluster_start: [B + 1] int32.
        part_vertices: [V, 3] float32 m of the convex parts.
        part_start: [Q + 1] int32 into part_vertices.
        part_bodies: [Q] int32.
        capsule_ends: [K, 2] int32 indices into the state's nodes.
        capsule_radii: [K] float32 m.
        capsule_bodies: [K] int32.
        pairs: [P, 2] int32 bodies that can touch: not both static, not both of the robot, not parent and child.
    """

    boxes: Tensor
    spheres: Tensor
    grid_values: Tensor
    grid_known: Tensor
    grid_start: Tensor
    grid_size: Tensor
    grid_origin: Tensor
    grid_spacing: Tensor
    points: Tensor
    normals: Tensor
    cluster_spheres: Tensor
    cluster_start: Tensor
    part_vertices: Tensor
    part_start: Tensor
    part_bodies: Tensor
    capsule_ends: Tensor
    capsule_radii: Tensor
    capsule_bodies: Tensor
    pairs: Tensor

    def __len__(self) -> int:
        return len(self.boxes)

    @cached_property
    def packed(self) -> Any:
        """The view that the kernels take."""
        return native.load().PackedShapes(
            self.boxes, self.grid_values, self.grid_start, self.grid_size, self.grid_origin, self.grid_spacing,
            self.points, self.cluster_spheres.T.contiguous(), self.cluster_start,
        )  # fmt: skip


def pack_shapes(world: World, *, support_height: float | None = 0.0) -> Shapes:
    """Pack a world's shapes for native queries.

    A body with a mesh or convex parts but no distance grid gets one here.

    Args:
        world: with metric scale; bodies without mesh, parts, grid and capsules have no shape.
        support_height: z of an endless plane that stands for the static background where that has no grid of its own;
            None without.

    Raises:
        InputError: a mesh or part of a body is open.
    """
    return pack_bodies(world.bodies, support_height=support_height)


def pack_bodies(bodies: Sequence[Body], *, support_height: float | None = 0.0, pairs: Tensor | None = None) -> Shapes:
    """Pack the shapes of bodies that need not be of one world, such as all shapes of a set of episodes.

    Args:
        bodies: the first may stand for the support.
        support_height: as for `pack_shapes`.
        pairs: [P, 2] int32 bodies that can touch; None: by their kinds.

    Raises:
        InputError: a mesh or part of a body is open.
    """
    shapes = [_shape(body) for body in bodies]
    first = bodies[0]
    if support_height is not None and first.kind == "static" and shapes[0].grid is None:
        top = support_height - float(first.rest_pose[2])
        shapes[0] = _Shape(grid=half_space(top), top=top)
    boxes = torch.stack([_box(shape) for shape in shapes]).float()
    grids = [_grid_arrays(shape.grid) for shape in shapes]
    lengths = torch.tensor([len(values) for values, *_ in grids])
    values, known, sizes, origins, spacings = zip(*grids, strict=True)
    packed = [clusters(shape.points, shape.normals) for shape in shapes]
    parts = [(index, part) for index, body in enumerate(bodies) for part in _parts(body)]
    capsules = [_capsule_arrays(index, body) for index, body in enumerate(bodies)]
    return Shapes(
        boxes=boxes,
        spheres=_spheres(boxes),
        grid_values=torch.cat(values),
        grid_known=torch.cat(known),
        grid_start=torch.where(lengths > 0, lengths.cumsum(0) - lengths, -1),
        grid_size=torch.stack(sizes),
        grid_origin=torch.stack(origins),
        grid_spacing=torch.tensor(spacings, dtype=torch.float32),
        points=torch.cat([points for points, _, _ in packed]),
        normals=torch.cat([normals for _, normals, _ in packed]),
        cluster_spheres=torch.cat([spheres for _, _, spheres in packed]),
        cluster_start=_starts([len(spheres) for _, _, spheres in packed]),
        part_vertices=torch.cat([torch.zeros(0, 3), *(part.vertices.float() for _, part in parts)]),
        part_start=_starts([len(part.vertices) for _, part in parts]),
        part_bodies=torch.tensor([index for index, _ in parts], dtype=torch.int32),
        capsule_ends=torch.cat([ends for ends, _, _ in capsules]),
        capsule_radii=torch.cat([radii for _, radii, _ in capsules]),
        capsule_bodies=torch.cat([bodies for _, _, bodies in capsules]),
        pairs=_pairs(bodies) if pairs is None else pairs,
    )


def half_space(height: float) -> DistanceGrid:
    """Solid below z = `height`: eight samples, between which linear is exact."""
    origin = torch.tensor([-PLANE_REACH, -PLANE_REACH, height - PLANE_REACH], dtype=torch.float64)
    column = torch.tensor([-PLANE_REACH, PLANE_REACH], dtype=torch.float32)
    return DistanceGrid(origin, 2 * PLANE_REACH, column.expand(2, 2, 2).contiguous())


@dataclass(frozen=True)
class _Shape:
    grid: DistanceGrid | None = None
    solid: Mesh | None = None
    points: Tensor = field(default_factory=lambda: torch.zeros(0, 3))
    normals: Tensor = field(default_factory=lambda: torch.zeros(0, 3))
    top: float | None = None  # of a grid that is empty above


def _shape(body: Body) -> _Shape:
    if body.kind == "static" and body.grid is not None:
        return _Shape(grid=body.grid)  # its mesh is what was seen, and may be open
    source = body.mesh if body.mesh is not None else body.parts
    if isinstance(source, tuple) and not source:
        return _Shape(grid=body.grid)
    whole = solid(source)
    return _Shape(body.grid or distance_grid(whole), whole, *contact_points(whole))


def _parts(body: Body) -> tuple[Mesh, ...]:
    return body.parts or (() if body.mesh is None or body.kind == "static" else (body.mesh,))


def _box(shape: _Shape) -> Tensor:
    if shape.solid is not None:
        return torch.cat([shape.solid.vertices.amin(0), shape.solid.vertices.amax(0)]).double()
    if shape.grid is None:
        return torch.tensor([1.0, 1, 1, -1, -1, -1], dtype=torch.float64)
    reach = shape.grid.spacing * (torch.tensor(shape.grid.values.shape, dtype=torch.float64) - 1)
    low, high = shape.grid.origin.double(), shape.grid.origin.double() + reach
    return torch.cat([low, high[:2], high[2:] if shape.top is None else torch.tensor([shape.top]).double()])


def _spheres(boxes: Tensor) -> Tensor:
    low, high = boxes[:, :3], boxes[:, 3:]
    radius = torch.where((low <= high).all(-1), (high - low).norm(dim=-1) / 2, -1.0)
    return torch.cat([(low + high) / 2, radius[:, None]], dim=-1)


def _grid_arrays(grid: DistanceGrid | None) -> tuple[Tensor, Tensor, Tensor, Tensor, float]:
    """Values, known, size, origin, spacing."""
    if grid is None:
        none = torch.zeros(0)
        return none, none.bool(), torch.zeros(3, dtype=torch.int32), torch.zeros(3), 1.0
    known = torch.ones_like(grid.values, dtype=torch.bool) if grid.known is None else grid.known
    size = torch.tensor(grid.values.shape, dtype=torch.int32)
    return grid.values.float().flatten(), known.flatten(), size, grid.origin.float(), grid.spacing


def _capsule_arrays(index: int, body: Body) -> tuple[Tensor, Tensor, Tensor]:
    """Ends, radii, bodies."""
    if body.capsules is None:
        return torch.zeros(0, 2, dtype=torch.int32), torch.zeros(0), torch.zeros(0, dtype=torch.int32)
    radii = body.capsules.radii.float()
    return body.capsules.ends.int(), radii, torch.full((len(radii),), index, dtype=torch.int32)


def _starts(lengths: list[int]) -> Tensor:
    return torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32)


def _pairs(bodies: Sequence[Body]) -> Tensor:
    def can_touch(a: int, b: int) -> bool:
        one, other = bodies[a], bodies[b]
        related = one.parent == b or other.parent == a
        return not related and not (one.kind == other.kind and one.kind in ("static", "robot"))

    found = [(a, b) for a in range(len(bodies)) for b in range(a + 1, len(bodies)) if can_touch(a, b)]
    return torch.tensor(found, dtype=torch.int32).reshape(-1, 2)
