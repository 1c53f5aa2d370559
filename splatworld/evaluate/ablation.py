"""What each part of the fit is worth: the same captures, small and briefly fitted, with one part changed at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from splatworld.capture.config import CaptureConfig
from splatworld.capture.load import load_capture
from splatworld.capture.undistort import undistort
from splatworld.core.clip import PosedClip
from splatworld.core.world import World
from splatworld.evaluate.report import Line, figure, line
from splatworld.reconstruct.config import FitConfig
from splatworld.reconstruct.fit import fit

Progress = Callable[..., Any]
Clean = Callable[[World, PosedClip, bool], World]
"""Scores a world, fitted with or without anti-aliasing, against clean pictures instead of the held-out frames."""

BRIEF = FitConfig.preset("fast", iterations=1200, splats=25_000, sh_degree=2)
CHANGES: dict[str, dict[str, Any]] = {
    "as it is": {},
    "fixed count of splats": {"seed_share": 1.0, "relocate_until": 0.0, "noise": 0.0},
    "without exposure": {"exposures_rate": 0.0},
    "without rolling shutter": {"readout": 0.0},
    "with pose refinement": {"poses_rate": 2e-3},
    "only seen splats stepped": {"visible_only": True},
    "with anti-aliasing": {"antialias": True},
}
"""What is changed in each row."""


def ablate(
    name: str, path: Path, capture: CaptureConfig, *, clean: Clean | None = None, progress: Progress | None = None
) -> list[Line]:
    """One line a change: the mean held-out PSNR, and as baseline that of the unchanged fit.

    Args:
        name: of the capture and its size, for the lines.
        path: of the capture; one that is not on this machine gives lines without a value.
        capture: how it is read.
        clean: what is scored against, where the capture has something better than its own frames.
        progress: called with one sentence a fit.
    """
    if not path.exists():
        return [line(f"{name}: ablation not measured, the capture is not on this machine", None, "dB")]
    say = progress or (lambda *_: None)
    raw = load_capture(path, capture)
    posed = undistort(raw)
    lines: list[Line] = []
    for change, values in CHANGES.items():
        say(f"{name}, {change}")
        config = replace(BRIEF, **values)
        world = fit(posed, config)
        if clean is not None:
            world = clean(world, raw, config.antialias)
        baseline = f"{next(iter(CHANGES))} {figure(lines[0].value or 0)}" if lines else None
        lines.append(line(f"{name}, {change}: held-out PSNR", world.metrics["psnr_mean"], "dB", baseline=baseline))
    return lines
