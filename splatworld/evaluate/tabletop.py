"""A small world of known solids for what must hold whatever the network has learned."""

from __future__ import annotations

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.camera import Camera
from splatworld.core.world import World
from splatworld.robot import primitives
from splatworld.robot.model import Link, RobotModel
from splatworld.robot.place import add_links, add_robot, metric_world
from splatworld.robot.tools import cylinder_pusher

PUSHED, STAND, TOP = "pushed", "stand", "top"
SOLIDS = (
    (PUSHED, (0.06, 0.05, 0.05), (0.0, 0.0, 0.025), (0.8, 0.3, 0.2)),
    ("far", (0.08, 0.05, 0.06), (0.0, 0.6, 0.03), (0.2, 0.4, 0.8)),
    (STAND, (0.10, 0.10, 0.08), (-0.6, 0.0, 0.04), (0.5, 0.5, 0.5)),
    (TOP, (0.05, 0.05, 0.05), (-0.6, 0.0, 0.105), (0.9, 0.8, 0.2)),
    ("other", (0.05, 0.07, 0.04), (0.0, -0.6, 0.02), (0.3, 0.7, 0.4)),
)
"""Name, size in m, place in m and colour; the last but one stands on the one before."""
TABLE = (3.0, 3.0, 0.02)
TOOL_HEIGHT = 0.2
"""m above the table, where the tool begins and passes over what it must not touch."""


def tabletop(*, splats: int = 800) -> World:
    """Five boxes on a table, one of them on another, and a rod that flies; `splats` a body, about."""
    world = _with(metric_world(), "table", TABLE, (0.0, 0.0, -TABLE[2] / 2), (0.6, 0.5, 0.4), "static", 8 * splats)
    for name, size, place, color in SOLIDS:
        world = _with(world, name, size, place, color, "rigid", splats)
    return add_robot(world, cylinder_pusher(), base_pose=_at(-0.15, 0.0, TOOL_HEIGHT), splats=splats)


def camera(eye: tuple[float, float, float], target: tuple[float, float, float]) -> Camera:
    """320x240 px, 50 degrees wide."""
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    seen = pose.look_at(torch.tensor(eye, dtype=torch.float64), torch.tensor(target, dtype=torch.float64), up)
    return Camera(torch.tensor([343.0, 343.0]), torch.tensor([160.0, 120.0]), (320, 240), seen)


def index(world: World, name: str) -> int:
    """The number of a body."""
    return [body.name for body in world.bodies].index(name)


def _with(
    world: World,
    name: str,
    size: tuple[float, float, float],
    place: tuple[float, float, float],
    color: tuple[float, float, float],
    kind: str,
    splats: int,
) -> World:
    mesh = primitives.painted(primitives.box(size), color)
    link = Link(name, mesh, (mesh,), 0.0, torch.zeros(3, dtype=torch.float64), None)
    return add_links(world, RobotModel(name, (link,), ()), _at(*place), {}, kinds=(kind, kind), splats=splats)[0]


def _at(x: float, y: float, z: float) -> Tensor:
    return torch.tensor([x, y, z, 1.0, 0.0, 0.0, 0.0], dtype=torch.float64)
