"""The recording of a Panda that pushes a T, as a world: cameras in metres, table, T block and robot."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.body import Body, background
from splatworld.core.camera import Camera, project
from splatworld.core.checks import FormatError
from splatworld.core.similarity import Similarity
from splatworld.core.splats import Provenance, Splats
from splatworld.core.world import Scale, World
from splatworld.render import sh as harmonics

FOLDER = Path("../shared/data/pusht_robot")
TABLE = (0.0, 1.0, -0.5, 0.6)
"""m, what of the table is drawn: x from, to, y from, to, in the robot's frame."""
CELL = 0.004
EVERY, DARKER = 20, 0.25
"""The empty table is, pixel by pixel, as dark as a quarter of every 20th frame: the robot's shell is brighter."""
ORANGE_HUES, ORANGE_SATURATION, ORANGE_VALUE = (0, 14), 140, 100
"""OpenCV's HSV (hue of 180) of the T."""
OPENGL_FROM_OPENCV = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64))
"""The recording's cameras look along -z: with z forward the T would lie behind all of them."""
WHITE_SATURATION, WHITE_VALUE = 120, 170
"""OpenCV's HSV of the robot's shell."""


@dataclass(frozen=True)
class View:
    """One camera and what it saw at the common first instant.

    Attributes:
        camera: in the table's frame, z = 0 the table.
        image: [H, W, 3] u8.
        block: [H, W] bool, where the orange T is seen, told by its colour alone.
        shell: [H, W] bool, where something white is seen: the robot's shell, among others.
        moving: [H, W] float32, where the shell is that comes and goes during the recording: 1 there, 0 where it is not,
            NaN where neither can be told.
        time: s.
    """

    camera: Camera
    image: np.ndarray
    block: np.ndarray
    shell: np.ndarray
    moving: np.ndarray
    time: float


