"""Folders of recordings with poses, told apart by their files: robot arms, Record3D, Polycam, Stray Scanner."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from splatworld.capture.images import IMAGE_SUFFIXES, list_images
from splatworld.capture.recorded import OPENCV_FROM_OPENGL, Recording, numbered, read_depth, rigid
from splatworld.core import pose
from splatworld.core.checks import FormatError, InputError
from splatworld.core.world import Scale

TRACKED = Scale(1.0, "poses", 0.01)
"""Poses of a phone's visual-inertial tracking."""
CALIBRATED = Scale(1.0, "poses", 0.003)
"""Poses of a robot arm with a calibrated camera."""
Y_UP, Z_UP = (0.0, -9.81, 0.0), (0.0, 0.0, -9.81)
"""Gravity in ARKit's frame, and in a robot's."""


def find_layout(folder: Path) -> Callable[[Path], Recording] | None:
    """What reads `folder`; None if it is no recording of a known layout."""
    if (folder / "cam.info.txt").is_file():
        return read_arm
    if (folder / "odometry.csv").is_file():
        return read_stray
    if (folder / "keyframes").is_dir():
        return read_polycam
    if any((folder / name).is_file() for name in ("metadata", "metadata.json")):
        return read_record3d
    return None


def read_arm(folder: Path) -> Recording:
    """Princeton's arm scans: `cam.info.txt` with intrinsics and one pose a frame, `frame-NNNNNN.color.png` and
    `.depth.png`.

    Depth is registered to the colour picture, in 0.1 mm, its bits turned left by three. The frame of reference is that
    of the bin that was filmed, where the text names one (`Bin-to-world`), else the robot's; Z up in both.

    Raises:
        FormatError: the text names no camera, or no pose for a picture.
    """
    blocks = _matrices(folder / "cam.info.txt")
    camera = next((m for title, m in blocks.items() if title.startswith("Color camera intrinsic")), None)
    if camera is None or camera.shape != (3, 3):
        raise FormatError(f"{folder / 'cam.info.txt'}: has no 3x3 colour camera matrix; copy it again.")
    posed = {
        m[1]: matrix for title, matrix in blocks.items() if (m := re.search(r"Camera-to-world.*(frame-\d+)", title))
    }
    bins = [matrix for title, matrix in blocks.items() if title.startswith("Bin-to-world")]
    files = [f for f in list_images(folder) if f.name.endswith(".color.png")]
    names = [f.name.removesuffix(".color.png") for f in files]
    missing = [name for name in names if name not in posed]
    if missing:
        raise FormatError(f"{folder / 'cam.info.txt'}: has no pose for {missing[0]}; remove its picture or add it.")

    poses = torch.from_numpy(_stacked([rigid(posed[name], f"{folder / 'cam.info.txt'}: {name}") for name in names]))
    gravity = torch.tensor(Z_UP, dtype=torch.float64)
    if bins:
        bin_from_world = pose.inverse(torch.from_numpy(rigid(bins[0], f"{folder / 'cam.info.txt'}: bin")))
        poses, gravity = pose.compose(bin_from_world, poses), pose.rotate(bin_from_world[3:], gravity)

    def depth(index: int) -> np.ndarray | None:
        turned = read_depth(folder / f"{names[index]}.depth.png", 1.0)
        if turned is None:
            return None
        bits = turned.astype(np.uint32)
        return (((bits >> 3) | (bits << 13)) & 0xFFFF).astype(np.float32) * np.float32(1e-4)

    return Recording(
        folder=folder,
        pictures=files,
        names=tuple(names),
        numbers=list(range(len(files))),
        times=None,
        poses=poses.numpy(),
        # Its centres lie at whole numbers.
        intrinsics=np.tile([camera[0, 0], camera[1, 1], camera[0, 2] + 0.5, camera[1, 2] + 0.5], (len(files), 1)),
        depth=depth,
        scale=CALIBRATED,
        gravity=tuple(gravity.tolist()),
    )


