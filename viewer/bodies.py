"""The tab of bodies: a list to choose from, what is shown of them, undo and save."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import viser
from torch import Tensor

from splatworld.bodies.build import describe
from splatworld.bodies.joints import family
from splatworld.core import pose
from splatworld.core.body import Body
from splatworld.core.camera import Camera
from splatworld.core.checks import InputError
from splatworld.core.world import World, rest_state
from splatworld.viewer import colors
from splatworld.viewer.body_list import listing
from splatworld.viewer.body_nodes import COMPLETED, BodyNodes
from splatworld.viewer.body_tab import BodyTab
from splatworld.viewer.callbacks import reported
from splatworld.viewer.clicks import Clicks
from splatworld.viewer.corrections import Corrections
from splatworld.viewer.crop import limited
from splatworld.viewer.edits import Edits
from splatworld.viewer.picking import grown, picked

NONE = "none"
SELECT, GROW, IGNORE = "selects a body", "makes a body of what stands there", "does nothing"


class BodiesTab(BodyTab):
    """What is selected, hidden and corrected of a world's bodies.

    Attributes:
        edits: the corrections.
        nodes: the bodies in the scene.
        selected: name of a body, None for no body.
        hidden: names of the bodies that are not shown.
        corrections: the part that corrects the selected body.
    """

    def __init__(
        self,
        server: viser.ViserServer,
        edits: Edits,
        nodes: BodyNodes,
        clicks: Clicks,
        changed: Callable[[], None],
    ) -> None:
        """
        Args:
            server: of the page.
            edits: of the world.
            nodes: its splats in the scene.
            clicks: in the picture.
            changed: called when bodies were changed.
        """
        super().__init__(clicks, self._clicked)
        self.edits, self.nodes, self._changed = edits, nodes, changed
        self.selected: str | None = None
        self._drawn, self._rows = edits.world, describe(edits.world)
        self._doing = "working"
        gui = server.gui
        self._status = gui.add_html("")
        self._bar = gui.add_progress_bar(100, animated=True, visible=False)
        history = gui.add_button_group("", ("Undo", "Redo"))
        self._save = gui.add_button("Save", icon=viser.Icon.DEVICE_FLOPPY, disabled=True)
        self._list = gui.add_html("")
        self._choice = gui.add_dropdown("Selected", (NONE,))
        self._add_show(server)
        self._marked = gui.add_checkbox("Mark completed splats", False, hint="what no camera saw and was made up")
        self._legend = gui.add_html(colors.swatches([("completed", COMPLETED)]), visible=False)
        self._mode = gui.add_dropdown("A click", (SELECT, GROW, IGNORE), hint="what a click in the picture does")
        self.corrections = Corrections(server, self)

        @history.on_click
        @reported
        def _(event: viser.GuiEvent) -> None:
            self.step(back=event.target.value == "Undo")

        @self._save.on_click
        @reported
        def _(_: viser.GuiEvent) -> None:
            self.save()

        @self._choice.on_update
        @reported
        def _(event: viser.GuiEvent) -> None:
            if event.client is not None:  # chosen by hand
                index = self._choice.options.index(self._choice.value) - 1
                self.select(None if index < 0 else self.edits.world.bodies[index].name)

        @self._marked.on_update
        def _(_: viser.GuiEvent) -> None:
            self.refresh()

        self.refresh()

    @property
    def index(self) -> int | None:
        """Of the selected body."""
        names = [body.name for body in self.edits.world.bodies]
        return names.index(self.selected) if self.selected in names else None

    def chosen(self, verb: str) -> Body:
        """The selected body.

        Raises:
            InputError: none is.
        """
        if self.index is None:
            raise InputError(f"{verb}: no body is selected; click one or choose it in the list.")
        return self.edits.world.bodies[self.index]

    def select(self, name: str | None) -> None:
        """Make a body the one that is corrected and highlighted; None for no body."""
        self.selected = name
        self.refresh()

    def correct(self, what: str, change: Callable[[World], World], *, select: str | None = None) -> None:
        """Correct the world and show what came of it; on an error all stays as it was.

        Args:
            what: is done, in a few words.
            change: as of `Edits.apply`.
            select: name of the body to select afterwards; the same one by default, the newest one for "".

        Raises:
            InputError: as `Edits.apply`.
        """
        before = self.edits.world
        try:
            with self._working(what):
                self.edits.apply(what, change)
            if select is not None and self.edits.world is not before:
                self.selected = select or self.edits.world.bodies[-1].name
        finally:
            self.refresh()

    def preview(self, world_from_body: Tensor) -> None:
        """Show the selected body and all that hangs on it as if it rested at a pose [7], until the next `refresh`."""
        self._clicks.take()  # who lets handles go has not clicked what is behind them
        with self._lock:
            index, world = self.index, self.edits.world
            if self._closed or index is None:
                return
            change = pose.compose(world_from_body, pose.inverse(world.bodies[index].rest_pose.double()))
            for i in family(world, index):
                self.nodes.place(i, pose.compose(change, world.bodies[i].rest_pose.double()).numpy())

    def step(self, *, back: bool) -> None:
        """Undo or redo one correction.

        Raises:
            InputError: there is none.
        """
        (self.edits.undo if back else self.edits.redo)()
        self.refresh()

    def save(self) -> None:
        """Write the corrected world to disk.

        Raises:
            InputError: as `Edits.save`.
        """
        try:
            with self._working("saving"):
                self.edits.save(self._progress)
        finally:
            self.refresh()

    def pick(self, camera: Camera, pixel: Tensor) -> str:
        """Select the body that a pixel [2] of a view shows, of those that are not hidden; returns its name.

        Raises:
            InputError: the pixel shows nothing.
        """
        world = limited(self.edits.world, self.shown, self.nodes.box, set())
        name = world.bodies[picked(world, camera, pixel, self.shown)].name
        self.select(name)
        return name

    def grow(self, camera: Camera, pixel: Tensor) -> None:
        """Make a body of what stands up from the support at a pixel [2] of a view; select it if it is one already.

        Raises:
            InputError: nothing stands there, or bodies are hidden that might.
        """
        if len(self.shown) < len(self.edits.world.bodies):
            raise InputError("click: bodies are hidden; show all of them first.")
        before = self.edits.world
        self.correct("new body by a click", lambda world: grown(world, camera, pixel), select="")
        if self.edits.world is before:
            self.pick(camera, pixel)

    def refresh(self) -> None:
        """Bring list, scene and inputs up to the world as it is now."""
        with self._lock:
            if self._closed:
                return
            world = self.edits.world
            names = [body.name for body in world.bodies]
            self.hidden &= set(names)
            if self.selected not in names:
                self.selected, self.alone = None, False
            index = self.index
            labels = (NONE, *(f"{i}  {name}" for i, name in enumerate(names)))
            if labels != self._choice.options:
                self._choice.options = labels
            self._choice.value = labels[0 if index is None else index + 1]  # type: ignore[misc]
            if world is not self._drawn:
                self.nodes.show(world)
                self._drawn, self._rows = world, describe(world)
                self._changed()
            self.nodes.pose(rest_state(world))
            # The background would hide everything else in its colour.
            self.nodes.tint({index: colors.body_color(index)} if index else {}, completed=self._marked.value)
            self.nodes.reveal(self.shown)
            self._legend.visible = self._marked.value
            self._list.content = listing(self._rows, index, self.shown, metric=world.scale.source != "none")
            self._status.content = colors.caption(self._said())
            self._save.disabled = not self.edits.unsaved
            self.corrections.follow(world, index)

    def remove(self) -> None:
        """As `BodyTab.remove`."""
        super().remove()
        self.corrections.remove()

    def _selected(self, verb: str) -> str:
        return self.chosen(verb).name

    def _clicked(self, client: viser.ClientHandle, camera: Camera, pixel: Tensor) -> None:
        if self._mode.value == SELECT:
            self.pick(camera, pixel)
        elif self._mode.value == GROW:
            self.grow(camera, pixel)

    @property
    def shown(self) -> set[int]:
        """Indices of the bodies that are shown."""
        if self.alone and self.index is not None:
            return {self.index}
        return {i for i, body in enumerate(self.edits.world.bodies) if body.name not in self.hidden}

    def _said(self) -> str:
        if self.edits.busy:
            return f"{self._doing} ..."
        past, future = self.edits.past, self.edits.future
        said = [f"undo: {past[-1]}"] if past else []
        said += [f"redo: {future[-1]}"] if future else []
        return "; ".join([("Not saved" if self.edits.unsaved else "As on disk"), *said])

    @contextlib.contextmanager
    def _working(self, what: str) -> Iterator[None]:
        """Tell what is being done while it takes its time."""
        with self._lock:
            if not self._closed and not self.edits.busy:
                self._doing, self._bar.visible = what, True
                self._status.content = colors.caption(f"{what} ...")
        try:
            yield
        finally:
            with self._lock:
                if not self._closed:
                    self._bar.visible = self.edits.busy  # of another browser

    def _progress(self, stage: str, done: int = 0, total: int = 0) -> None:
        self._doing = f"saving: {stage.removeprefix('bodies: ')}" + (f", {done} of {total}" if total else "")
        with self._lock:
            if not self._closed:
                self._status.content = colors.caption(self._said())
