"""Writes the patterned room as each layout of recordings with poses."""

from __future__ import annotations

import json
from pathlib import Path

import av
import cv2
import numpy as np
import torch

from splatworld.core import pose
from splatworld.core.camera import Camera
from tests.capture.room import FOCAL, HALF, SIZE, depth, render, walk, write_video

COUNT = 7
OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
ARKIT_FROM_ROOM = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])  # y up
K = np.array([[FOCAL, 0, SIZE[0] / 2], [0, FOCAL, SIZE[1] / 2], [0, 0, 1]])


def cameras() -> list[Camera]:
    return walk(COUNT)


def matrix(camera: Camera) -> np.ndarray:
    return pose.to_matrix(camera.world_from_camera).numpy()


def quat(rotation: np.ndarray) -> list[float]:
    """xyzw."""
    w, x, y, z = pose.matrix_to_quat(torch.from_numpy(np.ascontiguousarray(rotation))).tolist()
    return [x, y, z, w]


def write_image(file: Path, picture: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if picture.ndim == 3:
        picture = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    file.write_bytes(cv2.imencode(file.suffix, picture)[1].tobytes())


def small_depth(camera: Camera) -> np.ndarray:
    """Half the size, as phones give it, in mm."""
    return np.round(depth(camera)[::2, ::2] * 1000).astype(np.uint16)


def arm(folder: Path) -> Path:
    rows = [
        "# Environment: room",
        "",
        "# Color camera intrinsic matrix",
        *_rows(K - [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]),
    ]
    floor = pose.exp(torch.tensor([0.3, -0.2, -HALF[2], 0, 0, 0.3], dtype=torch.float64))
    rows += ["", "# Bin-to-world transformation matrix", *_rows(pose.to_matrix(floor).numpy())]
    for index, camera in enumerate(cameras()):
        rows += ["", f"# Camera-to-world extrinsic matrix (camera pose) for frame-{index:06d}", *_rows(matrix(camera))]
        write_image(folder / f"frame-{index:06d}.color.png", render(camera))
        tenths = np.round(depth(camera) * 1e4).astype(np.uint32)
        write_image(folder / f"frame-{index:06d}.depth.png", ((tenths << 3) | (tenths >> 13)).astype(np.uint16))
    (folder / "cam.info.txt").write_text("\n".join(rows) + "\n")
    return folder


def stray(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_video(folder / "rgb.mp4", [render(camera) for camera in cameras()])
    np.savetxt(folder / "camera_matrix.csv", K, delimiter=", ")
    rows = ["timestamp, frame, x, y, z, qx, qy, qz, qw"]
    for index, camera in enumerate(cameras()):
        there = ARKIT_FROM_ROOM @ matrix(camera)
        numbers = [100 + index / 24, index, *there[:3, 3], *quat(there[:3, :3])]
        rows.append(", ".join(f"{number:.9g}" for number in numbers))
        write_image(folder / "depth" / f"{index:06d}.png", small_depth(camera))
        write_image(folder / "confidence" / f"{index:06d}.png", np.full((SIZE[1] // 2, SIZE[0] // 2), 2, np.uint8))
    (folder / "odometry.csv").write_text("\n".join(rows) + "\n")
    return folder


def polycam(folder: Path) -> Path:
    place = folder / "keyframes"
    (place / "cameras").mkdir(parents=True)
    for index, camera in enumerate(cameras()):
        there = ARKIT_FROM_ROOM @ matrix(camera) @ OPENGL
        entry = {f"t_{row}{column}": there[row, column] for row in range(3) for column in range(4)}
        entry |= {"fx": FOCAL, "fy": FOCAL, "cx": SIZE[0] / 2, "cy": SIZE[1] / 2, "width": SIZE[0], "height": SIZE[1]}
        stamp = 7000 + 300 * index
        (place / "cameras" / f"{stamp}.json").write_text(json.dumps(entry))
        write_image(place / "images" / f"{stamp}.jpg", render(camera))
        write_image(place / "depth" / f"{stamp}.png", small_depth(camera))
        write_image(place / "confidence" / f"{stamp}.png", np.full((SIZE[1] // 2, SIZE[0] // 2), 255, np.uint8))
    return folder


def record3d(folder: Path) -> Path:
    poses = []
    for index, camera in enumerate(cameras()):
        there = ARKIT_FROM_ROOM @ matrix(camera) @ OPENGL
        poses.append([*quat(there[:3, :3]), *there[:3, 3]])
        write_image(folder / "rgb" / f"{index}.jpg", render(camera))
        _write_exr(folder / "depth" / f"{index}.exr", depth(camera)[::2, ::2])
    data = {"w": SIZE[0], "h": SIZE[1], "fps": 24, "K": K.T.ravel().tolist(), "poses": poses}
    (folder / "metadata.json").write_text(json.dumps(data))
    return folder


def _rows(values: np.ndarray) -> list[str]:
    return ["\t".join(f"{value: .8e}" for value in row) for row in values]


def _write_exr(file: Path, values: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(file), "w", format="image2", options={"update": "1"}) as container:
        stream = container.add_stream("exr", rate=1)
        stream.height, stream.width = values.shape
        stream.pix_fmt = "gbrpf32le"
        picture = np.ascontiguousarray(np.repeat(values[..., None], 3, axis=-1))
        for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="gbrpf32le")):
            container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)


WRITERS = {"arm": arm, "stray": stray, "polycam": polycam, "record3d": record3d}