def read_stray(folder: Path) -> Recording:
    """Stray Scanner: `rgb.mp4`, `odometry.csv` (timestamp, frame, position, quaternion xyzw, camera axes as OpenCV's),
    `camera_matrix.csv`, `depth/NNNNNN.png` in mm and `confidence/NNNNNN.png`.

    Raises:
        FormatError: a table without the columns it should have.
    """
    file = folder / "odometry.csv"
    rows = _table(file, ("timestamp", "frame", "x", "y", "z", "qx", "qy", "qz", "qw"))
    try:
        camera = np.loadtxt(folder / "camera_matrix.csv", delimiter=",", ndmin=2)
    except (OSError, ValueError) as error:
        raise FormatError(f"{folder / 'camera_matrix.csv'}: not a table of 3 x 3 numbers; export it again.") from error
    if camera.shape != (3, 3):
        raise FormatError(f"{folder / 'camera_matrix.csv'}: is {camera.shape}, expected 3 x 3; export it again.")
    frames = [int(float(row["frame"])) for row in rows]
    return Recording(
        folder=folder,
        pictures=folder / "rgb.mp4",
        names=tuple(f"frame_{number:06d}" for number in frames),
        numbers=frames,
        times=np.array([float(row["timestamp"]) for row in rows]),
        poses=_from_quats(np.array([[float(row[k]) for k in ("x", "y", "z", "qx", "qy", "qz", "qw")] for row in rows]),
                          file, np.eye(3)),
        intrinsics=np.tile([camera[0, 0], camera[1, 1], camera[0, 2], camera[1, 2]], (len(rows), 1)),
        depth=lambda index: read_depth(
            folder / "depth" / f"{frames[index]:06d}.png", 1e-3, folder / "confidence" / f"{frames[index]:06d}.png"
        ),
        scale=TRACKED,
        gravity=Y_UP,
    )  # fmt: skip


def read_polycam(folder: Path) -> Recording:
    """Polycam's raw data: `keyframes/images/T.jpg`, `keyframes/cameras/T.json` (rows of a 3x4 pose with ARKit's axes),
    `keyframes/depth/T.png` in mm, `keyframes/confidence/T.png`; the corrected cameras and images if they are there.

    Raises:
        FormatError: a camera file that is damaged or lacks an entry.
    """
    place = folder / "keyframes"
    kind = "corrected_" if (place / "corrected_cameras").is_dir() and (place / "corrected_images").is_dir() else ""
    files = dict(numbered(place / f"{kind}images", IMAGE_SUFFIXES))
    texts = dict(numbered(place / f"{kind}cameras", (".json",)))
    stamps = sorted(files.keys() & texts.keys())
    if not stamps:
        raise InputError(f"{place}: no {kind}images with a file of the same number in {kind}cameras; export the raw "
                         "data again.")  # fmt: skip
    poses, intrinsics = [], []
    for stamp in stamps:
        entry = _json(texts[stamp])
        try:
            matrix = np.array([[float(entry[f"t_{row}{column}"]) for column in range(4)] for row in range(3)])
            intrinsics.append([float(entry[name]) for name in ("fx", "fy", "cx", "cy")])
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(f"{texts[stamp]}: has no number for {error}; export the raw data again.") from error
        poses.append(_from_opengl(matrix, f"{texts[stamp]}"))
    return Recording(
        folder=folder,
        pictures=[files[stamp] for stamp in stamps],
        names=tuple(files[stamp].name for stamp in stamps),
        numbers=list(range(len(stamps))),
        times=None,  # the app chose the frames; its clock has no unit that is written down
        poses=_stacked(poses),
        intrinsics=np.array(intrinsics),
        depth=lambda index: read_depth(
            place / "depth" / f"{stamps[index]}.png", 1e-3, place / "confidence" / f"{stamps[index]}.png"
        ),
        scale=TRACKED,
        gravity=Y_UP,
    )


