"""Measure between two clicked points, and set the world's scale by a length that is known."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import torch
import viser
from torch import Tensor

from splatworld.bodies.rescale import points_at, rescale_saved
from splatworld.capture.scale import scale_from_length
from splatworld.core.camera import Camera
from splatworld.core.checks import InputError
from splatworld.core.world import Scale
from splatworld.viewer.callbacks import reported
from splatworld.viewer.clicks import Clicks
from splatworld.viewer.edits import Edits

COLOR = (255, 170, 0)
BALL = 0.006
"""Radius of a point's mark, as a share of the distance at which it was clicked."""


class Measure:
    """The part of the page that measures; its marks in the scene go with it.

    Attributes:
        points: [3] each, in the world's unit, at most two.
    """

    def __init__(self, server: viser.ViserServer, edits: Edits, clicks: Clicks, saved: Callable[[], None]) -> None:
        """
        Args:
            server: of the page.
            edits: of the world.
            clicks: in the picture.
            saved: called once the world on disk has its new scale.
        """
        self.points: list[Tensor] = []
        self._server, self._edits, self._clicks, self._saved = server, edits, clicks, saved
        self._marks: list[viser.SceneNodeHandle] = []
        self._lock, gui = threading.Lock(), server.gui
        gui.add_markdown(
            "Click two points whose distance you know, such as the ends of a ruler: on things, not on their edges, and "
            "far apart."
        )
        self._pick = gui.add_button("Pick two points", icon=viser.Icon.RULER_MEASURE)
        self._length = gui.add_html("")
        self._known = gui.add_number("True length (m)", 0.1, min=0.0, step=0.0001, disabled=True)
        self._save = gui.add_button("Set the scale and save", icon=viser.Icon.DEVICE_FLOPPY, disabled=True)

        @self._pick.on_click
        def _(_: viser.GuiEvent) -> None:
            self.begin()

        @self._save.on_click
        @reported
        def _(_: viser.GuiEvent) -> None:
            self.save(float(self._known.value))

    def begin(self) -> None:
        """Forget the points and listen for two clicks."""
        self._clear()
        self._pick.disabled, self._pick.label = True, "Click the first point"
        self._clicks.release(self._clicked)
        self._clicks.listen(self._clicked)

    def add(self, point: Tensor, distance: float) -> None:
        """Take a point [3] that was seen from `distance` away."""
        with self._lock:
            self.points.append(point.double())
            name = f"/measure/{len(self.points)}"
            place = tuple(point.tolist())
            self._marks.append(self._server.scene.add_icosphere(name, BALL * distance, COLOR, position=place))
            if len(self.points) < 2:
                self._pick.label = "Click the second point"
                return
        self._clicks.release(self._clicked)
        ends = torch.stack(self.points)
        length = float((ends[1] - ends[0]).norm())
        line = ends.numpy().astype(np.float32)[None]
        self._marks.append(
            self._server.scene.add_line_segments("/measure/line", line, COLOR, thickness=3, thickness_units="screen")
        )
        self._length.content = (
            f'<p style="font-size:13px;margin:0.4em 0.8em">These are {length:.4g} {self._edits.source.unit} apart.</p>'
        )
        self._known.value = length  # type: ignore[misc]
        self._known.disabled = self._save.disabled = False
        self._pick.disabled, self._pick.label = False, "Pick two other points"

    def save(self, metres: float) -> Scale:
        """Rescale the world on disk so that the two points are `metres` apart.

        Raises:
            InputError: no two points yet, no length, or the world on disk is another than the one that is shown.
        """
        if len(self.points) < 2:
            raise InputError("scale: click two points first.")
        scale = scale_from_length(torch.stack(self.points), metres)
        with self._edits.saved("scale"):
            world, _ = rescale_saved(self._edits.source.folder, scale)
        self._saved()
        return world.scale

    def remove(self) -> None:
        """Take the marks out of the scene and listen no longer."""
        self._clicks.release(self._clicked)
        self._clear()

    def _clicked(self, client: viser.ClientHandle, camera: Camera, pixel: Tensor) -> None:
        (point,) = points_at(self._edits.world, camera, pixel[None])
        self.add(point, float((point - camera.world_from_camera[:3]).norm()))

    def _clear(self) -> None:
        with self._lock:
            for mark in self._marks:
                mark.remove()
            self._marks, self.points = [], []
        self._known.disabled = self._save.disabled = True
        self._length.content = ""
