"""Which bodies have to be predicted at all, and which of them in short steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from splatworld import native
from splatworld.dynamics.scene import Scene, room
from splatworld.geometry.contacts import REACH

STILL_SPEED, STILL_SPIN = 1e-3, 1e-2
"""m/s and rad/s up to which a body counts as still."""
TOUCHING = 0.003
"""m up to which bodies hang together."""
UPWARD = 0.3
"""Of a contact's normal from which what is below holds a body up."""
APPROACH = 0.02
"""m by which two bodies move against each other in a step from which that may be an impact, if they come nearer and
boxes around them meet on the way."""
TIPPING = 0.5
"""rad/s about a horizontal axis from which a body tips."""
LIFTING = 0.15
"""m/s upward or downward from which a body is not just sliding."""


@dataclass(frozen=True)
class Islands:
    """What is to be done in one action.

    Attributes:
        awake: [S, B] bool, free bodies to predict.
        fine: [S, B] bool, those of them in short steps.
        driven: [S, B] bool, those of them that hang together with a tool that moves.
    """

    awake: Tensor
    fine: Tensor
    driven: Tensor


def still(twists: Tensor) -> Tensor:
    """[...] bool, whether twists [..., 6] are too slow to matter."""
    slow = twists[..., :3].norm(dim=-1) <= STILL_SPEED
    return slow & (twists[..., 3:].norm(dim=-1) <= STILL_SPIN)


def find_islands(
    scene: Scene, poses: Tensor, twists: Tensor, ends: Tensor, seconds: float, *, unsure: Tensor
) -> Islands:
    """The islands of contact that hold something that moves.

    A body is awake if it moves, if it hangs together with what moves, or if nothing holds it up. Bodies are predicted
    in short steps if they, or others in their island, fly, tip, or may collide.

    Args:
        scene: of S states.
        poses: [S, B, 7].
        twists: [S, B, 6].
        ends: [S, B, 7] where tools end.
        seconds: how long the action is.
        unsure: [S, B] bool, bodies whose support may have changed; of those at rest only they are looked at.
    """
    kernels = native.load()
    found = Islands(*torch.empty(3, *scene.free.shape, dtype=torch.bool))
    places = scene.posed(poses), scene.numbers("twists", twists, 6), scene.posed(ends)
    within, gravity = room(kernels.islands_room(scene.packed)), bool(scene.gravity.any())
    kernels.find_islands(
        scene.packed, rules(), *places, scene.flags("unsure", unsure), seconds, gravity, within,
        *(each.view(torch.uint8) for each in vars(found).values()),
    )  # fmt: skip
    return found


def rules() -> Any:
    """The constants as the kernels take them."""
    return native.load().IslandLimits(REACH, TOUCHING, UPWARD, STILL_SPEED, STILL_SPIN, APPROACH, TIPPING, LIFTING)
