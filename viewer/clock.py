"""The clock of a timeline: which instant is shown, and how it goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from splatworld.core.robot import ACTION_SECONDS
from splatworld.viewer.worker import Worker


class Clock(Worker):
    """Counts the steps of 0.1 s of a timeline, from 0 to `last`; instants between them there are none.

    Attributes:
        last: number of the last step.
        step: which one is shown.
        playing: whether it goes on by itself.
        speed: seconds of the timeline in a second.
        loop: whether it begins anew at the end.
    """

    def __init__(self, last: int, show: Callable[[int], None]) -> None:
        """
        Args:
            last: number of the last step.
            show: told the step to show, by one thread at a time.
        """
        self.last, self._show = last, show
        self.step, self.playing, self.speed, self.loop = 0, False, 1.0, True
        super().__init__()
        self._due = 0.0
        self._showing = threading.RLock()
        self._thread.start()

    def play(self) -> None:
        """Go on; from the beginning where the end is shown."""
        with self._changed:
            if self.step == self.last:
                self.step = 0
            self.playing, self._due = self.last > 0, time.monotonic()
            self._changed.notify()

    def pause(self) -> None:
        """Stop where it is."""
        with self._changed:
            self.playing = False
            self._changed.notify()
        self._refresh()

    def toggle(self) -> None:
        """Play or pause."""
        (self.pause if self.playing else self.play)()

    def seek(self, step: int) -> None:
        """Pause, and show a step; the first or the last one where there is none of that number."""
        with self._changed:
            self.playing, self.step = False, min(max(step, 0), self.last)
        self._refresh()

    def resize(self, last: int, step: int) -> None:
        """Another number of steps, of which one is shown already."""
        with self._changed:
            self.last, self.step = last, min(max(step, 0), last)

    def move(self, steps: int) -> None:
        """Pause, and go so many steps on."""
        self.seek(self.step + steps)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (self.playing or self._closed):
                    self._changed.wait()
                if self._closed:
                    return
                wait = self._due - time.monotonic()
                if wait > 0:
                    self._changed.wait(wait)
                    continue
                self._advance(-wait)
            self._refresh()

    def _advance(self, late: float) -> None:
        """Go one step on, or as many as became due where showing took longer than a step."""
        period = ACTION_SECONDS / self.speed
        steps = 1 + int(late / period)
        self._due += steps * period
        self.step += steps
        if self.step >= self.last:
            # The last one is shown for one step before it begins anew.
            over = self.step > self.last and self.loop
            self.step = 0 if over else self.last
            self.playing = self.loop

    def _refresh(self) -> None:
        with self._showing:
            if not self._closed:
                self._show(self.step)
