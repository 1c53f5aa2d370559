"""Keeping a deadline: how many candidates can still be predicted in the time that is left."""

from __future__ import annotations

import time
from collections import deque

OVERHEAD = 12
"""Candidates whose prediction takes as long as what a batch costs whatever its size."""
CAUTION = 1.15
"""Times the longest of the last few batches that a batch is expected to take."""


class Clock:
    """Learns how long batches take, over as many plans as it is kept."""

    def __init__(self) -> None:
        self._rates: deque[float] = deque(maxlen=12)  # s a candidate
        self._tails: deque[float] = deque(maxlen=12)  # s from the last batch to the end of a plan
        self._end = float("inf")

    def start(self, begin: float, deadline: float | None) -> None:
        """A plan that began at `begin`, by `time.perf_counter`, must be ready after `deadline` s."""
        self._end = float("inf") if deadline is None else begin + deadline

    def fits(self) -> float:
        """Candidates for which there is time; infinite without a deadline, 1 while nothing is known."""
        if self._end == float("inf"):
            return float("inf")
        if not self._rates:
            return 1
        left = self._end - time.perf_counter() - max(self._tails, default=0.005)
        return left / (CAUTION * max(self._rates)) - OVERHEAD

    def took(self, seconds: float, count: int) -> None:
        """A batch of so many candidates took so long."""
        self._rates.append(seconds / (count + OVERHEAD))

    def ended(self, seconds: float) -> None:
        """So long from the last batch to the end of a plan."""
        self._tails.append(seconds)
