"""The tab that plans: a ghost of a body is dragged to where the body shall be, and the planner finds actions."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
import viser
from torch import Tensor

from splatworld.core import pose
from splatworld.core.checks import InputError
from splatworld.core.state import State
from splatworld.core.world import World
from splatworld.plan.commands import robot_of
from splatworld.plan.goals import MOVABLE, goal_of_state
from splatworld.viewer import colors
from splatworld.viewer.act_tab import ActTab
from splatworld.viewer.body_nodes import BodyNodes
from splatworld.viewer.callbacks import reported
from splatworld.viewer.clicks import Clicks
from splatworld.viewer.fan import Fan
from splatworld.viewer.gizmo import Gizmo
from splatworld.viewer.markup import table
from splatworld.viewer.planning import Planning, all_tried
from splatworld.viewer.splats import SplatArrays
from splatworld.viewer.tracks import Track

PLANNED = "plan"
"""Label of the plan among the rollouts."""
GHOST = (90, 240, 120)
FADE, WASH = 0.35, 0.75
"""Share of its opacity that a ghost's splat keeps; of its colour that is the ghosts'."""
HANDLES = 0.14
"""m, size of the handles at a ghost."""
ASIDE = (0.0, 0.1)
"""m beside its body at which a ghost appears, so that it can be told from it."""
THINK = 3.0
"""s that planning takes at most, unless asked otherwise."""
PLAN, STOP = "Plan", "Stop planning"


@dataclass
class Ghost:
    """Where a body shall be.

    Attributes:
        nodes: its splats in the scene.
        gizmo: its handles.
        pose: [7] world_from_body.
    """

    nodes: BodyNodes
    gizmo: Gizmo
    pose: Tensor


class PlanTab:
    """The inputs that set a goal, plan, and carry the plan out.

    Attributes:
        ghosts: where bodies shall be, by index.
        planning: the latest plan in the making; None before the first.
    """

    def __init__(
        self,
        server: viser.ViserServer,
        world: World,
        clicks: Clicks,
        act: ActTab,
        *,
        arrays: dict[int, SplatArrays],
        now: Callable[[], tuple[Track, float]],
        show: Callable[[Track, float], None],
    ) -> None:
        """
        Args:
            server: of the page.
            world: in metres, with a robot.
            clicks: in the picture.
            act: carries plans out.
            arrays: splats of the bodies, by index.
            now, show: as of `ActTab`.
        """
        self._server, self._world, self._clicks, self._act = server, world, clicks, act
        self._arrays, self._now, self._show, gui = arrays, now, show, server.gui
        self.ghosts: dict[int, Ghost] = {}
        self.planning: Planning | None = None
        self._fan, self._lock = Fan(server), threading.RLock()
        self._bodies = {f"{i}  {b.name}": i for i, b in enumerate(world.bodies) if b.kind in MOVABLE and i in arrays}
        gui.add_html(colors.caption("Drag a body's ghost to where the body shall be, then plan."))
        self._choice = gui.add_dropdown("Body", tuple(self._bodies) or ("none can be moved",))
        goals = gui.add_button_group("Goal", ("Add its ghost", "Clear"))
        self._think = gui.add_number("Think (s)", THINK, min=0.1, max=60.0, step=0.1, hint="planning takes no longer")
        self._button = gui.add_button(PLAN, icon=viser.Icon.ROUTE)
        self._bar = gui.add_progress_bar(0, animated=True, visible=False)
        self._told = gui.add_html("")
        self._shown = gui.add_checkbox("Candidates", True, hint="what was tried, coloured by what it costs")
        self._legend = gui.add_html("")
        self._run = gui.add_button("Run it", icon=viser.Icon.PLAYER_PLAY, disabled=True)

        @goals.on_click
        @reported
        def _(event: viser.GuiEvent) -> None:
            if event.target.value == "Clear":
                self.clear()
            else:
                self.add(self._bodies.get(self._choice.value))

        @self._button.on_click
        @reported
        def _(_: viser.GuiEvent) -> None:
            self.plan()

        @self._shown.on_update
        @reported
        def _(_: viser.GuiEvent) -> None:
            self._draw()

        @self._run.on_click
        @reported
        def _(_: viser.GuiEvent) -> None:
            self.carry_out()

    def add(self, body: int | None) -> None:
        """Show a ghost of a body beside where it is now.

        Raises:
            InputError: no body.
        """
        if body is None:
            raise InputError("goal: this world has no body that can be moved.")
        track, time = self._now()
        start = track.state(time).world_from_body[body].double().clone()
        start[:2] += torch.tensor(ASIDE)
        with self._lock:
            if body in self.ghosts:
                return
            nodes = BodyNodes(self._server, name=f"/goal/{body}", fade=FADE, wash=GHOST, share=WASH)
            nodes.draw({body: self._arrays[body]})
            gizmo = Gizmo(
                self._server, name=f"/goal handles/{body}", level=True,
                dragged=lambda handles: self._drag(body, start, handles),
                dropped=lambda handles: self._drag(body, start, handles),
            )  # fmt: skip
            self.ghosts[body] = Ghost(nodes, gizmo, start)
            gizmo.put(torch.cat([start[:3], pose.identity(dtype=torch.float64)[3:]]), HANDLES)
        self.place(body, start)

    def place(self, body: int, world_from_body: Tensor) -> None:
        """Put a ghost at a pose [7]."""
        ghost = self.ghosts[body]
        ghost.pose = world_from_body.double()
        ghost.nodes.place(body, ghost.pose.numpy())

    def clear(self) -> None:
        """Forget the goal and what was tried."""
        with self._lock:
            self._stop()
            for ghost in self.ghosts.values():
                ghost.nodes.remove()
                ghost.gizmo.remove()
            self.ghosts, self.planning = {}, None
            self._fan.remove()
            self._legend.content = self._told.content = ""
            self._run.disabled = True

    def plan(self) -> None:
        """Plan for the ghosts from what is shown; while it is planned, stop that.

        Raises:
            InputError: no ghost was placed, or it stands where its body is.
        """
        with self._lock:
            if self.planning is not None and self.planning.busy:
                self._stop()
                self._told.content = colors.caption("Stopped.")
                return
            if not self.ghosts:
                raise InputError("plan: there is no goal; add a body's ghost and drag it.")
            track, time = self._now()
            state = track.state(time)
            goal = goal_of_state(self._world, state, self._wanted(state))
            self._button.label, self._run.disabled = STOP, True
            self._bar.value, self._bar.visible = 0.0, True  # type: ignore[misc]
            self._told.content = colors.caption("planning ...")
            self.planning = Planning(
                self._world, state, goal, deadline=float(self._think.value), went_on=self._went_on, ended=self._ended
            )

    def carry_out(self) -> None:
        """Do what was planned, from where it was planned.

        Raises:
            InputError: there is no plan.
        """
        planning = self.planning
        if planning is None or planning.found is None or not len(planning.found):
            raise InputError("run: there is no plan yet.")
        self._act.carry_out(planning.start, planning.found.actions)

    def close(self) -> None:
        """Plan no more; waits for what is being predicted, which must not go on while the interpreter ends."""
        with self._lock:
            self._stop()
            planning = self.planning
        if planning is not None:
            planning.join(5.0)  # s: nobody waits longer for the command to end

    def remove(self) -> None:
        """Take what it put into the scene out of it."""
        self.close()
        self.clear()

    def _drag(self, body: int, start: Tensor, handles: Tensor) -> None:
        """Handles [7] that began without a turn say how a ghost that began at a pose [7] moved along the ground."""
        self._clicks.take()  # who lets handles go has not clicked what is behind them
        turned = pose.multiply_quats(handles[3:], start[3:])
        self.place(body, torch.cat([handles[:2], start[2:3], turned]))

    def _wanted(self, state: State) -> State:
        poses = state.world_from_body.clone()
        for body, ghost in self.ghosts.items():
            poses[body] = ghost.pose.to(poses)
        return replace(state, world_from_body=poses)

    def _stop(self) -> None:
        if self.planning is not None:
            self.planning.stop()
        self._button.label, self._bar.visible = PLAN, False

    def _went_on(self, share: float) -> None:
        self._bar.value = 100 * share  # type: ignore[misc]

    def _ended(self, planning: Planning) -> None:
        with self._lock:
            if not planning.stopped and planning is self.planning:
                self._tell(planning)

    def _tell(self, planning: Planning) -> None:
        """What came of a plan."""
        self._button.label, self._bar.visible = PLAN, False
        found = planning.found
        if found is None:
            self._told.content = table({"Not planned": str(planning.error)})
        elif found.infeasible is not None:
            self._told.content = table({"Cannot be reached": found.infeasible})
        elif not len(found):
            self._told.content = table({"Reached": "every body stands where it shall"})
        else:
            self._told.content = table(self._facts(planning))
            self._run.disabled = False
            track = Track(PLANNED, replace(found.prediction, world_id=self._act.track.rollout.world_id))
            self._show(track, float(track.times[0]))
        self._draw()

    def _facts(self, planning: Planning) -> dict[str, str]:
        found = planning.found
        assert found is not None
        rows = {
            "Plan": f"{len(found)} actions, {0.1 * len(found):.1f} s; {found.candidates} tried in {found.seconds:.1f} s"
        }
        last = found.prediction.states[-1]
        for body, ghost in self.ghosts.items():
            away = 100 * float((last.world_from_body[body, :3] - ghost.pose[:3]).norm())
            turn = pose.multiply_quats(last.world_from_body[body, 3:].double(), pose.conjugate_quat(ghost.pose[3:]))
            angle = math.degrees(2 * math.acos(min(1.0, abs(float(turn[0])))))
            rows[self._world.bodies[body].name] = f"ends {away:.1f} cm and {angle:.0f} degrees from its ghost"
        ends = bool(planning.goal.reached(last))
        rows["Goal"] = "reached at the end" if ends else "nearer: run it, then plan again"
        return rows

    def _draw(self) -> None:
        """Candidates as they are wanted to be seen."""
        planning = self.planning
        if planning is None or planning.busy or not self._shown.value or planning.found is None:
            self._fan.remove()
            self._legend.content = ""
            return
        bodies = [robot_of(self._world).tool, *planning.goal.bodies]
        chosen = planning.found.prediction.states.world_from_body[:, bodies, :3].double().numpy()
        self._legend.content = self._fan.draw(all_tried(planning.tried), np.ascontiguousarray(chosen))
