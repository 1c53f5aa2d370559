"""The tab of films: views that the eye goes through, flown along in the browser or filmed by the rasterizer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import viser

from splatworld.core.checks import InputError
from splatworld.core.world import World
from splatworld.pictures import encode_video
from splatworld.viewer import colors
from splatworld.viewer.callbacks import reported
from splatworld.viewer.downloads import add_download
from splatworld.viewer.filming import FPS, pictures, zipped
from splatworld.viewer.flight import CameraPath, View, fly_along, now_of
from splatworld.viewer.markup import table
from splatworld.viewer.source import Source
from splatworld.viewer.timeline import Timeline
from splatworld.viewer.tracks import Track

SIZES = {"640 x 360": (640, 360), "1280 x 720": (1280, 720), "1920 x 1080": (1920, 1080)}
COLOR = (255, 90, 130)
PIECES = 24
"""Straight pieces of which the way from one keyframe to the next is drawn."""
FRUSTUM = 0.05
"""Size of a keyframe's mark, as a share of the distance to what it looks at."""
FLY, STOP = "Fly along", "Stop"
LAST, ALL = "Remove the last", "Remove all"


class FilmTab:
    """The inputs that make a path of keyframes and films along it.

    Attributes:
        keys: s and view of each keyframe.
    """

    def __init__(
        self,
        server: viser.ViserServer,
        source: Source,
        now: Callable[[], tuple[World, Track | None]],
        timeline: Timeline | None = None,
    ) -> None:
        """
        Args:
            server: of the page.
            source: the world.
            now: gives it as it is shown, and the rollout that is.
            timeline: that plays the rollout.
        """
        self.keys: list[tuple[float, View]] = []
        self._server, self._source, self._now, self._timeline, gui = server, source, now, timeline, server.gui
        self._marks: list[viser.SceneNodeHandle] = []
        self._lock, self._working = threading.Lock(), threading.Lock()
        self._closed = self._flying = self._stopped = False
        how = "Look from where a film shall begin, add a keyframe, go on: the eye passes through all of them smoothly."
        if timeline is not None:
            how += " Each belongs to the instant that was shown; the rollout plays along, at the timeline's speed."
        gui.add_html(colors.caption(how))
        add = gui.add_button("Add a keyframe", icon=viser.Icon.CAMERA_PLUS)
        self._gap = gui.add_slider(
            "Seconds", min=0.5, max=20.0, step=0.5, initial_value=2.0,
            hint="from the last keyframe to a next one" + ("" if timeline is None else " of the same instant"),
        )  # fmt: skip
        self._list = gui.add_html("")
        remove = gui.add_button_group("", (LAST, ALL))
        self._visible = gui.add_checkbox("Show the path", True)
        fly = gui.add_button_group("", (FLY, STOP))
        with gui.add_folder("Save the film"):
            gui.add_html(colors.caption("Every picture by the rasterizer, of the leading rollout."
                                        if timeline else "Every picture by the rasterizer."))  # fmt: skip
            self._size = gui.add_dropdown("Size", tuple(SIZES), initial_value="1280 x 720")
            self._bar = gui.add_progress_bar(0.0, visible=False)
            self._told = gui.add_html("")
            self._cancel = gui.add_button("Cancel", icon=viser.Icon.X, color="gray", visible=False)
            video, images = partial(encode_video, fps=FPS), zipped
            add_download(server, "MP4", lambda _: self._file(".mp4", video), icon=viser.Icon.MOVIE)
            add_download(
                server, "PNGs, zipped", lambda _: self._file(".zip", images), icon=viser.Icon.PHOTO, color="gray"
            )

        @add.on_click
        @reported
        def _(event: viser.GuiEvent) -> None:
            assert event.client is not None
            self.add(now_of(event.client.camera))

        @remove.on_click
        @reported
        def _(event: viser.GuiEvent) -> None:
            self.drop(1 if event.target.value == LAST else len(self.keys))

        @self._visible.on_update
        def _(_: viser.GuiEvent) -> None:
            self._show(self._visible.value)

        @fly.on_click
        @reported
        def _(event: viser.GuiEvent) -> None:
            assert event.client is not None
            if event.target.value == FLY:
                self.fly(event.client)
            else:
                self.land()

        @self._cancel.on_click
        def _(_: viser.GuiEvent) -> None:
            self.cancel()

        self._arrange()

    @property
    def path(self) -> CameraPath:
        """Through the keyframes.

        Raises:
            InputError: there are less than two.
        """
        if len(self.keys) < 2:
            raise InputError("film: a path needs two keyframes or more; look from elsewhere and add one.")
        times, views = zip(*self.keys, strict=True)
        return CameraPath(views, times)

    def add(self, view: View) -> None:
        """Go on to a view: at the instant that is shown, or so many seconds after the last where that is not later."""
        with self._lock:
            time_now = 0.0 if self._timeline is None else self._timeline.time
            if self.keys and time_now <= self.keys[-1][0]:
                time_now = self.keys[-1][0] + self._gap.value
            self.keys.append((time_now, view))
        self._arrange()

    def drop(self, count: int) -> None:
        """Remove so many keyframes from the end."""
        with self._lock:
            self.keys = self.keys[: len(self.keys) - count]
        self._arrange()

    def fly(self, client: viser.ClientHandle) -> None:
        """Take a browser along the path while the rollout plays; returns when it is over or `land`."""
        path, timeline = self.path, self._timeline
        self._flying = True

        def going(instant: float) -> bool:
            if timeline is not None and self._flying:
                timeline.seek(instant)
            return self._flying

        self._show(False)  # it would lie in the eye
        fly_along(client, path, going, rate=self._rate)
        self._show(self._visible.value)

    def make(self, encode: Callable[[Iterator[np.ndarray]], bytes]) -> bytes | None:
        """Film along the path; None where it was cancelled.

        Args:
            encode: pictures [H, W, 3] uint8 -> a file's bytes.

        Raises:
            InputError: less than two keyframes, or a film is being made.
        """
        path = self.path
        if not self._working.acquire(blocking=False):
            raise InputError("film: one is being made already; wait for it or cancel it.")
        try:
            self._stopped = False
            self._tell(0, 1, time.monotonic())
            shown, count = pictures(*self._now(), path, SIZES[self._size.value], rate=self._rate)
            content = encode(self._counted(shown, count))
            return None if self._stopped else content
        finally:
            self._working.release()
            if not self._closed:
                self._bar.visible = self._cancel.visible = False
                self._told.content = ""

    def land(self) -> None:
        """Fly no further."""
        self._flying = False

    def cancel(self) -> None:
        """Film no further."""
        self._stopped = True

    def close(self) -> None:
        """Change nothing more on the page."""
        with self._lock:
            self._closed = self._stopped = True
            self._flying = False

    def remove(self) -> None:
        """Take the path out of the scene."""
        self.close()
        for mark in self._marks:
            mark.remove()
        self._marks = []

    @property
    def _rate(self) -> float:
        return 1.0 if self._timeline is None else self._timeline.clock.speed

    def _file(self, suffix: str, encode: Callable[[Iterator[np.ndarray]], bytes]) -> tuple[str, bytes] | None:
        content = self.make(encode)
        return None if content is None else (f"{self._source.name}_film{suffix}", content)

    def _counted(self, shown: Iterator[np.ndarray], count: int) -> Iterator[np.ndarray]:
        """The pictures, until it is cancelled; tells how far it is."""
        begin = time.monotonic()
        for done, picture in enumerate(shown, 1):
            yield picture
            if self._stopped:
                return
            self._tell(done, count, begin)

    def _tell(self, done: int, count: int, begin: float) -> None:
        with self._lock:
            if self._closed:
                return
            left = (time.monotonic() - begin) / max(done, 1) * (count - done)
            self._bar.value = 100 * done / count  # type: ignore[misc]
            self._bar.visible = self._cancel.visible = True
            said = f"Picture {done:,} of {count:,}, {left:.0f} s left" if done else "Getting ready ..."
            self._told.content = colors.caption(said)

    def _show(self, shown: bool) -> None:
        for mark in self._marks:
            mark.visible = shown

    def _arrange(self) -> None:
        """The list, and the path in the scene, as the keyframes are now."""
        with self._lock, self._server.atomic():
            for mark in self._marks:
                mark.remove()
            self._marks = []
            first = self.keys[0][0] if self.keys else 0.0
            rows = {f"{number}": self._said(key[0], first) for number, key in enumerate(self.keys, 1)}
            self._list.content = table(rows) if rows else colors.caption("No keyframes yet.")
            for number, (_, view) in enumerate(self.keys):
                self._marks.append(self._server.scene.add_camera_frustum(
                    f"/film/{number}", fov=view.fov, aspect=16 / 9, scale=FRUSTUM * view.distance, color=COLOR,
                    position=view.position, wxyz=view.wxyz, thickness=1.5, thickness_units="screen", cast_shadow=False,
                    receive_shadow=False,
                ))  # fmt: skip
            if len(self.keys) > 1:
                path = self.path
                times = np.linspace(path.times[0], path.times[-1], PIECES * (len(self.keys) - 1) + 1)
                way = np.stack([path.at(instant).position for instant in times]).astype(np.float32)
                pieces = np.stack([way[:-1], way[1:]], axis=1)
                self._marks.append(self._server.scene.add_line_segments(
                    "/film/way", pieces, COLOR, thickness=2, thickness_units="screen"
                ))  # fmt: skip
            self._show(self._visible.value)

    def _said(self, instant: float, first: float) -> str:
        said = f"{(instant - first) / self._rate:.1f} s"
        if self._timeline is None:
            return said
        over = instant > self._timeline.end + 1e-6
        return f"{said}, after the rollout" if over else f"{said}, the rollout at {instant:.1f} s"
