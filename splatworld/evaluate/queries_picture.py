"""A predicted distance field to look at: a level slice through it, drawn into a picture of the predicted state."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from splatworld.core import pose
from splatworld.core.camera import Camera
from splatworld.plan.prediction import Prediction
from splatworld.render.rendering import to_bytes

FAR = 0.2
"""m at which colours end."""
LEVEL = 0.02
"""m between lines of equal distance."""
UNSEEN = (120, 120, 120)
SHARE = 0.65
"""Of a pixel's colour that is the slice's."""


def draw_slice(told: Prediction, camera: Camera, height: float, t: float, *, plan: tuple[int, ...] = ()) -> np.ndarray:
    """[H, W, 3] uint8: warm is near to a body, blue far; lines every 2 cm, grey stripes where nobody has seen anything.

    Args:
        told: what is predicted.
        camera: undistorted.
        height: z of the slice, m.
        t: s since the beginning.
        plan: which of the plans.
    """
    view = told.render(camera, t, plan=plan).rendering
    row, column = torch.meshgrid(torch.arange(camera.height), torch.arange(camera.width), indexing="ij")
    pixels = torch.stack([column, row], dim=-1).double() + 0.5
    way = torch.cat([(pixels - camera.center) / camera.focal, torch.ones(*row.shape, 1).double()], dim=-1)
    way = pose.rotate(camera.world_from_camera[3:].double(), way)
    depth = (height - camera.world_from_camera[2]) / way[..., 2]
    points = camera.world_from_camera[:3].double() + depth[..., None] * way
    shown = (depth > 0) & ((view.median_depth == 0) | (depth < view.median_depth)) & (depth < 4)
    bodies: list[int | str] = [i for i, body in enumerate(told.world.bodies) if i and body.kind != "robot"]
    value = told.signed_distance(points[shown], t, bodies=bodies).value[plan]
    known = told.signed_distance(points[shown], t).known[plan]
    scale = (255 * (1 - value / FAR)).clamp(0, 255).to(torch.uint8).numpy()
    colors = cv2.applyColorMap(scale[:, None], cv2.COLORMAP_TURBO)[:, 0, ::-1].astype(np.float32)
    level = (value / LEVEL) % 1
    colors[((level < 0.12) & (value > 0) & (value < FAR)).numpy()] *= 0.6
    stripes = ((row + column)[shown] // 6 % 2 == 0).numpy()
    unknown = ~known.numpy()
    colors[unknown] = np.where(stripes[unknown, None], UNSEEN, np.array(UNSEEN) * 0.75)
    picture = to_bytes(view.image).astype(np.float32)
    mask = shown.numpy()
    picture[mask] = (1 - SHARE) * picture[mask] + SHARE * colors
    return picture.round().clip(0, 255).astype(np.uint8)
