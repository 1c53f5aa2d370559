"""COLMAP models: read into a `PosedClip`, written from one, and turned from pycolmap's types into ours."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap
import torch

from splatworld.capture.config import CaptureConfig, Progress
from splatworld.capture.images import held_out_every, read_frames
from splatworld.capture.resample import resize_posed
from splatworld.core import pose
from splatworld.core.camera import Camera, resize
from splatworld.core.checks import FormatError, InputError
from splatworld.core.clip import Clip, PosedClip

_FRAMES = "frames.json"  # what COLMAP has no place for: times and which frames are held out

# Where k1, k2, p1, p2 lie in each model's extra parameters.
_DISTORTION = {
    "SIMPLE_PINHOLE": (None, None, None, None),
    "PINHOLE": (None, None, None, None),
    "SIMPLE_RADIAL": (0, None, None, None),
    "RADIAL": (0, 1, None, None),
    "OPENCV": (0, 1, 2, 3),
}


def find_model(folder: str | Path) -> Path | None:
    """The folder that holds `cameras.bin` or `cameras.txt` at or below `folder`, in COLMAP's usual places."""
    for below in (".", "sparse/0", "sparse", "colmap/sparse/0", "0"):
        place = Path(folder) / below
        if any((place / f"cameras.{kind}").is_file() for kind in ("bin", "txt")):
            return place
    return None


def load_colmap(folder: str | Path, config: CaptureConfig, *, progress: Progress | None = None) -> PosedClip:
    """Read a COLMAP model and its images; poses and frame of reference stay as given.

    Args:
        folder: the model, or a folder with `sparse/0` and `images`.
        config: image size and the held-out rule.
        progress: told of each image.

    Raises:
        InputError: no model or none of its images there, or a camera model without an OpenCV equivalent.
        FormatError: a damaged model.
    """
    folder = Path(folder)
    model = find_model(folder)
    if model is None:
        raise InputError(f"{folder}: no COLMAP model (cameras.bin or cameras.txt) here or in sparse/0.")
    try:
        reconstruction = pycolmap.Reconstruction(str(model))
    except (RuntimeError, ValueError, IndexError) as error:
        raise FormatError(f"{model}: the COLMAP model is damaged or incomplete; write it again.") from error
    placed = sorted(reconstruction.reg_image_ids(), key=lambda i: reconstruction.images[i].name)
    names = [reconstruction.images[i].name for i in placed]
    if not names:
        raise InputError(f"{model}: the COLMAP model holds no placed images.")
    root = _image_root(folder, model, names[0])
    existing = [n for n in names if (root / n).is_file()]
    if not existing:
        raise InputError(f"{folder}: none of the model's {len(names)} images, such as {names[0]}, is in {root}.")
    images, kept, _ = read_frames([root / n for n in existing], longest=config.working_side(), orient=False,
                                  progress=progress)  # fmt: skip
    held = held_out_every(len(existing), config.held_out_every)
    times = torch.arange(len(existing), dtype=torch.float64)
    record = folder / _FRAMES
    if record.is_file():
        saved = {f["name"]: f for f in json.loads(record.read_text())["frames"]}
        held = torch.tensor([bool(saved.get(n, {}).get("held_out", h)) for n, h in zip(existing, held, strict=True)])
        times = torch.tensor([saved.get(n, {}).get("time", t) for n, t in zip(existing, times.tolist(), strict=True)])
    clip = Clip(images=images, times=times[kept].double(), held_out=held[kept], names=tuple(existing[i] for i in kept))
    notes = []
    if len(existing) < len(names):
        notes.append(f"{len(names) - len(existing)} of {len(names)} images named by the model do not exist: dropped.")
    others = sorted(set(range(len(existing))) - set(kept))
    if others:
        notes.append(f"{len(others)} images of another shape were left out.")
    posed = from_reconstruction(reconstruction, clip, points_need=2)
    posed = replace(
        posed,
        unplaced=tuple(existing[i] for i in others),
        unplaced_held_out=int(held[others].sum()) if others else 0,
        notes=tuple(notes) + posed.notes,
    )
    height, width = images.shape[1:3]
    return finish(resize_posed(posed, config.output_size((width, height))))


