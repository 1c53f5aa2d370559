"""The tab of bodies while rollouts are shown: which there are, what one does now, what is marked in the scene."""

from __future__ import annotations

import numpy as np
import viser
from torch import Tensor

from splatworld.bodies.build import describe
from splatworld.core.camera import Camera
from splatworld.core.checks import InputError
from splatworld.core.world import World
from splatworld.viewer import colors
from splatworld.viewer.asked import Asked, facts
from splatworld.viewer.body_list import listing
from splatworld.viewer.body_tab import BodyTab
from splatworld.viewer.callbacks import reported
from splatworld.viewer.clicks import Clicks
from splatworld.viewer.marks import Marks
from splatworld.viewer.markup import table
from splatworld.viewer.paint import Paint
from splatworld.viewer.picking import Seen
from splatworld.viewer.stage import Stage
from splatworld.viewer.timeline import Timeline

NONE = "none"


class WatchTab(BodyTab):
    """What is selected, hidden and followed of a world's bodies while its rollouts are shown.

    Attributes:
        selected: index of a body, None for no body.
        hidden: indices of the bodies that are not shown.
        marks: trails and contacts.
    """

    def __init__(
        self, server: viser.ViserServer, asked: Asked, stage: Stage, timeline: Timeline, clicks: Clicks
    ) -> None:
        super().__init__(clicks, self.pick)
        self._server, self._asked, self._stage, self._timeline = server, asked, stage, timeline
        self.selected: int | None = None
        self._seen: Seen | None = None
        self._place, gui = np.zeros(3), server.gui
        self.marks = Marks(server, asked, stage)
        self._rows = describe(self.world)
        self._labels = (NONE, *(f"{i}  {body.name}" for i, body in enumerate(self.world.bodies)))
        self._choice = gui.add_dropdown("Selected", self._labels, hint="or click it in the picture")
        self._told = gui.add_html(colors.caption("Click a body to see where it is, how fast, and what it touches."))
        self._follow = gui.add_checkbox("Follow it", False, hint="the view goes with it")
        self._add_show(server)
        self._trails = gui.add_checkbox("Trails", False, hint="the ways of all bodies that move")
        self._contacts = gui.add_checkbox("Contacts", False, hint="where bodies touch, and which way they press")
        self._paint = Paint(self.world, stage)
        self._colors = gui.add_dropdown("Colours", self._paint.kinds, hint="of bodies, by a number")
        self._legend = gui.add_html("")
        self._list = gui.add_html("")

        @self._choice.on_update
        @reported
        def _(event: viser.GuiEvent) -> None:
            if event.client is not None:  # chosen by hand
                index = self._labels.index(self._choice.value) - 1
                self.select(None if index < 0 else index)

        @self._follow.on_update
        def _(_: viser.GuiEvent) -> None:
            self._place = self._where()

        @self._trails.on_update
        @reported
        def _(_: viser.GuiEvent) -> None:
            self.marks.trails = self._trails.value
            self.marks.arrange()

        @self._contacts.on_update
        @reported
        def _(_: viser.GuiEvent) -> None:
            self.marks.contacts = self._contacts.value
            self.at(self._timeline.time)

        @self._colors.on_update
        @reported
        def _(event: viser.GuiEvent) -> None:
            if event.client is not None:  # chosen by hand
                self.paint(self._colors.value)

        self.refresh()

    @property
    def world(self) -> World:
        return self._asked.world

    def pick(self, client: viser.ClientHandle, camera: Camera, pixel: Tensor) -> None:
        """Select the body that a pixel [2] of a view shows, of those that are not hidden.

        Raises:
            InputError: the pixel shows nothing.
        """
        found = self._stage.seen(camera, pixel)
        if found is None:
            raise InputError("click: there is nothing solid at this pixel; choose another.")
        self.select(found.body, found)

    def select(self, index: int | None, seen: Seen | None = None) -> None:
        """Make a body the one that is told of; None for no body."""
        with self._lock:
            self.selected, self._seen = index, seen
            self._place = self._where()
        self.refresh()

    def paint(self, kind: str) -> None:
        """Colour bodies by a number, one of `Paint.kinds`."""
        with self._lock:
            self._paint.kind = kind
            self._legend.content = self._paint.arrange()
            kinds = self._paint.kinds
            if self._colors.options != kinds:
                self._colors.options = kinds
            self._colors.value = self._paint.kind  # type: ignore[misc]
            self._paint.at(self._timeline.time)

    def arranged(self) -> None:
        """Bring marks and figures up to the rollouts as they are arranged now."""
        with self._lock:
            self._seen, self._place = None, self._where()
            self.paint(self._paint.kind)
        self.marks.arrange()
        self.refresh()

    def refresh(self) -> None:
        """Bring list, scene and figures up to what is selected and hidden now."""
        with self._lock:
            if self._closed:
                return
            index = self.selected
            self._choice.value = self._labels[0 if index is None else index + 1]  # type: ignore[misc]
            shown = self._shown()
            self._stage.reveal(shown)
            self._list.content = listing(self._rows, index, shown, metric=self.world.scale.source != "none")
            self.at(self._timeline.time)

    def at(self, time: float) -> None:
        """Tell, mark and follow what is so at a time in s."""
        with self._lock:
            if self._closed:
                return
            self.marks.at(time)
            self._paint.at(time)
            if self.selected is None:
                return
            self._follow_it()
            lead = self._stage.lead
            others = [self._stage.tracks[number] for number in self._stage.layers if number != lead]
            rows = facts(self._asked, self._stage.tracks[lead], time, self.selected, others)
            if self._seen is not None:
                rows["Splat clicked"] = self._seen.told(metric=self.world.scale.source != "none")
            self._told.content = table({"Body": self.world.bodies[self.selected].name, **rows})

    def remove(self) -> None:
        """As `BodyTab.remove`."""
        super().remove()
        self.marks.remove()

    def _follow_it(self) -> None:
        now = self._where()
        step, self._place = now - self._place, now
        if self._follow.value and step.any():
            for client in self._server.get_clients().values():
                with client.atomic():
                    target = client.camera.look_at + step
                    client.camera.position = client.camera.position + step
                    client.camera.look_at = target

    def _where(self) -> np.ndarray:
        """[3] of the selected body."""
        if self.selected is None:
            return np.zeros(3)
        track = self._stage.tracks[self._stage.lead]
        return track.poses[track.index(self._timeline.time), self.selected, :3]

    def _selected(self, verb: str) -> int:
        if self.selected is None:
            raise InputError(f"{verb}: no body is selected; click one or choose it in the list.")
        return self.selected

    def _shown(self) -> set[int]:
        if self.alone and self.selected is not None:
            return {self.selected}
        return set(range(len(self.world.bodies))) - self.hidden
