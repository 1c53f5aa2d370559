"""A table with three boxes and a rod that flies beside one of them."""

from dataclasses import replace
from pathlib import Path

import torch

from splatworld import store
from splatworld.core import pose
from splatworld.core.camera import Camera
from splatworld.core.world import World
from splatworld.robot import primitives
from splatworld.robot.model import Link, RobotModel
from splatworld.robot.place import add_links, add_robot, metric_world
from splatworld.robot.tools import cylinder_pusher

THINGS = (
    ("table", (0.9, 0.7, 0.02), (0.0, 0.0, -0.01), (0.55, 0.45, 0.35), "static", 3000),
    ("red box", (0.08, 0.06, 0.05), (0.0, 0.0, 0.025), (0.8, 0.15, 0.15), "rigid", 600),
    ("green box", (0.06, 0.06, 0.1), (0.14, 0.1, 0.05), (0.15, 0.65, 0.25), "rigid", 600),
    ("blue box", (0.1, 0.05, 0.04), (-0.05, -0.18, 0.02), (0.2, 0.3, 0.8), "rigid", 600),
)
"""Name, size and place in m, colour, kind, splats."""
ROD = (-0.12, 0.0, 0.01)


def make_pusher(share: float = 1.0) -> World:
    """The world, with a share of its splats."""
    world = metric_world()
    for name, size, place, color, kind, count in THINGS:
        mesh = primitives.painted(primitives.box(size), color)
        model = RobotModel(name, (Link(name, mesh, (mesh,), 0.0, torch.zeros(3, dtype=torch.float64), None),), ())
        world, _ = add_links(world, model, _at(*place), {}, kinds=(kind, kind), splats=round(share * count))
    world = add_robot(world, cylinder_pusher(), base_pose=_at(*ROD), splats=round(400 * share))
    eye, target, up = torch.tensor([[-0.05, -0.75, 0.5], [0.02, 0.0, 0.02], [0.0, 0.0, 1.0]], dtype=torch.float64)
    camera = Camera(
        torch.full((2,), 300.0, dtype=torch.float64), torch.tensor([160.0, 120.0], dtype=torch.float64), (320, 240),
        pose.look_at(eye, target, up),
    )  # fmt: skip
    return replace(world, cameras={"view": camera})


def save_pusher(folder: Path, share: float = 1.0) -> Path:
    store.save_world(make_pusher(share), folder)
    return folder


def _at(x: float, y: float, z: float) -> torch.Tensor:
    return torch.tensor([x, y, z, 1.0, 0.0, 0.0, 0.0], dtype=torch.float64)
