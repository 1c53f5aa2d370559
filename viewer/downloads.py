"""Buttons that save a file on the machine of the browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import viser

from splatworld.viewer.callbacks import reported


def add_download(
    server: viser.ViserServer, label: str, made: Callable[[viser.ClientHandle], tuple[str, bytes] | None], **look: Any
) -> viser.GuiButtonHandle:
    """A button that sends a file to who presses it.

    Args:
        server: of the page.
        label: of the button.
        made: makes the file for a browser: its name and what it holds; None for no file after all. The button waits
            meanwhile.
        look: further arguments of viser's `add_button`.
    """
    button = server.gui.add_button(label, **look)

    @button.on_click
    @reported
    def _(event: viser.GuiEvent) -> None:
        assert event.client is not None
        button.disabled = True
        try:
            file = made(event.client)
        finally:
            button.disabled = False
        if file is not None:
            event.client.send_file_download(*file, save_immediately=True)

    return button
