"""Which suites there are, and where each lives."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from splatworld.core.checks import check_choice
from splatworld.evaluate.report import Report

SUITES = {
    "rasterizer": "splatworld.evaluate.rasterizer",
    "gpu": "splatworld.evaluate.gpu",
    "reconstruction": "splatworld.evaluate.reconstruction",
    "bodies": "splatworld.evaluate.bodies",
    "permanence": "splatworld.evaluate.permanence",
    "dynamics": "splatworld.evaluate.dynamics",
    "queries": "splatworld.evaluate.queries",
    "planning": "splatworld.evaluate.planning",
    "viewer": "splatworld.viewer.suite",
}
"""Suite -> module with `run(*, quick, long, progress) -> Report`; a layer above this one brings its own."""


def run_suite(
    name: str, *, quick: bool = False, long: bool = False, progress: Callable[..., Any] | None = None
) -> Report:
    """Run one suite.

    Args:
        name: see `SUITES`.
        quick: the minute-long version.
        long: the soaks.
        progress: called with one sentence a step.

    Raises:
        InputError: no such suite; lists those there are.
    """
    check_choice("run_suite", "suite", name, tuple(SUITES))
    return import_module(SUITES[name]).run(quick=quick, long=long, progress=progress)
