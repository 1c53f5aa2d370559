"""Times of the rasterizer against the plain baseline and the machine's arithmetic peak, in one run."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from splatworld import native
from splatworld.evaluate import scenes
from splatworld.evaluate.report import Line, line
from splatworld.evaluate.stages import STAGES, Blended, Times, View

THREADS = 2
"""Threads of the kernels' figures; the baseline has one."""

PEAK_SECONDS = 0.02
"""Length of one measurement of the peak; two a round, among the others."""


@dataclass(frozen=True)
class Room:
    """A scene of `scenes.room` and what OpenSplat's CPU rasterizer, one thread, needs for one of its own of that size.

    Attributes:
        count: of splats.
        size: (width, height) px.
        peer_forward: ms.
        peer_backward: ms.
    """

    count: int
    size: tuple[int, int]
    peer_forward: int
    peer_backward: int

    @property
    def name(self) -> str:
        return f"{self.count:,} splats at {self.size[0]}x{self.size[1]}"


ROOMS = (Room(30_000, (480, 270), 250, 115), Room(100_000, (960, 540), 1870, 640))


@dataclass(frozen=True)
class Measured:
    """The rounds of one room; a round measures each in turn, so that all see the same machine.

    Attributes:
        plain: the baseline.
        one: the kernels on one thread.
        two: the kernels on THREADS.
        full: the same, with the pictures of depth and bodies; forward only.
        peaks: GFLOP/s of one thread and of THREADS.
    """

    plain: list[Times]
    one: list[Times]
    two: list[Times]
    full: list[Times]
    peaks: list[tuple[float, float]]


def lines(*, rounds: int, quick: bool, say: Callable[[str], None]) -> list[Line]:
    """Rows for each room.

    Args:
        rounds: measurements that the medians are of.
        quick: the smaller room only, and speeds are not judged: they are those of a busy machine.
        say: called with one sentence a room.
    """
    rows: list[Line] = []
    for room in ROOMS[:1] if quick else ROOMS:
        scene = scenes.room(room.count, room.size)
        view = View(scene)
        check = _equality(room, view)
        measured = _measure(view, View(scene, color_only=False), rounds)
        rows += check + _rows(room, measured, view.count(), judged=not quick)
        say(
            f"{room.name}: forward {_ms(measured.two, _forward):.1f} ms, "
            f"forward and backward {_ms(measured.two, _total):.1f} ms, "
            f"plain {_ms(measured.plain, _forward):.1f} and {_ms(measured.plain, _total):.1f} ms"
        )
    return rows


def _equality(room: Room, view: View) -> list[Line]:
    """The baseline draws and differentiates the same; a gate that falls the other way moves a pixel by up to 1/255."""
    view.run(threads=1, instead=native.load_benchmark())
    image, gradients = view.image, {name: gradient.clone() for name, gradient in view.gradients.items()}
    view.run(threads=THREADS)
    other = ((view.image - image).abs().amax(dim=-1) > 1e-4).double().mean()
    distance = max(float((view.gradients[name] - g).norm() / g.norm()) for name, g in gradients.items())
    return [
        line(f"{room.name}, pixels unlike the plain baseline's", 100 * float(other), "%", "<= 0.1"),
        line(f"{room.name}, gradients against the plain baseline's, relative L2", distance, "", "<= 1e-3"),
    ]


def _measure(view: View, full: View, rounds: int) -> Measured:
    benchmark = native.load_benchmark()
    result = Measured([], [], [], [], [])
    full.run(threads=THREADS, backward=False)
    for _ in range(rounds):
        result.plain.append(view.run(threads=1, instead=benchmark))
        result.one.append(view.run(threads=1))
        result.two.append(view.run(threads=THREADS))
        result.full.append(full.run(threads=THREADS, backward=False))
        one, several = (benchmark.arithmetic_peak(threads, PEAK_SECONDS) for threads in (1, THREADS))
        result.peaks.append((one, several))
    return result


def _rows(room: Room, m: Measured, blended: Blended, *, judged: bool) -> list[Line]:
    benchmark = native.load_benchmark()
    peak_one, peak = (statistics.median(column) for column in zip(*m.peaks, strict=True))

    def row(what: str, value: float, unit: str, target: str | None = None, baseline: str | None = None) -> Line:
        return line(f"{room.name}, {what}", value, unit, target if judged else None, baseline)

    rows = []
    passes: tuple[tuple[str, Any, int, str, str | None], ...] = (
        ("forward", _forward, room.peer_forward, ">= 20", None),
        ("forward and backward", _total, room.peer_forward + room.peer_backward, ">= 12", "<= {}"),
    )
    for name, part, peer, times_target, bound in passes:
        plain, one, two = _ms(m.plain, part), _ms(m.one, part), _ms(m.two, part)
        peer_text = f"OpenSplat {peer} ms (its own scene)"
        rows += [
            row(f"{name}, plain baseline", plain, "ms", bound and bound.format(peer), peer_text),
            row(name, two, "ms", None, f"plain {plain:.1f} ms"),
            row(f"{name}, against the plain baseline", plain / two, "x", times_target, "1 thread against 2"),
            row(f"{name}, {THREADS} threads against 1", one / two, "x", ">= 1.8", f"1 thread {one:.1f} ms"),
        ]
    rows.append(row("forward with depth and bodies", _ms(m.full, _forward), "ms"))
    works = (
        ("forward", "blend", _forward, benchmark.BLEND_FLOPS, ">= 35"),
        ("backward", "backward", _backward, benchmark.BACKWARD_FLOPS, ">= 25"),
    )
    for name, stage, part, flops, target in works:
        work, milliseconds = blended.pixels * flops / 1e6, _ms(m.two, partial(_stage, stage))  # MFLOP over ms: GFLOP/s
        whole = _ms(m.two, part)
        rows += [
            row(f"{name}, share of peak", 100 * work / milliseconds / peak, "%", target, f"peak {peak:.0f} GFLOP/s"),
            row(f"{name}, share of peak, whole pass", 100 * work / whole / peak, "%"),
            row(f"{name}, pairs a second", blended.pixels / milliseconds / 1e6, "1e9/s"),
        ]
    rows += [
        row("pairs that blend", blended.pixels, ""),
        row("lanes filled", 100 * blended.pixels / (blended.blocks * benchmark.LANES), "%"),
    ]
    for stage in dict.fromkeys(STAGES.values()):
        each = [_ms(times, partial(_stage, stage)) for times in (m.one, m.plain)]
        others = f"1 thread {each[0]:.2f} ms, plain {each[1]:.2f} ms"
        rows.append(row(f"stage {stage}", _ms(m.two, partial(_stage, stage)), "ms", None, others))
    return [*rows, row("peak", peak, "GFLOP/s"), row(f"peak, {THREADS} threads against 1", peak / peak_one, "x")]


def _forward(times: Times) -> float:
    return times.forward


def _backward(times: Times) -> float:
    return times.backward


def _total(times: Times) -> float:
    return times.total


def _stage(name: str, times: Times) -> float:
    return times.stages[name]


def _ms(rounds: list[Times], part: Callable[[Times], float]) -> float:
    """Median over the rounds."""
    return 1e3 * statistics.median(map(part, rounds))
