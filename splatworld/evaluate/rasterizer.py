"""Suite `rasterizer`: parity of the native kernels with the float64 oracle, their times, and how these grow."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path

from splatworld.evaluate import benchmark, growth, parity, scenes, states
from splatworld.evaluate.report import Line, Report, line
from splatworld.render import ops

SCENES = 30
QUICK_SCENES = 12
LONG_SCENES = 300
GROWTH = Path("out/eval/rasterizer-growth.json")
"""Where the long form puts the figures of growth, and beside them their plot."""


def run(*, quick: bool = False, long: bool = False, progress: Callable[[str], None] | None = None) -> Report:
    """Measure the native rasterizer on this machine.

    Args:
        quick: fewer scenes and rounds, one room, little growth; under a minute.
        long: more scenes; growth to three million splats, with a plot in `out/eval`.
        progress: called with one sentence a step.
    """
    say = progress or (lambda _: None)
    lines = parity_lines(LONG_SCENES if long else QUICK_SCENES if quick else SCENES, say)
    lines += benchmark.lines(rounds=3 if quick else 9, quick=quick, say=say)
    for room in benchmark.ROOMS[:1] if quick else benchmark.ROOMS:
        lines += states.lines(room.count, room.size, rounds=3 if quick else 9, judged=not quick)
    form = "quick" if quick else "long" if long else "default"
    lines += growth.lines(growth.AXES[form], judged=not quick, say=say, output=GROWTH if long else None)
    return Report(suite="rasterizer", lines=lines, threads=benchmark.THREADS)


def parity_lines(count: int, say: Callable[[str], None], rasterize: parity.Rasterize = ops.rasterize) -> list[Line]:
    """Rows for `count` random scenes: the worst of each figure, the mean share of flagged pixels."""
    found: list[parity.Parity] = []
    baked = []
    for seed in range(count):
        scene = scenes.random_scene(seed)
        found.append(parity.compare(rasterize, scene))
        baked.append(parity.baked_error(rasterize, scene))
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
