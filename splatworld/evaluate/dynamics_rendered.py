"""Rendered predictions against the oracle's pictures: bodies of the sample, filmed, found and pushed for three seconds.

The world comes from the video alone. In the oracle's scene a rod pushes one body at a time; the network is told the
same way of the same rod. No picture shows the rod.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from scipy.spatial import cKDTree

from splatworld.bodies.place import place
from splatworld.bodies.shadows import moving_shadows
from splatworld.core import pose
from splatworld.core.robot import ACTION_SECONDS
from splatworld.core.state import State
from splatworld.core.world import World, rest_state
from splatworld.dynamics.model import DynamicsModel
from splatworld.dynamics.predict import predict
from splatworld.evaluate.bodies_sample import Match
from splatworld.evaluate.report import Line, line
from splatworld.evaluate.sample_truth import align, frame_number
from splatworld.files import write_file
from splatworld.geometry.mesh import read_mesh, surface_points, transform_mesh
from splatworld.render.render import render
from splatworld.robot.place import add_robot
from splatworld.robot.tools import cylinder_pusher

os.environ.setdefault("MUJOCO_GL", "egl")  # chosen when mujoco is imported; EGL needs no display

Progress = Callable[..., Any]

ACTIONS = 30
"""3 s."""
GAP, WAY, SPEED, FOOT = 0.02, 0.06, 0.05, 0.006
"""m from the rod to the body, m that the body is pushed, m/s, m from the rod's foot to the table."""
ROD_RADIUS = 0.01
HEADINGS = 16
NAME = "sample world pushed for 3 s"
CHANGED = 0.1
"""By how much a pixel's channel differs where a push changed the picture."""
LEAST_SHOWN = 0.01
"""Share of a view that a push has changed where it is worth a look."""


@dataclass(frozen=True)
class Push:
    """One push of one body.

    Attributes:
        label: true body id.
        name: what it is.
        path: [ACTIONS + 1, 3] m, the foot of the rod, in the truth's frame.
    """

    label: int
    name: str
    path: np.ndarray


def pushes(folder: Path, truth: dict[str, Any]) -> list[Push]:
    """A push of every body, towards where most room is."""
    corners = {body["id"]: _outside(folder, body)[:, :2] for body in truth["bodies"]}
    found = []
    for body in truth["bodies"]:
        own, label = corners[body["id"]], body["id"]
        others = np.concatenate([c for other, c in corners.items() if other != label])
        found.append(Push(label, body["name"], freest_way(own, others)[0]))
    return found


def freest_way(own: np.ndarray, others: np.ndarray, way: float = WAY) -> tuple[np.ndarray, float]:
    """The push of a body towards where most room is.

    Args:
        own: [P, 2] m, its surface from above.
        others: [Q, 2] m, all other surfaces; none of them is far away.
        way: m that the body is pushed.

    Returns:
        The path [ACTIONS + 1, 3] m of the rod's foot, and m between what rod and body pass and the others.
    """
    tree = cKDTree(others) if len(others) else None
    best, most = np.zeros((ACTIONS + 1, 3)), -np.inf
    for k in range(HEADINGS):
        path, passed = _way(own, 2 * np.pi * k / HEADINGS, way)
        room = np.inf if tree is None else float(tree.query(passed)[0].min())
        if room > most:
            best, most = path, room
    return best, most


def _outside(folder: Path, body: dict[str, Any]) -> np.ndarray:
    """[P, 3] m, points of a true surface in the world."""
    mesh = transform_mesh(read_mesh(folder / body["mesh"]), torch.tensor(body["world_from_body"]).double())
    return surface_points(mesh, 4000, 0)[0].numpy()


