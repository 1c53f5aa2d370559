"""Who is told of clicks in the picture."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import torch
import viser
from torch import Tensor

from splatworld.core.camera import Camera
from splatworld.viewer.callbacks import reported
from splatworld.viewer.flight import camera_of

Listener = Callable[[viser.ClientHandle, Camera, Tensor], None]
"""Told the browser, the camera of its window, and the pixel [2] that was clicked."""
TOGETHER = 0.1
"""s, within which the browser tells of one click twice: by the thing that was clicked, and by the picture."""


class Clicks:
    """Clicks in the picture go to the listener that asked last and has not let go."""

    def __init__(self, server: viser.ViserServer) -> None:
        self._server = server
        self._listeners: list[Listener] = []
        self._lock, self._taken = threading.Lock(), 0.0
        self._listening = False

    def listen(self, listener: Listener) -> None:
        """Send clicks to a listener until it is released."""
        with self._lock:
            self._listeners.append(listener)
            if not self._listening:
                self._server.scene.on_click()(self._clicked)
                self._listening = True

    def release(self, listener: Listener) -> None:
        """Send clicks to the listener before."""
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)
            if self._listening and not self._listeners:
                self._server.scene.remove_click_callback(self._clicked)
                self._listening = False

    def take(self) -> None:
        """A click hit a thing that is told of it by itself: the picture is not told."""
        self._taken = time.monotonic()

    @reported
    def _clicked(self, event: viser.SceneClickEvent) -> None:
        camera = camera_of(event.client.camera)
        time.sleep(TOGETHER)
        with self._lock:
            listener = self._listeners[-1] if self._listeners else None
        if listener is None or time.monotonic() - self._taken < 2 * TOGETHER:
            return
        size = torch.tensor(camera.size, dtype=torch.float64)
        pixel = torch.tensor(event.screen_pos, dtype=torch.float64) * size
        listener(event.client, camera, pixel.clamp(min=0).minimum(size - 1e-6))
