"""Handles in the picture by which a body is dragged and turned."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import viser
from torch import Tensor

from splatworld.viewer.callbacks import reported

STILL = 1e-6
"""m and parts of a quaternion by which handles that were only clicked may be off."""


class Gizmo:
    """Arrows and arcs about one pose in the scene; none until they are put somewhere."""

    def __init__(
        self,
        server: viser.ViserServer,
        *,
        name: str = "/gizmo",
        level: bool = False,
        dragged: Callable[[Tensor], None],
        dropped: Callable[[Tensor], None],
    ) -> None:
        """
        Args:
            server: of the page.
            name: of its node in the scene.
            level: whether it moves along the ground alone and turns about the vertical.
            dragged: told the pose [7] again and again while the handles are held.
            dropped: told the pose [7] where they were let go, if that is another one than where they were put.
        """
        self._server, self._name, self._dragged, self._dropped = server, name, dragged, dropped
        self._axes = (True, True, not level)
        self._handle: viser.TransformControlsHandle | None = None
        self._start = np.zeros(7)

    def put(self, world_from_body: Tensor, size: float) -> None:
        """Show the handles at a pose [7], arrows two thirds of `size` m long."""
        place = self._start = world_from_body.double().numpy().copy()
        if self._handle is None:
            # With a depth test: without one the browser paints splats over them, behind or not.
            self._handle = self._server.scene.add_transform_controls(
                self._name, size, active_axes=self._axes, position=place[:3], wxyz=place[3:]
            )
            self._handle.on_update(self._moved)
        else:
            self._handle.scale = size
            self._handle.position, self._handle.wxyz = place[:3], place[3:]

    def remove(self) -> None:
        """Take the handles out of the scene."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    @reported
    def _moved(self, event: viser.TransformControlsEvent) -> None:
        # The handle's own pose, not the event's: events may come out of order, and this one is always the latest.
        now = np.concatenate([event.target.position, event.target.wxyz])
        if event.phase != "end":
            self._dragged(torch.from_numpy(now))
        elif not np.abs(now - self._start).max() <= STILL:
            self._dropped(torch.from_numpy(now))
