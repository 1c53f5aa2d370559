"""Several rollouts of one world in the scene at once: as ghosts, overlaid, or side by side."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import torch
import viser
from torch import Tensor

from splatworld.core.camera import Camera
from splatworld.core.world import World
from splatworld.viewer import colors
from splatworld.viewer.crop import Box, clipped, limited
from splatworld.viewer.layers import Layer, track_soft
from splatworld.viewer.picking import Seen, seen_at
from splatworld.viewer.splats import SplatArrays, body_arrays
from splatworld.viewer.tracks import Track

ALONE, GHOSTS, OVERLAID, ROW = "hidden", "ghosts", "overlaid", "side by side"
MODES = (GHOSTS, OVERLAID, ROW, ALONE)
FADE = 0.22
"""Share of its opacity that a ghost's splat keeps; several lie behind each other, so that about half is left of all."""
SAME, SAME_TURN = 2e-3, 1e-4
"""m, and 1 - cos of half an angle (1e-4 is 1.6 degrees), up to which bodies of two rollouts lie in the same place."""
MARGIN = 0.15
"""m around what moves that is shown side by side."""
LEAST = 0.5
"""m, least width of what is shown side by side."""
LABEL_HEIGHT = 0.3
"""m above the ground of the names side by side."""
GAP = 1.08
"""From one to the next side by side, in widths."""


