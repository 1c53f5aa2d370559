"""Suite `rasterizer`: parity of the native kernels with the float64 oracle, then their times."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

import torch

from splatworld import native
from splatworld.evaluate import parity, scenes
from splatworld.evaluate.report import Line, Report, line
from splatworld.render import ops

SCENES = 30
QUICK_SCENES = 6
LONG_SCENES = 300
THREADS = 2
"""Threads of the timings, for comparison with the peer's machine."""

ROOMS = (
    ("30,000 splats at 480x270", 30_000, (480, 270), 250, 115),
    ("100,000 splats at 960x540", 100_000, (960, 540), 1870, 640),
)
"""Name, splats, (width, height) px, and the forward and backward ms of OpenSplat's CPU rasterizer on its own scene."""


def run(*, quick: bool = False, long: bool = False, progress: Callable[[str], None] | None = None) -> Report:
    """Measure the native rasterizer on this machine.

    Args:
        quick: fewer scenes and repetitions; under a minute.
        long: more scenes.
        progress: called with one sentence a step.
    """
    say = progress or (lambda _: None)
    count = LONG_SCENES if long else QUICK_SCENES if quick else SCENES
    lines = parity_lines(count, say) + timing_lines(3 if quick else 9, say)
    return Report(suite="rasterizer", lines=lines, threads=THREADS)


def parity_lines(count: int, say: Callable[[str], None]) -> list[Line]:
    """Rows for `count` random scenes: the worst of each figure, the mean share of flagged pixels."""
    found: list[parity.Parity] = []
    baked = []
    for seed in range(count):
        scene = scenes.random_scene(seed)
        found.append(parity.compare(ops.rasterize, scene))
        baked.append(parity.baked_error(ops.rasterize, scene))
        say(f"scene {seed + 1} of {count}: forward {found[-1].forward:.1e}, flagged {found[-1].flagged:.2%}")
    names = list(dict.fromkeys(name for each in found for name in each.cosines))
    rows = [
        line("forward, largest difference", max(each.forward for each in found), "", "<= 1e-4"),
        line("flagged pixels", 100 * statistics.fmean(each.flagged for each in found), "%", "<= 0.5"),
        line("flagged pixels, largest error", 255 * max(each.flagged_error for each in found), "1/255", "<= 2"),
        line("pixels with another median splat", 100 * max(each.median for each in found), "%", "<= 0"),
        line("frames against rewritten splats", max(baked), "", "<= 1e-5"),
    ]
    for name in names:
        cosine = min(each.cosines.get(name, 1.0) for each in found)
        rows.append(line(f"gradient of {name}, cosine", cosine, "", ">= 0.9999"))
        distance = max(each.distances.get(name, 0.0) for each in found)
        rows.append(line(f"gradient of {name}, relative L2", distance, "", "<= 1e-3"))
    return rows


def timing_lines(repeats: int, say: Callable[[str], None]) -> list[Line]:
    """Median ms of the forward pass, and of forward and backward, of each room."""
    rows = []
    native.set_threads(THREADS)
    for name, count, size, forward, backward in ROOMS:
        scene = scenes.room(count, size)
        with torch.no_grad():
            milliseconds = _median_ms(partial(_forward, scene), repeats)
        rows.append(line(f"{name}, forward", milliseconds, "ms", baseline=f"OpenSplat {forward} ms (its own scene)"))
        say(f"{name}: forward {milliseconds:.1f} ms")
        milliseconds = _median_ms(partial(_forward_backward, scene), repeats)
        peer = f"OpenSplat {forward + backward} ms (its own scene)"
        rows.append(line(f"{name}, forward and backward", milliseconds, "ms", baseline=peer))
        say(f"{name}: forward and backward {milliseconds:.1f} ms")
    return rows


def _forward(scene: scenes.Scene) -> None:
    ops.rasterize(scene.splats, scene.frames, scene.camera, **scene.options)


def _forward_backward(scene: scenes.Scene) -> None:
    rendering = parity.call(ops.rasterize, scene, parity.parameters(scene))
    rendering.image.backward(torch.ones_like(rendering.image))


def _median_ms(work: Callable[[], None], repeats: int) -> float:
    """Median wall time of `work` in ms, after one unmeasured call."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)
