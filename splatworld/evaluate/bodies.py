"""Suite `bodies`: from pixels alone to bodies, against exact truth and hand-drawn outlines."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from splatworld import store
from splatworld.bodies.build import build_bodies
from splatworld.capture.config import CaptureConfig
from splatworld.capture.load import load_capture
from splatworld.capture.metric import MetricConfig, to_metres
from splatworld.capture.undistort import undistort
from splatworld.core.world import World
from splatworld.evaluate import bodies_geometry, bodies_mjcf, bodies_pusht, bodies_sample, bodies_scale
from splatworld.evaluate.bodies_truth import lifted_outline_ious, outline_ious
from splatworld.evaluate.reconstruction import CHECKOUT, DATA_VARIABLE, SAMPLE
from splatworld.evaluate.report import Line, Report, commit_hash, line
from splatworld.evaluate.resume import FOLDER, measure_parts
from splatworld.evaluate.sample_truth import read_truth
from splatworld.reconstruct.config import FitConfig
from splatworld.reconstruct.fit import fit

OUTLINES = CHECKOUT / "data" / "desk_phone_masks.json"
SAME_CAMERAS = CaptureConfig(deterministic=True)
"""What is found differs with the cameras: figures are of ones that every run finds again."""

Progress = Callable[..., Any]
Parts = dict[str, Callable[[], list[Line]]]
T = TypeVar("T")


def run(*, quick: bool = False, long: bool = False, progress: Progress | None = None) -> Report:
    """Measure every row; captures that are not on this machine give rows without a value.

    Args:
        quick: the sample small and briefly fitted, and what needs no capture: shows that the line runs, and judges what
            holds at any quality.
        long: the same as without.
        progress: called with one sentence a step.
    """
    say = progress or (lambda *_: None)
    if quick:
        return Report("bodies", measure_parts("bodies", quick_parts(say), say, folder=None))
    data = Path(os.environ.get(DATA_VARIABLE, CHECKOUT.parent / "shared" / "data"))
    desk = data / "desk_phone" / "video.mp4"
    parts = sample_parts(_Once(lambda: sample_world(say)), say)
    parts |= {
        "desk_phone": lambda: _desk(say, desk),
        "shelf_rgbd": lambda: bodies_scale.lines(data, progress=progress),
        "geometry": lambda: bodies_geometry.lines(SAMPLE),
        "pusht_robot": lambda: bodies_pusht.lines(data, progress=progress),
    }
    return Report("bodies", measure_parts("bodies", parts, say))


def quick_parts(say: Progress) -> Parts:
    """The minute-long form."""
    capture = replace(SAME_CAMERAS, max_side=480, sfm_max_side=800, max_features=2048)
    made = _Once(lambda: sample_world(say, capture, FitConfig(iterations=300, splats=20_000)))
    parts = sample_parts(made, say)
    for name in ("sample: bodies", "sample: removal", "sample: surfaces", "sample: metres"):
        parts[name] = partial(_unjudged, parts[name])
    return parts | {"geometry": lambda: bodies_geometry.lines(SAMPLE, quick=True)}


def _unjudged(measure: Callable[[], list[Line]]) -> list[Line]:
    return [replace(row, target=None, met=None) for row in measure()]


def sample_parts(made: Callable[[], World], say: Progress) -> Parts:
    """What is measured of the sample's world, which `made` gives."""
    truth = read_truth(SAMPLE)
    matched = _Once(lambda: bodies_sample.match(made(), SAMPLE, truth))

    def removal() -> list[Line]:
        found = matched()
        say("sample: each body removed")
        return bodies_sample.removed_lines(made(), found, SAMPLE, truth)

    return {
        "sample: bodies": lambda: bodies_sample.found_lines(made(), matched(), truth),
        "sample: removal": removal,
        "sample: surfaces": lambda: bodies_sample.shape_lines(made(), matched(), SAMPLE, truth),
        "sample: metres": lambda: bodies_sample.metre_lines(made(), truth),
        "sample: MJCF": lambda: bodies_mjcf.lines(made(), name="sample"),
    }


class _Once(Generic[T]):
    """What several parts look at: made when the first asks; what goes wrong is not tried again."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: list[T] = []
        self._error: Exception | None = None

    def __call__(self) -> T:
        if self._error is not None:
            raise self._error
        if not self._made:
            try:
                self._made.append(self._make())
            except Exception as error:
                self._error = error
                raise
        return self._made[0]


def sample_world(say: Progress, capture: CaptureConfig | None = None, config: FitConfig | None = None) -> World:
    """The sample's world with bodies, made from its video; the fit of an unchanged commit is kept in `out/eval`."""
    truth = read_truth(SAMPLE)
    known = MetricConfig(truth["marker"]["side_m"], truth["marker"]["id"])
    say("sample: from pixels to bodies")
    return _made("sample", SAMPLE / "video.mp4", capture or SAME_CAMERAS, config or FitConfig(), known, say)


def _desk(say: Progress, video: Path) -> list[Line]:
    target = ">= 0.8"
    if not video.exists():
        return [line("desk_phone: not measured, the capture is not on this machine", None, "", target)]
    say("desk_phone: from pixels to bodies")
    world = _made("desk_phone", video, SAME_CAMERAS, FitConfig(), MetricConfig(), say)
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
