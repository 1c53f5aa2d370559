"""Splats in the browser: one node a body, so that motion costs a pose and no splat is sent twice."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import viser

from splatworld.core.state import State
from splatworld.core.world import World, rest_state
from splatworld.viewer.crop import Box, clipped
from splatworld.viewer.splats import SplatArrays, body_arrays

COMPLETED = (230, 40, 200)
"""Colour of completed splats where they are marked."""
TINT = 0.45
"""Share of the colour that a tinted body gets."""
SKETCH = 5000
"""Splats of a sketch: few enough for any browser to draw at once."""
WIDEN = 0.5
"""A sketch of every n-th splat has n to this power times their variances."""
MOST = 6e4
"""Largest variance in a node's unit; the browser gets them in half precision."""


class BodyNodes:
    """Splats of bodies in the browser.

    Attributes:
        drawn: how many of them there are.
        box: outside of which they are left out; None for no box.
    """

    def __init__(
        self,
        server: viser.ViserServer,
        *,
        name: str = "/bodies",
        fade: float = 1.0,
        wash: tuple[int, int, int] | None = None,
        share: float = TINT,
        sketch: bool = False,
    ) -> None:
        """Nothing yet.

        Args:
            server: of the page.
            name: of the node in the scene that holds them.
            fade: share of their opacity that splats keep.
            wash: a colour mixed with those of all splats.
            share: how much of it.
            sketch: send about `SKETCH` of the splats until `refine`, larger ones in place of all.
        """
        self._server, self._name, self._fade = server, name, fade
        self._wash, self._share = wash, share
        self.drawn = 0
        self.box: Box | None = None
        self._world: World | None = None
        self._whole: dict[int, SplatArrays] = {}
        self._arrays: dict[int, SplatArrays] = {}
        self._nodes: dict[int, viser.GaussianSplatHandle] = {}
        self._tinted: dict[int, tuple[int, int, int]] = {}
        self._depth = TINT
        self._marked = False
        self._sketch, self._lock = sketch, threading.RLock()

    def show(self, world: World) -> None:
        """Draw a world at rest in place of the one before; what is the same in both is not sent again."""
        self._world, self._whole = world, body_arrays(world)
        self.crop(self.box)

    def crop(self, box: Box | None) -> None:
        """Leave out what rests outside of a box, of the world that is shown."""
        self.box = box
        if self._world is None:
            return
        arrays = self._whole if box is None else clipped(self._whole, self._world, box, set())
        with self._server.atomic():
            self.draw(arrays)
            self.pose(rest_state(self._world))
        self.drawn = sum(len(part) for part in self._whole.values())

    def draw(self, arrays: dict[int, SplatArrays]) -> None:
        """Draw bodies, by their indices, in place of those before; where they are is left to `pose`."""
        with self._lock, self._server.atomic():
            before, self._arrays = self._arrays, arrays
            self.drawn = sum(len(part) for part in arrays.values())
            for index in set(self._nodes) - set(arrays):
                self._nodes.pop(index).remove()
            for index, part in arrays.items():
                if index not in before:
                    self._nodes[index] = self._server.scene.add_gaussian_splats(
                        f"{self._name}/{index}", **self._sent(index), scale=part.scale
                    )
                elif not part.same(before[index]):
                    self._nodes[index].set_gaussians(**self._sent(index))
                    self._nodes[index].scale = part.scale

    def refine(self) -> None:
        """Send all splats where only a sketch of them was."""
        with self._lock, self._server.atomic():
            coarse, self._sketch = self._step > 1, False
            if coarse:
                for index, node in self._nodes.items():
                    node.set_gaussians(**self._sent(index))

    def pose(self, state: State) -> None:
        """Show the bodies where a single state [no batch] has them; sends seven numbers a body."""
        for index in self._nodes:
            self.place(index, state.world_from_body[index].double().numpy())

    def place(self, index: int, world_from_body: np.ndarray) -> None:
        """Show one body at a pose [7]."""
        if index in self._nodes:
            node = self._nodes[index]
            node.position, node.wxyz = world_from_body[:3], world_from_body[3:]

    def tint(self, tints: dict[int, tuple[int, int, int]], *, completed: bool = False, share: float = TINT) -> None:
        """Mix the colours of bodies with a share of others, and give completed splats a colour of their own.

        What keeps its colour is not sent again.
        """
        before = {index: (color, self._depth) for index, color in self._tinted.items()}
        after = {index: (color, share) for index, color in tints.items()}
        changed = {index for index in {*before, *after} if before.get(index) != after.get(index)}
        changed |= set(self._nodes) if completed != self._marked else set()
        self._tinted, self._marked, self._depth = dict(tints), completed, share
        with self._lock:
            for index in changed & set(self._nodes):
                self._nodes[index].rgbs = self._sent(index)["rgbs"]

    def reveal(self, shown: set[int]) -> None:
        """Hide all bodies but these."""
        for index, node in self._nodes.items():
            if node.visible != (index in shown):
                node.visible = index in shown

    def remove(self) -> None:
        """Take them out of the scene."""
        for node in self._nodes.values():
            node.remove()
        self._nodes, self._arrays = {}, {}

    @property
    def _step(self) -> int:
        """Every how many splats one is sent."""
        return -(-self.drawn // SKETCH) if self._sketch and self.drawn else 1

    def _sent(self, index: int) -> dict[str, Any]:
        """What the browser gets of one body's splats."""
        part, step = self._arrays[index], self._step
        covariances = part.covariances[::step]
        wider = np.minimum(step**WIDEN, MOST / np.abs(covariances).max(axis=(1, 2), keepdims=True))
        return {
            "centers": part.centers[::step],
            "covariances": covariances if step == 1 else covariances * wider,
            "rgbs": self._colors(index)[::step],
            "opacities": self._opacities(part)[::step],
        }

    def _opacities(self, part: SplatArrays) -> np.ndarray:
        """[N, 1] uint8."""
        return part.opacities if self._fade == 1 else (part.opacities * self._fade + 0.5).astype(np.uint8)

    def _colors(self, index: int) -> np.ndarray:
        """[N, 3] uint8 of one body's splats, as they are drawn."""
        part = self._arrays[index]
        colors = part.colors.astype(np.float32)
        if self._marked:
            colors[part.completed] = COMPLETED
        if self._wash is not None:
            colors += self._share * (np.array(self._wash) - colors)
        if index in self._tinted:
            colors += self._depth * (np.array(self._tinted[index]) - colors)
        return (colors + 0.5).astype(np.uint8)