def _way(own: np.ndarray, heading: float, way: float) -> tuple[np.ndarray, np.ndarray]:
    """The rod's path [T + 1, 3] and the places [K, 2] that rod and body pass."""
    ahead = np.array([np.cos(heading), np.sin(heading)])
    middle = (own.min(0) + own.max(0)) / 2
    behind = ((own - middle) @ ahead)[np.abs((own - middle) @ [-ahead[1], ahead[0]]) < 2 * ROD_RADIUS].min()
    start = middle + (behind - ROD_RADIUS - GAP) * ahead
    gone = np.minimum(np.arange(ACTIONS + 1) * SPEED * ACTION_SECONDS, GAP + way)
    path = np.column_stack([start + gone[:, None] * ahead, np.full(ACTIONS + 1, FOOT)])
    passed = [start - 2 * ROD_RADIUS * ahead, start, *(own + share * way * ahead for share in (0.0, 0.5, 1.0))]
    return path, np.concatenate([np.atleast_2d(each) for each in passed])


def rendered_lines(
    model: DynamicsModel,
    world: World,
    found: Match,
    folder: Path,
    truth: dict[str, Any],
    picture: Path | None,
    say: Progress,
) -> list[Line]:
    """PSNR of held-out views before and after pushes, over whole pictures and where a push changed something.

    Args:
        model: predicts.
        world: of the sample, with bodies, made from its video.
        found: which of its bodies is which true one.
        folder: the sample's.
        truth: as read by `read_truth`.
        picture: where to draw the pushes, PNG; None: nowhere.
        say: told what is going on.
    """
    from splatworld.simulate import camera as oracle  # needs the extra `sim`
    from splatworld.simulate import tabletop

    world = place(world, align(world.cameras, truth)[0])
    cameras = {
        name: camera for name, camera in world.cameras.items() if frame_number(name) in truth["held_out"]
    }  # fmt: skip
    size = next(iter(cameras.values())).size
    scene = tabletop.build(truth["seed"], size=size, rod=True)
    focal = truth["intrinsics"]["fx"] * size[0] / truth["intrinsics"]["width"]
    eye = oracle.Camera(scene, size=size, focal=focal, phases=truth["phone"]["slices"])
    poses = {name: np.array(truth["world_from_camera"][frame_number(name)]) for name in cameras}
    rows: list[Line] = []
    whole: list[list[float]] = []
    close: list[list[float]] = []
    strips: list[np.ndarray] = []
    try:
        true = {name: eye.clean(poses[name]) / 255.0 for name in cameras}
        first = {name: render(world, None, camera).image.numpy() for name, camera in cameras.items()}
        # The video's exposure drifts: one gain a channel, of the first state, also holds for the last.
        gains = {name: (true[name] * first[name]).sum((0, 1)) / (first[name] ** 2).sum((0, 1)) for name in cameras}
        for push in pushes(folder, truth):
            if push.label not in found.bodies:
                continue
            say(f"rendered prediction: {push.name} pushed")
            data, index = scene.pushed(push.path, ACTION_SECONDS), found.bodies[push.label]
            said, went = _predicted(model, world, push.path), _told(push, data, truth, world, index)
            rows.append(_place_row(push, said, went, world, index))
            moving = moving_shadows(world, [index])  # as `splatworld render --rollout` does with what moves
            eye.show_state(data)
            for name, camera in cameras.items():
                then = eye.clean(poses[name]) / 255.0
                shown = [
                    first[name],
                    *(render(moving.world, moving.state(state), camera).image.numpy() for state in (said, went)),
                ]
                squares = [((np.clip(each * gains[name], 0, 1) - then) ** 2).mean(-1) for each in shown[1:]]
                squares.insert(0, ((np.clip(shown[0] * gains[name], 0, 1) - true[name]) ** 2).mean(-1))
                changed = np.any(np.abs(then - true[name]) > CHANGED, axis=-1)
                whole.append([_decibels(each) for each in squares])
                if changed.any():
                    close.append([_decibels(each[changed]) for each in squares])
                if len(strips) < len(rows) and changed.sum() > LEAST_SHOWN * changed.size:
                    strips.append(_strip(true[name], then, shown[1] * gains[name], changed))
    finally:
        eye.close()
    if picture is not None:
        write_file(picture, cv2.imencode(".png", np.concatenate(strips)[..., ::-1])[1].tobytes())
    before, after, best = np.mean(whole, axis=0)
    near_before, near_after, near_best = np.mean(close, axis=0)
    views = f"{len(rows)} pushes, {len(cameras)} held-out views each"
    return [
        line(f"{NAME}: PSNR lost against the oracle's pictures", before - after, "dB", "<= 1",
             f"{before - best:.2f} if bodies went where the oracle's did; {before:.1f} dB at 0 s, {views}"),
        line(f"{NAME}: PSNR lost where the push changed the picture", near_before - near_after, "dB", None,
             f"{near_before - near_best:.2f} if bodies went where the oracle's did; {near_before:.1f} dB at 0 s"),
        *rows,
    ]  # fmt: skip


