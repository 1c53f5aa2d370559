"""The browser's window as a file."""

from __future__ import annotations

import numpy as np
import viser

from splatworld.render.pictures import encode_image
from splatworld.viewer.callbacks import reported
from splatworld.viewer.source import Source

TIMEOUT = 20.0
"""s; a window in the background may never answer."""


def take_screenshot(client: viser.ClientHandle, background: tuple[int, int, int]) -> np.ndarray:
    """What a browser's window shows of the world, [H, W, 3] uint8 sRGB, over a plain background.

    Raises:
        TimeoutError: the browser sent no picture.
    """
    view = client.camera
    drawn = client.get_render(view.image_height, view.image_width, transport_format="png", timeout=TIMEOUT)
    alpha = drawn[..., 3:].astype(np.float32) / 255
    return (drawn[..., :3] * alpha + np.array(background) * (1 - alpha) + 0.5).astype(np.uint8)


def add_screenshot_button(server: viser.ViserServer, source: Source, background: tuple[int, int, int]) -> None:
    """A button that saves the window on the machine of the browser."""
    server.gui.add_markdown("The window as it is, cameras and all.")
    button = server.gui.add_button("Save screenshot", icon=viser.Icon.PHOTO)

    @button.on_click
    @reported
    def _(event: viser.GuiEvent) -> None:
        assert event.client is not None
        picture = encode_image(take_screenshot(event.client, background))
        event.client.send_file_download(f"{source.name}_screenshot.png", picture, save_immediately=True)
