"""Depth maps that came with a capture, against the points of structure from motion."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from splatworld.core.camera import Camera, project
from splatworld.core.clip import PosedClip


def depth_ratios(posed: PosedClip, frames: Iterable[int]) -> list[Tensor]:
    """For each frame, what its depth map says of the points it saw over what the cameras say, [K] float64."""
    depths = posed.clip.depths
    ratios = []
    for frame in frames:
        points = posed.points[posed.tracks[posed.tracks[:, 1] == frame, 0]]
        row, column, depth, inside = pixels_of(posed.cameras[frame], points)
        given = torch.zeros_like(depth) if depths is None else depths[frame][row, column]
        ratios.append((given.double() / depth.double())[inside & (given > 0)])
    return ratios


def pixels_of(camera: Camera, points: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Row [N], column [N] of the pixels that show `points` [N, 3], clamped to the image; depth [N]; inside [N] bool."""
    pixels, depth = project(camera, points.to(camera.world_from_camera.dtype))
    pixels = torch.where((depth > 1e-6)[:, None], pixels, torch.full_like(pixels, -1.0))
    size = torch.tensor(camera.size, device=pixels.device)
    inside = ((pixels >= 0) & (pixels < size)).all(dim=-1)
    column, row = torch.minimum(pixels.long().clamp(min=0), size - 1).unbind(-1)
    return row, column, depth, inside
