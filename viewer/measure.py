"""Set the world's scale by a length that is known: two clicked points, and how far apart they are in truth."""

from __future__ import annotations

from collections.abc import Callable

import torch
import viser
from torch import Tensor

from splatworld.bodies.rescale import rescale_saved
from splatworld.capture.scale import scale_from_length
from splatworld.core.camera import Camera
from splatworld.core.checks import InputError
from splatworld.core.world import Scale
from splatworld.viewer import colors
from splatworld.viewer.callbacks import reported
from splatworld.viewer.clicks import Clicks
from splatworld.viewer.edits import Edits
from splatworld.viewer.ruler import Ruler


class Measure(Ruler):
    """A ruler that also sets the scale of a world on disk by what it measured."""

    def __init__(
        self,
        server: viser.ViserServer,
        clicks: Clicks,
        seen: Callable[[Camera, Tensor], Tensor | None],
        edits: Edits,
        saved: Callable[[], None],
    ) -> None:
        """
        Args:
            server, clicks, seen: as of `Ruler`.
            edits: of the world.
            saved: called once the world on disk has its new scale.
        """
        super().__init__(server, clicks, seen, metric=edits.source.world.scale.source != "none")
        self._edits, self._saved, gui = edits, saved, server.gui
        with gui.add_folder("Scale"):
            gui.add_html(colors.caption(
                "If you know the true distance of the two points, such as the ends of a ruler, it gives the world its "
                "metres. Take points far apart, on things and not on their edges."
            ))  # fmt: skip
            self._known = gui.add_number("True length (m)", 0.1, min=0.0, step=0.0001, disabled=True)
            self._save = gui.add_button("Set the scale and save", icon=viser.Icon.DEVICE_FLOPPY, disabled=True)

        @self._save.on_click
        @reported
        def _(_: viser.GuiEvent) -> None:
            self.save(float(self._known.value))

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

    def _measured(self) -> None:
        there = len(self.points) == 2
        self._known.disabled = self._save.disabled = not there
        if there:
            self._known.value = float((self.points[1] - self.points[0]).norm())  # type: ignore[misc]
