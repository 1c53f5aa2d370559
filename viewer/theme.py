"""Dark or light: the page, what is behind the splats, and the pictures that are saved of both."""

from __future__ import annotations

import viser

BACKGROUNDS = {True: (20, 20, 20), False: (255, 255, 255)}
"""Colour behind the splats, of the dark and of the light page."""


class Theme:
    """How the page looks; the same for every world that is shown.

    Attributes:
        dark: whether it is dark.
    """

    def __init__(self, server: viser.ViserServer) -> None:
        self._server = server
        self.choose(dark=True)

    @property
    def background(self) -> tuple[int, int, int]:
        """Colour behind the splats."""
        return BACKGROUNDS[self.dark]

    def choose(self, *, dark: bool) -> None:
        """Make the page dark or light, in every browser that looks."""
        self.dark = dark
        self._server.gui.configure_theme(
            dark_mode=dark, show_logo=False, show_share_button=False, control_width="large"
        )

    def add_switch(self) -> None:
        """The input that chooses."""
        switch = self._server.gui.add_checkbox("Dark", self.dark)

        @switch.on_update
        def _(_: viser.GuiEvent) -> None:
            self.choose(dark=switch.value)
