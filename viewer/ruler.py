"""Measure between two clicked points."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import torch
import viser
from torch import Tensor

from splatworld.core.camera import Camera
from splatworld.core.checks import InputError
from splatworld.viewer import colors
from splatworld.viewer.clicks import Clicks

COLOR = (255, 170, 0)
BALL = 0.006
"""Radius of a point's mark, as a share of the distance at which it was clicked."""


class Ruler:
    """The inputs that measure; their marks in the scene go with them.

    Attributes:
        points: [3] each, in the world's unit, at most two.
    """

    def __init__(
        self,
        server: viser.ViserServer,
        clicks: Clicks,
        seen: Callable[[Camera, Tensor], Tensor | None],
        *,
        metric: bool,
    ) -> None:
        """
        Args:
            server: of the page.
            clicks: in the picture.
            seen: gives the point [3] that a pixel [2] of a view shows, None for nothing.
            metric: whether lengths are in m.
        """
        self.points: list[Tensor] = []
        self._server, self._clicks, self._seen, self._metric = server, clicks, seen, metric
        self._marks: list[viser.SceneNodeHandle] = []
        self._lock, gui = threading.RLock(), server.gui
        gui.add_html(colors.caption("How far apart are two things? Click the one and the other in the picture."))
        self._pick = gui.add_button("Pick two points", icon=viser.Icon.RULER_MEASURE)
        self._told = gui.add_html("")
        self._forget = gui.add_button("Clear", icon=viser.Icon.X, color="gray", visible=False)

        @self._pick.on_click
        def _(_: viser.GuiEvent) -> None:
            self.begin()

        @self._forget.on_click
        def _(_: viser.GuiEvent) -> None:
            self.clear()

    def begin(self) -> None:
        """Forget the points and listen for two clicks."""
        self.clear()
        self._pick.disabled, self._pick.label = True, "Click the first point"
        self._forget.visible = True
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
            line = ends.numpy().astype(np.float32)[None]
            self._marks.append(self._server.scene.add_line_segments(
                "/measure/line", line, COLOR, thickness=3, thickness_units="screen"
            ))  # fmt: skip
            self._marks.append(self._server.scene.add_label(
                "/measure/length", self._words(ends[1] - ends[0]), position=ends.mean(dim=0).numpy(),
                anchor="bottom-center",
            ))  # fmt: skip
            self._told.content = colors.caption(self._said(ends[1] - ends[0]))
            self._pick.disabled, self._pick.label = False, "Pick two other points"
        self._measured()

    def clear(self) -> None:
        """Forget the points, and listen no longer."""
        self._clicks.release(self._clicked)
        with self._lock:
            for mark in self._marks:
                mark.remove()
            self._marks, self.points = [], []
            self._pick.disabled, self._pick.label = False, "Pick two points"
            self._forget.visible, self._told.content = False, ""
        self._measured()

    def remove(self) -> None:
        """Take the marks out of the scene and listen no longer."""
        self.clear()

    def _clicked(self, client: viser.ClientHandle, camera: Camera, pixel: Tensor) -> None:
        point = self._seen(camera, pixel)
        if point is None:
            raise InputError("measure: nothing is seen there; click on something.")
        self.add(point, float((point - camera.world_from_camera[:3]).norm()))

    def _measured(self) -> None:
        """There are two points now, or none any more."""

    def _words(self, way: Tensor) -> str:
        length = float(way.norm())
        return f"{100 * length:.1f} cm" if self._metric else f"{length:.4g} capture units"

    def _said(self, way: Tensor) -> str:
        return f"{self._words(way)} apart: {self._words(way[:2])} along the ground, {self._words(way[2:])} upward."
