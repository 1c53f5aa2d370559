"""What the network sees of a body: numbers in its local frame, without any absolute place or direction."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.state import LATENTS
from splatworld.dynamics import frame
from splatworld.dynamics.coasting import Coasting
from splatworld.dynamics.scene import Scene
from splatworld.dynamics.touch import Touch

CONTACT_FEATURES = 20 + LATENTS
BODY_FEATURES = 34 + LATENTS

PARTNER_KIND = 14
"""Feature of a contact from which on its partner's kind stands, one number a `Kind`."""

DISTANCE, ARM, SHIFT = 0.01, 0.05, 0.01
"""m that are one unit of distances, of arms, and of displacements during a step."""
TURN = 0.1
"""rad that are one unit of turns during a step."""
SPEED, SPIN = 0.25, 2.0
"""m/s and rad/s that are one unit."""

_POLAR, _AXIAL = (1, -1, 1), (-1, 1, -1)
CONTACT_MIRROR = torch.tensor((1, *_POLAR, *_POLAR, *_AXIAL, *_POLAR, 1, 1, 1, 1, 1, 1, 1, *(1,) * LATENTS)).float()
BODY_MIRROR = torch.tensor(
    (*_POLAR, *_AXIAL, *_POLAR, 1, 1, 1, 1, 1, 1, -1, 1, -1, 1, 1, 1, 1, *(*_POLAR, *_AXIAL) * 2, *(1,) * LATENTS)
).float()
TWIST_MIRROR = torch.tensor((*_POLAR, *_AXIAL)).float()
"""Signs under reflection at the local xz plane: of both feature vectors, and of a twist."""


@dataclass(frozen=True)
class Around:
    """N bodies as they are before a step, in their local frames; the network's input but for what moves meanwhile.

    Attributes:
        touch: their contacts.
        heading: [N, 2] of the local frames.
        twist: [N, 6] m/s and rad/s.
        coasting: [N, 6] m and rad, the displacement during the step if the network says nothing.
        coasting_twist: [N, 6] the twist after it.
        gate: [N] exactly 0 without contact, 1 at one.
        fixed: [N, 8, 16 + LATENTS] features of contacts that do not depend on what moves.
        body: [N, BODY_FEATURES].
    """

    touch: Touch
    heading: Tensor
    twist: Tensor
    coasting: Tensor
    coasting_twist: Tensor
    gate: Tensor
    fixed: Tensor
    body: Tensor


def look_around(
    scene: Scene, touch: Touch, coasting: Coasting, poses: Tensor, twists: Tensor, latents: Tensor, seconds: float
) -> Around:
    """What surrounds the bodies of `touch`.

    Args:
        scene: of S states.
        touch: of N bodies.
        coasting: theirs.
        poses: [S, B, 7].
        twists: [S, B, 6].
        latents: [S, B, 8].
        seconds: how long the step is.
    """
    at = (touch.state, touch.body)
    own, other = poses[at], poses[touch.state[:, None], touch.partner]
    rotation = pose.quat_to_matrix(own[..., 3:]).float()
    heading = frame.headings(rotation)
    twist = frame.twists_to_local(heading, twists[at].float())
    around = heading[:, None]
    normal = frame.to_local(around, touch.normal)
    arm = frame.to_local(around, touch.arm)
    distance = touch.distance + _slope(touch, own, other)
    kind = torch.nn.functional.one_hot(touch.kind, 3).float() * (touch.weight > 0)[..., None]
    ratio = torch.log(scene.typical_mass[at].clamp(min=1e-3))[:, None] - torch.log(
        scene.typical_mass[touch.state[:, None], touch.partner].clamp(min=1e-3)
    )
    fixed = torch.cat(
        [
            distance[..., None] / DISTANCE,
            normal,
            arm / ARM,
            torch.linalg.cross(arm, normal) / ARM,
            kind,
            touch.phase[..., None].float() / 2,
            torch.where(touch.kind == 2, ratio, 0.0)[..., None] / 3,
            torch.full_like(distance, seconds / 0.1)[..., None],
            latents[touch.state[:, None], touch.partner].float(),
        ],
        dim=-1,
    )
    here = (touch.phase == 0) & (touch.weight > 0)
    below = here & (normal[..., 2] > 0.5)
    alone, alone_twist = (frame.twists_to_local(heading, each) for each in (coasting.motion, coasting.twist))
    spread = _turned(heading, rotation, scene.of_bodies(scene.solids.spread, at))
    outermost = frame.to_local(
        heading[:, None], torch.einsum("nij,npj->npi", rotation, scene.of_bodies(scene.solids.extremes, at))
    )
    high, low = outermost.amax(1), outermost.amin(1)
    gravity = scene.gravity / 9.81
    body = torch.cat(
        [
            twist[:, :3] / SPEED,
            twist[:, 3:] / SPIN,
            frame.to_local(heading, gravity.expand(len(heading), 3)),
            (high - low) / (2 * ARM),
            _roots(spread) / ARM,
            -low[:, 2:] / ARM,
            _margin(arm, below)[:, None] / ARM,
            torch.log(scene.typical_mass[at].clamp(min=1e-3))[:, None] / 3,
            torch.full_like(heading[:, :1], seconds / 0.1),
            alone[:, :3] / SHIFT,
            alone[:, 3:] / TURN,
            alone_twist[:, :3] / SPEED,
            alone_twist[:, 3:] / SPIN,
            latents[at].float(),
        ],
        dim=-1,
    )
    gate = (2 * touch.weight.amax(-1)).clamp(max=1)
    return Around(touch, heading, twist, alone, alone_twist, gate, fixed, body)


