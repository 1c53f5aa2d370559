"""`splatworld info PATH`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from splatworld.cli.terminal import Common, Terminal, table


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Tell what a world, a rollout, splats of another tool or a capture hold; checksums are verified."""

    path: Annotated[Positional[Path], arg(metavar="PATH")]
    """A world's or rollout's folder, a .ply or .splat file, a video or a capture's folder."""


def run(options: Options, terminal: Terminal) -> None:
    from splatworld.evaluate.summary import summarize

    data = summarize(options.path)
    terminal.result(data, table(readable(data)))


def readable(data: dict[str, Any]) -> dict[str, Any]:
    """The summary in words."""
    from splatworld.core.world import Scale
    from splatworld.evaluate.report import figure

    rows = {name: value for name, value in data.items() if isinstance(value, str | int)}
    rows["bytes"] = f"{data['bytes'] / 1e6:.1f} MB"
    unit = data.get("unit", "units of the file")
    if data.get("extent"):
        rows["extent"] = " x ".join(f"{length:.3g}" for length in data["extent"]) + f" {unit}"
    if "provenance" in data:
        rows["provenance"] = ", ".join(f"{count} {name}" for name, count in data["provenance"].items() if count)
    if "bodies" in data:
        rows |= {body["name"]: body["summary"] for body in data["bodies"]}
        rows["cameras"] = len(data["cameras"])
        scale = data["scale"]
        rows["scale"] = str(Scale(scale["value"], scale["source"], scale["std"] or math.inf))
        rows["gravity"] = " ".join(f"{g:.3g}" for g in data["gravity"]) if any(data["gravity"]) else "unknown"
    if "duration" in data:
        width, height = data["size"]
        rows["size"] = f"{width} x {height} px"
        rows["duration"] = f"{data['duration']:.1f} s"
    metrics = data.get("metrics", {})
    for name, value in metrics.items():
        if isinstance(value, int | float):
            rows[name] = figure(value)
    return rows | _quality(metrics)


def _quality(metrics: dict[str, Any]) -> dict[str, str]:
    """Coverage and warnings of a reconstruction."""
    rows = {}
    coverage = metrics.get("coverage")
    if coverage:
        shares = coverage["surface_seen_from"].items()
        rows["surface seen from"] = ", ".join(f"{sides} directions {100 * share:.0f} %" for sides, share in shares)
        for band, gaps in coverage["unfilmed"].items():
            degrees = ", ".join(f"{low:.0f}-{high:.0f}" for low, high in gaps)
            rows[f"not filmed {band}"] = f"{degrees} degrees" if gaps else "nothing: all around was"
    for count, warning in enumerate(metrics.get("warnings", []), 1):
        rows[f"warning {count}"] = warning
    return rows
