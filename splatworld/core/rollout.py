"""States and the commands between them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from splatworld.core.checks import ShapeError, check_shape
from splatworld.core.state import State


@dataclass(frozen=True)
class Rollout:
    """A world's states under a sequence of actions.

    Attributes:
        actions: [..., T, A] what was commanded.
        states: batch [..., T + 1], what was achieved.
        world_id: checksum of the world the states belong to.
        std: optional [..., T + 1, B, 6] predicted standard deviation of each body's pose (m, rad), world axes.
        blocked: optional [..., T] fraction of each action that the robot could not carry out.
        stopped: optional [...] int64 after how many actions a prediction broke down, T where it did not; states
            beyond repeat the last good one.
    """

    actions: Tensor
    states: State
    world_id: str
    std: Tensor | None = None
    blocked: Tensor | None = None
    stopped: Tensor | None = None

    def __post_init__(self) -> None:
        check_shape("Rollout", "actions", self.actions, ("...", "T", "A"))
        steps = self.actions.shape[-2]
        if self.states.batch[-1:] != (steps + 1,):
            raise ShapeError(f"Rollout: states have batch {self.states.batch}, expected {steps + 1} steps last.")
