"""Where things touch, as pictures show it: pixels side by side that are near each other in space too."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.camera import Camera, unproject
from splatworld.core.splats import Splats
from splatworld.render.ops import rasterize

APART = 3
"""px between the two pixels: splats blur the border itself."""
SLANT = 2.0
"""Distance in space between pixels of one surface, in what it would be on one that faces the camera."""


def touching(splats: Splats, labels: Tensor, count: int, cameras: list[Camera], *, reach: float) -> Tensor:
    """How much of the pictures' borders between labels is where the things touch.

    A border at which one thing hides another further off is none of a contact, and the density of splats, which the fit
    chooses by texture, plays no part.

    Args:
        splats: N splats at rest.
        labels: [N] 0 to `count` - 1.
        count: L.
        cameras: undistorted.
        reach: m, how far apart things may lie that touch, besides what two pixels of one slanted surface do.

    Returns:
        [L, L] pairs of pixels of all pictures, symmetric, 0 on the diagonal.
    """
    pairs = torch.zeros(count, count)
    drawn = replace(splats, body_ids=labels.int())
    for camera in cameras:
        with torch.no_grad():
            shown = rasterize(drawn, pose.identity(count), camera, sh_degree=0)
        rows, columns = torch.meshgrid(*(torch.arange(n) + 0.5 for n in shown.alpha.shape), indexing="ij")
        pixels, kind = torch.stack([columns, rows], dim=-1), camera.world_from_camera
        places = unproject(camera, pixels.to(kind), shown.median_depth.to(kind))
        ids = shown.body_ids.long()
        slant = SLANT * APART * shown.median_depth / camera.focal.mean()
        for axis in (0, 1):
            length = ids.shape[axis] - APART
            if length <= 0:
                continue
            one, other = ids.narrow(axis, APART, length), ids.narrow(axis, 0, length)
            away = (places.narrow(axis, APART, length) - places.narrow(axis, 0, length)).norm(dim=-1)
            near = away < reach + slant.narrow(axis, 0, length)
            touch = (one != other) & (one >= 0) & (other >= 0) & near
            cells = torch.bincount(one[touch] * count + other[touch], minlength=count * count).view(count, count)
            pairs += cells + cells.T
    return pairs
