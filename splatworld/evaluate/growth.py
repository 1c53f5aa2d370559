"""How time and memory of the rasterizer grow with the work. Each point is measured in a process of its own."""

from __future__ import annotations

import json
import math
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path

import torch

from splatworld import native
from splatworld.core import pose
from splatworld.core.world import Skin
from splatworld.evaluate import scenes
from splatworld.evaluate.benchmark import THREADS
from splatworld.evaluate.report import Line, line
from splatworld.evaluate.stages import STAGES, View
from splatworld.files import write_file

REPEATS = 5
NO_CLIFF = "<= 1.25"
"""Target of the steepest stretch: about in proportion, with room for caches that overflow."""

CLEAR_PEAK = Path("/proc/self/clear_refs")
STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Point:
    """A room and how it is posed.

    Attributes:
        splats: how many.
        width: px.
        height: px.
        overlap: as in `scenes.room`.
        frames: in the table that poses the splats.
        weights: (index, weight) pairs a splat.
    """

    splats: int = 100_000
    width: int = 480
    height: int = 270
    overlap: float = 20.0
    frames: int = 16
    weights: int = 1

    @property
    def pixels(self) -> int:
        return self.width * self.height


@dataclass(frozen=True)
class Cost:
    """What a point costs on THREADS threads; medians of REPEATS.

    Attributes:
        forward: ms of the whole pass, colour only.
        backward: ms of the whole pass, gradients of splats and frames.
        stages: ms by the names in `stages.STAGES`.
        pairs: (tile, splat) pairs.
        peak_memory: MB, of the whole process while it draws and goes back.
        scene_memory: MB of it that were there before: interpreter, libraries, splats, room for gradients.
    """

    forward: float
    backward: float
    stages: dict[str, float]
    pairs: int
    peak_memory: float
    scene_memory: float

    @property
    def total(self) -> float:
        return self.forward + self.backward


