"""Ideal pinhole frames for the rasterizer, which knows no distortion."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch

from splatworld.capture.images import shrink
from splatworld.core.camera import Camera, resize
from splatworld.core.clip import PosedClip


@dataclass(frozen=True)
class _Maps:
    columns: np.ndarray
    rows: np.ndarray
    valid: np.ndarray


def undistort(posed: PosedClip, size: tuple[int, int] | None = None) -> PosedClip:
    """The same views through ideal pinhole cameras.

    The focal length and principal point stay those of the capture (at `size`), so the picture's middle keeps its
    scale; corners that the source does not show are False in `clip.masks`.

    Args:
        posed: frames with distorted or ideal cameras.
        size: (width, height) px of the result; the clip's own if left out.

    Returns:
        Cameras without distortion; images area-averaged to `size`, then resampled cubically; masks joined with the
        capture's own, None where every pixel is valid and there were none; depths by nearest pixel, 0 outside.
    """
    clip = posed.clip
    height, width = clip.images.shape[1:3]
    size = (width, height) if size is None else size
    count = len(clip)
    images = torch.empty((count, size[1], size[0], 3), dtype=torch.uint8)
    masks = torch.ones((count, size[1], size[0]), dtype=torch.bool)
    depths = None if clip.depths is None else torch.zeros((count, size[1], size[0]), dtype=clip.depths.dtype)
    cameras: list[Camera] = []
    known: dict[tuple[float, ...], _Maps] = {}
    for frame, camera in enumerate(posed.cameras):
        source = resize(camera, size)
        cameras.append(replace(source, distortion=None))
        key = (*source.focal.tolist(), *source.center.tolist(),
               *([] if source.distortion is None else source.distortion.tolist()))  # fmt: skip
        if key not in known:
            known[key] = _build_maps(source)
        maps = known[key]
        picture = shrink(clip.images[frame].numpy(), size)
        if camera.is_distorted:
            picture = cv2.remap(picture, maps.columns, maps.rows, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        images[frame] = torch.from_numpy(picture)
        masks[frame] = torch.from_numpy(maps.valid)
        if clip.masks is not None:
            masks[frame] &= torch.from_numpy(_nearest(clip.masks[frame].numpy().astype(np.uint8), maps, size) > 0)
        if depths is not None and clip.depths is not None:
            depths[frame] = torch.from_numpy(_nearest(clip.depths[frame].numpy(), maps, size))
    needed = clip.masks is not None or not bool(masks.all())
    return replace(
        posed,
        clip=replace(clip, images=images, masks=masks if needed else None, depths=depths),
        cameras=tuple(cameras),
    )


def _build_maps(source: Camera) -> _Maps:
    """Where each pixel of the ideal camera lies in the distorted picture, in cv2's centre-at-integer pixels."""
    width, height = source.size
    fx, fy = source.focal.tolist()
    cx, cy = source.center.tolist()
    k1, k2, p1, p2 = [0.0] * 4 if source.distortion is None else source.distortion.tolist()
    x = ((np.arange(width) + 0.5 - cx) / fx)[None].repeat(height, axis=0)
    y = ((np.arange(height) + 0.5 - cy) / fy)[:, None].repeat(width, axis=1)
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * k2)
    columns = (x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)) * fx + cx - 0.5
    rows = (y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y) * fy + cy - 0.5
    # Beyond the radius at which the polynomial folds back, a picture would repeat itself mirrored.
    rising = 1 + r2 * (3 * k1 + 5 * r2 * k2) > 0
    valid = (columns >= -0.5) & (rows >= -0.5) & (columns <= width - 0.5) & (rows <= height - 0.5) & rising
    return _Maps(columns.astype(np.float32), rows.astype(np.float32), valid)


def _nearest(picture: np.ndarray, maps: _Maps, size: tuple[int, int]) -> np.ndarray:
    factor = np.float32(picture.shape[1] / size[0]), np.float32(picture.shape[0] / size[1])
    columns = (maps.columns + 0.5) * factor[0] - 0.5
    rows = (maps.rows + 0.5) * factor[1] - 0.5
    return cv2.remap(picture, columns, rows, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
