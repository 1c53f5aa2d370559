"""Resize the frames of a posed clip together with their cameras."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from splatworld.capture.images import shrink
from splatworld.core.camera import resize
from splatworld.core.clip import Clip, PosedClip


def resize_posed(posed: PosedClip, size: tuple[int, int]) -> PosedClip:
    """The same views as images of (width, height) `size` px; masks and depths take the nearest pixel."""
    clip = posed.clip
    if (clip.images.shape[2], clip.images.shape[1]) == size:
        return posed
    return replace(
        posed,
        clip=resize_clip(clip, size),
        cameras=tuple(resize(camera, size) for camera in posed.cameras),
    )


def resize_clip(clip: Clip, size: tuple[int, int]) -> Clip:
    """The same frames as images of (width, height) `size` px."""
    images = torch.empty((len(clip), size[1], size[0], 3), dtype=torch.uint8)
    for target, image in zip(images, clip.images, strict=True):
        target.copy_(torch.from_numpy(shrink(image.numpy(), size)))
    return replace(clip, images=images, masks=_nearest(clip.masks, size), depths=_nearest(clip.depths, size))


def _nearest(maps: torch.Tensor | None, size: tuple[int, int]) -> torch.Tensor | None:
    if maps is None:
        return None
    # The pixel whose centre is nearest: no depth is invented between two surfaces.
    rows = ((np.arange(size[1]) + 0.5) * maps.shape[1] / size[1]).astype(int)
    columns = ((np.arange(size[0]) + 0.5) * maps.shape[2] / size[0]).astype(int)
    return maps[:, torch.from_numpy(rows)][:, :, torch.from_numpy(columns)]