def _sizes(*widths: int) -> list[Point]:
    return [Point(width=width, height=width * 9 // 16) for width in widths]


def _counts(*counts: int) -> list[Point]:
    return [Point(splats=count, width=960, height=540) for count in counts]


AXES: dict[str, dict[str, list[Point]]] = {
    "quick": {"splats": [Point(splats=10_000), Point(splats=30_000)]},
    "default": {
        "splats": _counts(10_000, 100_000, 1_000_000),
        "pixels": _sizes(480, 960, 1920),
        "overlap": [Point(overlap=overlap) for overlap in (10, 40)],
        "frames": [Point(frames=16), Point(frames=4096)],
        "weights": [Point(frames=4096, weights=weights) for weights in (1, 8)],
    },
    "long": {
        "splats": _counts(10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000),
        "pixels": _sizes(240, 480, 960, 1920, 3840),
        "overlap": [Point(overlap=overlap) for overlap in (5, 10, 20, 40, 80, 160)],
        "frames": [Point(frames=frames) for frames in (1, 16, 256, 4096, 65_536)],
        "weights": [Point(frames=4096, weights=weights) for weights in (1, 2, 4, 8)],
    },
}
"""What is varied, and the points; by the suite's form."""


def lines(
    axes: dict[str, list[Point]], *, judged: bool, say: Callable[[str], None], output: Path | None = None
) -> list[Line]:
    """Rows for each point and, for each axis, how steep its steepest stretch is: 1 means that twice as much takes twice
    as long.

    Args:
        axes: one of `AXES`.
        judged: hold the steepest stretches to NO_CLIFF.
        say: called with one sentence a point.
        output: where the figures go as JSON, and beside it their plot; None: nowhere.
    """
    costs: dict[Point, Cost] = {}
    rows = []
    for axis, points in axes.items():
        for point in points:
            if point not in costs:
                costs[point] = measure_apart(point)
            cost, name = costs[point], f"growth with {axis}, {_label(axis, point)}"
            rows.append(line(f"{name}, forward", cost.forward, "ms"))
            rows.append(line(f"{name}, forward and backward", cost.total, "ms"))
            rows.append(
                line(f"{name}, peak memory", cost.peak_memory, "MB", baseline=f"without {cost.scene_memory:.0f} MB")
            )
            say(f"{name}: {cost.forward:.1f} and {cost.total:.1f} ms, {cost.peak_memory:.0f} MB")
        rows.append(
            line(
                f"growth with {axis}, steepest", steepest(axis, points, costs), "exponent", NO_CLIFF if judged else None
            )
        )
    if output is not None:
        figures = {axis: [asdict(point) | asdict(costs[point]) for point in points] for axis, points in axes.items()}
        write_file(output, json.dumps(figures, indent=1) + "\n")
        draw(axes, costs, output.with_suffix(".png"))
    return rows


def steepest(axis: str, points: list[Point], costs: dict[Point, Cost]) -> float:
    """Largest d log(time) / d log(amount) between neighbours, of forward and backward together."""
    return max(
        math.log(costs[after].total / costs[before].total) / math.log(getattr(after, axis) / getattr(before, axis))
        for before, after in pairwise(points)
    )


def measure_apart(point: Point) -> Cost:
    """`measure` in a fresh process."""
    command = [sys.executable, "-m", "splatworld.evaluate.growth", json.dumps(asdict(point))]
    return Cost(**json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout))


def measure(point: Point) -> Cost:
    """Draw the point's scene and go back, REPEATS times after an unmeasured one."""
    view = View(_scene(point), frame_gradients=True)
    before = _memory("VmRSS")
    if CLEAR_PEAK.exists():  # so that the peak is not that of making the scene
        CLEAR_PEAK.write_text("5")
    view.run(threads=THREADS)
    rounds = [view.run(threads=THREADS) for _ in range(REPEATS)]
    return Cost(
        forward=1e3 * statistics.median(times.forward for times in rounds),
        backward=1e3 * statistics.median(times.backward for times in rounds),
        stages={name: 1e3 * statistics.median(times.stages[name] for times in rounds) for name in rounds[0].stages},
        pairs=view.pairs,
        peak_memory=_memory("VmHWM"),
        scene_memory=before,
    )


def draw(axes: dict[str, list[Point]], costs: dict[Point, Cost], path: Path) -> None:
    """Plot time and memory against each axis, both logarithmic, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.4 * len(axes), 6.0), layout="constrained")
    grid = figure.subplots(2, len(axes), squeeze=False, sharey="row")
    for (axis, points), (times, memory) in zip(axes.items(), grid.T, strict=True):
        amounts = [getattr(point, axis) for point in points]
        found = [costs[point] for point in points]
        times.plot(amounts, [cost.total for cost in found], "o-", color="black", label="forward and backward")
        times.plot(amounts, [cost.forward for cost in found], "s-", color="tab:blue", label="forward")
        for stage in found[0].stages:
            times.plot(amounts, [cost.stages[stage] for cost in found], "--", lw=1, alpha=0.8, label=stage)
        memory.plot(amounts, [cost.peak_memory for cost in found], "o-", color="black", label="whole process")
        own = [max(cost.peak_memory - cost.scene_memory, 1.0) for cost in found]
        memory.plot(amounts, own, "s-", color="tab:blue", label="of it for drawing")
        memory.set_xlabel(axis)
        for plot in (times, memory):
            plot.set_xscale("log", base=2 if max(amounts) <= 16 * min(amounts) else 10)
            plot.set_yscale("log")
            plot.grid(alpha=0.3)
    grid[0, 0].set_ylabel(f"time, ms ({THREADS} threads, {native.level()})")
    grid[1, 0].set_ylabel("peak memory, MB")
    figure.legend(
        *grid[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=len(STAGES) + 2, fontsize=8
    )
    grid[1, 0].legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure).print_png(path)


def _scene(point: Point) -> scenes.Scene:
    scene = scenes.room(point.splats, (point.width, point.height), overlap=point.overlap)
    generator = torch.Generator().manual_seed(1)
    shape = (point.splats, point.weights)
    indices = torch.randint(point.frames, shape, generator=generator, dtype=torch.int32)
    weights = torch.full(shape, 1 / point.weights)
    return replace(scene, frames=pose.identity(point.frames), skin=Skin(indices, weights))


def _label(axis: str, point: Point) -> str:
    return f"{point.width}x{point.height}" if axis == "pixels" else f"{getattr(point, axis):,}"


def _memory(entry: str) -> float:
    """MB of this process: VmRSS, what it has now, or VmHWM, the most it had."""
    if not STATUS.exists():
        # Elsewhere only the peak is known, and in bytes on macOS.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    (row,) = (row for row in STATUS.read_text().splitlines() if row.startswith(entry))
    return int(row.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    print(json.dumps(asdict(measure(Point(**json.loads(sys.argv[1]))))))
