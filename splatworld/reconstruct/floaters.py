"""Splats that no training view needs, or that hang before a camera: found by what they add to the pictures."""

from __future__ import annotations

import statistics

import torch
from torch import Tensor

from splatworld.capture.depth import pixels_of
from splatworld.core import pose
from splatworld.core.camera import Camera, resize
from splatworld.core.clip import PosedClip
from splatworld.core.splats import SH_CONSTANT, Splats
from splatworld.reconstruct.score import psnr
from splatworld.reconstruct.views import Target, View
from splatworld.render.ops import camera_rows
from splatworld.render.passes import RasterPass
from splatworld.render.single import DeviceView, draw_one

IDLE = 0.05
"""Sum of blending weights, in pixels, that a splat must reach in some view to be needed."""
NEAR = 0.3
"""Share of the depth of a frame's nearest points below which nothing solid is expected."""
LOSS = 0.02
"""dB by which training frames may get worse; more, and the splats were no floaters."""
CHECKED = 12
"""Training frames by which that is judged."""


def drop_floaters(
    splats: Splats, posed: PosedClip, train: list[int], views: list[View], gains: Tensor
) -> tuple[Splats, int]:
    """The splats without floaters, and how many those were.

    Held-out frames have no say. Splats are dropped all or none: none if training frames get worse.

    Args:
        splats: fitted, on the device for which `views` are.
        posed: the frames they were fitted to, with cameras as the fit saw them.
        train: training frames.
        views: of the training frames.
        gains: [T, 3] exposure of the training frames.
    """
    device = splats.means.device
    needed = torch.zeros(len(splats), device=device)
    hanging = torch.zeros(len(splats), dtype=torch.bool, device=device)
    for frame, view in zip(train, views, strict=True):
        weight = blending_weights(splats, view.at(2), posed.cameras[frame]) * 4  # at full size
        needed = torch.maximum(needed, weight)
        hanging |= _before_camera(splats.means, posed, frame) & (weight > 0)
    keep = (needed >= IDLE) & ~hanging
    if bool(keep.all()) or not bool(keep.any()):
        return splats, 0
    fewer = splats.select(keep)
    at = [round(i * (len(train) - 1) / max(CHECKED - 1, 1)) for i in range(CHECKED)]
    change = []
    for i in sorted(set(at)):
        given = views[i].at(2), posed.cameras[train[i]], gains[i].to(device)
        change.append(_score(fewer, *given) - _score(splats, *given))
    return (fewer, len(splats) - len(fewer)) if statistics.fmean(change) >= -LOSS else (splats, 0)


def blending_weights(splats: Splats, target: Target, camera: Camera) -> Tensor:
    """[N] sum over a view's pixels of the weight with which each splat is blended.

    It is the derivative of the summed picture by the splat's colour, so the backward pass of a grey picture tells it.
    """
    one = _pass(splats, target, camera, torch.zeros(len(splats), 1, 3, device=splats.means.device))
    by_color = torch.zeros(len(splats), 1, 3, device=splats.means.device)
    one.backward({"sh": by_color}, torch.ones_like(one.image))
    return by_color[:, 0].mean(dim=-1) / SH_CONSTANT


def _before_camera(means: Tensor, posed: PosedClip, frame: int) -> Tensor:
    """[N] in view of a frame and far nearer than all its points."""
    camera = posed.cameras[frame]
    own = posed.points[posed.tracks[posed.tracks[:, 1] == frame, 0]]
    _, _, depth, inside = pixels_of(camera, own)
    if not bool(inside.any()):
        return torch.zeros(len(means), dtype=torch.bool, device=means.device)
    _, _, distance, seen = pixels_of(camera.to(means.device), means)
    return seen & (distance < NEAR * torch.quantile(depth[inside], 0.02))


def _score(splats: Splats, target: Target, camera: Camera, gain: Tensor) -> float:
    image = _pass(splats, target, camera, splats.sh).image * gain
    return psnr(image, target.image, None if target.mask is None else target.mask.bool())


def _pass(splats: Splats, target: Target, camera: Camera, sh: Tensor) -> RasterPass | DeviceView:
    values = {name: getattr(splats, name) for name in RasterPass.PARAMETERS if name != "sh"}
    device = sh.device
    body_ids, background = torch.zeros(len(splats), dtype=torch.int32, device=device), torch.zeros(3, device=device)
    row = camera_rows(resize(camera, target.size)).float().contiguous().to(device)
    return draw_one(
        {**values, "sh": sh}, body_ids, pose.identity(1, device=device), row, target.size, background, color_only=True
    )
