"""Distances to everything in posed worlds: from points, from balls on their way, along rays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from splatworld import native
from splatworld.core.shape import DistanceGrid
from splatworld.core.world import World
from splatworld.geometry.seen import seen_surfaces, surface_deviations, unseen_space
from splatworld.geometry.shapes import Shapes, pack_shapes

NEAR, GAP, FAR_SHARE = 0.05, 0.001, 0.25
"""A swept clearance never exceeds the truth; up to `NEAR` m it falls short of it by no more than `GAP` m, beyond also
by this share of what is beyond."""


@dataclass(frozen=True)
class Field:
    """What a world's B bodies fill, and what of it was seen.

    Attributes:
        shapes: packed.
        unseen: distances to unseen space in the frame of body 0; None where all was seen.
        seen: B grids whose masks tell which part of a body's surface was seen; None for all of it.
        roughness: [B] m, standard deviations of the bodies' surfaces.
        scale_std: relative, of all lengths.
    """

    shapes: Shapes
    unseen: DistanceGrid | None
    seen: tuple[DistanceGrid | None, ...]
    roughness: Tensor
    scale_std: float

    def __len__(self) -> int:
        return len(self.shapes)

    @cached_property
    def packed(self) -> Any:
        """The view that the kernels take."""
        shapes, unseen = self.shapes, self.unseen
        counts = torch.bincount(shapes.capsule_bodies.long(), minlength=len(self))
        masks = [torch.zeros(0, dtype=torch.bool) if s is None or s.known is None else s.known for s in self.seen]
        lengths = torch.tensor([mask.numel() for mask in masks])
        sizes = [[1, 1, 1] if s is None else list(s.values.shape) for s in self.seen]
        origins = [torch.zeros(3) if s is None else s.origin.float() for s in self.seen]
        return native.load().PackedField(
            shapes.packed,
            shapes.capsule_ends.contiguous(),
            shapes.capsule_radii.contiguous(),
            torch.cat([counts.new_zeros(1), counts.cumsum(0)]).int(),
            None if unseen is None else unseen.values.contiguous(),
            torch.zeros(3) if unseen is None else unseen.origin.float(),
            1.0 if unseen is None else unseen.spacing,
            torch.cat([mask.flatten() for mask in masks]).to(torch.uint8),
            torch.where(lengths > 0, lengths.cumsum(0) - lengths, -1),
            torch.tensor(sizes, dtype=torch.int32),
            torch.stack(origins),
            torch.tensor([1.0 if s is None else s.spacing for s in self.seen]),
            self.roughness.float().contiguous(),
            self.scale_std,
        )


def pack_field(world: World, *, support_height: float | None = 0.0) -> Field:
    """Everything that queries read of a world, packed once.

    Args:
        world: any; lengths are in its units.
        support_height: z of an endless plane that stands for the background where that has no distance grid; None
            without.

    Raises:
        InputError: a mesh or part of a body is open.
    """
    shapes = pack_shapes(world, support_height=support_height)
    shapes = replace(shapes, boxes=_tight_boxes(world, shapes.boxes))
    known_scale = world.scale.source != "none"
    return Field(
        shapes=shapes,
        unseen=unseen_space(world),
        seen=tuple(seen_surfaces(world, shapes.boxes)),
        roughness=surface_deviations(world, shapes.grid_spacing),
        scale_std=float(world.scale.std) if known_scale else 0.0,
    )


def _tight_boxes(world: World, boxes: Tensor) -> Tensor:
    """[B, 6] around the meshes alone also of furniture, whose boxes are those of its distance grids."""
    boxes = boxes.clone()
    for index, body in enumerate(world.bodies[1:], 1):
        if body.kind == "static" and body.grid is not None and body.mesh is not None:
            vertices = torch.cat([each.vertices for each in (body.mesh, *body.parts)]).float()
            low = torch.maximum(boxes[index, :3], vertices.amin(0))
            boxes[index] = torch.cat([low, torch.minimum(boxes[index, 3:], vertices.amax(0))])
    return boxes


@dataclass(frozen=True)
class Posed:
    """S states of a field's bodies, as the kernels take them.

    Attributes:
        poses: [S, B, 7] float64.
        nodes: [S, M, 7] float64, of deformable bodies.
        std: [S, B, 6] float32 of the poses, m and rad, world axes.
        wanted: [B] uint8, bodies that count.
    """

    poses: Tensor
    nodes: Tensor
    std: Tensor
    wanted: Tensor


@dataclass(frozen=True)
class Found:
    """What a kernel found at P places in each of S states.

    Attributes:
        distance: [S, P] m; of balls from their surface.
        unseen: [S, P] m to unseen space, negative in it.
        std: [S, P] m.
        gradient: [S, P, 3] of the distance by the place, world axes.
        body: [S, P] int32 the nearest, -1 without any.
        known: [S, P] bool.
        share: [S, P] of sweeps: of the way, where the ball comes nearest.
    """

    distance: Tensor
    unseen: Tensor
    std: Tensor
    gradient: Tensor
    body: Tensor
    known: Tensor
    share: Tensor | None = None


def ball_distances(field: Field, posed: Posed, balls: Tensor) -> Found:
    """Distances of balls [S, P, 4] (middle and radius, m, float64) to the nearest body."""
    return _call(native.load().find_distances, field, posed, balls, 6)


def swept_distances(field: Field, posed: Posed, balls: Tensor, instants: int) -> Found:
    """The least distance of balls [S, P, 4] on their way from the instant before, never more than the truth.

    Balls and bodies move straight on; bodies turn along the chord between their quaternions. The distance changes by no
    more than both move, so samples bound it in between; the way is halved until the bound is as near as
    `GAP` says (Piyavskii, "An algorithm for finding the absolute extremum of a function", 1972).

    Args:
        field: of the world.
        posed: S = N * instants states, plan by plan.
        balls: float64.
        instants: of each plan; at the first nothing has moved yet.
    """
    return _call(native.load().sweep_balls, field, posed, balls, 7, before=(instants,), after=(NEAR, GAP, FAR_SHARE))


def cast_rays(field: Field, posed: Posed, rays: Tensor, most: float) -> Found:
    """Where rays [S, P, 6] (begin, unit direction, float64) meet the first body within `most` m.

    Distances are along the rays, infinite where nothing is met; gradients are the surfaces' normals there; `unseen` is
    how far along the ray everything was seen. Hart, "Sphere tracing" (1996).
    """
    return _call(native.load().cast_rays, field, posed, rays, 6, after=(most,))


def _call(
    kernel: Any, field: Field, posed: Posed, places: Tensor, rows: int, *, before: tuple = (), after: tuple = ()
) -> Found:
    states, count = places.shape[:2]
    numbers = torch.empty(rows, states, count)
    body = torch.empty(states, count, dtype=torch.int32)
    known = torch.empty(states, count, dtype=torch.uint8)
    room = torch.empty(states * len(field) * native.load().POSED_BODY_BYTES, dtype=torch.uint8)
    at = (posed.poses, posed.nodes, posed.std, posed.wanted, room)
    kernel(field.packed, *at, *before, places, *after, numbers, body, known)
    gradient = numbers[3:6].reshape(states, count, 3)
    share = numbers[6] if rows > 6 else None
    return Found(numbers[0], numbers[1], numbers[2], gradient, body, known.bool(), share)
