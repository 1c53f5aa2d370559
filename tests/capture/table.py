"""A table with a printed marker on it, drawn exactly: what cameras around it see, and points on it."""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.camera import Camera, project
from splatworld.core.clip import Clip, PosedClip

SIDE = 0.08
"""m, of the markers."""
TABLE = 0.6
"""m, half the side of the table."""
RESOLUTION = 2500
"""px a m of the drawn table."""
SIZE = (480, 360)


def around(count: int, *, distance: float = 0.5, height: float = 0.35, turn: float = 2.5) -> tuple[Camera, ...]:
    """Cameras on an arc that look at the middle of the table."""
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    cameras = []
    for angle in np.linspace(0, turn, count):
        eye = torch.tensor([distance * math.cos(angle), distance * math.sin(angle), height], dtype=torch.float64)
        cameras.append(Camera(
            focal=torch.tensor([500.0, 500.0], dtype=torch.float64),
            center=torch.tensor([SIZE[0] / 2, SIZE[1] / 2], dtype=torch.float64),
            size=SIZE,
            world_from_camera=pose.look_at(eye, torch.zeros(3, dtype=torch.float64), up),
        ))  # fmt: skip
    return tuple(cameras)


def draw(
    camera: Camera, markers: dict[int, tuple[float, float, float]], dictionary: int = cv2.aruco.DICT_4X4_50
) -> np.ndarray:
    """What a camera sees of the table; `markers`: id -> x, y of its middle and side, m."""
    texture = np.full((round(2 * TABLE * RESOLUTION),) * 2, 200, np.uint8)
    for number, (x, y, side) in markers.items():
        pattern = cv2.aruco.generateImageMarker(
            cv2.aruco.getPredefinedDictionary(dictionary), number, round(side * RESOLUTION)
        )
        column, row = round((x + TABLE - side / 2) * RESOLUTION), round((TABLE - y - side / 2) * RESOLUTION)
        margin = round(0.2 * side * RESOLUTION)
        texture[row - margin : row + len(pattern) + margin, column - margin : column + len(pattern) + margin] = 255
        texture[row : row + len(pattern), column : column + len(pattern)] = pattern
    # Blur mixes light, not its encoding.
    light = cv2.GaussianBlur((texture.astype(np.float32) / 255) ** 2.2, (0, 0), 2.5)
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32) * len(texture) - 0.5
    corners = torch.tensor([[-TABLE, TABLE, 0], [TABLE, TABLE, 0], [TABLE, -TABLE, 0], [-TABLE, -TABLE, 0]])
    pixels = project(camera, corners.double())[0].numpy().astype(np.float32) - 0.5
    warp = cv2.getPerspectiveTransform(square, pixels)
    picture = cv2.warpPerspective(light, warp, SIZE, flags=cv2.INTER_LINEAR, borderValue=0.1)
    encoded = np.round(255 * picture.clip(0, 1) ** (1 / 2.2)).astype(np.uint8)
    return cv2.cvtColor(encoded, cv2.COLOR_GRAY2RGB)


def surfaces(seed: int = 0) -> Tensor:
    """[M, 3] points on the table, on a box that stands on it, and on a wall behind, with some noise and strays."""
    generator = np.random.default_rng(seed)

    def spread(count: int, low: list[float], high: list[float]) -> np.ndarray:
        return generator.uniform(low, high, (count, 3))

    points = np.concatenate([
        spread(700, [-0.5, -0.5, 0], [0.5, 0.5, 0]),
        spread(150, [-0.1, -0.1, 0.15], [0.1, 0.1, 0.15]),
        spread(150, [-0.1, 0.1, 0], [0.1, 0.1, 0.15]),
        spread(1500, [-0.8, -0.8, 0], [-0.8, 0.8, 1.0]),
    ])  # fmt: skip
    points += generator.normal(0, 0.001, points.shape)
    return torch.from_numpy(np.concatenate([points, spread(100, [-1, -1, -0.5], [1, 1, 1])]))


def posed(
    cameras: tuple[Camera, ...],
    markers: dict[int, tuple[float, float, float]],
    dictionary: int = cv2.aruco.DICT_4X4_50,
) -> PosedClip:
    """The table as a capture with perfect poses, in metres; every frame is said to see every point."""
    images = np.stack([draw(camera, markers, dictionary) for camera in cameras])
    points = surfaces()
    tracks = torch.cartesian_prod(torch.arange(len(points)), torch.arange(len(cameras)))
    return PosedClip(
        clip=Clip(
            images=torch.from_numpy(images),
            times=torch.arange(len(cameras)).double(),
            held_out=torch.zeros(len(cameras), dtype=torch.bool),
            names=tuple(f"frame_{i:06d}" for i in range(len(cameras))),
        ),
        cameras=cameras,
        points=points,
        colors=torch.full((len(points), 3), 128, dtype=torch.uint8),
        tracks=tracks,
    )
