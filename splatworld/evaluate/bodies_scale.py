"""Rows on metres: real RGB-D views against their depth sensor."""

from __future__ import annotations

from pathlib import Path

import torch

from splatworld.bodies.segment import segment
from splatworld.capture.config import CaptureConfig, Progress
from splatworld.capture.load import load_capture
from splatworld.capture.metric import to_metres
from splatworld.capture.scale import scale_from_depth
from splatworld.capture.undistort import undistort
from splatworld.core.clip import PosedClip
from splatworld.core.world import World
from splatworld.evaluate.bodies_truth import objects_apart
from splatworld.evaluate.reconstruction import CHECKOUT
from splatworld.evaluate.report import Line, line
from splatworld.evaluate.sample_truth import LEAST_ALPHA
from splatworld.reconstruct.config import FitConfig
from splatworld.reconstruct.fit import fit
from splatworld.render.render import render

OUTLINES = CHECKOUT / "data" / "shelf_rgbd_masks.json"
"""Outlines of the four objects, drawn by hand in one of the views."""
SHELF = Path("shelf_rgbd") / "scene-0000"
"""15 views of a shelf by a robot arm, in the folder of real captures."""


def lines(data: Path, *, quick: bool = False, progress: Progress | None = None) -> list[Line]:
    """Rows of the suite `bodies` on scale and depth of real views.

    Args:
        data: folder of real captures; rows of those that are not there have no value.
        quick: cameras from small frames, and no fit.
        progress: told of each stage.
    """
    config = CaptureConfig.preset("fast") if quick else CaptureConfig()
    return _shelf(data / SHELF, config, quick=quick, progress=progress)


def _shelf(folder: Path, config: CaptureConfig, *, quick: bool, progress: Progress | None) -> list[Line]:
    scale = "shelf_rgbd: scale of the arm's poses against the depth sensor"
    apart = "shelf_rgbd: objects apart, of 4"
    depth = "shelf_rgbd: rendered against sensor depth on held-out frames, median"
    if not folder.is_dir():
        return [
            line(f"{scale}: not measured, the capture is not on this machine", None, "%", "<= 1"),
            line(f"{depth}: not measured, the capture is not on this machine", None, "mm", "<= 10"),
            line(f"{apart}: not measured, the capture is not on this machine", None, "", "== 4"),
        ]
    posed = to_metres(undistort(load_capture(folder, config, progress=progress)))
    by_depth = scale_from_depth(posed)
    assert by_depth is not None, "the shelf's views have depth maps"
    rows = [line(scale, 100 * abs(by_depth.value - 1), "%", "<= 1")]
    if quick:
        depth_row = line(f"{depth}: not measured in the quick form", None, "mm", "<= 10")
        return [*rows, depth_row, line(f"{apart}: not measured in the quick form", None, "", "== 4")]
    world = fit(posed, FitConfig(), progress=progress)
    rows.append(line(depth, 1000 * depth_distance(world, posed), "mm", "<= 10"))
    found = segment(world, progress=progress)
    return [*rows, line(apart, objects_apart(found, OUTLINES), "", "== 4")]


def depth_distance(world: World, posed: PosedClip) -> float:
    """Median distance of rendered depth from the held-out frames' own depth maps, along +z, m."""
    assert posed.clip.depths is not None
    distances = []
    for frame in torch.nonzero(posed.clip.held_out).squeeze(-1).tolist():
        shown = render(world, None, world.cameras[posed.clip.names[frame]])
        given = posed.clip.depths[frame]
        both = (given > 0) & (shown.alpha > LEAST_ALPHA) & (shown.median_depth > 0)
        distances.append((shown.median_depth - given)[both].abs())
    return float(torch.cat(distances).median())
