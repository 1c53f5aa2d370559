"""Between the browser's view and `Camera`: reading it, setting it, flying."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import torch
import viser
from torch import Tensor

from splatworld.core import pose
from splatworld.core.camera import Camera

FLIGHT_SECONDS = 0.6
STEPS_PER_SECOND = 30
UP = (0.0, 0.0, 1.0)
DEPTH_SAMPLES = 20_000
"""Splats looked at to find how far away things are."""


@dataclass(frozen=True)
class View:
    """What the browser calls a camera.

    Attributes:
        position: [3] of the eye.
        wxyz: [4] rotation of the eye, OpenCV axes.
        distance: from the eye to the point that the mouse turns the view about.
        fov: vertical field of view, rad.
    """

    position: np.ndarray
    wxyz: np.ndarray
    distance: float
    fov: float

    @property
    def _axes(self) -> np.ndarray:
        return pose.quat_to_matrix(torch.from_numpy(self.wxyz)).numpy()

    @property
    def target(self) -> np.ndarray:
        """[3] the point that the mouse turns the view about."""
        return self.position + self.distance * self._axes[:, 2]

    @property
    def up(self) -> np.ndarray:
        """[3] what is up in the picture."""
        return -self._axes[:, 1]


def view_of(camera: Camera, means: Tensor, *, aspect: float | None = None) -> View:
    """The view of a capture's camera; its principal point moves to the middle of the window.

    Args:
        camera: to look through.
        means: [N, 3] of the splats, to find what the camera looks at.
        aspect: width over height of the window; with it, all of the frame is in view.
    """
    across, down = (math.atan(side / 2 / float(f)) for side, f in zip(camera.size, camera.focal, strict=True))
    fov = 2 * down if aspect is None else 2 * math.atan(max(math.tan(down), math.tan(across) / aspect))
    numbers = camera.world_from_camera.double().numpy()
    return View(numbers[:3], numbers[3:], depth_ahead(camera, means), fov)


def depth_ahead(camera: Camera, means: Tensor) -> float:
    """How far away what lies in the middle of a camera's picture is: the median depth of the splats there."""
    some = means[:: max(1, len(means) // DEPTH_SAMPLES)]
    local = pose.transform(pose.inverse(camera.world_from_camera).float(), some)
    local = local[local[:, 2] > 0]
    size = torch.tensor(camera.size)
    offset = (local[:, :2] / local[:, 2:] * camera.focal.float() + camera.center.float()) / size - 0.5
    central = local[(offset.abs() < 0.15).all(dim=-1), 2]
    depths = central if len(central) else local[:, 2]
    return float(depths.median()) if len(depths) else 1.0


def camera_of(view: viser.CameraHandle, longest: int | None = None) -> Camera:
    """The camera whose picture is what a browser's window shows.

    Args:
        view: of the browser.
        longest: longest side of the picture, px; by default the window's own size.
    """
    width, height = view.image_width, view.image_height
    factor = 1.0 if longest is None else longest / max(width, height)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    focal = size[1] / 2 / math.tan(view.fov / 2)
    numbers = np.concatenate([view.position, view.wxyz])
    return Camera(
        focal=torch.tensor([focal, focal], dtype=torch.float64),
        center=torch.tensor(size, dtype=torch.float64) / 2,
        size=size,
        world_from_camera=torch.from_numpy(numbers),
    )


_flights: WeakKeyDictionary[viser.ClientHandle, object] = WeakKeyDictionary()
_lock = threading.Lock()


def fly(client: viser.ClientHandle, goal: View, *, seconds: float = FLIGHT_SECONDS) -> None:
    """Move a browser's view to `goal` and return when it is there; a later flight takes over from an earlier one."""
    flight = object()
    with _lock:
        _flights[client] = flight
    now = client.camera
    start = View(now.position.copy(), now.wxyz.copy(), float(np.linalg.norm(now.look_at - now.position)), now.fov)
    steps = max(1, round(seconds * STEPS_PER_SECOND))
    for step in range(1, steps + 1):
        with _lock:
            if _flights.get(client) is not flight:
                return
        _set(client, goal if step == steps else between(start, goal, step / steps))
        if step < steps:
            time.sleep(1 / STEPS_PER_SECOND)


def between(start: View, goal: View, share: float) -> View:
    """The view a share of the way along a flight, which starts and ends at rest."""
    share = share * share * (3 - 2 * share)
    quats = np.stack([start.wxyz, goal.wxyz if start.wxyz @ goal.wxyz >= 0 else -goal.wxyz])
    turn = pose.log(torch.tensor([0, 0, 0, *_times_inverse(quats[1], quats[0])], dtype=torch.float64))
    part = pose.exp(turn * share)[3:]
    return View(
        position=(1 - share) * start.position + share * goal.position,
        wxyz=pose.multiply_quats(part, torch.from_numpy(quats[0])).numpy(),
        distance=start.distance ** (1 - share) * goal.distance**share,
        fov=(1 - share) * start.fov + share * goal.fov,
    )


def horizontal(wxyz: np.ndarray) -> np.ndarray:
    """[3] unit vector along the ground to the right of who looks as turned by a quaternion, w first."""
    right = pose.quat_to_matrix(torch.tensor(wxyz, dtype=torch.float64))[:, 0].numpy() * np.array([1.0, 1.0, 0.0])
    return right / np.linalg.norm(right) if right.any() else np.array([1.0, 0.0, 0.0])


def level(client: viser.ClientHandle) -> None:
    """Turn a browser's view upright."""
    client.camera.up_direction = UP


def _set(client: viser.ClientHandle, view: View) -> None:
    with client.atomic():
        client.camera.up_direction = view.up
        client.camera.position = view.position
        client.camera.look_at = view.target
        client.camera.fov = view.fov


def _times_inverse(a: np.ndarray, b: np.ndarray) -> list[float]:
    return pose.multiply_quats(torch.from_numpy(a), pose.conjugate_quat(torch.from_numpy(b))).tolist()
