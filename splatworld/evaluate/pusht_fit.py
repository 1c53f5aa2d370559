"""Where the T and the robot's joints were in the first frames of the recording, told by silhouettes."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from splatworld.core import pose
from splatworld.core.camera import Camera, project
from splatworld.core.splats import Splats
from splatworld.evaluate.pusht import View
from splatworld.render import ops

YAWS = 24
"""Headings tried before the best is refined."""
PATCH, PITCH = (0.25, 0.75, 0.1, 0.6), 0.002
"""m, the part of the table whose markings are compared: x from, to, y from, to; and how finely."""
BLURS = (("tape", 0.012), ("holes", 0.004))
"""What is compared at which blur, m, one after the other: first the blue tape, then the table's holes."""
REACH = 0.03
"""m and rad, first step of the refinement."""


def align_cameras(views: dict[str, View]) -> tuple[dict[str, View], dict[str, Tensor]]:
    """Move cameras along the table until all see its markings in the same place as the first one.

    The T and what is white are left out, so that nothing of what is measured later enters.

    Returns:
        The views with moved cameras, and of each camera [3] what it was moved by: x, y in m, turn in rad.
    """
    names = list(views)
    markings = {name: _marking(views[name]) for name in names}
    moved, moves = {}, {}
    for name in names:
        numbers = np.zeros(3)
        for kind, blur in BLURS if name != names[0] else ():
            reference = _from_above(views[names[0]], markings[names[0]][kind], np.zeros(3), blur)

            def loss(numbers: np.ndarray) -> float:
                return -_correlation(reference, _from_above(views[name], markings[name][kind], numbers, blur))  # noqa: B023

            simplex = np.vstack([numbers, numbers + np.diag([2 * blur, 2 * blur, blur])])
            options = {"initial_simplex": simplex, "xatol": 1e-4, "fatol": 1e-5, "maxfev": 150}
            numbers = minimize(loss, numbers, method="Nelder-Mead", options=options).x
        moves[name] = torch.from_numpy(numbers)
        moved[name] = replace(views[name], camera=_moved(views[name].camera, numbers))
    return moved, moves


def _moved(camera: Camera, numbers: np.ndarray) -> Camera:
    x, y, turn = numbers
    shift = pose.exp(torch.tensor([x, y, 0, 0, 0, turn], dtype=torch.float64))
    return replace(camera, world_from_camera=pose.compose(shift, camera.world_from_camera))


def _marking(view: View) -> dict[str, np.ndarray]:
    """How blue and how bright each pixel is, [H, W] float32 with NaN where the T or something white hides the table."""
    image = view.image.astype(np.float32)
    hidden = cv2.dilate((view.block | view.shell).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    blue = (image[..., 2] - image[..., 0]) / (image.sum(axis=2) + 30)
    bright = np.log(image.sum(axis=2) + 30)
    return {"tape": np.where(hidden, np.nan, blue), "holes": np.where(hidden, np.nan, bright)}


def _from_above(view: View, marking: np.ndarray, numbers: np.ndarray, blur: float) -> np.ndarray:
    """The marking as seen from above, on a grid over `PATCH`."""
    x, y = torch.meshgrid(torch.arange(*PATCH[:2], PITCH), torch.arange(*PATCH[2:], PITCH), indexing="ij")
    points = torch.stack([x, y, torch.zeros_like(x)], dim=-1).double()
    pixels = (project(_moved(view.camera, numbers), points)[0] - 0.5).float().numpy()
    seen = cv2.remap(
        marking, pixels[..., 0], pixels[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=np.nan
    )
    return _smooth(seen, blur) - _smooth(seen, 4 * blur)  # without what lamps do to whole regions


def _smooth(image: np.ndarray, blur: float) -> np.ndarray:
    """A picture [H, W] blurred by `blur` m over what is known of it."""
    weight = cv2.GaussianBlur(np.isfinite(image).astype(np.float32), (0, 0), blur / PITCH)
    smooth = cv2.GaussianBlur(np.nan_to_num(image), (0, 0), blur / PITCH)
    return np.where((weight > 0.3) & np.isfinite(image), smooth / np.maximum(weight, 1e-6), np.nan)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    both = np.isfinite(a) & np.isfinite(b)
    if both.mean() < 0.1:
        return -1.0
    return float(np.corrcoef(a[both], b[both])[0, 1])


def register_block(views: list[View], block: Splats, recorded: Tensor) -> Tensor:
    """The T's pose: x, y, height and heading such that its silhouettes match those seen; its tilt as recorded.

    Args:
        views: in which the T is seen whole.
        block: the T in its own frame.
        recorded: [7] a pose of it on the same table at another instant.

    Returns:
        [7] table-frame pose.
    """
    # The recorded pose lies flat up to a small tilt, which is kept: turns are about the table's normal.
    crossing = [_on_plane(view, float(recorded[2])) for view in views]
    start = torch.stack(crossing).mean(dim=0)

    def placed(numbers: np.ndarray) -> Tensor:
        x, y, z, yaw = numbers
        turn = pose.exp(torch.tensor([0, 0, 0, 0, 0, yaw], dtype=torch.float64))[3:]
        at = torch.tensor([x, y, z], dtype=torch.float64)
        return torch.cat([at, pose.multiply_quats(turn, recorded[3:])])

    def loss(numbers: np.ndarray) -> float:
        return sum(1 - overlap(silhouette(block, placed(numbers), view.camera), view.block) for view in views)

    guesses = [np.array([*start[:2], recorded[2], 2 * np.pi * k / YAWS]) for k in range(YAWS)]
    guesses.sort(key=loss)
    found = []
    for guess in guesses[:3]:
        simplex = np.vstack([guess, guess + np.diag([REACH, REACH, REACH / 3, 4 * REACH])])
        options = {"initial_simplex": simplex, "xatol": 1e-4, "fatol": 1e-4, "maxfev": 250}
        found.append(minimize(loss, guess, method="Nelder-Mead", options=options))
    return placed(min(found, key=lambda each: each.fun).x)


def silhouette(splats: Splats, world_from_splats: Tensor, camera: Camera) -> Tensor:
    """Opacity [H, W] of one body's splats at a pose [7]."""
    frame = torch.stack([pose.identity(), world_from_splats.float()])
    return ops.rasterize(splats, frame, camera).alpha


def overlap(alpha: Tensor, mask: np.ndarray) -> float:
    """Intersection over union of a soft silhouette [H, W] and a mask [H, W]."""
    seen = torch.from_numpy(mask).float()
    return float(torch.minimum(alpha, seen).sum() / torch.maximum(alpha, seen).sum())


def _on_plane(view: View, height: float) -> Tensor:
    """Where the ray through the middle of the T's patch meets the plane at `height`."""
    row, column = (float(each.mean()) + 0.5 for each in np.nonzero(view.block))
    camera = view.camera
    ray = torch.cat([(torch.tensor([column, row], dtype=torch.float64) - camera.center) / camera.focal, torch.ones(1)])
    ray = pose.rotate(camera.world_from_camera[3:], ray.double())
    eye = camera.world_from_camera[:3]
    return eye + ray * (height - eye[2]) / ray[2]
