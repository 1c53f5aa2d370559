"""The local frame of a body: at its centre of mass, z up, turned with the body about z."""

from __future__ import annotations

import torch
from torch import Tensor


def headings(rotation: Tensor) -> Tensor:
    """Cosine and sine [..., 2] of the yaw of bodies with rotation matrices [..., 3, 3].

    The direction in which the body's x axis points in the horizontal plane, or its y axis where x is steep: whichever
    it is depends on the tilt alone, so that turning the world about z turns the heading with it.
    """
    steep = rotation[..., 2, 0].square() > 0.5
    flat = torch.where(steep[..., None], rotation[..., :2, 1], rotation[..., :2, 0])
    return flat / flat.norm(dim=-1, keepdim=True)


def to_local(heading: Tensor, vectors: Tensor) -> Tensor:
    """World vectors [..., 3] in the frame with `heading` [..., 2]."""
    cosine, sine = heading.unbind(-1)
    x, y, z = vectors.unbind(-1)
    return torch.stack([cosine * x + sine * y, cosine * y - sine * x, z], dim=-1)


def to_world(heading: Tensor, vectors: Tensor) -> Tensor:
    """The inverse of `to_local`."""
    return to_local(heading * heading.new_tensor([1.0, -1.0]), vectors)


def twists_to_local(heading: Tensor, twists: Tensor) -> Tensor:
    """Twists or displacements [..., 6] in the local frame."""
    return to_local(heading[..., None, :], twists.unflatten(-1, (2, 3))).flatten(-2)


def twists_to_world(heading: Tensor, twists: Tensor) -> Tensor:
    """The inverse of `twists_to_local`."""
    return to_world(heading[..., None, :], twists.unflatten(-1, (2, 3))).flatten(-2)