def _predicted(model: DynamicsModel, world: World, path: np.ndarray) -> State:
    """The state [..] of `world` after its bodies were pushed along `path`."""
    start = pose.identity(dtype=torch.float64)
    start[:3] = torch.from_numpy(path[0])
    armed = add_robot(world, cylinder_pusher(), base_pose=start)
    assert armed.robot is not None
    actions = torch.zeros(len(path) - 1, len(armed.robot.action))
    actions[:, :3] = torch.from_numpy(np.diff(path, axis=0)).float()
    last = predict(armed, rest_state(armed), actions, model=model).states
    state, count = rest_state(world), len(world.bodies)
    return replace(state, world_from_body=last.world_from_body[-1, :count], twists=last.twists[-1, :count])


def _told(push: Push, data: Any, truth: dict[str, Any], world: World, index: int) -> State:
    """The state of `world` in which its body `index` went where the oracle's did."""
    entry = next(body for body in truth["bodies"] if body["id"] == push.label)
    was = torch.tensor(entry["world_from_body"], dtype=torch.float64)
    way = pose.compose(torch.from_numpy(data.joint(push.name).qpos.copy()), pose.inverse(was))
    state = rest_state(world)
    poses = state.world_from_body.clone()
    poses[index] = pose.compose(way, world.bodies[index].rest_pose.double()).to(poses)
    return replace(state, world_from_body=poses)


def _place_row(push: Push, said: State, went: State, world: World, index: int) -> Line:
    there = went.world_from_body[index, :3]
    gap = float((said.world_from_body[index, :3] - there).norm())
    moved = float((world.bodies[index].rest_pose[:3] - there).norm())
    return line(f"{NAME}: {push.name}, position", 1000 * gap, "mm", None, f"moved {1000 * moved:.0f} mm")


def _decibels(squares: np.ndarray) -> float:
    return float(-10 * np.log10(squares.mean()))


def _strip(before: np.ndarray, then: np.ndarray, shown: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """[H, 3 W, 3] uint8: oracle at 0 s, oracle at 3 s, prediction, around what changed."""
    kernel = np.ones((5, 5), np.uint8)
    x, y, w, h = cv2.boundingRect(cv2.morphologyEx(changed.astype(np.uint8), cv2.MORPH_OPEN, kernel))
    side = min(max(w, h * 4 // 3) + 24, before.shape[1], before.shape[0] * 4 // 3)
    left = int(np.clip(x + w // 2 - side // 2, 0, before.shape[1] - side))
    top = int(np.clip(y + h // 2 - side * 3 // 8, 0, before.shape[0] - side * 3 // 4))
    crops = [each[top : top + side * 3 // 4, left : left + side].astype(np.float32) for each in (before, then, shown)]
    tiles = [cv2.resize(crop, (320, 240), interpolation=cv2.INTER_AREA) for crop in crops]
    return (np.concatenate(tiles, axis=1).clip(0, 1) * 255).astype(np.uint8)
