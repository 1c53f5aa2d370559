"""The view as the rasterizer sees it: every splat, view-dependent colour, depth, bodies."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import viser

from splatworld.core.camera import Camera
from splatworld.core.state import State
from splatworld.core.world import World
from splatworld.pictures import encode_image
from splatworld.render.render import render
from splatworld.render.rendering import Rendering, to_bytes
from splatworld.viewer import colors
from splatworld.viewer.callbacks import reported
from splatworld.viewer.compare import error_legend, error_picture
from splatworld.viewer.downloads import add_download
from splatworld.viewer.flight import camera_of
from splatworld.viewer.source import Source

ERROR = "Error"
"""The kind that compares two states, where there are two."""
KINDS = ("Colour", "Depth", "Median depth", "Opacity", "Bodies")
SIZES = {"Window": None, "640 px": 640, "1280 px": 1280, "1920 px": 1920}
"""Longest side of the picture."""


def exact_picture(
    world: World, state: State | None, camera: Camera, kind: str, unit: str, truth: State | None = None
) -> tuple[np.ndarray, str]:
    """Render a view.

    Args:
        world: to render.
        state: of it; None: that of the capture.
        camera: undistorted.
        kind: one of `KINDS`, or `ERROR`.
        unit: of the world's lengths, for the legend.
        truth: the state with whose picture an error compares.

    Returns:
        The picture [H, W, 3] uint8 sRGB, and a legend as HTML.
    """
    rendering = render(world, state, camera)
    if kind == "Depth":
        return _depth_picture(rendering.depth.numpy(), f"Depth, mean of what is seen, in {unit}")
    if kind == "Median depth":
        return _depth_picture(rendering.median_depth.numpy(), f"Depth at which half the light is stopped, in {unit}")
    if kind == "Opacity":
        picture = colors.colored(rendering.alpha.numpy(), 0, 1, colors.DEPTH_MAP)
        return picture, colors.bar("Opacity", ["0", "0.25", "0.5", "0.75", "1"], colors.DEPTH_MAP)
    if kind == ERROR:
        return error_picture(to_bytes(rendering.image), to_bytes(render(world, truth, camera).image)), error_legend()
    if kind == "Bodies":
        return _body_picture(world, rendering)
    return to_bytes(rendering.image), ""


def _depth_picture(depth: np.ndarray, title: str) -> tuple[np.ndarray, str]:
    known = depth > 0
    low, high = np.quantile(depth[known], (0.01, 0.99)).tolist() if known.any() else (0.0, 1.0)
    picture = colors.colored(depth, low, high, colors.DEPTH_MAP) * known[..., None]
    ticks = [f"{number:.3g}" for number in np.linspace(low, high, 5)]
    return picture, colors.bar(f"{title}; black: nothing there", ticks, colors.DEPTH_MAP)


def _body_picture(world: World, rendering: Rendering) -> tuple[np.ndarray, str]:
    ids = rendering.body_ids.numpy()
    table = np.array([*(colors.body_color(i) for i in range(len(world.bodies))), (0, 0, 0)], np.uint8)
    shown = sorted(set(np.unique(ids).tolist()) - {-1})
    return table[ids], colors.swatches([(world.bodies[i].name, colors.body_color(i)) for i in shown])


class ExactPicture:
    """The part of the page that renders what the window shows."""

    def __init__(
        self,
        server: viser.ViserServer,
        source: Source,
        now: Callable[[], tuple[World, State | None]],
        others: Callable[[], dict[str, State]] = dict,
    ) -> None:
        """
        Args:
            server: of the page.
            source: the world.
            now: gives it as it is shown: as corrected, and in which state.
            others: gives the states, by their names, in which others have it at that time.
        """
        self._source, self._now, self._others, gui = source, now, others, server.gui
        self._lock, self._closed = threading.Lock(), False
        gui.add_markdown(
            "The browser draws each splat in one colour. This is the rasterizer's picture of the same view."
        )
        self._kind = gui.add_dropdown("Show", KINDS)
        self._against = gui.add_dropdown("Against", ("",), visible=False, hint="what the error is taken to")
        self._size = gui.add_dropdown("Longest side", tuple(SIZES))
        self._button = gui.add_button("Render this view", icon=viser.Icon.CAMERA)
        self.picture = gui.add_image(np.zeros((2, 2, 3), np.uint8), format="png", visible=False)
        self._legend = gui.add_html("")
        self._download = add_download(
            server, "Download PNG", self._made, icon=viser.Icon.DOWNLOAD, color="gray", visible=False
        )

        @self._button.on_click
        @reported
        def _(event: viser.GuiEvent) -> None:
            assert event.client is not None
            self.show(event.client)

        @self._kind.on_update
        @self._against.on_update
        @reported
        def _(event: viser.GuiEvent) -> None:
            self._against.visible = self._kind.value == ERROR
            if self.picture.visible and event.client is not None:
                self.show(event.client)

        self.arranged()

    def arranged(self) -> None:
        """Offer what can be shown, after there are other rollouts."""
        names = tuple(self._others())
        kinds = (*KINDS, ERROR) if names else KINDS
        if kinds != self._kind.options:
            self._kind.options = kinds
        if names and names != self._against.options:
            self._against.options = names

    def show(self, client: viser.ClientHandle) -> None:
        """Render the view of one browser."""
        with self._lock:
            if self._closed:
                return
            self._button.disabled, self._button.label = True, "Rendering..."
            try:
                camera = camera_of(client.camera, SIZES[self._size.value])
                kind, against = self._kind.value, self._against.value
                truth = self._others().get(against) if kind == ERROR else None
                picture, legend = exact_picture(*self._now(), camera, kind, self._source.unit, truth)
                self.picture.image, self.picture.visible = picture, True
                told = f"{kind} against {against}" if kind == ERROR else kind
                self.picture.label = f"{told}, {camera.width} x {camera.height} px"
                self._legend.content, self._download.visible = legend, True
            finally:
                self._button.disabled, self._button.label = False, "Render this view"

    def _made(self, _: viser.ClientHandle) -> tuple[str, bytes]:
        name = f"{self._source.name}_{self._kind.value.lower().replace(' ', '_')}.png"
        return name, encode_image(self.picture.image)

    def close(self) -> None:
        """Show nothing more; waits for what is being shown."""
        with self._lock:
            self._closed = True
