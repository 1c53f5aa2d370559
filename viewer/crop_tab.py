"""The inputs of a box outside of which splats are left out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import product

import numpy as np
import torch
import viser

from splatworld.core.world import World
from splatworld.viewer import colors
from splatworld.viewer.callbacks import reported
from splatworld.viewer.crop import Box, extent

COLOR = (120, 200, 255)
MARGIN, BELOW = 0.25, 0.05
"""Of the size of all bodies: room that is left around and below them."""
WIDER = 0.1
"""Of the world's size: how far the box can go beyond the middle of its splats."""
_CORNERS = np.array(list(product((0, 1), repeat=3)))
EDGES = np.array([(a, b) for a, b in product(_CORNERS, repeat=2) if (b - a).min() == 0 and (b - a).sum() == 1])
"""[12, 2, 3] the ends of a cube's edges, each 0 or 1."""


class Crop:
    """A box that is shown in the scene, and what it leaves of a world."""

    def __init__(self, server: viser.ViserServer, world: World, changed: Callable[[Box | None], None]) -> None:
        """
        Args:
            server: of the page.
            world: that is cropped.
            changed: told the box, None for none.
        """
        self._server, self._changed, gui = server, changed, server.gui
        self._lock = threading.Lock()
        self._edges: viser.LineSegmentsHandle | None = None
        low, high = (corner.double().numpy() for corner in extent(world.splats.means))
        low, high = low - WIDER * (high - low), high + WIDER * (high - low)
        high = np.maximum(high, low + 1e-3)
        digits = int(max(0, 2 - np.floor(np.log10((high - low).max()))))
        self._low, self._high = low.round(digits), (high + 0.1**digits).round(digits)
        begin = around_bodies(world)
        with gui.add_folder("Crop"):
            self._on = gui.add_checkbox("Crop to a box", False, hint="what rests outside is left out, of pictures too")
            self._sides = [
                gui.add_multi_slider(
                    name, min=float(self._low[axis]), max=float(self._high[axis]), step=0.1**digits,
                    initial_value=self._between(begin, axis), visible=False, hint="at its ends there is no border",
                )
                for axis, name in enumerate(("x", "y", "z"))
            ]  # fmt: skip
            self._told = gui.add_html(colors.caption("Bodies that move stay whole."), visible=False)

        @reported
        def updated(event: viser.GuiEvent) -> None:
            if event.client is not None:  # by hand
                self._apply()

        self._on.on_update(updated)
        for side in self._sides:
            side.on_update(updated)

    @property
    def box(self) -> Box | None:
        """As the inputs say; None while there is none."""
        if not self._on.value:
            return None
        low, high = np.array([side.value for side in self._sides], float).T
        low[low <= [side.min for side in self._sides]] = -np.inf
        high[high >= [side.max for side in self._sides]] = np.inf
        return Box(low, high)

    def choose(self, low: np.ndarray, high: np.ndarray) -> None:
        """Crop to a box from one corner [3] to the other."""
        for axis, side in enumerate(self._sides):
            side.value = self._between(Box(low, high), axis)  # type: ignore[misc]
        self._on.value = True  # type: ignore[misc]
        self._apply()

    def remove(self) -> None:
        """Take the box's edges out of the scene."""
        if self._edges is not None:
            self._edges.remove()
            self._edges = None

    def _apply(self) -> None:
        """Crop as the inputs say; where they said otherwise meanwhile, that comes behind."""
        wanted = self._values()
        with self._lock:
            if wanted != self._values():
                return
            for side in self._sides:
                side.visible = self._on.value
            self._told.visible = self._on.value
            self._draw()
            self._changed(self.box)

    def _values(self) -> list[object]:
        return [self._on.value, *(side.value for side in self._sides)]

    def _between(self, box: Box, axis: int) -> tuple[float, float]:
        """The box's ends along an axis, as far as the input goes."""
        low, high = (float(np.clip(end[axis], self._low[axis], self._high[axis])) for end in (box.low, box.high))
        return round(low, 4), round(high, 4)

    def _draw(self) -> None:
        self.remove()
        if self._on.value:
            ends = np.array([side.value for side in self._sides]).T
            lines = (ends[0] + EDGES * (ends[1] - ends[0])).astype(np.float32)
            self._edges = self._server.scene.add_line_segments(
                "/crop", lines, COLOR, thickness=1.5, thickness_units="screen"
            )


def around_bodies(world: World) -> Box:
    """A box around the bodies that are no background; around the middle of the splats where there are none."""
    things = [index for index, body in enumerate(world.bodies) if body.kind not in ("static", "robot")]
    own = torch.isin(world.splats.body_ids, torch.tensor(things, dtype=world.splats.body_ids.dtype))
    low, high = (corner.double().numpy() for corner in extent(world.splats.means[own if own.any() else ...]))
    size = float(np.linalg.norm(high - low))
    return Box(low - size * np.array([MARGIN, MARGIN, BELOW]), high + size * MARGIN)
