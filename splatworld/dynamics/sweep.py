"""How far tools get before they run into what cannot move."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from splatworld import native
from splatworld.dynamics.projection import SLOP
from splatworld.dynamics.scene import Scene, room
from splatworld.geometry.contacts import REACH

CUTS = 8
"""Places along its way at which a tool is checked against what cannot move."""
HELD_STILL = 1e-7
"""m and rad up to which a commanded tool counts as left alone."""


def sweep_tools(scene: Scene, poses: Tensor, ends: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How far tools get from `poses` to `ends` [S, B, 7] before they run into what cannot move.

    A tool that overlaps it already may move on as long as it gets no deeper.

    Returns:
        [S] the fraction of their way; [S, B, 6] the way that is left, m and rad, 0 of all others; and [S, B, 7] where
        that takes them, all others as in `poses`.
    """
    kernels, done = native.load(), torch.empty(len(poses))
    starts, there = scene.posed(poses), scene.posed(ends)
    way, reached = torch.empty(*poses.shape[:-1], 6, dtype=torch.float64), torch.empty_like(starts)
    kernels.sweep_tools(
        scene.packed, rules(), starts, there, room(kernels.sweep_room(scene.packed)), done, way, reached
    )
    return done, way.to(poses), reached.to(poses)


def rules() -> Any:
    """The constants as the kernels take them."""
    return native.load().SweepRules(SLOP, REACH, HELD_STILL, CUTS)
