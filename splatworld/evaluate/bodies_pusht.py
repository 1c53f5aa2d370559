"""Rows on a real arm and a block: table, T and Panda as one metric world, held against the cameras' pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from splatworld.capture.config import Progress
from splatworld.core import pose
from splatworld.core.world import World
from splatworld.evaluate.pusht import View, build_world, read_block, read_views, table_frame
from splatworld.evaluate.pusht_arm import fit_joints
from splatworld.evaluate.pusht_fit import align_cameras, register_block
from splatworld.evaluate.report import Line, line
from splatworld.files import write_file
from splatworld.pictures import encode_image
from splatworld.render.render import render
from splatworld.render.rendering import to_bytes
from splatworld.robot.actions import driven_joints
from splatworld.robot.load import load_robot
from splatworld.robot.place import add_robot, metric_world

FOLDER = "pusht_robot"
PICTURES = Path("out/eval/pusht")
"""Where the rendering goes, laid over the frames."""
HOME = (0.0, -0.3, 0.0, -2.2, 0.0, 1.9, 0.785)
"""rad, a Panda's seven joints with the tool upright over the table: where the search starts."""
STILL = ("panda_link0", "panda_link1")
FEW = 400
"""Splats a link in the search."""
LOWEST = 2.0
"""Percentile of the T's splats that counts as its underside."""


def lines(data: Path, *, quick: bool = False, progress: Progress | None = None) -> list[Line]:
    """Rows of the suite `bodies` on the recording of a Panda that pushes a T.

    The cameras are moved along the table until they agree on its markings; the T's place, height and heading are
    registered to its colour in the views in which nothing stands before it; the arm's joints, of which no record is
    left, are fitted to its silhouettes. In the other views the T is held out.

    Args:
        data: folder of real captures; rows have no value where the recording is not there.
        quick: without the robot, whose fit takes minutes; the view that it hides is not judged then.
        progress: told of each stage.
    """
    folder = data / FOLDER
    if not (folder / "cameras.json").is_file():
        return [line(f"{FOLDER}: table, T and robot (the recording is not there)", None, "", ">= 0.8")]
    block, recorded = read_block(folder)
    views, moves = align_cameras(read_views(folder))
    if progress is not None:
        progress(f"{FOLDER}: cameras agree on the table's markings", 0, 0)
    clear = [name for name, view in views.items() if not _hidden(view)]
    world_from_block = register_block([views[name] for name in clear], block, recorded)
    world = build_world(views, block, world_from_block)
    rows = []
    if not quick:
        world, overlap = _with_robot(world, folder, list(views.values()))
        rows.append(line(f"{FOLDER}: robot's shell against the pictures, IoU", overlap, ""))
    heights = world.splats.means[world.splats.body_ids == 1, 2].double().numpy()
    low = float(np.percentile(heights, LOWEST))
    rows.append(line(f"{FOLDER}: T's underside off the table", 1000 * abs(low), "mm", "<= 5"))
    for name, view in views.items():
        rendering = render(world, None, view.camera)
        shown = (rendering.body_ids == 1).numpy()
        value = float((shown & view.block).sum() / (shown | view.block).sum())
        held = "" if name in clear else ", held out"
        judged = None if quick and name not in clear else ">= 0.8"
        rows.append(line(f"{FOLDER}: T in camera {name}{held}, IoU", value, "", judged))
        rows.append(line(f"{FOLDER}: camera {name}, moved", 1000 * float(moves[name][:2].norm()), "mm"))
        _draw(PICTURES / f"{name}.jpg", view, to_bytes(rendering.image), shown)
    return rows


def _hidden(view: View) -> bool:
    """Whether something white touches the T's patch, and so may stand before it."""
    near = cv2.dilate(view.block.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return bool((near & (view.moving == 1) | near & view.shell & ~np.isfinite(view.moving)).sum() > 20)


def _with_robot(world: World, folder: Path, views: list[View]) -> tuple[World, float]:
    """The world with the Panda at rest as the pictures show it, and how well its silhouettes fit."""
    model = load_robot(folder / "robot" / "panda.urdf")
    base = table_frame(folder).poses(pose.identity(dtype=torch.float64))
    home = {joint.name: value for joint, value in zip(model.moving, HOME, strict=False)}
    light = add_robot(metric_world(), model, base_pose=base, home=home, tool="panda_pusher", splats=FEW)
    state, overlap = fit_joints(light, views, STILL)
    columns = [light.joint_bodies.index(index) for index in driven_joints(light)]
    fitted = dict(zip((joint.name for joint in model.moving), state.joints[columns].tolist(), strict=True))
    return add_robot(world, model, base_pose=base, home=fitted, tool="panda_pusher"), overlap


def _draw(path: Path, view: View, image: np.ndarray, shown: np.ndarray) -> None:
    """The frame, the rendering, and the frame with the outline of the rendered T."""
    edges, _ = cv2.findContours(shown.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outlined = cv2.drawContours(view.image.copy(), edges, -1, (0, 255, 255), 1)
    write_file(path, encode_image(np.hstack([view.image, image, outlined]), ".jpg"))
