"""A small room with patterned walls, rendered exactly: frames, cameras and truth for the capture tests."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import torch

from splatworld.core import pose
from splatworld.core.camera import Camera

HALF = np.array([2.0, 2.0, 1.2])  # m, half extents of the room
SIZE = (320, 240)
FOCAL = 280.0


def pattern(seed: int, side: int = 512) -> np.ndarray:
    """[side, side, 3] uint8 noise with detail at every scale."""
    rng = np.random.default_rng(seed)
    total = np.zeros((side, side, 3), np.float32)
    for cells in (8, 16, 32, 64, 128):
        noise = rng.random((cells, cells, 3), np.float32) - 0.5
        total += cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.clip(128 + 90 * total, 0, 255).astype(np.uint8)


_WALLS = [pattern(seed) for seed in range(6)]


def camera(eye: np.ndarray, target: np.ndarray) -> Camera:
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    view = pose.look_at(torch.tensor(eye, dtype=torch.float64), torch.tensor(target, dtype=torch.float64), up)
    center = torch.tensor([SIZE[0] / 2, SIZE[1] / 2], dtype=torch.float64)
    return Camera(torch.full((2,), FOCAL, dtype=torch.float64), center, SIZE, view)


def render(view: Camera) -> np.ndarray:
    """[H, W, 3] uint8: each pixel's ray meets the nearest of six walls from inside."""
    width, height = view.size
    x = (np.arange(width) + 0.5 - view.center[0].item()) / view.focal[0].item()
    y = (np.arange(height) + 0.5 - view.center[1].item()) / view.focal[1].item()
    local = np.stack(np.broadcast_arrays(x[None], y[:, None], 1.0), axis=-1)
    rays = local @ pose.quat_to_matrix(view.world_from_camera[3:]).numpy().T
    eye = view.world_from_camera[:3].numpy()
    with np.errstate(divide="ignore"):
        distance = (np.sign(rays) * HALF - eye) / rays
    axis = distance.argmin(axis=-1)
    hit = eye + rays * distance.min(axis=-1)[..., None]
    picture = np.zeros((height, width, 3), np.uint8)
    for wall in range(6):
        a, positive = wall // 2, wall % 2
        other = [i for i in range(3) if i != a]
        coords = (hit[..., other] / 2.0 * 0.5 + 0.5) * 511
        looked_up = cv2.remap(_WALLS[wall], *(coords[..., i].astype(np.float32) for i in (0, 1)), cv2.INTER_LINEAR)
        mine = (axis == a) & ((np.take_along_axis(rays, axis[..., None], -1)[..., 0] > 0) == bool(positive))
        picture[mine] = looked_up[mine]
    return picture


def depth(view: Camera) -> np.ndarray:
    """[H, W] float32 m along +z."""
    width, height = view.size
    x = (np.arange(width) + 0.5 - view.center[0].item()) / view.focal[0].item()
    y = (np.arange(height) + 0.5 - view.center[1].item()) / view.focal[1].item()
    local = np.stack(np.broadcast_arrays(x[None], y[:, None], 1.0), axis=-1)
    rays = local @ pose.quat_to_matrix(view.world_from_camera[3:]).numpy().T
    with np.errstate(divide="ignore"):
        distance = (np.sign(rays) * HALF - view.world_from_camera[:3].numpy()) / rays
    return distance.min(axis=-1).astype(np.float32)


def walk(count: int) -> list[Camera]:
    """Cameras on an arc that look into a corner of the room."""
    angles = np.linspace(-0.6, 0.6, count)
    return [
        camera(
            np.array([-0.4 + 0.9 * np.sin(a), -0.4 - 0.5 * np.cos(a), 0.25 * np.sin(3 * a)]),
            np.array([1.6, 1.8 + 0.2 * np.sin(2 * a), -0.3]),
        )
        for a in angles
    ]


def write_video(
    path: Path, frames: list[np.ndarray], *, fps: int = 24, codec: str = "libx264", pixel: str = "yuv420p",
    stamps: list[int] | None = None, rotation: int = 0, options: dict[str, str] | None = None,
) -> Path:  # fmt: skip
    """Encode RGB frames; `stamps` are presentation times in ms for a variable frame rate."""
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixel
        stream.options = {"crf": "12", "preset": "ultrafast"}
        if codec == "libx265":
            stream.options = {"crf": "12", "preset": "ultrafast", "x265-params": "log-level=none"}
        if stamps is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if rotation:
            stream.set_display_rotation(rotation)
        for index, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if stamps is not None:
                frame.time_base, frame.pts = Fraction(1, 1000), stamps[index]
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


def trajectory_error(found: list[Camera], truth: list[Camera]) -> float:
    """Largest distance (m) of camera centres after the best similarity."""
    a = np.array([c.world_from_camera[:3].tolist() for c in found])
    b = np.array([c.world_from_camera[:3].tolist() for c in truth])
    a0, b0 = a - a.mean(axis=0), b - b.mean(axis=0)
    u, s, vt = np.linalg.svd(b0.T @ a0)
    sign = np.array([1, 1, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    scale = (s * sign).sum() / (a0**2).sum()
    return float(np.linalg.norm(scale * a0 @ ((u * sign) @ vt).T - b0, axis=1).max())
