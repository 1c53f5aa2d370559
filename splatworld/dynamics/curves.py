"""Loss curves as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from splatworld.files import write_file

WIDTH, HEIGHT, EDGE = 960, 540, 60
COLORS = {"single": (180, 100, 30), "rollout": (40, 140, 40), "spread": (150, 50, 150), "validation": (30, 30, 210)}
"""BGR."""
BINS = 200


def save_curves(losses: list[dict[str, Any]], checkpoint: str | Path) -> Path:
    """Draw the losses of a training, means over stretches, to `checkpoint`.png; returns the path.

    Args:
        losses: rows with step, stage, loss and sometimes validation.
        checkpoint: beside which file.
    """
    picture = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    lines = {name: _binned([(r["step"], r["loss"]) for r in losses if r["stage"] == name]) for name in COLORS}
    lines["validation"] = np.array([(r["step"], r["validation"]) for r in losses if "validation" in r]).reshape(-1, 2)
    steps = max(len(losses), 2)
    # Likelihoods may be negative and have a scale of their own: they fill the height by themselves.
    positive = [line[:, 1] for name, line in lines.items() if name != "spread" and len(line)]
    levels = np.log10(np.maximum(np.concatenate(positive), 1e-6)) if positive else np.zeros(1)
    low, high = float(levels.min()) - 0.05, float(levels.max()) + 0.05
    for power in np.arange(np.floor(low * 4) / 4, high, 0.25):
        if power >= low:
            row = _row((power - low) / (high - low))
            cv2.line(picture, (EDGE, row), (WIDTH - EDGE, row), (225, 225, 225), 1)
            _write(picture, f"{10**power:.3g}", (4, row + 4), (90, 90, 90))
    for place, (name, line) in enumerate(lines.items()):
        if not len(line):
            continue
        if name == "spread":
            span = max(float(np.ptp(line[:, 1])), 1e-9)
            share = (line[:, 1] - line[:, 1].min()) / span
        else:
            share = (np.log10(np.maximum(line[:, 1], 1e-6)) - low) / (high - low)
        columns = EDGE + line[:, 0] / (steps - 1) * (WIDTH - 2 * EDGE)
        dots = np.stack([columns, [_row(s) for s in share]], axis=-1).round().astype(np.int32)
        cv2.polylines(picture, [dots], False, COLORS[name], 2, cv2.LINE_AA)
        label = f"{name} {line[-1, 1]:.3g}" + (" (own scale)" if name == "spread" else "")
        _write(picture, label, (EDGE + 215 * place, 24), COLORS[name])
    _write(picture, f"step {steps}", (WIDTH - EDGE - 70, HEIGHT - 20), (90, 90, 90))
    path = Path(checkpoint).with_name(Path(checkpoint).name + ".png")
    write_file(path, cv2.imencode(".png", picture)[1].tobytes())
    return path


def _binned(points: list[tuple[int, float]]) -> np.ndarray:
    """[P, 2] means over neighbours, at most `BINS` of them."""
    if not points:
        return np.zeros((0, 2))
    return np.array([part.mean(axis=0) for part in np.array_split(np.array(points), min(BINS, len(points)))])


def _row(share: float) -> int:
    return round(HEIGHT - EDGE - share * (HEIGHT - 2 * EDGE))


def _write(picture: np.ndarray, text: str, at: tuple[int, int], color: tuple[int, int, int]) -> None:
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, color, 1, cv2.LINE_AA)