def contact_features(around: Around, motion: Tensor) -> Tensor:
    """[N, 8, CONTACT_FEATURES], given how everything moves during the step.

    Args:
        around: the bodies.
        motion: [S, B, 6] m and rad, world axes: displacements of tools, and expected ones of bodies.
    """
    touch = around.touch
    far = motion[touch.state[:, None], touch.partner]
    surface = far[..., :3] + torch.linalg.cross(far[..., 3:], touch.partner_arm)
    own = frame.twists_to_world(around.heading, around.coasting)[:, None]
    surface = surface - own[..., :3] - torch.linalg.cross(own[..., 3:].expand_as(touch.arm), touch.arm)
    relative = frame.to_local(around.heading[:, None], surface) * (touch.weight > 0)[..., None]
    closing = (relative * around.fixed[..., 1:4]).sum(-1, keepdim=True)
    return torch.cat([around.fixed[..., :10], relative / SHIFT, closing / SHIFT, around.fixed[..., 10:]], dim=-1)


def _slope(touch: Touch, own: Tensor, other: Tensor) -> Tensor:
    """[N, 8] exactly 0, with the gradient that distances have in the poses of both bodies."""
    if not (own.requires_grad or other.requires_grad):
        return torch.zeros_like(touch.distance)
    mine, theirs = tangent(own)[:, None], tangent(other)
    shift = mine[..., :3] + torch.linalg.cross(mine[..., 3:].expand_as(touch.arm), touch.arm)
    shift = shift - theirs[..., :3] - torch.linalg.cross(theirs[..., 3:], touch.partner_arm)
    return (touch.normal * shift).sum(-1)


def tangent(poses: Tensor) -> Tensor:
    """[..., 6] float32 zeros whose gradient is that of displacing `poses` [..., 7] in world axes."""
    still = poses.detach()
    turn = pose.multiply_quats(poses[..., 3:], pose.conjugate_quat(still[..., 3:]))
    return torch.cat([poses[..., :3] - still[..., :3], 2 * (turn - turn.detach())[..., 1:]], dim=-1).float()


def _turned(heading: Tensor, rotation: Tensor, spread: Tensor) -> Tensor:
    """Second moments [N, 3, 3] in the local frame."""
    local = frame.to_local(heading[:, None], rotation.mT).mT
    return local @ spread @ local.mT


def _roots(spread: Tensor) -> Tensor:
    """[N, 6] m: roots of the diagonal, then what is beside it (yz, zx, xy) as correlations of that length."""
    root = spread.diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt()
    beside = torch.stack([spread[:, 1, 2], spread[:, 0, 2], spread[:, 0, 1]], dim=-1)
    return torch.cat([root, beside / root.mean(-1, keepdim=True).clamp(min=1e-4)], dim=-1)


def _margin(arm: Tensor, below: Tensor) -> Tensor:
    """[N] m by which the centre of mass lies within what supports it, seen from above; negative outside.

    The least over 16 directions of how far the support reaches that way; -0.1 without any.
    """
    turn = torch.arange(16) * (2 * torch.pi / 16)
    reach = arm[..., :2] @ torch.stack([turn.cos(), turn.sin()])
    return torch.where(below[..., None], reach, -0.1).amax(1).amin(-1)
