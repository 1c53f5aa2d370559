"""Between the browser's view and `Camera`: reading it, setting it, flying."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from weakref import WeakKeyDictionary

import numpy as np
import torch
import viser
from scipy.interpolate import CubicSpline
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

    def camera(self, size: tuple[int, int]) -> Camera:
        """The camera whose picture, of a size in px, shows this."""
        focal = size[1] / 2 / math.tan(self.fov / 2)
        return Camera(
            focal=torch.tensor([focal, focal], dtype=torch.float64),
            center=torch.tensor(size, dtype=torch.float64) / 2,
            size=size,
            world_from_camera=torch.from_numpy(np.concatenate([self.position, self.wxyz])),
        )


@dataclass(frozen=True)
class CameraPath:
    """A smooth way of the eye through views, which begins and ends at rest.

    Attributes:
        views: one or more.
        times: s at which it is there, each later than the one before.
    """

    views: tuple[View, ...]
    times: tuple[float, ...]

    def at(self, time: float) -> View:
        """The view at a time in s; the first one before it begins, the last one when it is over."""
        if len(self.views) == 1:
            return self.views[0]
        numbers = self._spline(min(max(time, self.times[0]), self.times[-1]))
        wxyz = numbers[3:7] / np.linalg.norm(numbers[3:7])
        return View(numbers[:3], wxyz, float(np.exp(numbers[7])), float(numbers[8]))

    @cached_property
    def _spline(self) -> CubicSpline:
        wxyz = np.stack([view.wxyz for view in self.views])
        for one, other in pairwise(wxyz):
            other *= 1 if one @ other >= 0 else -1  # the shorter of the two turns
        rest = [[math.log(view.distance), view.fov] for view in self.views]
        numbers = np.hstack([np.stack([view.position for view in self.views]), wxyz, np.array(rest)])
        return CubicSpline(self.times, numbers, bc_type="clamped")


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
    return now_of(view).camera(size)


def now_of(view: viser.CameraHandle) -> View:
    """What a browser's window shows now."""
    distance = float(np.linalg.norm(view.look_at - view.position))
    return View(view.position.copy(), view.wxyz.copy(), distance, view.fov)


_flights: WeakKeyDictionary[viser.ClientHandle, object] = WeakKeyDictionary()
_lock = threading.Lock()


def fly(client: viser.ClientHandle, goal: View, *, seconds: float = FLIGHT_SECONDS) -> None:
    """Move a browser's view to `goal` and return when it is there; a later flight takes over from an earlier one."""
    if seconds:
        fly_along(client, CameraPath((now_of(client.camera), goal), (0.0, seconds)), lambda _: True)
    else:
        with _lock:
            _flights[client] = object()
        _set(client, goal)


def fly_along(
    client: viser.ClientHandle, path: CameraPath, going: Callable[[float], bool], *, rate: float = 1.0
) -> None:
    """Move a browser's view along a path, until it is over or another flight takes over.

    Args:
        client: the browser.
        path: of one view or more.
        going: told the time of each step in s; says whether to go on.
        rate: seconds of the path in a second.
    """
    flight = object()
    with _lock:
        _flights[client] = flight
    begin, time_now = time.monotonic(), path.times[0]
    while True:
        with _lock:
            if _flights.get(client) is not flight:
                return
        if not going(time_now):
            return
        _set(client, path.at(time_now))
        if time_now >= path.times[-1]:
            return
        time.sleep(1 / STEPS_PER_SECOND)
        time_now = min(path.times[0] + rate * (time.monotonic() - begin), path.times[-1])


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
