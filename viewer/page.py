"""What the page shows of one world: its splats and cameras in the scene, and the tabs beside it."""

from __future__ import annotations

from collections.abc import Callable

import torch
import viser

from splatworld.core import pose
from splatworld.core.camera import Camera
from splatworld.core.world import World
from splatworld.viewer.acting import why_not
from splatworld.viewer.bodies import BodiesTab
from splatworld.viewer.body_nodes import BodyNodes
from splatworld.viewer.callbacks import reported
from splatworld.viewer.cameras import CamerasTab
from splatworld.viewer.clicks import Clicks
from splatworld.viewer.compare import HeldOutTab
from splatworld.viewer.crop import Box, extent, limited
from splatworld.viewer.crop_tab import Crop
from splatworld.viewer.edits import Edits
from splatworld.viewer.exact import ExactPicture
from splatworld.viewer.film_tab import FilmTab
from splatworld.viewer.flight import UP, View, view_of
from splatworld.viewer.markup import table
from splatworld.viewer.measure import Measure
from splatworld.viewer.picking import seen_at
from splatworld.viewer.screenshot import add_screenshot_button
from splatworld.viewer.source import Source
from splatworld.viewer.theme import Theme
from splatworld.viewer.unseen import Unseen

USUAL_ASPECT = 1.3
"""Width over height of the scene beside the panel in a usual window; a browser's own is known only once it is there."""
NOTHING = "none: this world is empty, there is nothing to draw"
MOST_BODIES = 20
"""Bodies listed by name."""


class Page:
    """One world on the page.

    Attributes:
        source: the world.
        nodes: its splats in the scene.
        cameras: the cameras in the scene and their tab.
        held_out: the tab of held-out frames.
        exact: the part that renders what the window shows.
        film: the tab that films along a path.
        bodies: the tab of bodies.
        measure: the tab that measures and sets the scale.
        crop: leaves out what is outside of a box.
        start: the view to begin with.
    """

    def __init__(
        self,
        server: viser.ViserServer,
        edits: Edits,
        theme: Theme,
        rescaled: Callable[[], None],
        act: Callable[[], None],
        *,
        sketch: bool = False,
    ) -> None:
        """
        Args:
            server: of the page.
            edits: of the world.
            theme: of the page.
            rescaled: called when the world on disk has been given another scale.
            act: begins to act in the world.
            sketch: as of `BodyNodes`.
        """
        self.edits, self.source = edits, edits.source
        self.nodes = BodyNodes(server, sketch=sketch)
        self.nodes.show(edits.world)
        clicks = Clicks(server)
        self._tabs = server.gui.add_tab_group()
        with self._tabs.add_tab("World"):
            self._summary = server.gui.add_html(self._told())
            theme.add_switch()
            self._guides = Guides(server, self.source)
            self._unseen = Unseen(server, self.source.world)
            self.crop = Crop(server, self.source.world, self._crop)
        with self._tabs.add_tab("Bodies"):
            self.bodies = BodiesTab(server, edits, self.nodes, clicks, self._corrected)
        with self._tabs.add_tab("Act"):
            _add_act(server, self.source, act)
        with self._tabs.add_tab("Cameras"):
            self.cameras = CamerasTab(server, self.source, clicks)
        with self._tabs.add_tab("Held-out"):
            self.held_out = HeldOutTab(server, self.source)
        with self._tabs.add_tab("Picture"):
            with server.gui.add_folder("Exact picture"):
                self.exact = ExactPicture(server, self.source, lambda: (self.world, None))
            with server.gui.add_folder("Screenshot"):
                add_screenshot_button(server, self.source, theme)
        with self._tabs.add_tab("Film"):
            self.film = FilmTab(server, self.source, lambda: (self.world, None))
        with self._tabs.add_tab("Measure"):
            self.measure = Measure(server, clicks, self._point, edits, rescaled)
        self.start = first_view(self.source)

    def refine(self) -> None:
        """Send all splats where only a sketch of them was."""
        self.nodes.refine()

    def remove(self) -> None:
        """Take the world off the page."""
        self.close()
        self.measure.remove()
        for node in (
            self.bodies,
            self.nodes,
            self.cameras,
            self.film,
            self.crop,
            self._guides,
            self._unseen,
            self._tabs,
        ):
            node.remove()

    def close(self) -> None:
        """Change nothing more on the page."""
        self.held_out.close()
        self.exact.close()
        self.film.close()
        self.bodies.close()

    @property
    def world(self) -> World:
        """As corrected, with the splats alone that are shown of it."""
        return limited(self.edits.world, self.bodies.shown, self.nodes.box, set())

    def _crop(self, box: Box | None) -> None:
        self.nodes.crop(box)
        self.bodies.refresh()

    def _point(self, camera: Camera, pixel: torch.Tensor) -> torch.Tensor | None:
        """Where [3] that is which a pixel shows."""
        found = seen_at(self.world, None, camera, pixel, self.bodies.shown)
        return None if found is None else found.point

    def _corrected(self) -> None:
        self._summary.content = self._told()

    def _told(self) -> str:
        return table(summary(self.source, self.edits.world, self.nodes.drawn))


