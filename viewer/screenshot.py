"""The browser's window as a file."""

from __future__ import annotations

import numpy as np
import viser

from splatworld.pictures import encode_image
from splatworld.viewer.downloads import add_download
from splatworld.viewer.source import Source
from splatworld.viewer.theme import Theme

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


def add_screenshot_button(server: viser.ViserServer, source: Source, theme: Theme) -> None:
    """A button that saves the window on the machine of the browser."""
    server.gui.add_markdown("The window as it is, cameras and all.")

    def made(client: viser.ClientHandle) -> tuple[str, bytes]:
        return f"{source.name}_screenshot.png", encode_image(take_screenshot(client, theme.background))

    add_download(server, "Save screenshot", made, icon=viser.Icon.PHOTO)