def read_record3d(folder: Path) -> Recording:
    """Record3D: an unzipped `.r3d` (`metadata`, `rgbd/N.jpg`) or its EXR export (`metadata.json`, `rgb/N.jpg`,
    `depth/N.exr` in m); poses are quaternion xyzw and position with ARKit's axes.

    The depths inside a `.r3d` are packed in a way of Apple's own and are not read.

    Raises:
        FormatError: metadata without poses or intrinsics.
        InputError: no pictures.
    """
    file = next(folder / name for name in ("metadata", "metadata.json") if (folder / name).is_file())
    data = _json(file)
    place = next(
        (folder / name for name in ("rgb", "rgbd", "EXR_RGBD/rgb") if (folder / name).is_dir()), folder / "rgb"
    )
    files = dict(numbered(place, IMAGE_SUFFIXES))
    try:
        given = np.array(data["poses"], dtype=np.float64).reshape(-1, 7)
        matrix = np.array(data["K"], dtype=np.float64).reshape(3, 3).T
        own = np.array(data.get("perFrameIntrinsicCoeffs") or [], dtype=np.float64).reshape(-1, 4)
        rate = float(data.get("fps") or 30)
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(
            f"{file}: has no list of poses of 7 numbers or no 3x3 K ({error}); export it again."
        ) from error
    used = [number for number in sorted(files) if number < len(given)]
    if not used:
        raise InputError(f"{place}: no numbered pictures with a pose in {file.name}; export the recording again.")
    focal = np.tile([matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]], (len(given), 1))
    if len(own) == len(given):
        focal = own
    order = given[:, [4, 5, 6, 0, 1, 2, 3]]
    maps = place.parent / "depth"
    packed = not maps.is_dir()
    return Recording(
        folder=folder,
        pictures=[files[number] for number in used],
        names=tuple(files[number].name for number in used),
        numbers=used,
        times=np.array(used) / rate,
        poses=_from_quats(order[used], file, OPENCV_FROM_OPENGL),
        intrinsics=focal[used],
        depth=None if packed else lambda index: _exr(maps / f"{used[index]}.exr"),
        scale=TRACKED,
        gravity=Y_UP,
        notes=("Depths inside a .r3d are not read; export EXR and JPG from Record3D to use them.",) if packed else (),
    )


def _from_opengl(matrix: np.ndarray, owner: str) -> np.ndarray:
    turned = np.array(matrix, dtype=np.float64)
    turned[:3, :3] = turned[:3, :3] @ OPENCV_FROM_OPENGL
    return rigid(turned, owner)


def _from_quats(values: np.ndarray, file: Path, axes: np.ndarray) -> np.ndarray:
    """Poses [T, 7] from position and quaternion xyzw; `axes` turns the camera's to OpenCV's."""
    norm = np.linalg.norm(values[:, 3:], axis=1)
    if not np.isfinite(values).all() or (np.abs(norm - 1) > 0.01).any():
        wrong = int((~np.isfinite(values).all(axis=1) | ~(np.abs(norm - 1) <= 0.01)).argmax())
        raise FormatError(f"{file}: pose {wrong} is not rigid: its quaternion has length {norm[wrong]:.3g} and should "
                          "have 1; record it again or remove the row.")  # fmt: skip
    quats = torch.from_numpy(values[:, [6, 3, 4, 5]] / norm[:, None])
    turn = pose.matrix_to_quat(torch.from_numpy(axes))
    return np.concatenate([values[:, :3], pose.multiply_quats(quats, turn.expand_as(quats)).numpy()], axis=1)


def _stacked(poses: list[np.ndarray]) -> np.ndarray:
    return np.stack(poses) if poses else np.zeros((0, 7))


def _json(file: Path) -> dict[str, Any]:
    try:
        data = json.loads(file.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise FormatError(f"{file}: not a readable JSON file; export the recording again.") from error
    if not isinstance(data, dict):
        raise FormatError(f"{file}: not the JSON of a recording; export it again.")
    return data


def _table(file: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        reader = csv.DictReader(stream, skipinitialspace=True)
        rows = list(reader)
    try:
        _ = [float(row[name]) for row in rows for name in columns]
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(
            f"{file}: a row lacks a number ({error}); its columns should be {', '.join(columns)}."
        ) from error
    return rows


def _matrices(file: Path) -> dict[str, np.ndarray]:
    """The titled matrices of a text: a line that begins with # and the rows of numbers below it."""
    blocks: dict[str, list[list[float]]] = {}
    title = ""
    for line in file.read_text(errors="replace").splitlines():
        if line.startswith("#"):
            title = line.lstrip("# ")
        elif line.strip():
            try:
                blocks.setdefault(title, []).append([float(word) for word in line.split()])
            except ValueError as error:
                raise FormatError(f"{file}: {line.strip()!r} is not a row of numbers; copy the file again.") from error
    try:
        return {name: np.array(rows) for name, rows in blocks.items()}
    except ValueError as error:
        raise FormatError(f"{file}: a matrix has rows of different lengths; copy the file again.") from error


def _exr(file: Path) -> np.ndarray | None:
    """[h, w] float32 of the first channel of an OpenEXR picture; None if it is not there."""
    if not file.is_file():
        return None
    try:
        with av.open(str(file)) as container:
            picture = next(container.decode(video=0)).to_ndarray()
    except (av.FFmpegError, StopIteration, ValueError) as error:
        raise FormatError(f"{file}: not a readable OpenEXR depth map; export it again.") from error
    return np.ascontiguousarray(picture if picture.ndim == 2 else picture[..., 0], dtype=np.float32)