def from_reconstruction(reconstruction: pycolmap.Reconstruction, clip: Clip, *, points_need: int = 3) -> PosedClip:
    """A clip's placed frames, matched by name, with cameras, points, colours and tracks.

    Args:
        reconstruction: pycolmap's model; its image names are the clip's.
        clip: the frames that took part; those the model lacks become `unplaced`.
        points_need: frames that must have seen a point.

    Returns:
        The PosedClip in the model's frame of reference. Points with a reprojection error above 2 px (at the model's
        image size), behind a camera that saw them, or seen under less than 1 degree are left out. Numbers are
        float64 until `finish` rounds them.
    """
    size = (clip.images.shape[2], clip.images.shape[1])
    by_name = {reconstruction.images[i].name: reconstruction.images[i] for i in reconstruction.reg_image_ids()}
    rows = [row for row, name in enumerate(clip.names) if name in by_name]
    frame_of = {by_name[clip.names[row]].image_id: frame for frame, row in enumerate(rows)}
    cameras = tuple(_camera(by_name[clip.names[row]], reconstruction, size) for row in rows)
    lost = [row for row in range(len(clip)) if clip.names[row] not in by_name]
    points, colors, tracks, errors, angles = _points(reconstruction, frame_of, cameras, points_need)
    return PosedClip(
        clip=clip.select(torch.tensor(rows, dtype=torch.int64)) if lost else clip,
        cameras=cameras,
        points=points,
        colors=colors,
        tracks=tracks,
        unplaced=tuple(clip.names[row] for row in lost),
        unplaced_held_out=int(clip.held_out[lost].sum()) if lost else 0,
        metrics={
            "registered_share": len(rows) / max(len(clip), 1),
            "reprojection_error_px": float(np.mean(errors)) if len(errors) else 0.0,
            "triangulation_angle_deg": float(np.median(angles)) if len(angles) else 0.0,
            "points": float(len(points)),
        },
    )


def finish(posed: PosedClip) -> PosedClip:
    """Round poses and points to float32, the precision worlds are stored in."""
    return replace(
        posed,
        points=posed.points.float(),
        cameras=tuple(
            replace(
                c,
                focal=c.focal.float(),
                center=c.center.float(),
                world_from_camera=c.world_from_camera.float(),
                distortion=None if c.distortion is None else c.distortion.float(),
            )
            for c in posed.cameras
        ),
    )


def write_colmap(posed: PosedClip, folder: str | Path, *, images: bool = True) -> None:
    """Write `folder/sparse/0` (binary), `folder/frames.json` and, if asked, lossless `folder/images`.

    Keypoints are the projections of the points, since a PosedClip keeps no measured ones.
    """
    folder = Path(folder)
    (folder / "sparse" / "0").mkdir(parents=True, exist_ok=True)
    names = [str(Path(n).with_suffix(".png")) if images else n for n in posed.clip.names]
    reconstruction = to_reconstruction(posed, names)
    reconstruction.write_binary(str(folder / "sparse" / "0"))
    frames = [
        {"name": name, "time": time, "held_out": held}
        for name, time, held in zip(names, posed.clip.times.tolist(), posed.clip.held_out.tolist(), strict=True)
    ]
    (folder / _FRAMES).write_text(json.dumps({"frames": frames}, indent=1) + "\n")
    if images:
        for name, image in zip(names, posed.clip.images, strict=True):
            target = folder / "images" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            pycolmap.Bitmap.from_array(np.ascontiguousarray(image.numpy())).write(str(target))


def to_reconstruction(posed: PosedClip, names: list[str] | None = None) -> pycolmap.Reconstruction:
    """pycolmap's form of a PosedClip: image ids are frame + 1; cameras with equal numbers are shared."""
    names = names or list(posed.clip.names)
    reconstruction = pycolmap.Reconstruction()
    seen: dict[tuple[float, ...], int] = {}
    points_of: dict[int, list[int]] = {frame: [] for frame in range(len(posed.clip))}
    elements: dict[int, list[tuple[int, int]]] = {}
    for point, frame in posed.tracks.tolist():
        elements.setdefault(point, []).append((frame, len(points_of[frame])))
        points_of[frame].append(point)
    for frame, camera in enumerate(posed.cameras):
        params = camera_params(camera)
        if tuple(params) not in seen:
            seen[tuple(params)] = len(seen) + 1
            reconstruction.add_camera_with_trivial_rig(pycolmap.Camera(
                camera_id=len(seen), model="OPENCV", width=camera.width, height=camera.height, params=params,
            ))  # fmt: skip
        camera_from_world = pose.inverse(camera.world_from_camera.double())
        image = pycolmap.Image(name=names[frame], camera_id=seen[tuple(params)], image_id=frame + 1)
        local = pose.transform(camera_from_world, posed.points[points_of[frame]].double())
        pixels = local[:, :2] / local[:, 2:] * camera.focal.double() + camera.center.double()
        image.points2D = pycolmap.Point2DList([pycolmap.Point2D(xy) for xy in pixels.numpy()])
        reconstruction.add_image_with_trivial_frame(image, rigid(camera_from_world))
    for point in sorted(elements):
        track = pycolmap.Track()
        for frame, slot in elements[point]:
            track.add_element(frame + 1, slot)
        reconstruction.add_point3D(posed.points[point].double().numpy(), track, posed.colors[point].numpy())
    return reconstruction


