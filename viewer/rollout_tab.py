"""The tab of rollouts: which one leads, how the others are shown, and what happens in it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import viser

from splatworld.core.world import World
from splatworld.viewer import colors
from splatworld.viewer.callbacks import reported
from splatworld.viewer.markup import table
from splatworld.viewer.stage import ALONE, MODES, Stage
from splatworld.viewer.tracks import Track

STILL = 1e-3
"""m that a body must go to be listed."""


class RolloutTab:
    """The inputs that arrange a stage."""

    def __init__(self, server: viser.ViserServer, world: World, stage: Stage, arranged: Callable[[], None]) -> None:
        """
        Args:
            server: of the page.
            world: of the rollouts.
            stage: that is arranged.
            arranged: called when it was.
        """
        self._world, self._stage, self._arranged, gui = world, stage, arranged, server.gui
        self._checks: list[viser.GuiCheckboxHandle] = []
        self._gui = gui
        self._lead = gui.add_dropdown("Rollout", tuple(track.label for track in stage.tracks))
        self._mode = gui.add_dropdown("The others", MODES, initial_value=stage.mode)
        self._shown = gui.add_folder("Shown")
        self._legend = gui.add_html("")
        self._told = gui.add_html("")

        @reported
        def chosen(event: viser.GuiEvent) -> None:
            if event.client is not None:  # by hand
                self.arrange()

        self._chosen = chosen
        self._lead.on_update(chosen)
        self._mode.on_update(chosen)
        self._add()
        self._tell()

    def arrange(self, *, lead: str | None = None, mode: str | None = None) -> None:
        """Show the rollouts as the inputs say, or another one or otherwise than they said."""
        self._add()
        if lead is not None:
            self._lead.value = lead  # type: ignore[misc]
        if mode is not None:
            self._mode.value = mode  # type: ignore[misc]
        shown = {number for number, check in enumerate(self._checks) if check.value}
        number = self._lead.options.index(self._lead.value)
        self._stage.arrange(number, self._mode.value, shown)
        self._tell()
        self._arranged()

    def _add(self) -> None:
        """Inputs for rollouts that are new on the stage."""
        labels = tuple(track.label for track in self._stage.tracks)
        if labels != self._lead.options:
            chosen = self._lead.value
            self._lead.options, self._lead.value = labels, chosen  # type: ignore[misc]
        with self._shown:
            for label in labels[len(self._checks) :]:
                check = self._gui.add_checkbox(label, True)
                check.on_update(self._chosen)
                self._checks.append(check)
        self._lead.visible = self._mode.visible = len(labels) > 1
        self._shown.visible = len(labels) > 2

    def _tell(self) -> None:
        tracks, lead = self._stage.tracks, self._stage.lead
        others = [n for n in self._stage.layers if n != lead]
        self._legend.visible = bool(others) and self._stage.mode != ALONE
        self._legend.content = colors.swatches([(tracks[n].label, colors.track_color(n)) for n in others])
        self._told.content = report(self._world, tracks[lead])


def report(world: World, track: Track) -> str:
    """The HTML of what happens in a rollout: how long it is, what moves, what was blocked or broke down."""
    rollout = track.rollout
    actions = rollout.actions.shape[-2]
    rows = {"Actions": f"{actions:,} of 0.1 s"}
    if rollout.blocked is not None:
        blocked = int((rollout.blocked > 0.01).sum())
        rows["Blocked"] = f"{blocked:,} actions, at least in part" if blocked else "no action"
    if rollout.stopped is not None and int(rollout.stopped) < actions:
        rows["Broke down"] = f"after {int(rollout.stopped):,} actions; what follows repeats the last good state"
    unit, factor = ("", 1.0) if world.scale.source == "none" else (" cm", 100.0)
    for index in sorted(track.moving):
        way = factor * float(np.linalg.norm(track.poses[-1, index, :3] - track.poses[0, index, :3]))
        if way < factor * STILL:
            continue
        std = None if rollout.std is None else factor * float(rollout.std[-1, index, :3].norm())
        spread = "" if std is None or world.bodies[index].kind == "robot" else f", give or take {std:.2g}"
        rows[world.bodies[index].name] = f"{way:.3g}{unit} from its beginning{spread}"
    return table(rows)