def table_frame(folder: Path) -> Similarity:
    """The frame whose z is the height above the table, from the robot's: a small tilt and a shift along it.

    The plane is normal . x = offset: so two cameras triangulate the tape on the table to within a millimetre of it; the
    other sign would put it 18 mm above.
    """
    plane = torch.tensor(json.loads((folder / "ground_plane.json").read_text())["plane"], dtype=torch.float64)
    plane = plane / plane[:3].norm()
    axis = torch.linalg.cross(plane[:3], torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    angle = torch.atan2(axis.norm(), plane[2])
    turn = pose.exp(torch.cat([torch.zeros(3, dtype=torch.float64), axis / axis.norm().clamp(min=1e-12) * angle]))[3:]
    return Similarity(1.0, turn, torch.tensor([0.0, 0.0, -float(plane[3])], dtype=torch.float64))


def read_views(folder: Path) -> dict[str, View]:
    """The frames of all cameras nearest to the first instant that all of them saw, by their own clocks."""
    frame = table_frame(folder)
    listed = json.loads((folder / "cameras.json").read_text())
    meta = {name: json.loads((folder / entry["metadata_path"]).read_text()) for name, entry in listed.items()}
    start = max(entry["timestamps"][0] for entry in meta.values())
    views = {}
    for name, entry in listed.items():
        times = np.array(meta[name]["timestamps"])
        index = int(np.abs(times - start).argmin())
        image, empty = _frames(folder / entry["video_path"], index)
        k = torch.tensor(meta[name]["K"], dtype=torch.float64)
        camera = Camera(
            focal=k[[0, 1], [0, 1]],
            center=k[:2, 2] + 0.5,  # their pixel centres are whole numbers
            size=(image.shape[1], image.shape[0]),
            world_from_camera=pose.from_matrix(torch.tensor(entry["X_WC"], dtype=torch.float64) @ OPENGL_FROM_OPENCV),
        )
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        block, shell = _orange(hsv), _white(hsv)
        moving = _moving(image, empty, block, shell)
        views[name] = View(frame.camera(camera), image, block, shell, moving, float(times[index]))
    return views


def read_block(folder: Path) -> tuple[Splats, Tensor]:
    """The T's splats in its own frame, body 1, and its recorded pose [7] in the table's frame, of another instant."""
    document = json.loads((folder / "tblock.json").read_text())
    given = {name: torch.tensor(values) for name, values in document["gaussians"].items()}
    count = len(given["means"])
    splats = Splats(
        means=given["means"],
        log_scales=given["scales"].log(),
        quats=given["quats"],
        opacity_logits=torch.logit(given["opacities"]),
        sh=((given["colors"].flip(1) - 0.5) / harmonics.C0)[:, None],  # they are blue, green, red
        body_ids=torch.ones(count, dtype=torch.int32),
        provenance=torch.full((count,), int(Provenance.IMPORTED), dtype=torch.uint8),
    )
    recorded = pose.from_matrix(torch.tensor(document["X_WB"], dtype=torch.float64))
    return splats, table_frame(folder).poses(recorded)


def build_world(views: dict[str, View], block: Splats, world_from_block: Tensor) -> World:
    """Table and T: body 0, painted from the frames, and body 1, whose frame lies at the mean of its splats."""
    center = block.means.double().mean(dim=0)
    placed = Similarity(1.0, world_from_block[3:], world_from_block[:3])
    moved = replace(
        block,
        means=placed.points(block.means),
        quats=pose.multiply_quats(world_from_block[3:], block.quats.double()).float(),
    )
    body = Body("T block", "rigid", torch.cat([placed.points(center), world_from_block[3:]]))
    table = _table(views)
    joined = {name: torch.cat([getattr(table, name), getattr(moved, name)]) for name in vars(table)}
    return World(
        splats=Splats(**joined),
        bodies=(background(), body),
        gravity=torch.tensor([0.0, 0.0, -9.81], dtype=torch.float64),
        scale=Scale(1.0, "poses", 0.01),
        cameras={name: view.camera for name, view in views.items()},
    )


def _frames(path: Path, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Frame `index`, and the table as it looks when nothing bright is over it: [H, W, 3] u8 each."""
    chosen, sampled = None, []
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number == index:
                chosen = frame.to_ndarray(format="rgb24")
            if number % EVERY == 0:
                sampled.append(frame.to_ndarray(format="rgb24"))
    if chosen is None:
        raise FormatError(f"{path}: no frame {index}; the file is cut short.")
    return chosen, np.quantile(np.stack(sampled), DARKER, axis=0).astype(np.uint8)


def _moving(image: np.ndarray, empty: np.ndarray, block: np.ndarray, shell: np.ndarray) -> np.ndarray:
    brighter = image.mean(axis=2) - empty.mean(axis=2)
    near_block = cv2.dilate(block.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    found = np.full(block.shape, np.nan, np.float32)
    found[(np.abs(brighter) < 12) & ~shell] = 0  # where the shell stands still it cannot be told from one that moves
    found[block] = 0
    bright = (brighter > 35) & shell & ~near_block
    _, labels = cv2.connectedComponents(cv2.dilate(bright.astype(np.uint8), np.ones((21, 21), np.uint8)))
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    arm = np.isin(labels, border[border > 0])  # it reaches in from outside; lamps on the table do not
    found[bright & arm] = 1
    found[bright & ~arm] = np.nan
    return found


def _orange(hsv: np.ndarray) -> np.ndarray:
    """The largest connected patch of the T's colour."""
    low = np.array([ORANGE_HUES[0], ORANGE_SATURATION, ORANGE_VALUE], np.uint8)
    found = cv2.inRange(hsv, low, np.array([ORANGE_HUES[1], 255, 255], np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(found)
    return labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())


def _white(hsv: np.ndarray) -> np.ndarray:
    found = ((hsv[..., 1] < WHITE_SATURATION) & (hsv[..., 2] > WHITE_VALUE)).astype(np.uint8)
    return cv2.morphologyEx(found, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0


def _table(views: dict[str, View]) -> Splats:
    """Flat splats on z = 0 where a camera saw the bare table, coloured by the camera that saw it largest."""
    x, y = torch.meshgrid(torch.arange(*TABLE[:2], CELL), torch.arange(*TABLE[2:], CELL), indexing="ij")
    points = torch.stack([x, y, torch.zeros_like(x)], dim=-1).reshape(-1, 3).double()
    best, colors = torch.zeros(len(points), dtype=torch.float64), torch.zeros(len(points), 3)
    for view in views.values():
        pixels, depth = project(view.camera, points)
        column, row = pixels.floor().long().unbind(-1)
        inside = (depth > 0) & (column >= 0) & (row >= 0) & (column < view.camera.width) & (row < view.camera.height)
        column, row = column.clamp(0, view.camera.width - 1), row.clamp(0, view.camera.height - 1)
        hidden = cv2.dilate((view.block | view.shell).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        size = torch.where(inside & ~torch.from_numpy(hidden)[row, column], 1 / depth, torch.zeros_like(depth))
        better = size > best
        best = torch.where(better, size, best)
        colors[better] = torch.from_numpy(view.image)[row, column][better].float() / 255
    points, colors = points[best > 0].float(), colors[best > 0]
    count = len(points)
    return Splats(
        means=points,
        log_scales=torch.tensor([0.7 * CELL, 0.7 * CELL, 0.1 * CELL]).log().repeat(count, 1),
        quats=torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(count, 1),
        opacity_logits=torch.logit(torch.full((count,), 0.95)),
        sh=((colors - 0.5) / harmonics.C0)[:, None],
        body_ids=torch.zeros(count, dtype=torch.int32),
        provenance=torch.full((count,), int(Provenance.OBSERVED), dtype=torch.uint8),
    )
