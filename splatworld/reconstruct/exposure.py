"""Each frame's own brightness and white balance, kept apart from the world's colours."""

from __future__ import annotations

import torch
from torch import Tensor

from splatworld.reconstruct.parameters import BETA1, BETA2, EPSILON


class Exposures:
    """A log gain a channel and training frame; their mean over the frames is zero, so that they cannot tint the world.

    Attributes:
        log_gains: [T, 3].
    """

    def __init__(self, frames: int, rate: float) -> None:
        self.log_gains = torch.zeros(frames, 3)
        self._first, self._second = torch.zeros(frames, 3), torch.zeros(frames, 3)
        self._steps = torch.zeros(frames, 1)
        self._rate = rate

    def gain(self, frame: int) -> Tensor:
        """[3] factor on the rendered colours of a training frame."""
        return self.log_gains[frame].exp()

    def step(self, frame: int, gradient: Tensor) -> None:
        """Adam on one frame's gain, given the gradient [3] of its log."""
        self._steps[frame] += 1
        self._first[frame] = BETA1 * self._first[frame] + (1 - BETA1) * gradient
        self._second[frame] = BETA2 * self._second[frame] + (1 - BETA2) * gradient**2
        first = self._first[frame] / (1 - BETA1 ** self._steps[frame])
        second = self._second[frame] / (1 - BETA2 ** self._steps[frame])
        self.log_gains[frame] -= self._rate * first / (second.sqrt() + EPSILON)
        self.log_gains -= self.log_gains.mean(dim=0)

    def state(self) -> dict[str, Tensor]:
        """All that a later step depends on."""
        return {"log_gains": self.log_gains, "first": self._first, "second": self._second, "steps": self._steps}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from what `state` returned."""
        self.log_gains, self._steps = state["log_gains"], state["steps"]
        self._first, self._second = state["first"], state["second"]


def interpolate_gains(log_gains: Tensor, times: Tensor, at: Tensor) -> Tensor:
    """Gains [Q, 3] at times `at` [Q], see `interpolate`. A held-out frame's exposure is never read from its pixels."""
    return interpolate(log_gains, times, at).exp().float()


def interpolate(values: Tensor, times: Tensor, at: Tensor) -> Tensor:
    """Values [Q, D] float64 at times `at` [Q], linear between those [T, D] at `times` [T] and constant beyond."""
    order = torch.argsort(times, stable=True)
    known, times = values[order].double(), times[order].double()
    right = torch.searchsorted(times, at.double()).clamp(1, max(len(times) - 1, 1))
    if len(times) == 1:
        return known.expand(len(at), -1).clone()
    left = right - 1
    span = (times[right] - times[left]).clamp(min=1e-9)
    share = ((at.double() - times[left]) / span).clamp(0, 1)[:, None]
    return (1 - share) * known[left] + share * known[right]
