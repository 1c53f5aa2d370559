"""Turn, centre and scale a capture so that it is pleasant to look at; gravity and metric scale come later."""

from __future__ import annotations

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.clip import PosedClip
from splatworld.core.similarity import Similarity


def normalize(posed: PosedClip) -> PosedClip:
    """Z up, origin at the middle of what the cameras look at, median camera distance 1.

    Up is the direction that the cameras' x axes are level to, where people held the phone without roll and turned; else
    the cameras' mean up direction.
    """
    if len(posed.cameras) == 0 or len(posed.points) == 0:
        return posed
    world_from_camera = torch.stack([c.world_from_camera for c in posed.cameras]).double()
    up = guess_up(world_from_camera)
    forward = pose.quat_to_matrix(world_from_camera[:, 3:])[:, :, 2].mean(dim=0)
    quat = _upright(up, forward)
    # The median by axis depends on the axes: taken in the upright ones, it follows any motion of the capture.
    middle = pose.rotate(quat, posed.points.double()).median(dim=0).values
    center = pose.rotate(pose.conjugate_quat(quat), middle)
    distance = (world_from_camera[:, :3] - center).norm(dim=-1).median().clamp(min=1e-9)
    return posed.moved(Similarity(float(1 / distance), quat, -pose.rotate(quat, center) / distance))


def guess_up(world_from_camera: Tensor) -> Tensor:
    """Unit up direction [3] from camera poses [T, 7]."""
    axes = pose.quat_to_matrix(world_from_camera[:, 3:])
    right, mean_up = axes[:, :, 0], -axes[:, :, 1].mean(dim=0)
    mean_up = mean_up / mean_up.norm().clamp(min=1e-9)
    spread, directions = torch.linalg.eigh(right.T @ right / len(right))
    # Level x axes leave one direction free of them; rolled or parallel ones leave none that is clear.
    if spread[1] < 0.03 or spread[0] > 0.1 * spread[1]:
        return mean_up
    up = directions[:, 0]
    return up if up @ mean_up >= 0 else -up


def _upright(up: Tensor, forward: Tensor) -> Tensor:
    """Quaternion [4] that turns `up` to +z and the cameras' mean heading to +y."""
    level = forward - (forward @ up) * up
    if level.norm() < 1e-3:
        level = torch.linalg.cross(up, torch.eye(3, dtype=up.dtype)[up.abs().argmin()])
    y = level / level.norm()
    return pose.matrix_to_quat(torch.stack([torch.linalg.cross(y, up), y, up]))
