"""Frames whose poses were recorded in metres along with them, by a phone's tracking or a robot arm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from splatworld.capture.colmap import finish
from splatworld.capture.config import CaptureConfig, Progress, fit_side
from splatworld.capture.images import held_out_every, read_frames
from splatworld.capture.resample import resize_posed
from splatworld.capture.triangulate import triangulate
from splatworld.capture.video import decode_chosen
from splatworld.core import pose
from splatworld.core.camera import Camera, resize
from splatworld.core.checks import FormatError, InputError
from splatworld.core.clip import Clip, PosedClip
from splatworld.core.world import Scale

OPENCV_FROM_OPENGL = np.diag([1.0, -1.0, -1.0])
"""Turns a camera's axes: ARKit's look along -z with y up."""
LEAST_FRAMES = 3
CENTERED = 0.2
"""How far, as a share of the side, a principal point may lie from the middle before it belongs to another picture."""
READABLE = 65.0
"""m; farther depths are no measurements."""

Depth = Callable[[int], "np.ndarray | None"]
"""Depth map of a frame, [h, w] float32 m along +z of any size with the picture's shape, 0 where unknown."""


@dataclass(frozen=True)
class Recording:
    """A capture that brings its poses, before pictures are read.

    Attributes:
        folder: where it lies, for messages.
        pictures: one image file a frame, or the video that holds them.
        names: one a frame.
        numbers: [T] each frame's position in the video; of no use for files.
        times: [T] s, or None where they are not known.
        poses: [T, 7] float64 world-from-camera, m, OpenCV axes.
        intrinsics: [T, 4] fx, fy, cx, cy, px of the stored pictures, pixel centres at +0.5.
        depth: reads a frame's depth map by position; None where there are none.
        scale: how metric the poses are.
        gravity: [3] m/s^2 in the frame of the poses; zero where it is not known.
        notes: what the reader should know.
    """

    folder: Path
    pictures: list[Path] | Path
    names: tuple[str, ...]
    numbers: list[int]
    times: np.ndarray | None
    poses: np.ndarray
    intrinsics: np.ndarray
    depth: Depth | None
    scale: Scale
    gravity: tuple[float, float, float]
    notes: tuple[str, ...] = ()


def load_recorded(recording: Recording, config: CaptureConfig, *, progress: Progress | None = None) -> PosedClip:
    """Read the pictures, triangulate points from the given poses, keep scale and gravity.

    Of a recording at the rate of a video, `config.keyframes_per_second` frames are used, evenly.

    Raises:
        InputError: fewer than 3 frames, or poses or intrinsics that cannot be.
        FormatError: damaged pictures or depth maps, or depth maps of another shape than the pictures.
    """
    _check(recording)
    chosen = _chosen(recording, config)
    images, kept, stored = _pictures(recording, chosen, config, progress)
    chosen = [chosen[i] for i in kept]
    size = (images.shape[2], images.shape[1])
    cameras = [_camera(recording, i, stored, size) for i in chosen]
    times = torch.arange(len(chosen)) if recording.times is None else torch.from_numpy(recording.times[chosen])
    clip = Clip(
        images=images,
        times=times.double() - (0 if recording.times is None else float(recording.times[chosen[0]])),
        held_out=held_out_every(len(chosen), config.held_out_every),
        names=tuple(recording.names[i] for i in chosen),
        depths=None if recording.depth is None else _depths(recording, recording.depth, chosen, size),
    )
    posed = triangulate(clip, cameras, config, progress=progress)
    posed = replace(
        posed,
        scale=recording.scale,
        gravity=torch.tensor(recording.gravity, dtype=torch.float64),
        notes=(*recording.notes, *posed.notes),
    )
    return finish(resize_posed(posed, config.output_size(size)))


def rigid(matrix: np.ndarray, owner: str) -> np.ndarray:
    """The pose [7] of a rigid matrix [3 or 4, 4].

    Raises:
        FormatError: another shape, a number that is not finite, or no rotation.
    """
    matrix = np.asarray(matrix, dtype=np.float64)
    if matrix.shape not in ((3, 4), (4, 4)) or not np.isfinite(matrix).all():
        raise FormatError(f"{owner}: the camera pose is not a finite 4x4 matrix; record it again or leave it out.")
    u, s, vt = np.linalg.svd(matrix[:3, :3])
    if np.abs(s - 1).max() > 0.01 or np.linalg.det(u @ vt) < 0:
        raise FormatError(f"{owner}: the camera pose is not rigid (its axes are {s.round(3).tolist()} long and should "
                          "be 1, right-handed); record it again or leave it out.")  # fmt: skip
    quat = pose.matrix_to_quat(torch.from_numpy(u @ vt)).numpy()
    return np.concatenate([matrix[:3, 3], quat])


