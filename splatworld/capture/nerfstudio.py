"""nerfstudio's and instant-ngp's `transforms.json`: frames with given poses."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from splatworld.capture.colmap import finish
from splatworld.capture.config import CaptureConfig, Progress
from splatworld.capture.images import IMAGE_SUFFIXES, held_out_every, read_frames
from splatworld.capture.resample import resize_posed
from splatworld.capture.triangulate import triangulate
from splatworld.core import pose
from splatworld.core.camera import Camera, resize
from splatworld.core.checks import FormatError, InputError
from splatworld.core.clip import Clip, PosedClip

_OPENCV_FROM_OPENGL = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))  # camera axes: y and z flip
_MODELS = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL")


def load_nerfstudio(path: str | Path, config: CaptureConfig, *, progress: Progress | None = None) -> PosedClip:
    """Read `transforms.json`, drop listed images that do not exist, and triangulate points from the given poses.

    Args:
        path: the json file.
        config: image size, held-out rule (every so many'th existing frame, in the order listed), `refine_poses`.
        progress: told of each stage.

    Returns:
        Every existing frame, in the file's frame of reference.

    Raises:
        FormatError: not JSON, or a frame without a 4x4 rigid matrix or intrinsics.
        InputError: no frames, none of the images there, or a fisheye camera.
    """
    path = Path(path)
    data = _read(path)
    listed = data["frames"]
    found = [(frame, _image_file(path.parent, str(frame.get("file_path", "")))) for frame in listed]
    existing = [(frame, file) for frame, file in found if file is not None]
    if not existing:
        raise InputError(
            f"{path}: none of the {len(listed)} listed images exists, such as {listed[0].get('file_path')}; put them "
            "where the file names them."
        )
    frames = [frame for frame, _ in existing]
    files = [file for _, file in existing]
    poses = [_pose(path, frame) for frame in frames]
    config = _scaled_to_output(config)
    images, kept, usual = read_frames(files, longest=config.working_side(), orient=False, progress=progress)
    held = held_out_every(len(files), config.held_out_every)
    size = (images.shape[2], images.shape[1])
    cameras = [_camera(path, data, frames[i], usual, size, poses[i]) for i in kept]
    clip = Clip(
        images=images,
        times=torch.tensor(kept, dtype=torch.float64),
        held_out=held[kept],
        names=tuple(str(frames[i]["file_path"]) for i in kept),
        masks=_masks(path.parent, [frames[i] for i in kept], size),
        depths=_depths(path.parent, [frames[i] for i in kept], size, float(data.get("depth_unit_scale_factor", 1e-3))),
    )
    posed = triangulate(clip, cameras, config, progress=progress)
    others = sorted(set(range(len(files))) - set(kept))
    notes = []
    if len(existing) < len(listed):
        notes.append(f"{len(listed) - len(existing)} of {len(listed)} listed images do not exist: dropped.")
    if others:
        notes.append(f"{len(others)} images of another shape were left out.")
    posed = replace(
        posed,
        unplaced=tuple(str(frames[i]["file_path"]) for i in others),
        unplaced_held_out=int(held[others].sum()) if others else 0,
        notes=(*notes, *posed.notes),
        metrics={**posed.metrics, "missing_images": float(len(listed) - len(existing))},
    )
    return finish(resize_posed(posed, config.output_size(size)))


def _scaled_to_output(config: CaptureConfig) -> CaptureConfig:
    """Features no finer than twice the images asked for: the poses are known, the points only seed splats."""
    wanted = max(config.size) if config.size is not None else config.max_side
    return config if wanted is None else replace(config, sfm_max_side=min(config.sfm_max_side, 2 * wanted))


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise FormatError(f"{path}: not a readable JSON file; export the capture again.") from error
    if not isinstance(data, dict) or not isinstance(data.get("frames"), list) or not data["frames"]:
        raise FormatError(f"{path}: has no list of frames; expected nerfstudio's or instant-ngp's transforms.json.")
    model = str(data.get("camera_model", "OPENCV"))
    if model not in _MODELS or any(data.get(f"is_{kind}") for kind in ("fisheye", "equirectangular")):
        raise InputError(f"{path}: camera model {model} is not supported, expected one of {', '.join(_MODELS)}; "
                         "undistort the images to a pinhole camera first.")  # fmt: skip
    return data


def _image_file(folder: Path, name: str) -> Path | None:
    """The listed file, or the same name with an image ending (NeRF's synthetic scenes leave it out)."""
    if not name:
        return None
    plain = folder / name
    candidates = [plain, *(plain.with_name(plain.name + suffix) for suffix in IMAGE_SUFFIXES)]
    return next((c for c in candidates if c.is_file()), None)


def _pose(path: Path, frame: dict[str, Any]) -> torch.Tensor:
    """World-from-camera [7] with OpenCV axes."""
    try:
        matrix = torch.tensor(frame["transform_matrix"], dtype=torch.float64)
        valid = matrix.shape in ((4, 4), (3, 4)) and bool(torch.isfinite(matrix).all())
    except (KeyError, TypeError, ValueError):
        valid = False
    if not valid:
        raise FormatError(f"{path}: {frame.get('file_path')} has no finite 4x4 transform_matrix; remove the frame.")
    rotation = matrix[:3, :3]
    scale = rotation.det().abs() ** (1 / 3)
    u, s, vt = torch.linalg.svd(rotation / scale.clamp(min=1e-12))
    nearest = u @ vt
    if bool((s - 1).abs().max() > 0.02) or nearest.det() < 0:
        raise FormatError(f"{path}: the transform_matrix of {frame.get('file_path')} is not a rotation; export the "
                          "capture again.")  # fmt: skip
    return torch.cat([matrix[:3, 3], pose.matrix_to_quat(nearest @ _OPENCV_FROM_OPENGL)])


def _camera(
    path: Path, data: dict[str, Any], frame: dict[str, Any], stored: tuple[int, int], size: tuple[int, int],
    world_from_camera: torch.Tensor,
) -> Camera:  # fmt: skip
    """The frame's camera at `size` px; a frame's own numbers go before the file's."""

    def number(name: str, otherwise: float = 0.0) -> float:
        value = frame.get(name, data.get(name))
        return otherwise if value is None else float(value)

    width, height = number("w", stored[0]), number("h", stored[1])
    fx, fy = number("fl_x"), number("fl_y")
    angle_x, angle_y = number("camera_angle_x"), number("camera_angle_y")
    if not fx and angle_x:
        fx = 0.5 * width / math.tan(0.5 * angle_x)
    if not fy and angle_y and not number("fl_x"):
        fy = 0.5 * height / math.tan(0.5 * angle_y)
    fx, fy = fx or fy, fy or fx
    if not fx or not fy or fx <= 0 or fy <= 0 or not math.isfinite(fx * fy):
        raise FormatError(f"{path}: {frame.get('file_path')} has no focal length; add fl_x or camera_angle_x.")
    camera = Camera(
        focal=torch.tensor([fx, fy], dtype=torch.float64),
        center=torch.tensor([number("cx", width / 2), number("cy", height / 2)], dtype=torch.float64),
        size=(int(width), int(height)),
        world_from_camera=world_from_camera,
        distortion=torch.tensor([number(k) for k in ("k1", "k2", "p1", "p2")], dtype=torch.float64),
    )
    return resize(camera, size)


def _masks(folder: Path, frames: list[dict[str, Any]], size: tuple[int, int]) -> torch.Tensor | None:
    """nerfstudio's `mask_path`: black pixels are to be ignored."""
    if not any(frame.get("mask_path") for frame in frames):
        return None
    masks = np.ones((len(frames), size[1], size[0]), dtype=bool)
    for mask, frame in zip(masks, frames, strict=True):
        file = folder / str(frame.get("mask_path", ""))
        if frame.get("mask_path") and file.is_file():
            picture = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
            if picture is None:
                raise FormatError(f"{file}: not a readable mask; copy it again or remove mask_path.")
            mask[:] = cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST) > 0
    return torch.from_numpy(masks)


def _depths(folder: Path, frames: list[dict[str, Any]], size: tuple[int, int], unit: float) -> torch.Tensor | None:
    """nerfstudio's `depth_file_path`: 16-bit pictures of depth along +z in steps of `unit` m, 0 where unknown."""
    if not any(frame.get("depth_file_path") for frame in frames):
        return None
    depths = np.zeros((len(frames), size[1], size[0]), dtype=np.float32)
    for depth, frame in zip(depths, frames, strict=True):
        file = folder / str(frame.get("depth_file_path", ""))
        if frame.get("depth_file_path") and file.is_file():
            picture = cv2.imread(str(file), cv2.IMREAD_ANYDEPTH)
            if picture is None or picture.dtype != np.uint16:
                raise FormatError(f"{file}: not a 16-bit depth picture; copy it again or remove depth_file_path.")
            depth[:] = cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST) * np.float32(unit)
    return torch.from_numpy(depths)
