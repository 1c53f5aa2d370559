"""What corrects the selected body: name, kind, merge, split, remove, move, and a box for a new one."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Protocol

import numpy as np
import torch
import viser
from torch import Tensor

from splatworld.bodies import correct, edit, kinds, remove
from splatworld.core import pose
from splatworld.core.body import Body
from splatworld.core.checks import InputError
from splatworld.core.world import World
from splatworld.viewer.callbacks import reported
from splatworld.viewer.edits import Edits
from splatworld.viewer.gizmo import Gizmo

KINDS = ("rigid", "static", "deformable")
"""What a body can be made; articulated ones are made with `splatworld segment --joint`."""
HANDLES = 1.2
"""Size of the handles by which a body is moved, in longest sides of it: their arrows then reach out of it."""
BOX_COLOR = (255, 200, 60)


class Selection(Protocol):
    """What corrections need to know of the tab: the world, and which of its bodies is selected."""

    edits: Edits

    @property
    def index(self) -> int | None: ...

    def chosen(self, verb: str) -> Body: ...

    def correct(self, what: str, change: Callable[[World], World], *, select: str | None = None) -> None: ...

    def preview(self, world_from_body: Tensor) -> None: ...

    def refresh(self) -> None: ...


class Corrections:
    """The inputs that correct the selected body of a tab, and their marks in the scene."""

    def __init__(self, server: viser.ViserServer, tab: Selection) -> None:
        self._server, self._tab, gui = server, tab, server.gui
        self._box: viser.LineSegmentsHandle | None = None
        with gui.add_folder("Name and kind"):
            self._name = gui.add_text("Name", "")
            self._rename = gui.add_button("Rename", color="gray")
            self._kind = gui.add_dropdown("Kind", KINDS)
        with gui.add_folder("Merge, split, remove"):
            self._other = gui.add_dropdown("With", ("",), hint="a body merged with the background is no body any more")
            self._merge = gui.add_button("Merge", color="gray")
            self._split = gui.add_button("Split in two", color="gray")
            self._remove = gui.add_button("Remove", icon=viser.Icon.TRASH, color="red")
        self._gizmo = Gizmo(server, dragged=tab.preview, dropped=self._drop)
        with gui.add_folder("Move", expand_by_default=False):
            self._handles = gui.add_checkbox(
                "Handles in the picture", False, hint="drag an arrow, a square or an arc; letting go moves the body"
            )
            self._place = gui.add_vector3("Place", (0.0, 0.0, 0.0), step=0.001, hint="x, y, z of its middle")
            self._yaw = gui.add_number("Yaw (deg)", 0.0, step=0.1)
            self._shadow = gui.add_checkbox(
                "Light its shadow", True, hint="the one that it casts where it was captured"
            )
            self._move = gui.add_button("Move", color="gray")
        with gui.add_folder("New body from a box", expand_by_default=False):
            self._low = gui.add_vector3("Low corner", (-0.05, -0.05, 0.0), step=0.001)
            self._high = gui.add_vector3("High corner", (0.05, 0.05, 0.1), step=0.001)
            self._around = gui.add_button("Put it around the selected body", color="gray")
            self._boxed = gui.add_checkbox("Show the box", False)
            self._box_name = gui.add_text("Its name", "")
            self._make = gui.add_button("Make a body of what is inside", color="gray")
        self._listen()

    def rename(self, name: str) -> None:
        """Call the selected body otherwise."""
        old = self._tab.chosen("rename").name
        self._tab.correct(f"rename {old}", lambda world: correct.rename(world, old, name), select=name)

    def set_kind(self, kind: str) -> None:
        """Make the selected body rigid, static or deformable."""
        name = self._tab.chosen("kind").name

        def changed(world: World) -> World:
            return kinds.make_deformable(world, name) if kind == "deformable" else correct.set_kind(world, name, kind)

        self._tab.correct(f"{name} {kind}", changed)

    def merge(self, other: str) -> None:
        """Make another body part of the selected one."""
        name = self._tab.chosen("merge").name
        self._tab.correct(f"merge {name} and {other}", lambda world: correct.merge(world, [name, other]))

    def split(self) -> None:
        """Part the selected body in two."""
        name = self._tab.chosen("split").name
        self._tab.correct(f"split {name}", lambda world: correct.split(world, name))

    def remove_body(self) -> None:
        """Take the selected body out of the world."""
        name = self._tab.chosen("remove").name
        self._tab.correct(f"remove {name}", lambda world: remove.without(world, [name]))

    def move(self, world_from_body: Tensor, *, light: bool) -> None:
        """Put the selected body elsewhere.

        Args:
            world_from_body: [7] where it shall rest.
            light: take back the shadow that it casts where it was captured; a body that was moved has none.
        """
        name = self._tab.chosen("move").name
        what = f"move {name}"

        def moved(world: World) -> World:
            there = edit.move(world, name, world_from_body)
            if there is world or not light or what in self._tab.edits.past:
                return there
            past = self._tab.edits.past
            away = tuple(i for i, body in enumerate(world.bodies) if f"move {body.name}" in past)
            lit = remove.uncovered(world, [correct.body_index(world, name)], moved=away)
            return edit.move(lit, name, world_from_body)

        self._tab.correct(what, moved)

    def drag(self, on: bool) -> None:
        """Show handles at the selected body by which it is moved in the picture, or show none."""
        self._handles.value = on  # type: ignore[misc]
        self._tab.refresh()

    def make_box(self, low: Tensor, high: Tensor, name: str) -> None:
        """Make a body of what lies in a box from `low` [3] to `high` [3]."""
        named = name.strip() or None
        self._tab.correct("new body from a box", lambda world: correct.box(world, low, high, name=named), select="")

    def follow(self, world: World, index: int | None) -> None:
        """Show in the inputs what is true of the selected body."""
        body = None if index is None else world.bodies[index]
        others = tuple(other.name for other in world.bodies if other is not body)
        if others and others != self._other.options:
            self._other.options = others
        if body is None or not index or not self._handles.value:
            self._gizmo.remove()
        else:
            self._gizmo.put(body.rest_pose, HANDLES * _longest(world, index))
        if body is None:
            return
        self._name.value = body.name  # type: ignore[misc]
        options = KINDS if body.kind in KINDS else (*KINDS, body.kind)
        if options != self._kind.options:
            self._kind.options = options
        self._kind.value = body.kind  # type: ignore[misc]
        self._place.value = tuple(body.rest_pose[:3].tolist())  # type: ignore[misc]
        self._yaw.value = math.degrees(heading(body.rest_pose))  # type: ignore[misc]

    def remove(self) -> None:
        """Take the marks out of the scene."""
        self._drop_box()
        self._gizmo.remove()

    def _listen(self) -> None:
        @self._rename.on_click
        @reported
        def _(_: viser.GuiEvent) -> None:
            self.rename(self._name.value)

        @self._kind.on_update
        @reported
        def _(event: viser.GuiEvent) -> None:
            if event.client is not None:  # chosen by hand
                self.set_kind(self._kind.value)

        @self._merge.on_click
        @reported
        def _(_: viser.GuiEvent) -> None:
            self.merge(self._other.value)

        @self._split.on_click
        @reported
        def _(_: viser.GuiEvent) -> None:
            self.split()

        @self._remove.on_click
        @reported
        def _(_: viser.GuiEvent) -> None:
            self.remove_body()

        @self._handles.on_update
        @reported
        def _(event: viser.GuiEvent) -> None:
            if event.client is not None:  # set by hand
                self.drag(self._handles.value)

        @self._move.on_click
        @reported
        def _(_: viser.GuiEvent) -> None:
            rest = self._tab.chosen("move").rest_pose
            target = turned(rest, torch.tensor(self._place.value), math.radians(self._yaw.value))
            self.move(target, light=self._shadow.value)

        @self._around.on_click
        @reported
        def _(_: viser.GuiEvent) -> None:
            self._surround()

        @self._make.on_click
        @reported
        def _(_: viser.GuiEvent) -> None:
            self.make_box(torch.tensor(self._low.value), torch.tensor(self._high.value), self._box_name.value)

        for given in (self._low, self._high, self._boxed):

            @given.on_update
            def _(_: viser.GuiEvent) -> None:
                self._draw_box()

    def _drop(self, world_from_body: Tensor) -> None:
        self.move(world_from_body, light=self._shadow.value)

    def _surround(self) -> None:
        body = self._tab.chosen("box")
        world = self._tab.edits.world
        own = world.splats.means[world.splats.body_ids == self._tab.index]
        if not len(own):
            raise InputError(f"box: {body.name!r} has no splats to put a box around.")
        low, high = own.quantile(0.01, dim=0), own.quantile(0.99, dim=0)
        self._low.value = tuple(low.tolist())  # type: ignore[misc]
        self._high.value = tuple(high.tolist())  # type: ignore[misc]
        self._boxed.value = True  # type: ignore[misc]

    def _draw_box(self) -> None:
        self._drop_box()
        if self._boxed.value:
            lines = edges(np.array(self._low.value), np.array(self._high.value))
            self._box = self._server.scene.add_line_segments(
                "/box", lines, BOX_COLOR, thickness=2, thickness_units="screen"
            )

    def _drop_box(self) -> None:
        if self._box is not None:
            self._box.remove()
            self._box = None


def _longest(world: World, index: int) -> float:
    """Longest side in m of a body's splats, strays left out; of a body of few, that of something small."""
    own = world.splats.means[world.splats.body_ids == index]
    sides = own.quantile(0.99, dim=0) - own.quantile(0.01, dim=0) if len(own) else torch.zeros(3)
    return max(float(sides.max()), 0.02)


def heading(world_from_body: Tensor) -> float:
    """The angle in rad about the vertical at which the x axis of a pose [7] points."""
    along = pose.quat_to_matrix(world_from_body[3:].double())[:, 0]
    return math.atan2(float(along[1]), float(along[0]))


def turned(world_from_body: Tensor, place: Tensor, yaw: float) -> Tensor:
    """A pose [7] at `place` [3], turned about the vertical so that its heading is `yaw` rad."""
    half = (yaw - heading(world_from_body)) / 2
    turn = torch.tensor([math.cos(half), 0.0, 0.0, math.sin(half)], dtype=torch.float64)
    return torch.cat([place.double(), pose.multiply_quats(turn, world_from_body[3:].double())])


def edges(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """[12, 2, 3] float32, the edges of a box between two corners [3]."""
    corners = [np.where(pick, high, low) for pick in product((0, 1), repeat=3)]
    found = [(corners[i], corners[i | bit]) for i in range(8) for bit in (1, 2, 4) if not i & bit]
    return np.array(found, dtype=np.float32)
