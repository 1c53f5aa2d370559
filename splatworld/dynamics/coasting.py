"""Where bodies go that are as they are believed to be: what the network corrects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from splatworld import native
from splatworld.core.latents import FRICTION
from splatworld.dynamics.projection import SLOP
from splatworld.dynamics.scene import Scene, room
from splatworld.dynamics.touch import Touch
from splatworld.geometry.contacts import REACH

STEPS, SECONDS = (2, 3), 0.05
"""Steps in times up to `SECONDS`, and in longer ones."""
ITERATIONS, SETTLED = 16, 1e-3
"""Of Gauss and Seidel for each body that moves, at most; and m/s, below which changes end them, over the square of the
number of bodies: piles take longer, and fall if they are not given the time."""
NEAR = 0.003
"""m apart after a step, were there no contacts, up to which a contact is one."""


@dataclass(frozen=True)
class Coasting:
    """How N bodies move if the network says nothing, world axes.

    Attributes:
        motion: [N, 6] m and rad during the step.
        twist: [N, 6] m/s and rad/s after it.
    """

    motion: Tensor
    twist: Tensor


def coast(
    scene: Scene, touch: Touch, poses: Tensor, twists: Tensor, latents: Tensor, ends: Tensor, seconds: float
) -> Coasting:
    """Rigid bodies pushed by tools, by each other and by what they stand on.

    Implicit steps of which each finds its contacts anew, with Coulomb's friction (Jean, "The non-smooth contact
    dynamics method", 1999; Stewart and Trinkle, "An implicit time-stepping scheme for rigid body dynamics with
    inelastic collisions and Coulomb friction", 1996). Nothing bounces. Tools go straight to their ends. Of other free
    bodies than those of `touch` nothing is seen: they are asleep.

    Only of bodies that touch nothing there are gradients, in their twists. All else passes none: the network learns
    what to add, not how to change what it is added to.

    Args:
        scene: of S states.
        touch: of N bodies.
        poses: [S, B, 7].
        twists: [S, B, 6].
        latents: [S, B, 8] what is believed of them, as `core/latents.py` tells.
        ends: [S, B, 7] where tools end.
        seconds: how long the step is.
    """
    kernels, at = native.load(), (touch.state, touch.body)
    first = torch.zeros(len(poses) + 1, dtype=torch.int64)
    torch.cumsum(torch.bincount(touch.state, minlength=len(poses)), 0, out=first[1:])
    motion, twist = torch.empty(2, len(touch.state), 6)
    kernels.coast_bodies(
        scene.packed, rules(seconds), first, touch.body.contiguous(), scene.posed(poses),
        scene.numbers("twists", twists, 6), scene.posed(ends), scene.typical_mass.contiguous(),
        latents.detach().float().contiguous(), scene.solids.spread, scene.gravity.float(), seconds,
        room(kernels.coasting_room(scene.packed)), motion, twist,
    )  # fmt: skip
    before, fall = twists[at].float(), torch.cat([scene.gravity.float(), torch.zeros(3)])
    touched = (touch.weight > 0).any(-1, keepdim=True)
    return Coasting(
        motion=torch.where(touched, motion, seconds * before + 0.5 * seconds**2 * fall),
        twist=torch.where(touched, twist, before + seconds * fall),
    )


def rules(seconds: float) -> Any:
    """The constants of steps that are so long as the kernels take them."""
    steps = STEPS[seconds > SECONDS]
    return native.load().CoastingRules(REACH, NEAR, SLOP, FRICTION, SETTLED, steps, ITERATIONS)
