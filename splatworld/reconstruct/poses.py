"""The training cameras as the fit sees them: how they move while they expose, and small corrections of their poses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.camera import Camera, resize
from splatworld.core.clip import PosedClip
from splatworld.reconstruct.config import FitConfig
from splatworld.reconstruct.exposure import interpolate
from splatworld.reconstruct.parameters import BETA1, BETA2, EPSILON
from splatworld.render.ops import camera_rows

LONGEST_GAP = 1.0
"""s; frames further apart than this say nothing about each other's motion."""
ROTATION, POSITION = slice(0, 9), slice(9, 12)
"""Where a row of `camera_rows` holds what."""


class Cameras:
    """Poses of the training frames, and the rolling shutter of all frames.

    How long a picture is read is assumed, not learned: a camera that circles a scene at constant speed sees exactly
    what an instant shutter would see of a world twisted about the circle's axis, so the pictures hardly tell. The
    twist is what an instant shutter's view would show, so it is worth taking out. Which way the picture of a video
    taken upright was read is not known; its readout is left alone.

    Attributes:
        corrections: [T, 6] m and rad, twist of each training camera in its own axes, applied after its given pose.
    """

    def __init__(self, posed: PosedClip, train: list[int], config: FitConfig, extent: float) -> None:
        self._train, self._config = train, config
        self._times = posed.clip.times.double()
        self._given = list(posed.cameras)
        width, height = posed.cameras[0].size
        if config.readout > 0 and width > height:
            shutter = posed.cameras[0].focal.new_tensor([config.readout, 0.0])
            motions = camera_motions(posed.clip.times, posed.cameras).to(shutter)
            self._given = [
                replace(camera, motion=motion, shutter=shutter) if bool(motion.any()) else camera
                for camera, motion in zip(posed.cameras, motions, strict=True)
            ]
        self.corrections = torch.zeros(len(train), 6, dtype=torch.float64)
        self._unit = torch.tensor([extent] * 3 + [1.0] * 3, dtype=torch.float64)
        self._moments = torch.zeros(2, len(train), 6, dtype=torch.float64)
        self._steps = torch.zeros(len(train), dtype=torch.int64)

    def row(self, index: int, size: tuple[int, int]) -> Tensor:
        """[24] what the kernels read of training frame `index` at another size (width, height) px."""
        return camera_rows(resize(self._camera(self._train[index], self.corrections[index]), size)).float().contiguous()

    def step(self, index: int, row: Tensor, gradient: Tensor, done: float) -> None:
        """Adam on one training frame's pose.

        Args:
            index: of the training frame.
            row: [24] as drawn.
            gradient: [24] of the loss by the row.
            done: share of the fit.
        """
        config = self._config
        by_twist = twist_gradient(row.double(), gradient)
        self._steps[index] += 1
        steps = int(self._steps[index])
        first, second = self._moments[0, index], self._moments[1, index]
        first += (1 - BETA1) * (by_twist - first)
        second += (1 - BETA2) * (by_twist**2 - second)
        direction = first / (1 - BETA1**steps) / ((second / (1 - BETA2**steps)).sqrt() + EPSILON)
        self.corrections[index] -= config.poses_rate * config.final_rate**done * self._unit * direction

    def seen(self) -> tuple[Camera, ...]:
        """Every frame's camera as the fit understands its picture: corrected and moving.

        A held-out frame's correction is interpolated between its neighbours in time, never read from its pixels. What
        all poses have in common (a drift, a bias that comes with the motion) thereby moves it as well.
        """
        corrections = interpolate(self.corrections, self._times[self._train], self._times)
        corrections[self._train] = self.corrections
        return tuple(self._camera(frame, correction) for frame, correction in enumerate(corrections))

    def still(self) -> tuple[Camera, ...]:
        """The same cameras at rest."""
        return tuple(replace(camera, motion=None, shutter=None) for camera in self.seen())

    def state(self) -> dict[str, Tensor]:
        """All that a later step depends on."""
        return {"corrections": self.corrections, "moments": self._moments, "steps": self._steps}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from what `state` returned."""
        self.corrections, self._moments, self._steps = state["corrections"], state["moments"], state["steps"]

    def _camera(self, frame: int, correction: Tensor) -> Camera:
        camera = self._given[frame]
        if bool((correction != 0).any()):
            moved = pose.compose(camera.world_from_camera.double(), pose.exp(correction))
            camera = replace(camera, world_from_camera=moved.to(camera.world_from_camera))
        return camera


def camera_motions(times: Tensor, cameras: Sequence[Camera]) -> Tensor:
    """Velocity of each camera, from its neighbours in time: the slope of the parabola through three poses.

    Args:
        times: [T] s, in any order.
        cameras: T single cameras.

    Returns:
        [T, 6] float64 linear (m/s) and angular (rad/s) in the camera's axes; zero where no neighbour is near in time
        and for image folders, whose times are whole numbers.
    """
    times = times.double()
    order = torch.argsort(times, stable=True).tolist()
    motions = torch.zeros(len(times), 6, dtype=torch.float64)
    if bool((times == times.round()).all()):
        return motions
    poses = [camera.world_from_camera.double() for camera in cameras]
    for place, frame in enumerate(order):
        slopes: list[tuple[float, Tensor]] = []  # seconds away, mean velocity over them
        for other in (order[place - 1] if place else frame, order[min(place + 1, len(order) - 1)]):
            seconds = float(times[other] - times[frame])
            if 0 < abs(seconds) <= LONGEST_GAP:
                path = pose.log(pose.compose(pose.inverse(poses[frame]), poses[other]))
                slopes.append((abs(seconds), path / seconds))
        if len(slopes) == 1:
            motions[frame] = slopes[0][1]
        elif slopes:
            (near, before), (far, after) = slopes
            motions[frame] = (far * before + near * after) / (near + far)
    return motions


def twist_gradient(row: Tensor, gradient: Tensor) -> Tensor:
    """Gradient [6] by a twist of the camera in its own axes, from that [24] by its row of `camera_rows`.

    The position moves by R^T v and the rotation R into the camera becomes (1 - [w]x) R.
    """
    rotation = row[ROTATION].reshape(3, 3)
    m = gradient[ROTATION].reshape(3, 3) @ rotation.T
    turn = torch.stack([m[1, 2] - m[2, 1], m[2, 0] - m[0, 2], m[0, 1] - m[1, 0]])
    return torch.cat([rotation @ gradient[POSITION], turn])