def camera_params(camera: Camera) -> list[float]:
    """fx, fy, cx, cy, k1, k2, p1, p2 of COLMAP's OPENCV model; pixel centres at +0.5 in both."""
    distortion = [0.0] * 4 if camera.distortion is None else camera.distortion.tolist()
    return [*camera.focal.tolist(), *camera.center.tolist(), *distortion]


def rigid(transform: torch.Tensor) -> pycolmap.Rigid3d:
    """pycolmap's form of a pose [7]; it orders quaternions xyzw."""
    numbers = transform.double().numpy()
    return pycolmap.Rigid3d(pycolmap.Rotation3d(numbers[[4, 5, 6, 3]]), numbers[:3])


def _camera(image: pycolmap.Image, reconstruction: pycolmap.Reconstruction, size: tuple[int, int]) -> Camera:
    source = reconstruction.cameras[image.camera_id]
    if source.model_name not in _DISTORTION:
        raise InputError(
            f"COLMAP camera model {source.model_name} is not supported, expected one of {', '.join(_DISTORTION)}; "
            "undistort the model with COLMAP's image_undistorter first."
        )
    extra = [source.params[i] for i in source.extra_params_idxs()]
    world_from_camera = image.cam_from_world().inverse()
    quat = np.asarray(world_from_camera.rotation.quat)[[3, 0, 1, 2]]
    camera = Camera(
        focal=torch.tensor([source.focal_length_x, source.focal_length_y], dtype=torch.float64),
        center=torch.tensor([source.principal_point_x, source.principal_point_y], dtype=torch.float64),
        size=(source.width, source.height),
        world_from_camera=torch.from_numpy(np.concatenate([world_from_camera.translation, quat])),
        distortion=torch.tensor([0.0 if i is None else extra[i] for i in _DISTORTION[source.model_name]]).double(),
    )
    return resize(camera, size)


def _points(
    reconstruction: pycolmap.Reconstruction, frame_of: dict[int, int], cameras: tuple[Camera, ...], need: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, list[float], list[float]]:
    """Points [M, 3], colours [M, 3], tracks [K, 2], and each point's error (px) and widest angle (degrees)."""
    centers = np.array([c.world_from_camera[:3].tolist() for c in cameras]).reshape(-1, 3)
    forward = np.array([pose.quat_to_matrix(c.world_from_camera[3:])[:, 2].tolist() for c in cameras]).reshape(-1, 3)
    xyz: list[np.ndarray] = []
    colors: list[np.ndarray] = []
    tracks: list[tuple[int, int]] = []
    errors: list[float] = []
    angles: list[float] = []
    for identity in sorted(reconstruction.points3D):
        point = reconstruction.points3D[identity]
        counts = Counter(e.image_id for e in point.track.elements)
        frames = sorted(frame_of[i] for i in counts if i in frame_of)
        if len(frames) < need or not np.isfinite(point.xyz).all() or point.error > 2:
            continue
        rays = point.xyz - centers[frames]
        if ((rays * forward[frames]).sum(axis=1) <= 0).any():
            continue
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        angle = float(np.degrees(np.arccos(np.clip((rays @ rays.T).min(), -1, 1))))
        if angle < 1:
            continue
        tracks += [(len(xyz), f) for f in frames]
        xyz.append(point.xyz)
        colors.append(point.color)
        errors.append(point.error)
        angles.append(angle)
    return (
        torch.from_numpy(np.array(xyz, dtype=np.float64).reshape(-1, 3)),
        torch.from_numpy(np.array(colors, dtype=np.uint8).reshape(-1, 3)),
        torch.tensor(tracks, dtype=torch.int64).reshape(-1, 2),
        errors,
        angles,
    )


def _image_root(folder: Path, model: Path, name: str) -> Path:
    candidates = [base / "images" for base in (folder, model, model.parent, model.parent.parent)]
    candidates += [folder, model.parent, model.parent.parent]
    return next((c for c in candidates if (c / name).is_file()), candidates[0])
