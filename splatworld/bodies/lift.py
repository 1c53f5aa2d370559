"""Pictures to splats: what the pixels that a splat contributes to have to say about it."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.camera import Camera, resize
from splatworld.core.checks import check_shape
from splatworld.core.splats import Splats
from splatworld.core.world import World
from splatworld.render.ops import camera_rows
from splatworld.render.passes import RasterPass
from splatworld.render.sh import C0

CHANNELS = 3
"""Values a pixel that one backward pass carries to the splats."""


def lift(splats: Splats, camera: Camera, values: Tensor) -> Tensor:
    """Sum the values of a view's pixels over the splats that they show.

    A pixel's colour is the sum of its splats' colours times weights (alpha times transmittance); the derivative of the
    picture by a splat's colour is that weight. The backward pass of the rasterizer, fed with `values` for the
    gradient of the picture, thus gives every splat the weighted sum over its pixels.

    Args:
        splats: N splats at rest.
        camera: undistorted.
        values: [H, W, C] what to sum; 1 gives the weights themselves.

    Returns:
        [N, C] sum over the pixels of weight * value; 0 for splats that the view does not show.

    Raises:
        ShapeError: `values` is not of the camera's size.
    """
    width, height = camera.size
    check_shape("lift", "values", values, (height, width, "C"))
    parameters = {name: getattr(splats, name).detach().float().contiguous() for name in RasterPass.PARAMETERS}
    # Grey splats: where a colour is clamped at black there is no derivative.
    parameters["sh"] = torch.zeros(len(splats), 1, 3)
    one = RasterPass(
        parameters,
        torch.zeros(len(splats), dtype=torch.int32),
        pose.identity(1),
        camera_rows(camera).float(),
        camera.size,
        torch.zeros(3),
        color_only=True,
    )
    sums = []
    for part in values.detach().float().split(CHANNELS, dim=-1):
        gradient = torch.zeros(len(splats), 1, CHANNELS)
        one.backward({"sh": gradient}, torch.nn.functional.pad(part, (0, CHANNELS - part.shape[-1])))
        sums.append(gradient[:, 0, : part.shape[-1]] / C0)
    return torch.cat(sums, dim=-1)


def vote(splats: Splats, shown: Iterable[tuple[Camera, Tensor]], labels: int) -> Tensor:
    """What labels the pixels of many views give each splat.

    Args:
        splats: N splats at rest.
        shown: views, and the labels [H, W] of their pixels, 0 to `labels` - 1; any other number abstains.
        labels: K, how many there are.

    Returns:
        [N, K] sum of the splat's weights in the pixels of each label.
    """
    votes = torch.zeros(len(splats), labels)
    for camera, picture in shown:
        present = [label for label in picture.unique().tolist() if 0 <= label < labels]
        if present:
            ones = picture[..., None] == torch.tensor(present)
            votes[:, present] += lift(splats, camera, ones.float())
    return votes


def views(world: World, *, count: int = 24, max_side: int = 480) -> list[Camera]:
    """Cameras of the capture that look at it from all its sides, evenly spaced in its order, small."""
    cameras = list(world.cameras.values())
    chosen = [cameras[i * len(cameras) // count] for i in range(count)] if len(cameras) > count else cameras
    sizes = [min(1.0, max_side / max(camera.size)) for camera in chosen]
    return [
        resize(camera, (max(1, round(camera.width * f)), max(1, round(camera.height * f))))
        for camera, f in zip(chosen, sizes, strict=True)
    ]
