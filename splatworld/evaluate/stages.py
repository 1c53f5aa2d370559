"""A view's way through the rasterizer, again and again, timed kernel by kernel; the plain baseline can stand in."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import torch

from splatworld import native
from splatworld.evaluate.scenes import Scene
from splatworld.render import ops

STAGES = {
    "project": "project",
    "sort_by_depth": "sort",
    "number_pairs": "sort",
    "list_tiles": "list",
    "rasterize": "blend",
    "rasterize_backward": "backward",
    "project_backward": "project backward",
}
"""Kernel -> the stage it belongs to, in their order."""


@dataclass
class Times:
    """Wall times of one view, s.

    Attributes:
        forward: the whole pass, allocation and Python included.
        backward: the same; 0 when only the forward pass was run.
        stages: by the names in STAGES.
    """

    forward: float = 0.0
    backward: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)

    @property
    def total(self) -> float:
        return self.forward + self.backward


@dataclass(frozen=True)
class Blended:
    """What a view blends.

    Attributes:
        pixels: (splat, pixel) pairs that blend.
        blocks: (splat, block of pixels that fills a vector) pairs with at least one of those.
    """

    pixels: int
    blocks: int


class TimedKernels:
    """The extension module, its stages timed; `instead` replaces those functions that it has."""

    def __init__(self, times: Times, instead: Any = None) -> None:
        self._times, self._kernels, self._instead = times, native.load(), instead

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._instead, name, None) or getattr(self._kernels, name)
        stage = STAGES.get(name)
        if stage is None:
            return value

        def timed(*arguments: Any) -> Any:
            start = time.perf_counter()
            answer = value(*arguments)
            self._times.stages[stage] = self._times.stages.get(stage, 0.0) + time.perf_counter() - start
            return answer

        return timed


class _Counting:
    """In place of blending, counts what would be blended."""

    def __init__(self) -> None:
        self.found: tuple[int, int] = (0, 0)

    def rasterize(self, *arguments: Any) -> None:
        self.found = native.load_benchmark().count_blended(*arguments[:5])


class View:
    """A scene that is drawn as a fit draws it: from tensors to a picture to gradients of the splats.

    Attributes:
        image: [H, W, 3] of the latest pass.
        gradients: of the latest backward pass, by the names in `RasterPass.PARAMETERS`, and `frames`; the next one
            overwrites them.
        pairs: (tile, splat) pairs of the latest pass.
    """

    def __init__(self, scene: Scene, *, color_only: bool = True, frame_gradients: bool = False) -> None:
        """Take a scene without batch; `color_only` as in `RasterPass`."""
        self._parameters = {name: getattr(scene.splats, name).contiguous() for name in ops.RasterPass.PARAMETERS}
        background = torch.zeros(3) if scene.background is None else scene.background
        camera = scene.camera
        self._inputs = (scene.splats.body_ids, scene.frames, ops.camera_rows(camera), camera.size, background)
        self._options: dict[str, Any] = {"skin": scene.skin, "antialias": scene.antialias, "color_only": color_only}
        generator = torch.Generator().manual_seed(0)
        self._wanted = torch.randn(camera.height, camera.width, 3, generator=generator)
        self.image = torch.empty(0)
        # Made once, as in a fit; memory that is new in every pass would be part of its time.
        self.gradients = {name: torch.zeros_like(value) for name, value in self._parameters.items()}
        if frame_gradients:
            self.gradients["frames"] = torch.zeros_like(scene.frames, dtype=torch.float64)
        self.pairs = 0

    @torch.no_grad()
    def run(self, *, threads: int, backward: bool = True, instead: Any = None) -> Times:
        """Draw once and, unless told not to, go back with a random gradient of the image.

        Args:
            threads: of every kernel.
            backward: go back as well.
            instead: its functions stand in for the kernels of the same name.
        """
        native.set_threads(threads)
        times = Times()
        with native.replaced(TimedKernels(times, instead)):
            start = time.perf_counter()
            one = ops.RasterPass(self._parameters, *self._inputs, **self._options)
            times.forward = time.perf_counter() - start
            if backward:
                start = time.perf_counter()
                for gradient in self.gradients.values():
                    gradient.zero_()
                one.backward(self.gradients, self._wanted)
                times.backward = time.perf_counter() - start
        self.image, self.pairs = one.image, one.pairs
        return times

    def count(self) -> Blended:
        """Count by the plain rasterizer."""
        counting = _Counting()
        self.run(threads=1, backward=False, instead=counting)
        return Blended(*counting.found)
