"""Where bodies touch or nearly do during a step, listed for each body that is to be predicted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from splatworld import native
from splatworld.core import pose
from splatworld.dynamics.scene import Kind, Scene, room
from splatworld.geometry.contacts import REACH

SLOTS = 8
"""Contacts a body, at most."""
A_ROW = 4
"""Contacts of one pair that are considered, far apart."""
LATER = {Kind.STATIC: 0.004, Kind.TOOL: 0.01, Kind.FREE: 0.006}
"""m that a further contact of the same pair stands back: a body keeps three or four of its support beside the tool's
first at each phase."""
DEEPEST = -0.005
"""m of overlap beyond which contacts count as equally deep."""


@dataclass(frozen=True)
class Touch:
    """Up to 8 contacts for each of N bodies; unused ones have weight 0.

    Attributes:
        state, body: [N] int64, whose contacts.
        partner: [N, 8] int64, the other body.
        kind: [N, 8] int64, its kind.
        phase: [N, 8] int64: 0, where the tool starts, 1, halfway, or 2, where it ends.
        distance: [N, 8] m.
        normal: [N, 8, 3] from the partner towards the body, world axes.
        arm, partner_arm: [N, 8, 3] m from the body's and the partner's frame to the contact, world axes.
        weight: [N, 8] 1 at a contact, smoothly to 0 at `REACH`.
    """

    state: Tensor
    body: Tensor
    partner: Tensor
    kind: Tensor
    phase: Tensor
    distance: Tensor
    normal: Tensor
    arm: Tensor
    partner_arm: Tensor
    weight: Tensor


def travelled(poses: Tensor, ends: Tensor) -> Tensor:
    """[..., 6] translation and rotation vector, world axes, from `poses` to `ends` [..., 7]."""
    turn = pose.multiply_quats(ends[..., 3:], pose.conjugate_quat(poses[..., 3:]))
    return pose.log(torch.cat([ends[..., :3] - poses[..., :3], turn], dim=-1))


def moved(poses: Tensor, motion: Tensor) -> Tensor:
    """Poses [..., 7] displaced by `motion` [..., 6] in world axes, about their own origins."""
    step = pose.exp(motion)
    quat = pose.normalize_quat(pose.multiply_quats(step[..., 3:], poses[..., 3:]))
    still = (motion == 0).all(dim=-1, keepdim=True)
    return torch.where(still, poses, torch.cat([poses[..., :3] + step[..., :3], quat], dim=-1))


def find_touches(scene: Scene, poses: Tensor, ends: Tensor, wanted: Tensor) -> Touch:
    """The contacts that matter most to each wanted body: of every partner and phase the first, then further ones.

    Args:
        scene: of S states.
        poses: [S, B, 7] where all bodies start.
        ends: [S, B, 7] where tools end; rows of other bodies are not read, where they end is what is to be predicted.
        wanted: [S, B] bool, free bodies.
    """
    kernels = native.load()
    state, body = wanted.nonzero().unbind(-1)
    count = len(state)
    first = torch.zeros(len(wanted) + 1, dtype=torch.int64)
    torch.cumsum(wanted.sum(-1), 0, out=first[1:])
    partner, kind, phase = torch.empty(3, count, SLOTS, dtype=torch.int64)
    distance, weight = torch.empty(2, count, SLOTS)
    normal, arm, partner_arm = torch.empty(3, count, SLOTS, 3)
    found = kernels.Touches(partner, kind, phase, distance, normal, arm, partner_arm, weight)
    starts, there, which = scene.posed(poses), scene.posed(ends), scene.flags("wanted", wanted)
    within = room(kernels.touches_room(scene.packed))
    kernels.find_touches(scene.packed, rules(), starts, there, which, first, within, found)
    return Touch(state, body, partner, kind, phase, distance, normal, arm, partner_arm, weight)


def rules() -> Any:
    """The constants as the kernels take them."""
    return native.load().TouchRules(REACH, DEEPEST, [LATER[each] for each in Kind], A_ROW)