def _add_act(server: viser.ViserServer, source: Source, act: Callable[[], None]) -> None:
    reason = why_not(source.world, source.name)
    if reason is not None:
        server.gui.add_markdown(reason)
        return
    server.gui.add_markdown("Drag the tool: the bodies answer as the model predicts. Goals are planned for there too.")
    button = server.gui.add_button("Act in this world", icon=viser.Icon.HAND_MOVE)

    @button.on_click
    @reported
    def _(_: viser.GuiEvent) -> None:
        act()


class Guides:
    """Axes and a grid in the scene, and the input that shows them."""

    def __init__(self, server: viser.ViserServer, source: Source) -> None:
        span = _span(source)
        self._grid = server.scene.add_grid("/grid", width=span, height=span, cell_size=span / 20,
                                           section_size=span / 4, plane="xy", visible=False)  # fmt: skip
        self._axes = server.scene.add_frame("/axes", axes_length=span / 5, axes_radius=span / 400, visible=False)
        shown = server.gui.add_checkbox(
            "Axes and grid", False, hint="x red, y green, z blue and up; the grid lies at z = 0"
        )

        @shown.on_update
        def _(_: viser.GuiEvent) -> None:
            self._grid.visible = self._axes.visible = shown.value

    def remove(self) -> None:
        """Take them out of the scene."""
        self._grid.remove()
        self._axes.remove()


def first_view(source: Source) -> View:
    """What to show first: the view of the capture's first camera, or all of a world that has none."""
    world = source.world
    means = world.splats.means
    camera = next(iter(world.cameras.values()), None)
    if camera is not None:
        return view_of(camera, means, aspect=USUAL_ASPECT)
    low, high = extent(means)
    center, size = (low + high) / 2, float((high - low).norm())
    eye = center + size * torch.tensor([0.0, -0.9, 0.5])
    overview = Camera(
        focal=torch.tensor([500.0, 500.0]), center=torch.tensor([320.0, 240.0]), size=(640, 480),
        world_from_camera=pose.look_at(eye, center, torch.tensor(UP)),
    )  # fmt: skip
    return view_of(overview, means)


def summary(source: Source, world: World, drawn: int) -> dict[str, str]:
    """What a world holds, in words.

    Args:
        source: where it lies.
        world: as corrected.
        drawn: how many of its splats the browser draws.
    """
    splats = world.splats
    low, high = extent(splats.means)
    left = len(splats) - drawn
    rows = {
        "World": source.name,
        "Splats": (f"{len(splats):,}" if len(splats) else NOTHING) + (f" ({left:,} too faint to draw)" if left else ""),
        "Size": " x ".join(f"{side:.3g}" for side in (high - low).tolist()) + f" {source.unit}",
        "Scale": str(world.scale),
        "Up": "+z, along gravity" if bool(world.gravity.any()) else "+z, gravity unknown",
        "Cameras": f"{len(world.cameras)}, {len(source.held_out)} held out",
        "Bodies": _bodies(world),
    }
    for name, label, unit in (("psnr_mean", "PSNR", " dB"), ("ssim_mean", "SSIM", "")):
        value = world.metrics.get(name)
        if isinstance(value, int | float):
            rows[label] = f"{value:.2f}{unit}, mean of held-out frames" if unit else f"{value:.3f}"
    return rows


def _bodies(world: World) -> str:
    bodies = world.bodies
    if len(bodies) == 1:
        return "1, all static"
    counts = world.splats.body_ids.bincount(minlength=len(bodies)).tolist()
    listed = [f"{body.name} ({body.kind}, {count:,})" for body, count in zip(bodies, counts, strict=True)]
    more = [f"and {len(listed) - MOST_BODIES} more"] if len(listed) > MOST_BODIES else []
    return "\n".join([f"{len(bodies)}", *listed[:MOST_BODIES], *more])


def _span(source: Source) -> float:
    """Side of a square that holds the world's splats, rounded up to 1, 2 or 5 times a power of ten."""
    low, high = extent(source.world.splats.means)
    side = max(float((high - low)[:2].max()), 1e-3)
    power = 10.0 ** torch.tensor(side).log10().floor().item()
    return next(step * power for step in (1, 2, 5, 10) if step * power >= side * (1 - 1e-6))