class Stage:
    """The rollouts of a world in the scene; one leads, the others are shown with it.

    Attributes:
        server: of the page.
        tracks: all of them.
        lead: number of the one that leads.
        mode: how the others are shown, one of `MODES`.
        layers: what is in the scene, by number; the leading one first.
        drawn: how many splats the leading one has.
    """

    def __init__(
        self,
        server: viser.ViserServer,
        world: World,
        tracks: tuple[Track, ...],
        across: np.ndarray,
        *,
        sketch: bool = False,
    ) -> None:
        """
        Args:
            server: of the page.
            world: of the rollouts.
            tracks: one or more.
            across: [3] horizontal unit vector along which they stand side by side.
            sketch: of the leading one, as of `BodyNodes`.
        """
        self.server, self._world, self._across = server, world, across
        self.tracks, self.lead, self.mode = tracks, 0, GHOSTS
        self._arrays = body_arrays(world)
        self._shown: set[int] = set(range(len(world.bodies)))
        self._box: Box | None = None
        self._time = float(min(track.times[0] for track in tracks))
        self._lock = threading.RLock()
        self._main = Layer(server, world, "/bodies", sketch=sketch)
        self._labels: list[viser.LabelHandle] = []
        self.layers: dict[int, Layer] = {}
        self.drawn = sum(len(part) for part in self._arrays.values())
        self.arrange(0, GHOSTS, set(range(len(tracks))))

    @property
    def arrays(self) -> dict[int, SplatArrays]:
        """The splats of the bodies, by their indices."""
        return self._arrays

    @property
    def width(self) -> float:
        """m from one to the next side by side."""
        low, high = self._area()
        return GAP * float(np.abs((high - low) @ np.abs(self._across[:2])))

    @property
    def center(self) -> np.ndarray:
        """[3] the middle of all that stands side by side."""
        low, high = self._area()
        return np.array([*(low + high) / 2, 0.0]) + (len(self.layers) - 1) / 2 * self.width * self._across

    def arrange(self, lead: int, mode: str, shown: set[int]) -> None:
        """Choose who leads, how the others are shown, and which of them."""
        with self._lock, self.server.atomic():
            others = [] if mode == ALONE else sorted(shown - {lead})
            # What stays as it is drawn is not sent again.
            kept = {n: layer for n, layer in self.layers.items() if mode == self.mode and n in others}
            for layer in self._others():
                if layer not in kept.values():
                    layer.remove()
            kept = {n: layer for n, layer in kept.items() if layer is not self._main}
            for label in self._labels:
                label.remove()
            self.lead, self.mode, self._labels = lead, mode, []
            row = mode == ROW and bool(others)
            arrays = self._in_row() if row else self._in_box()
            self._main.show_bodies(self.tracks[lead], arrays)
            self.layers = {lead: self._main}
            for place, number in enumerate(others, 1):
                if row:
                    layer = kept.get(number) or Layer(self.server, self._world, f"/rollouts/{number}")
                    layer.show_bodies(self.tracks[number], arrays, place * self.width * self._across)
                else:
                    fade = FADE if mode == GHOSTS else 1.0
                    layer = kept.get(number) or Layer(
                        self.server, self._world, f"/rollouts/{number}", fade=fade, wash=colors.track_color(number)
                    )
                    bodies = self._apart(lead, number) & set(self._arrays)
                    layer.show_bodies(self.tracks[number], {i: self._arrays[i] for i in sorted(bodies)})
                self.layers[number] = layer
            if row:
                self._label()
            self.reveal(self._shown)
            self.at(self._time)

    def put(self, track: Track) -> int:
        """Take a rollout in, in place of the one of the same label if there is one; returns its number."""
        with self._lock:
            labels = [known.label for known in self.tracks]
            number = labels.index(track.label) if track.label in labels else len(labels)
            self.tracks = (*self.tracks[:number], track, *self.tracks[number + 1 :])
            if number in self.layers:
                self.layers[number].follow(track)
            return number

    def at(self, time: float) -> None:
        """Show a time in s."""
        with self._lock, self.server.atomic():
            self._time = time
            for layer in self.layers.values():
                layer.at(time)

    def reveal(self, bodies: set[int]) -> None:
        """Hide all bodies but these."""
        with self._lock:
            self._shown = bodies
            for layer in self.layers.values():
                layer.nodes.reveal(bodies)

    def refine(self) -> None:
        """Send all splats where only a sketch of them was."""
        with self._lock:
            self._main.nodes.refine()

    def crop(self, box: Box | None) -> None:
        """Leave out what rests outside of a box and never moves."""
        with self._lock:
            self._box = box
            self.arrange(self.lead, self.mode, set(self.layers))

    @property
    def world(self) -> World:
        """The world with the splats alone that are shown of it."""
        return limited(self._world, self._shown, self._box, self._movers())

    def tint(self, tints: dict[int, tuple[int, int, int]], share: float) -> None:
        """Mix the colours of the leading rollout's bodies with a share of others."""
        with self._lock, self.server.atomic():
            self._main.nodes.tint(tints, share=share)

    def seen(self, camera: Camera, pixel: Tensor) -> Seen | None:
        """What a pixel [2] of a view shows of what is not hidden; ghosts and bodies drawn over others do not count."""
        found = self._hit(camera, pixel)
        return None if found is None else found[0]

    def point(self, camera: Camera, pixel: Tensor) -> Tensor | None:
        """Where in the scene [3] that is which a pixel shows, as of `seen`."""
        found = self._hit(camera, pixel)
        return None if found is None else found[0].point + torch.from_numpy(found[1].offset)

    def _hit(self, camera: Camera, pixel: Tensor) -> tuple[Seen, Layer] | None:
        with self._lock:
            layers = self.layers.values() if self.mode == ROW else [self.layers[self.lead]]
            low, high = self._area()
            found, world = [], self.world
            for layer in layers:
                moved = camera.world_from_camera.clone()
                moved[:3] -= torch.from_numpy(layer.offset)
                view = replace(camera, world_from_camera=moved)
                hit = seen_at(world, layer.track.state(self._time), view, pixel, self._shown)
                inside = hit is not None and bool(
                    ((hit.point[:2].numpy() - low) * (high - hit.point[:2].numpy()) > 0).all()
                )
                if hit is not None and (self.mode != ROW or inside):
                    found.append((hit, layer))
            return min(found, key=lambda each: each[0].distance, default=None)

    def remove(self) -> None:
        """Take them out of the scene."""
        with self._lock:
            for layer in self.layers.values():
                layer.remove()
            for label in self._labels:
                label.remove()

    def _others(self) -> list[Layer]:
        return [layer for layer in self.layers.values() if layer is not self._main]

    def _moving(self, number: int) -> set[int]:
        return set(self.tracks[number].moving) | track_soft(self.tracks[number], self._world)

    def _apart(self, lead: int, number: int) -> set[int]:
        """Bodies that are not always in the same place in two rollouts; another drawn over one would only hide it."""
        one, other = self.tracks[lead], self.tracks[number]
        times = np.union1d(one.times, other.times)
        a, b = (track.poses[track.indices(times)] for track in (one, other))
        away = np.linalg.norm(a[..., :3] - b[..., :3], axis=-1).max(axis=0) > SAME
        turned = (1 - np.abs((a[..., 3:] * b[..., 3:]).sum(axis=-1))).max(axis=0) > SAME_TURN
        return (
            set(np.flatnonzero(away | turned).tolist()) | track_soft(one, self._world) | track_soft(other, self._world)
        )

    def _area(self) -> tuple[np.ndarray, np.ndarray]:
        """Corners [2] of a rectangle on the ground around all that moves; of everything where nothing does, and about
        the origin where there is nothing."""
        bodies = sorted(self._movers() & set(self._arrays))
        bodies = bodies or sorted(self._arrays)
        if not bodies:
            return np.full(2, -LEAST / 2), np.full(2, LEAST / 2)
        low, high = np.full(2, np.inf), np.full(2, -np.inf)
        for index in bodies:
            part = self._arrays[index]
            radius = float(np.quantile(np.linalg.norm(part.centers, axis=1), 0.95)) * part.scale
            for track in self.tracks:
                places = track.poses[:, index, :2]
                low, high = np.minimum(low, places.min(axis=0) - radius), np.maximum(high, places.max(axis=0) + radius)
        middle, half = (low + high) / 2, np.maximum((high - low) / 2 + MARGIN, LEAST / 2)
        return middle - half, middle + half

    def _movers(self) -> set[int]:
        return set().union(*(self._moving(number) for number in range(len(self.tracks))))

    def _in_box(self) -> dict[int, SplatArrays]:
        return self._arrays if self._box is None else clipped(self._arrays, self._world, self._box, self._movers())

    def _in_row(self) -> dict[int, SplatArrays]:
        low, high = self._area()
        area = Box(np.array([*low, -np.inf]), np.array([*high, np.inf]))
        return clipped(self._in_box(), self._world, area, self._movers())

    def _label(self) -> None:
        low, high = self._area()
        for number, layer in self.layers.items():
            place = np.array([*(low + high) / 2, LABEL_HEIGHT]) + layer.offset
            self._labels.append(
                self.server.scene.add_label(
                    f"/labels/{number}", self.tracks[number].label, position=place, anchor="bottom-center"
                )
            )
