"""The tab that acts: the tool is dragged, or led by keys, and the world answers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import viser
from torch import Tensor

from splatworld.core.checks import InputError
from splatworld.core.state import State
from splatworld.plan.commands import tool_pose
from splatworld.viewer import colors
from splatworld.viewer.acting import Acting, free_name
from splatworld.viewer.callbacks import reported
from splatworld.viewer.clicks import Clicks
from splatworld.viewer.flight import horizontal
from splatworld.viewer.gizmo import Gizmo
from splatworld.viewer.hand import Hand
from splatworld.viewer.markup import table
from splatworld.viewer.source import Source
from splatworld.viewer.timeline import Key
from splatworld.viewer.tracks import Track
from splatworld.viewer.ways import AWAY, DOWN, KEYS, LEFT, NEAR, RIGHT, TURN_LEFT, TURN_RIGHT, UP, stepped

ACTED = "acted by hand"
"""Label of what is done by hand, among the rollouts."""
HANDLES = 0.15
"""m, size of the handles at the tool."""
SECOND = 10
"""Actions of a second."""
UNDO, BACK, RESET = "Undo drag", "Step back", "Reset"


class ActTab:
    """The inputs that act in a world while its rollouts are shown.

    Attributes:
        acting: what was done; None before anything was.
        hand: leads the tool; None before anything was done.
    """

    def __init__(
        self,
        server: viser.ViserServer,
        source: Source,
        clicks: Clicks,
        *,
        acting: Acting,
        now: Callable[[], tuple[Track, float]],
        show: Callable[[Track, float], None],
        rested: Callable[[], None],
    ) -> None:
        """
        Args:
            server: of the page.
            source: of a world in which one can act, see `why_not`.
            clicks: in the picture.
            acting: what was done there so far.
            now: gives the rollout that leads and the time in s that is shown.
            show: shows a rollout at a time, from then on as the one that leads.
            rested: called when what was done is over.
        """
        self._server, self._source, self._clicks, gui = server, source, clicks, server.gui
        self._now, self._show, self._told_rest = now, show, rested
        self._held, self._lock = False, threading.RLock()
        self.acting = acting
        self.hand = Hand(acting, acted=self._acted, rested=self._rested)
        self._gizmo = Gizmo(server, name="/tool", dragged=self._dragged, dropped=self._dropped)
        robot = acting.world.robot
        assert robot is not None
        gui.add_html(table({"Tool": robot.name}))
        self._handles = gui.add_checkbox("Handles", False, hint="at the tool: drag them, it goes after them")
        self._step = gui.add_slider("Key step (cm)", min=0.5, max=10.0, step=0.5, initial_value=2.0)
        ways = gui.add_button_group("As you look", (LEFT, RIGHT, AWAY, NEAR))
        others = gui.add_button_group("Or", (UP, DOWN, TURN_LEFT, TURN_RIGHT))
        gui.add_html(colors.caption("Keys: 4 6 8 2 as the arrows, 9 up, 3 down, 7 and 1 turn."))
        width = float(robot.action.high[6]) if robot.fingers else 0.0
        self._width = gui.add_slider("Gripper (cm)", min=0.0, max=max(100 * width, 0.1), step=0.1,
                                     initial_value=100 * width, visible=bool(robot.fingers))  # fmt: skip
        self._wait = gui.add_button("Let a second go by", icon=viser.Icon.HOURGLASS, color="gray")
        takes = gui.add_button_group("Take back", (UNDO, BACK, RESET))
        self._support = gui.add_checkbox(
            "Support only", acting.support_only,
            hint="of the background only the support is in the way: for captures where it came out rough or hazy",
        )  # fmt: skip
        self._status = gui.add_html("")
        self._name = gui.add_text("Save as", self._free_name(), hint=f"a folder beside {source.name}")
        self._save = gui.add_button("Save what was done", icon=viser.Icon.DEVICE_FLOPPY)
        self._commands = [self._key(label, key) for label, key in KEYS.items()]

        @self._handles.on_update
        @reported
        def _(_: viser.GuiEvent) -> None:
            self.handle(self._handles.value)

        @ways.on_click
        @others.on_click
        @reported
        def _(event: viser.GuiEvent) -> None:
            self.nudge(event.target.value, event.client)

        @self._width.on_update
        @reported
        def _(event: viser.GuiEvent) -> None:
            if event.client is not None:
                self._began()
                self.hand.width = self._width.value / 100
                self.hand.lead(self._tool())

        @self._wait.on_click
        @reported
        def _(_: viser.GuiEvent) -> None:
            self._began()
            self.hand.wait(SECOND)

        @takes.on_click
        @reported
        def _(event: viser.GuiEvent) -> None:
            {UNDO: self.undo, BACK: self.back, RESET: self.reset}[event.target.value]()

        @self._support.on_update
        @reported
        def _(_: viser.GuiEvent) -> None:
            with self.hand.held():
                self.acting.support_only = self._support.value

        @self._save.on_click
        @reported
        def _(_: viser.GuiEvent) -> None:
            self.save(self._name.value)

        self._tell()

    @property
    def track(self) -> Track:
        """What was done, as a rollout for the timeline."""
        return Track(ACTED, self.acting.tape.rollout)

    def handle(self, shown: bool) -> None:
        """Show the handles at the tool, or hide them."""
        self._handles.value = shown  # type: ignore[misc]
        if shown:
            self._put()
        else:
            self._gizmo.remove()

    def nudge(self, way: str, client: viser.ClientHandle | None) -> None:
        """Lead the tool a step on, one of `KEYS` as seen by a browser."""
        self._began()
        right = np.array([1.0, 0.0, 0.0]) if client is None else horizontal(client.camera.wxyz)
        tool = self._tool() if self.hand.target is None else self.hand.target
        self.hand.lead(stepped(tool, way, self._step.value / 100, right))

    def carry_out(self, state: State, actions: Tensor) -> None:
        """Do actions [T, A] from a state on."""
        with self.hand.held():
            self.acting.go_on(state)
            self.hand.carry_out(actions)

    def undo(self) -> None:
        """Take the last drag back."""
        self._change(self.acting.undo)

    def back(self) -> None:
        """Take the last action back."""
        self._change(self.acting.back)

    def reset(self) -> None:
        """Go back to where it began; `undo` brings back what was done."""
        self._change(self.acting.reset)

    def save(self, name: str) -> None:
        """Write what was done to a folder of that name beside the world.

        Raises:
            InputError: no name of a folder, or as `Acting.save`.
        """
        if not name.strip() or "/" in name or name.startswith("."):
            raise InputError(f"save: {name!r} is no name of a folder; choose one without slashes.")
        with self.hand.held():
            self.acting.save(self._source.folder.parent / name.strip())
        self._name.value = self._free_name()  # type: ignore[misc]
        self._tell(f"Saved as {name.strip()}, beside the world; `splatworld view` plays it.")

    def at(self, time: float) -> None:
        """Put the handles where the tool is now."""
        if self._handles.value and not self._held and not self.hand.busy:
            self._put()

    def close(self) -> None:
        """Act no more."""
        self.hand.close()

    def remove(self) -> None:
        """Take what it put into the scene out of it, and its keys off the page."""
        self.close()
        self._gizmo.remove()
        for command in self._commands:
            command.remove()

    def _key(self, way: str, key: Key) -> viser.CommandHandle:
        command = self._server.gui.add_command(f"Tool {way}", hotkey=key)

        @command.on_trigger
        @reported
        def _(event: Any) -> None:
            self.nudge(way, event.client)

        return command

    def _dragged(self, target: Tensor) -> None:
        self._clicks.take()  # who lets handles go has not clicked what is behind them
        with self._lock:
            if not self._held:
                self._held = True
                self._began()
        self.hand.lead(target)

    def _dropped(self, target: Tensor) -> None:
        self._held = False
        self.hand.lead(target)

    def _began(self) -> None:
        """Something is to be done from the instant that is shown; while something is being done, with that."""
        with self.hand.held(stop=False):
            if not self.hand.busy:
                track, time = self._now()
                index, std = track.index(time), track.rollout.std
                self.acting.go_on(track.rollout.states[index], None if std is None else std[index])

    def _change(self, what: Callable[[], None]) -> None:
        with self.hand.held():
            what()
            self._held = False
            self._acted()
            self._rested()

    def _acted(self) -> None:
        track = self.track
        self._show(track, float(track.times[-1]))
        self._tell()

    def _rested(self) -> None:
        self._told_rest()
        self._tell()
        if self._handles.value and not self._held:
            self._put()

    def _tool(self) -> Tensor:
        """[7] where the tool is, at the end of what was done."""
        return tool_pose(self.acting.world, self.acting.state).double().clone()

    def _put(self) -> None:
        track, time = self._now()
        self._gizmo.put(tool_pose(self.acting.world, track.state(time)), HANDLES)

    def _free_name(self) -> str:
        return free_name(self._source.folder.parent, f"{self._source.name}_acted")

    def _tell(self, extra: str = "") -> None:
        tape = self.acting.tape
        blocked = float(tape.rollout.blocked[-1]) if tape.count else 0.0  # type: ignore[index]
        rows = {"Done": f"{tape.count} actions, {tape.count / SECOND:.1f} s" if tape.count else "nothing yet"}
        rows |= {"Blocked": f"{100 * blocked:.0f} % of the last action"} if blocked > 0.01 else {}
        rows |= {"Note": extra or self.hand.says} if extra or self.hand.says else {}
        self._status.content = table(rows)
