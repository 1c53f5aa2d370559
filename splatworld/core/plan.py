"""What to do next."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from splatworld.core.checks import ShapeError, check_shape
from splatworld.core.rollout import Rollout


@dataclass(frozen=True)
class Plan:
    """A sequence of actions and what they are predicted to do.

    Attributes:
        actions: [H, A] as `world.robot.action` says, 0.1 s each; none where nothing is to be done or can be.
        cost: of the prediction, as the goal counts it, averaged over beliefs.
        prediction: the rollout of the actions, H + 1 states.
        spread: standard deviation of the cost over beliefs; 0 where there is one belief.
        infeasible: why the goal cannot be reached, in a sentence; None as far as is known.
        candidates: how many sequences were predicted.
        seconds: s that planning took.
    """

    actions: Tensor
    cost: float
    prediction: Rollout
    spread: float
    infeasible: str | None = None
    candidates: int = 0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        check_shape("Plan", "actions", self.actions, ("H", "A"))
        if self.prediction.actions.shape != self.actions.shape:
            given = list(self.prediction.actions.shape)
            raise ShapeError(f"Plan: the prediction is of actions {given}, expected {list(self.actions.shape)}.")

    def __len__(self) -> int:
        return len(self.actions)
