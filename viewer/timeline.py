"""The part of the page that plays: time, play, steps, speed, and their keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import viser

from splatworld.core.robot import ACTION_SECONDS
from splatworld.viewer import colors
from splatworld.viewer.callbacks import reported
from splatworld.viewer.clock import Clock

SPEEDS = {"1/8 x": 0.125, "1/4 x": 0.25, "1/2 x": 0.5, "1 x": 1.0, "2 x": 2.0, "4 x": 4.0}
FIRST, BACK, PLAY, ON, LAST = "|◀", "◀", "▶ ❚❚", "▶", "▶|"
LEAP = 10
"""Steps of the keys that go far."""

Key = Literal[
    "space", "N", "B", "home", "end", "pageup", "pagedown", "L", "F", "1", "2", "3", "4", "6", "7", "8", "9"
]  # fmt: skip


class Timeline:
    """The inputs of a clock.

    Attributes:
        clock: that is steered.
    """

    def __init__(self, server: viser.ViserServer, start: float, last: int, show: Callable[[float], None]) -> None:
        """
        Args:
            server: of the page.
            start: s, the time of step 0.
            last: number of the last step.
            show: told the time to show, in s.
        """
        self._start, self._show, gui = start, show, server.gui
        end = _end(start, last)
        self._slider = gui.add_slider(
            "Time (s)",
            min=start,
            max=end,
            step=ACTION_SECONDS,
            initial_value=start,
            hint="drag it: nothing is interpolated",
        )
        self._buttons = gui.add_button_group("", (FIRST, BACK, PLAY, ON, LAST))
        self._speed = gui.add_dropdown("Speed", tuple(SPEEDS), initial_value="1 x")
        self._loop = gui.add_checkbox("Loop", True)
        self._keys = gui.add_html(
            colors.caption("Space plays; B and N step, PgUp and PgDn by a second; Home, End; L loops, F goes faster.")
        )
        self.clock = Clock(last, self._shown)
        clock = self.clock
        self._does: dict[str, Callable[[], None]] = {
            FIRST: lambda: clock.seek(0), BACK: lambda: clock.move(-1), PLAY: clock.toggle, ON: lambda: clock.move(1),
            LAST: lambda: clock.seek(clock.last),
        }  # fmt: skip
        self._commands = [
            self._key(server, "Play or pause", "space", clock.toggle),
            self._key(server, "A step on", "N", self._does[ON]),
            self._key(server, "A step back", "B", self._does[BACK]),
            self._key(server, "To the beginning", "home", self._does[FIRST]),
            self._key(server, "To the end", "end", self._does[LAST]),
            self._key(server, "A second on", "pagedown", lambda: clock.move(LEAP)),
            self._key(server, "A second back", "pageup", lambda: clock.move(-LEAP)),
            self._key(server, "Loop", "L", self._toggle_loop),
            self._key(server, "Next speed", "F", self._faster),
        ]

        @self._slider.on_update
        @reported
        def _(event: viser.GuiEvent) -> None:
            if event.client is not None:  # dragged by hand; the latest place, as events may come out of order
                self.seek(self._slider.value)

        @self._buttons.on_click
        @reported
        def _(event: viser.GuiEvent) -> None:
            self._does[event.target.value]()

        @self._speed.on_update
        def _(_: viser.GuiEvent) -> None:
            clock.speed = SPEEDS[self._speed.value]

        @self._loop.on_update
        def _(_: viser.GuiEvent) -> None:
            clock.loop = self._loop.value

    @property
    def time(self) -> float:
        """s, of the step that is shown."""
        return self._start + self.clock.step * ACTION_SECONDS

    @property
    def end(self) -> float:
        """s, of the last step."""
        return self._start + self.clock.last * ACTION_SECONDS

    def cover(self, start: float, last: int) -> None:
        """Go from another time in s on, so many steps; what is shown stays if it is among them."""
        if (start, last) == (self._start, self.clock.last):
            return
        time, self._start = self.time, start
        self._slider.min, self._slider.max = start, _end(start, last)
        self.clock.resize(last, round((time - start) / ACTION_SECONDS))

    def seek(self, time: float) -> None:
        """Pause, and show the step that is nearest to a time in s."""
        self.clock.seek(round((time - self._start) / ACTION_SECONDS))

    def close(self) -> None:
        """Play no more."""
        self.clock.close()

    def remove(self) -> None:
        """Take its inputs off the page."""
        self.close()
        for handle in (self._slider, self._buttons, self._speed, self._loop, self._keys):
            handle.remove()
        for command in self._commands:
            command.remove()

    def _shown(self, step: int) -> None:
        self._slider.value = round(self._start + step * ACTION_SECONDS, 9)  # type: ignore[misc]
        self._show(self.time)

    def _key(self, server: viser.ViserServer, label: str, key: Key, does: Callable[[], None]) -> viser.CommandHandle:
        command = server.gui.add_command(label, hotkey=key)

        @command.on_trigger
        @reported
        def _(_: Any) -> None:
            does()

        return command

    def _toggle_loop(self) -> None:
        self.clock.loop = not self.clock.loop
        self._loop.value = self.clock.loop  # type: ignore[misc]

    def _faster(self) -> None:
        names = list(SPEEDS)
        self._speed.value = names[(names.index(self._speed.value) + 1) % len(names)]  # type: ignore[misc]
        self.clock.speed = SPEEDS[self._speed.value]


def _end(start: float, last: int) -> float:
    """s at the right end of the slider, which has to have a length."""
    return round(start + max(last, 1) * ACTION_SECONDS, 9)