def read_depth(path: Path, unit: float, confidence: Path | None = None) -> np.ndarray | None:
    """A 16-bit picture of depths in steps of `unit` m; 0 where unknown or where the confidence picture is 0.

    None if there is no such file.

    Raises:
        FormatError: not a 16-bit picture, or a confidence of another size.
    """
    if not path.is_file():
        return None
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.dtype != np.uint16 or picture.ndim != 2:
        raise FormatError(f"{path}: not a 16-bit depth picture; copy it again.")
    depth = picture.astype(np.float32) * np.float32(unit)
    if confidence is not None and confidence.is_file():
        trust = cv2.imread(str(confidence), cv2.IMREAD_UNCHANGED)
        if trust is None or trust.shape[:2] != depth.shape:
            raise FormatError(f"{confidence}: not a picture of the size of {path.name}; copy it again.")
        depth[(trust if trust.ndim == 2 else trust[..., 0]) == 0] = 0
    return depth


def _check(recording: Recording) -> None:
    if len(recording.poses) < LEAST_FRAMES:
        raise InputError(f"{recording.folder}: {len(recording.poses)} frames with a pose, at least {LEAST_FRAMES} from "
                         "different places are needed.")  # fmt: skip
    for name, values in (("pose", recording.poses), ("focal length", recording.intrinsics)):
        wrong = ~np.isfinite(values).all(axis=1)
        if wrong.any():
            frame = recording.names[int(wrong.argmax())]
            raise FormatError(f"{recording.folder}: the {name} of {frame} is not finite; leave the frame out.")
    if (recording.intrinsics[:, :2] <= 0).any():
        raise FormatError(f"{recording.folder}: a focal length is not positive; record it again.")


def _chosen(recording: Recording, config: CaptureConfig) -> list[int]:
    """Positions of the frames to use."""
    count = len(recording.poses)
    most = config.max_keyframes
    if recording.times is not None:
        seconds = float(recording.times[-1] - recording.times[0])
        most = min(most, max(config.min_keyframes, round(seconds * config.keyframes_per_second)))
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)).tolist()


def _pictures(
    recording: Recording, chosen: list[int], config: CaptureConfig, progress: Progress | None
) -> tuple[Tensor, list[int], tuple[int, int]]:
    """Images [T, H, W, 3], which of `chosen` they are, and the (width, height) px stored."""
    longest = config.working_side()
    if isinstance(recording.pictures, list):
        files = [recording.pictures[i] for i in chosen]
        return read_frames(files, longest=longest, orient=False, progress=progress)
    numbers = [recording.numbers[i] for i in chosen]
    frames = list(decode_chosen(recording.pictures, numbers, None, config.worker_threads))
    if len(frames) < LEAST_FRAMES:
        raise FormatError(f"{recording.pictures}: holds {len(frames)} of the {len(chosen)} frames that have a pose; "
                          "copy the video again.")  # fmt: skip
    stored = (frames[0].shape[1], frames[0].shape[0])
    size = fit_side(stored, longest)
    small = np.stack([cv2.resize(f, size, interpolation=cv2.INTER_AREA) for f in frames])
    return torch.from_numpy(small), list(range(len(frames))), stored


def _camera(recording: Recording, index: int, stored: tuple[int, int], size: tuple[int, int]) -> Camera:
    fx, fy, cx, cy = recording.intrinsics[index].tolist()
    off = max(abs(cx / stored[0] - 0.5), abs(cy / stored[1] - 0.5))
    if off > CENTERED:
        raise FormatError(
            f"{recording.folder}: the principal point ({cx:.0f}, {cy:.0f}) px of {recording.names[index]} is far from "
            f"the middle of its picture of {stored[0]} x {stored[1]} px; pictures and poses are not of one recording."
        )
    camera = Camera(
        focal=torch.tensor([fx, fy], dtype=torch.float64),
        center=torch.tensor([cx, cy], dtype=torch.float64),
        size=stored,
        world_from_camera=torch.from_numpy(recording.poses[index]),
    )
    return resize(camera, size)


def _depths(recording: Recording, read: Depth, chosen: list[int], size: tuple[int, int]) -> Tensor:
    depths = torch.zeros((len(chosen), size[1], size[0]), dtype=torch.float32)
    for target, index in zip(depths, chosen, strict=True):
        depth = read(index)
        if depth is None:
            continue
        aspect = depth.shape[1] / depth.shape[0] / (size[0] / size[1])
        if abs(aspect - 1) > 0.02:
            raise FormatError(f"{recording.folder}: the depth map of {recording.names[index]} is {depth.shape[1]} x "
                              f"{depth.shape[0]} px, another shape than its picture's {size[0]} x {size[1]}; copy it "
                              "again.")  # fmt: skip
        small = cv2.resize(depth, size, interpolation=cv2.INTER_NEAREST)
        target.copy_(torch.from_numpy(np.where(np.isfinite(small) & (small < READABLE), small, 0)))
    return depths


def numbered(folder: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[int, Path]]:
    """Files whose stem is a number, by that number."""
    files = (
        [f for f in folder.iterdir() if f.suffix.lower() in suffixes and f.stem.isdecimal()] if folder.is_dir() else []
    )
    return iter(sorted((int(f.stem), f) for f in files))
