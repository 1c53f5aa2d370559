"""What the page shows of a world and its rollouts: a timeline, and the tabs below it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import viser

from splatworld.core.robot import ACTION_SECONDS
from splatworld.core.state import State
from splatworld.core.world import World, rest_state
from splatworld.viewer.act_tab import ACTED, ActTab
from splatworld.viewer.acting import Acting, why_not
from splatworld.viewer.asked import Asked
from splatworld.viewer.callbacks import reported
from splatworld.viewer.cameras import CamerasTab
from splatworld.viewer.clicks import Clicks
from splatworld.viewer.crop import Box
from splatworld.viewer.crop_tab import Crop
from splatworld.viewer.exact import ExactPicture
from splatworld.viewer.film_tab import FilmTab
from splatworld.viewer.flight import View, fly
from splatworld.viewer.markup import table
from splatworld.viewer.page import Guides, first_view, summary
from splatworld.viewer.plan_tab import PlanTab
from splatworld.viewer.plots import PlotsTab
from splatworld.viewer.rollout_tab import RolloutTab
from splatworld.viewer.ruler import Ruler
from splatworld.viewer.screenshot import add_screenshot_button
from splatworld.viewer.share import add_share_button
from splatworld.viewer.source import Source
from splatworld.viewer.stage import ROW, Stage
from splatworld.viewer.theme import Theme
from splatworld.viewer.timeline import Timeline
from splatworld.viewer.tracks import Track
from splatworld.viewer.unseen import Unseen
from splatworld.viewer.watch import WatchTab


class RolloutPage:
    """Rollouts of one world on the page.

    Attributes:
        source: the world and its rollouts.
        stage: what is in the scene.
        timeline: plays it.
        rollouts: the tab that arranges it.
        act: the tab that acts; None where one cannot.
        plan: the tab that plans; None where one cannot act.
        bodies: the tab that tells of its bodies.
        plots: the tab that plots them over time.
        cameras: the cameras in the scene and their tab.
        exact: the part that renders what the window shows.
        film: the tab that films along a path while the rollout plays.
        measure: the tab that measures.
        crop: leaves out what rests outside of a box.
        start: the view to begin with.
    """

    def __init__(
        self,
        server: viser.ViserServer,
        source: Source,
        theme: Theme,
        *,
        acting: Acting | None = None,
        back: Callable[[], None] | None = None,
        sketch: bool = False,
    ) -> None:
        """
        Args:
            server: of the page.
            source: with rollouts, or without.
            theme: of the page.
            acting: what was done by hand in a world without rollouts.
            back: shows that world alone again.
            sketch: as of `BodyNodes`.
        """
        self.source, self._server = source, server
        self.start = first_view(source)
        tracks = source.tracks if acting is None else (Track(ACTED, acting.tape.rollout), *source.tracks)
        self.stage = Stage(server, source.world, tracks, _across(self.start), sketch=sketch)
        clicks = Clicks(server)
        begin, end = self._span()
        self.timeline = Timeline(server, begin, round((end - begin) / ACTION_SECONDS), self._show)
        self.act: ActTab | None = None
        self.plan: PlanTab | None = None
        self._tabs = server.gui.add_tab_group()
        if acting is not None:  # who comes to act sees that first
            self._add_act(acting, clicks, back)
        with self._tabs.add_tab("Rollouts"):
            self.rollouts = RolloutTab(server, source.world, self.stage, self._arranged)
        asked = Asked(source.world)
        with self._tabs.add_tab("Bodies"):
            self.bodies = WatchTab(server, asked, self.stage, self.timeline, clicks)
        with self._tabs.add_tab("Plots"):
            self.plots = PlotsTab(server, asked, self.stage, (begin, end))
        if acting is None:
            self._add_act(None, clicks, back)
        with self._tabs.add_tab("Cameras"):
            self.cameras = CamerasTab(server, source, clicks, shown=False)
        with self._tabs.add_tab("Picture"):
            with server.gui.add_folder("Exact picture"):
                self.exact = ExactPicture(server, source, self.now, self._others)
            with server.gui.add_folder("Screenshot"):
                add_screenshot_button(server, source, theme)
            with server.gui.add_folder("Share"):
                add_share_button(server, source.name, theme, self.stage, self.timeline)
        with self._tabs.add_tab("Film"):
            self.film = FilmTab(server, source, lambda: (self.stage.world, self._showing()[0]), self.timeline)
        with self._tabs.add_tab("Measure"):
            metric = source.world.scale.source != "none"
            self.measure = Ruler(server, clicks, self.stage.point, metric=metric)
        with self._tabs.add_tab("World"):
            server.gui.add_html(table(summary(source, source.world, self.stage.drawn)))
            theme.add_switch()
            self._guides, self._unseen = Guides(server, source), Unseen(server, source.world)
            self.crop = Crop(server, source.world, self._crop)
        self._mode = self.stage.mode

    def refine(self) -> None:
        """Send all splats where only a sketch of them was."""
        self.stage.refine()

    def remove(self) -> None:
        """Take the world off the page."""
        self.close()
        scene = (self.bodies, self.stage, self.cameras, self.film, self.measure, self.crop, self._guides, self._unseen)
        for part in (self.plan, self.act, self.timeline, *scene, self._tabs):
            if part is not None:
                part.remove()

    def close(self) -> None:
        """Change nothing more on the page."""
        for part in (self.plan, self.act):
            if part is not None:
                part.close()
        self.timeline.close()
        self.exact.close()
        self.film.close()
        self.bodies.close()
        self.plots.close()

    def _show(self, time: float) -> None:
        with self._server.atomic():
            self.stage.at(time)
            self.bodies.at(time)
            self.plots.at(time)
            if self.act is not None:
                self.act.at(time)

    def _crop(self, box: Box | None) -> None:
        self.stage.crop(box)
        self.bodies.refresh()

    def now(self) -> tuple[World, State | None]:
        """The world and the state of the leading rollout that is shown."""
        return self.stage.world, self.stage.tracks[self.stage.lead].state(self.timeline.time)

    def _others(self) -> dict[str, State]:
        """The states that the rollouts that do not lead have now, by their labels."""
        lead = self.stage.tracks[self.stage.lead]
        return {track.label: track.state(self.timeline.time) for track in self.stage.tracks if track is not lead}

    def put(self, track: Track, time: float) -> None:
        """Show a rollout at a time in s; it leads from now on, in place of the one of its label."""
        with self._server.atomic():
            number = self.stage.put(track)
            begin, end = self._span()
            self.timeline.cover(begin, round((end - begin) / ACTION_SECONDS))
            if self.stage.lead != number:
                self.rollouts.arrange(lead=track.label)
            self.timeline.seek(time)

    def _span(self) -> tuple[float, float]:
        """s, from the beginning of the first rollout to the end of the last one."""
        tracks = self.stage.tracks
        return min(float(track.times[0]) for track in tracks), max(float(track.times[-1]) for track in tracks)

    def _add_act(self, acting: Acting | None, clicks: Clicks, back: Callable[[], None] | None) -> None:
        world, gui = self.source.world, self._server.gui
        with self._tabs.add_tab("Act"):
            reason = why_not(world, self.source.name)
            if reason is not None:
                gui.add_markdown(reason)
                return
            if acting is None:
                acting = Acting(world, self.stage.tracks[0].rollout.world_id, rest_state(world))
            self.act = ActTab(
                self._server,
                self.source,
                clicks,
                acting=acting,
                now=self._showing,
                show=self.put,
                rested=lambda: self.rollouts.arrange(),
            )
            self.act.handle(back is not None)
            if back is not None:
                button = gui.add_button("Back to the world alone", color="gray", hint="what was done is kept meanwhile")

                @button.on_click
                @reported
                def _(_: viser.GuiEvent) -> None:
                    back()

        with self._tabs.add_tab("Plan"):
            self.plan = PlanTab(
                self._server, world, clicks, self.act, arrays=self.stage.arrays, now=self._showing, show=self.put
            )

    def _showing(self) -> tuple[Track, float]:
        """The rollout that leads, and the time in s that is shown."""
        return self.stage.tracks[self.stage.lead], self.timeline.time

    def _arranged(self) -> None:
        """Show all of what stands side by side, and go back afterwards."""
        self.bodies.arranged()
        self.plots.arranged(self._span())
        self.exact.arranged()
        if self._mode == self.stage.mode:
            return
        before, self._mode = self._mode, self.stage.mode
        if ROW in (before, self._mode):
            for client in self._server.get_clients().values():
                view = self.start if before == ROW else self.stage_view(client.camera.aspect)
                fly(client, view)

    def stage_view(self, aspect: float) -> View:
        """A view of all that stands side by side, in a window of that width over height."""
        center = self.stage.center
        axes = self.start.target - self.start.position
        direction = axes / np.linalg.norm(axes)
        half = self.stage.width * len(self.stage.layers) / 2
        distance = half / (np.tan(self.start.fov / 2) * aspect) + half / len(self.stage.layers)
        return replace(self.start, position=center - direction * distance, distance=float(distance))


def _across(view: View) -> np.ndarray:
    """[3] unit vector to the right of a view, level, along x or y."""
    right = np.cross(view.target - view.position, [0.0, 0.0, 1.0])
    axis = int(np.argmax(np.abs(right)))
    return np.sign(right[axis]) * np.eye(3)[axis] if right.any() else np.eye(3)[0]
