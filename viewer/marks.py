"""Marks in the scene that say what happens in a rollout: the ways of bodies, and where they touch."""

from __future__ import annotations

import numpy as np
import viser

from splatworld.viewer import colors
from splatworld.viewer.asked import Asked
from splatworld.viewer.layers import Layer
from splatworld.viewer.stage import Stage

PIECES = 2000
"""Straight pieces of which a way is drawn at most."""
TOUCH = (255, 60, 60)
ARROW, THICK = 0.05, 0.002
"""m, length of a contact's normal and radius of its shaft."""


class Marks:
    """Trails and contacts of the rollouts on a stage."""

    def __init__(self, server: viser.ViserServer, asked: Asked, stage: Stage) -> None:
        self._server, self._asked, self._stage = server, asked, stage
        self.trails = self.contacts = False
        self._lines: list[viser.SceneNodeHandle] = []
        self._touches: list[viser.SceneNodeHandle] = []

    def arrange(self) -> None:
        """Draw the trails anew, after others are shown or they are asked for or not."""
        for line in self._lines:
            line.remove()
        self._lines = []
        if not self.trails:
            return
        for number, layer in self._stage.layers.items():
            for body in sorted(layer.track.moving):
                way = layer.track.poses[:: 1 + len(layer.track.poses) // PIECES, body, :3] + layer.offset
                if len(way) > 1 and np.ptp(way, axis=0).max() > 0:
                    self._lines.append(self._line(number, body, way.astype(np.float32)))

    def at(self, time: float) -> None:
        """Show what touches at a time."""
        for mark in self._touches:
            mark.remove()
        self._touches = []
        if self.contacts:
            self._touches = [mark for layer in [self._stage.layers[self._stage.lead]] for mark in self._of(layer, time)]

    def remove(self) -> None:
        """Take them out of the scene."""
        for mark in (*self._lines, *self._touches):
            mark.remove()
        self._lines, self._touches = [], []

    def _of(self, layer: Layer, time: float) -> list[viser.SceneNodeHandle]:
        found = self._asked.contacts(layer.track, time)
        if not len(found):
            return []
        points = found.point.double().numpy() + layer.offset
        ends = points - ARROW * found.normal.double().numpy()  # towards the second body: from the ground, up
        arrows = self._server.scene.add_arrows(
            "/contacts", np.stack([points, ends], axis=1).astype(np.float32), TOUCH, shaft_radius=THICK,
            head_radius=2.5 * THICK, head_length=6 * THICK,
        )  # fmt: skip
        return [arrows]

    def _line(self, number: int, body: int, way: np.ndarray) -> viser.SceneNodeHandle:
        own = number == self._stage.lead
        color = colors.body_color(body) if own else colors.track_color(number)
        pieces = np.stack([way[:-1], way[1:]], axis=1)
        return self._server.scene.add_line_segments(
            f"/trails/{number}/{body}", pieces, color, thickness=3, thickness_units="screen"
        )
