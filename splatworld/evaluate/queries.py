"""Suite `queries`: how fast, how exact and how honest a predicted world answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from splatworld.evaluate.queries_contacts import contact_lines
from splatworld.evaluate.queries_speed import batch_lines, loop_lines
from splatworld.evaluate.queries_truth import exact_lines, unseen_lines
from splatworld.evaluate.report import Line, Report, line
from splatworld.evaluate.resume import measure_parts

EPISODES, QUICK_EPISODES = 60, 2
LOOPS, QUICK_LOOPS = 5000, 300
POINTS, QUICK_POINTS = 400_000, 40_000


def run(*, quick: bool = False, long: bool = False, progress: Callable[..., Any] | None = None) -> Report:
    """Measure every row.

    Args:
        quick: fewer points, loops and episodes; rows that so few cannot judge come without their targets.
        long: no more than without it.
        progress: called with one sentence a step.
    """
    say = progress or (lambda *_: None)
    points = QUICK_POINTS if quick else POINTS
    parts: dict[str, Callable[[], list[Line]]] = {
        "loop": lambda: loop_lines(QUICK_LOOPS if quick else LOOPS, say),
        "batch": lambda: batch_lines(say, runs=3 if quick else 11, count=32 if quick else 256),
        "exact": lambda: exact_lines(points, say),
        "unseen": lambda: unseen_lines(points, say),
        "contacts": lambda: contact_lines(QUICK_EPISODES if quick else EPISODES, say),
    }
    if not quick:
        return Report("queries", measure_parts("queries", parts, say))
    timed = ("loop", "batch", "contacts")  # a busy machine, and two episodes, decide nothing
    found = [(name, each) for name, measure in parts.items() for each in measure()]
    return Report(
        "queries",
        [line(row.name, row.value, row.unit, None, row.baseline) if name in timed else row for name, row in found],
    )
