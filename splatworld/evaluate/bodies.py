"""Suite `bodies`: from pixels alone to bodies, against exact truth and hand-drawn outlines."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from splatworld import store
from splatworld.bodies.build import build_bodies
from splatworld.bodies.place import place
from splatworld.capture.config import CaptureConfig
from splatworld.capture.load import load_capture
from splatworld.capture.metric import MetricConfig, to_metres
from splatworld.capture.undistort import undistort
from splatworld.core.similarity import fit_similarity
from splatworld.core.world import World
from splatworld.evaluate import bodies_geometry, bodies_pusht, bodies_scale
from splatworld.evaluate.bodies_truth import (
    FOUND,
    chamfer,
    ious,
    lifted_outline_ious,
    outline_ious,
    removed_psnr,
    votes_of_truth,
)
from splatworld.evaluate.reconstruction import CHECKOUT, DATA_VARIABLE, SAMPLE
from splatworld.evaluate.report import Line, Report, commit_hash, line
from splatworld.evaluate.resume import FOLDER, measure_parts
from splatworld.evaluate.sample_truth import frame_number, read_truth
from splatworld.reconstruct.config import FitConfig
from splatworld.reconstruct.fit import fit

OUTLINES = CHECKOUT / "data" / "desk_phone_masks.json"

Progress = Callable[..., Any]


def run(*, quick: bool = False, long: bool = False, progress: Progress | None = None) -> Report:
    """Measure every row; captures that are not on this machine give rows without a value.

    Args:
        quick: the sample small and briefly fitted: shows that the line runs, not how good it is.
        long: the same as without.
        progress: called with one sentence a step.
    """
    say = progress or (lambda *_: None)
    data = Path(os.environ.get(DATA_VARIABLE, CHECKOUT.parent / "shared" / "data"))
    desk = data / "desk_phone" / "video.mp4"
    if quick:
        capture = CaptureConfig(max_side=480, sfm_max_side=800, max_features=2048)
        return Report("bodies", _sample(say, capture, FitConfig(iterations=300, splats=20_000), targets=False))
    parts: dict[str, Callable[[], list[Line]]] = {
        "sample": lambda: _sample(say, CaptureConfig(), FitConfig(), targets=True),
        "desk_phone": lambda: _desk(say, desk),
    }
    parts |= {
        "scale": lambda: bodies_scale.lines(SAMPLE, data, progress=progress),
        "geometry": lambda: bodies_geometry.lines(SAMPLE),
        "pusht_robot": lambda: bodies_pusht.lines(data, progress=progress),
    }
    return Report("bodies", measure_parts("bodies", parts, say))


def _sample(say: Progress, capture: CaptureConfig, config: FitConfig, *, targets: bool) -> list[Line]:
    truth = read_truth(SAMPLE)
    known = MetricConfig(truth["marker"]["side_m"], truth["marker"]["id"])
    say("sample: from pixels to bodies")
    world = _made("sample", SAMPLE / "video.mp4", capture, config, known, say)
    found = sample_lines(world, SAMPLE, truth, say)
    return found if targets else [replace(row, target=None, met=None) for row in found]


def sample_lines(world: World, folder: Path, truth: dict[str, Any], say: Progress) -> list[Line]:
    """Rows of a world with bodies against the sample's truth."""
    votes = votes_of_truth(world, folder, truth)
    table = ious(world, votes)
    names = {body["id"]: body["name"] for body in truth["bodies"]}
    best = {label: int(table[1:, label].argmax()) + 1 if len(table) > 1 else 0 for label in names}
    values = {label: float(table[index, label]) if index else 0.0 for label, index in best.items()}
    hit = {label: best[label] for label in names if values[label] > FOUND}
    invented = len(world.bodies) - 1 - len(set(hit.values()))
    rows = [
        line("sample: bodies found, of 9", len(set(hit.values())), "", f"== {len(names)}"),
        line("sample: bodies invented", invented, "", "== 0"),
        line("sample: splat IoU, lowest body", min(values.values()), "", ">= 0.95"),
        line("sample: splat IoU, mean", sum(values.values()) / len(values), "", ">= 0.95"),
    ]
    rows += [line(f"sample: splat IoU, {names[label]}", value, "") for label, value in values.items()]
    say("sample: each body removed")
    seen = removed_psnr(world, {label: world.bodies[index].name for label, index in hit.items()}, folder, truth)
    lowest = min(seen.values()) if len(seen) == len(names) else None
    rows.append(line("sample: revealed when a body is removed, PSNR, lowest body", lowest, "dB", ">= 24"))
    rows += [line(f"sample: {names[label]} removed, PSNR", value, "dB") for label, value in seen.items()]
    shapes = chamfer(in_truth(world, truth), hit, folder, truth)
    for part, away in zip(("seen", "completed"), zip(*shapes.values(), strict=True), strict=False):
        known = [value for value in away if value is not None]
        mean = 1000 * sum(known) / len(known) if known else None
        rows.append(line(f"sample: Chamfer distance of {part} surface, mean of bodies", mean, "mm"))
    return rows


def in_truth(world: World, truth: dict[str, Any]) -> World:
    """The world moved into the truth's frame by its cameras' positions, for shapes to be compared."""
    here = torch.stack([camera.world_from_camera[:3] for camera in world.cameras.values()])
    there = torch.tensor(truth["world_from_camera"], dtype=torch.float64)
    return place(world, fit_similarity(here, there[[frame_number(name) for name in world.cameras], :3]))


def _desk(say: Progress, video: Path) -> list[Line]:
    target = ">= 0.8"
    if not video.exists():
        return [line("desk_phone: not measured, the capture is not on this machine", None, "", target)]
    say("desk_phone: from pixels to bodies")
    world = _made("desk_phone", video, CaptureConfig(), FitConfig(), MetricConfig(), say)
    found, lifted = outline_ious(world, OUTLINES), lifted_outline_ious(world, OUTLINES)
    return [
        *(line(f"desk_phone: IoU with the drawn outline, {name}", value, "", target) for name, value in found.items()),
        *(
            line(f"desk_phone: IoU with the drawn outline, {name}, masks of the other four frames given", value, "")
            for name, value in lifted.items()
        ),
    ]


def _made(
    name: str, video: Path, capture: CaptureConfig, config: FitConfig, metric: MetricConfig, say: Progress
) -> World:
    """The fitted world with bodies; the fit of an unchanged commit is kept in `out/eval`."""
    kept = FOLDER / f"bodies_{name}_{commit_hash()}_{config.iterations}"
    if store.is_world(kept) and not kept.name.endswith("+changes"):
        world = store.load_world(kept)
    else:
        posed = to_metres(undistort(load_capture(video, capture, progress=say)), metric)
        world = fit(posed, config, progress=say)
        FOLDER.mkdir(parents=True, exist_ok=True)
        store.save_world(world, kept, overwrite=True)
    return build_bodies(world, progress=say)
