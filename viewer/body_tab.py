"""What the tabs of bodies have in common: which bodies are shown, and the end of the tab."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Hashable
from typing import Any

import viser

from splatworld.viewer.callbacks import reported
from splatworld.viewer.clicks import Clicks, Listener


class BodyTab(ABC):
    """Hides bodies and listens to clicks.

    Attributes:
        hidden: the bodies that are not shown.
        alone: whether only the selected body is shown.
    """

    def __init__(self, clicks: Clicks, listener: Listener) -> None:
        self.hidden: set[Any] = set()
        self.alone = self._closed = False
        self._clicks, self._listener = clicks, listener
        self._lock = threading.RLock()
        clicks.listen(listener)

    def hide(self) -> None:
        """Hide the selected body, or show it again."""
        self.hidden ^= {self._selected("hide")}
        self.refresh()

    def isolate(self) -> None:
        """Show nothing but the selected body."""
        self.hidden -= {self._selected("show")}
        self.alone = True
        self.refresh()

    def show_all(self) -> None:
        """Show every body."""
        self.hidden, self.alone = set(), False
        self.refresh()

    @abstractmethod
    def refresh(self) -> None:
        """Bring the page up to what is selected and hidden now."""

    def close(self) -> None:
        """Change nothing more on the page; waits for what is being shown."""
        with self._lock:
            self._closed = True

    def remove(self) -> None:
        """Take what it put into the scene out of it and listen no longer."""
        self.close()
        self._clicks.release(self._listener)

    @abstractmethod
    def _selected(self, verb: str) -> Hashable:
        """What stands for the selected body among the hidden ones.

        Raises:
            InputError: none is selected.
        """

    def _add_show(self, server: viser.ViserServer) -> None:
        show = server.gui.add_button_group("Show", ("Hide it", "Alone", "All"))

        @show.on_click
        @reported
        def _(event: viser.GuiEvent) -> None:
            {"Hide it": self.hide, "Alone": self.isolate, "All": self.show_all}[event.target.value]()
