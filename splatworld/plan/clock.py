"""Keeping a deadline: how many candidates can still be predicted in the time that is left."""

from __future__ import annotations

import time
from collections import deque

import numpy as np

MEMORY = 24
"""Batches that are remembered."""
OVERHEAD = 20.0
"""Candidates that take as long as a batch of none, as long as batches of one size only are known."""
CAUTION = 1.05
"""Times the longest that a remembered batch took against what was expected."""


class Clock:
    """Learns how long batches take, over as many plans as it is kept."""

    def __init__(self) -> None:
        self._batches: deque[tuple[int, float]] = deque(maxlen=MEMORY)  # candidates, s
        self._tails: deque[float] = deque(maxlen=MEMORY)  # s from the last batch to the end of a plan
        self._end = float("inf")

    def start(self, begin: float, deadline: float | None) -> None:
        """A plan that began at `begin`, by `time.perf_counter`, must be ready after `deadline` s."""
        self._end = float("inf") if deadline is None else begin + deadline

    def fits(self) -> float:
        """Candidates for which there is time; infinite without a deadline, 1 while nothing is known."""
        if self._end == float("inf"):
            return float("inf")
        if not self._batches:
            return 1
        left = self._end - time.perf_counter() - max(self._tails, default=0.005)
        fixed, each = self._line()
        return (left - fixed) / each

    def took(self, seconds: float, count: int) -> None:
        """A batch of so many candidates took so long."""
        self._batches.append((count, seconds))

    def ended(self, seconds: float) -> None:
        """So long from the last batch to the end of a plan."""
        self._tails.append(seconds)

    def _line(self) -> tuple[float, float]:
        """s a batch and s a candidate, such that no remembered batch took longer."""
        counts, seconds = np.array(self._batches).T
        slope, fixed = 0.0, -1.0
        if len(np.unique(counts)) > 1:
            slope, fixed = np.polyfit(counts, seconds, 1)
        if slope <= 0 or fixed < 0:
            slope = float((seconds / (counts + OVERHEAD)).mean())
            fixed = OVERHEAD * slope
        worst = CAUTION * float((seconds / (fixed + slope * counts)).max())
        return worst * float(fixed), worst * float(slope)
