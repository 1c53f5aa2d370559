"""Contacts between bodies in many states at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from splatworld import native
from splatworld.core.checks import InputError, check_finite, check_shape
from splatworld.geometry.shapes import Shapes

REACH = 0.02
"""m up to which surfaces count as near."""


@dataclass(frozen=True)
class Contacts:
    """Contacts of C pairs of bodies, up to K = 8 each, the deepest first (to 0.1 mm).

    Unused ones have distance `reach`, and 0 for the rest.

    Attributes:
        pairs: [C, 3] int64: state in the flattened batch, body a, body b, a < b.
        count: [C] int32 contacts in use.
        distance: [C, K] m between the surfaces, negative where they overlap.
        normal: [C, K, 3] unit, world axes, from b towards a.
        point: [C, K, 3] m, world frame, halfway between the surfaces.
        arm_a: [C, K, 3] m, world axes, from the frame of a (its centre of mass) to the point.
        arm_b: [C, K, 3] m, the same of b.
    """

    pairs: Tensor
    count: Tensor
    distance: Tensor
    normal: Tensor
    point: Tensor
    arm_a: Tensor
    arm_b: Tensor


def near_pairs(
    shapes: Shapes,
    world_from_body: Tensor,
    *,
    reach: float = REACH,
    shape_ids: Tensor | None = None,
    pairs: Tensor | None = None,
) -> Tensor:
    """Broad phase: pairs of bodies whose boxes, posed and then aligned to the world's axes, come within `reach`.

    Args:
        shapes: of the world, or of many worlds together.
        world_from_body: [..., B, 7] poses.
        reach: m.
        shape_ids: [..., B] int32 which of the shapes each body of each state has; None: the bodies are those of
            `shapes`.
        pairs: [P, 2] int32 bodies to look at, the lesser first; None: those of `shapes`.

    Returns:
        [C, 3] int64: state in the flattened batch, body a, body b, in this order.

    Raises:
        ShapeError: another number of bodies.
        InputError: poses that are not finite, or a shape that does not exist.
    """
    poses, ids = _posed("near_pairs", shapes, world_from_body, shape_ids, reach)
    return _near(shapes, poses, ids, reach, shapes.pairs if pairs is None else pairs).long()


def contacts(
    shapes: Shapes,
    world_from_body: Tensor,
    *,
    reach: float = REACH,
    shape_ids: Tensor | None = None,
    candidates: Tensor | None = None,
) -> Contacts:
    """Where bodies touch or nearly do: surface points of each read in the other's distance grid.

    Of all points nearer than `reach` one of the deepest (to 0.1 mm) is taken first, then up to 7 that are each far from
    those taken and far from the middle, but depth counts four times as much: of a flat face the corners. Each is then
    taken to where the two surfaces are nearest around it (up to 8 mm), if that is nearer by 0.1 mm: samples lie 8 mm
    apart, and edges that cross or curved faces meet in between. Bodies that move together keep the same choice; results
    do not depend on threads.

    Args:
        shapes: of the world, or of many worlds together.
        world_from_body: [..., B, 7] poses.
        reach: m.
        shape_ids: as for `near_pairs`.
        candidates: [C, 3] int64 states and bodies to look at, as `near_pairs` gives them; None: all of them.

    Raises:
        ShapeError: another number of bodies.
        InputError: poses that are not finite; a shape, state or body that does not exist.
    """
    poses, ids = _posed("contacts", shapes, world_from_body, shape_ids, reach)
    pairs = _near(shapes, poses, ids, reach, shapes.pairs) if candidates is None else _checked(candidates, *ids.shape)
    kernels = native.load()
    rows, most = len(pairs), kernels.MOST_CONTACTS
    count, distance = torch.empty(rows, dtype=torch.int32), torch.empty(rows, most)
    normal, point, arm_a, arm_b = torch.empty(4, rows, most, 3)
    found = (count, distance, normal, point, arm_a, arm_b)
    kept = kernels.sample_contacts(shapes.packed, poses, ids, pairs, reach, *found)
    return Contacts(pairs[:kept].long(), *(each[:kept] for each in found))


def _checked(candidates: Tensor, states: int, bodies: int) -> Tensor:
    """A copy, [C, 3] int32."""
    check_shape("contacts", "candidates", candidates, ("C", 3))
    end = torch.tensor([states, bodies, bodies])
    if not bool(((candidates >= 0) & (candidates < end)).all()):
        raise InputError(f"contacts: candidates name what is not among {states} states of {bodies} bodies.")
    return candidates.to(torch.int32, copy=True)


def _near(shapes: Shapes, poses: Tensor, ids: Tensor, reach: float, pairs: Tensor) -> Tensor:
    """[C, 3] int32: state, body a, body b."""
    candidates = torch.empty(len(poses) * len(pairs), 3, dtype=torch.int32)
    posed_boxes = torch.empty(*ids.shape, 6, dtype=torch.float64)
    count = native.load().broad_phase(shapes.packed, poses, ids, pairs, reach, posed_boxes, candidates)
    return candidates[:count]


def _posed(
    owner: str, shapes: Shapes, world_from_body: Tensor, shape_ids: Tensor | None, reach: float
) -> tuple[Tensor, Tensor]:
    """Poses [S, B, 7] float64 and shapes [S, B] int32."""
    check_shape(owner, "world_from_body", world_from_body, ("...", len(shapes) if shape_ids is None else "B", 7))
    check_finite(owner, "world_from_body", world_from_body)
    if not reach >= 0:
        raise InputError(f"{owner}: reach is {reach}, expected m, 0 or more.")
    bodies = world_from_body.shape[-2]
    poses = world_from_body.detach().double().reshape(-1, bodies, 7).contiguous()
    if shape_ids is None:
        return poses, torch.arange(bodies, dtype=torch.int32).expand(len(poses), bodies).contiguous()
    check_shape(owner, "shape_ids", shape_ids, tuple(world_from_body.shape[:-1]))
    ids = shape_ids.int().reshape(-1, bodies).contiguous()
    if ids.numel() and not (int(ids.min()) >= 0 and int(ids.max()) < len(shapes)):
        given = f"{int(ids.min())} to {int(ids.max())}"
        raise InputError(f"{owner}: shape_ids span {given}, expected 0 to {len(shapes) - 1}.")
    return poses, ids
