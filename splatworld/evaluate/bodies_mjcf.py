"""Rows on the way to MuJoCo and back: a world written as MJCF and read again."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from splatworld.core import pose
from splatworld.core.body import Body
from splatworld.core.mesh import Mesh
from splatworld.core.world import World
from splatworld.evaluate.report import Line, line
from splatworld.robot.mjcf import write_mjcf
from splatworld.robot.mjcf_read import read_mjcf

SPLATS = 50
"""Splats a body that is read back gets: nobody looks at them."""


def lines(world: World, *, name: str) -> list[Line]:
    """Rows of the suite `bodies` on a world that went through MJCF.

    Args:
        world: with bodies, in metres.
        name: of the world, for the rows.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.xml"
        write_mjcf(path, world)
        found, _ = read_mjcf(path, splats=SPLATS)
    there = {body.name: body for body in found.bodies}
    kept = [(body, there[body.name]) for body in world.bodies if body.name in there]
    poses = max(_apart(one.rest_pose, other.rest_pose) for one, other in kept)
    shapes = max((_gap(*meshes) for one, other in kept for meshes in _shapes(one, other)), default=0.0)
    label = f"{name}: World -> MJCF -> World"
    return [
        line(f"{label}, bodies lost", len(world.bodies) - len(kept), "", "== 0"),
        line(f"{label}, largest error of a pose", poses, "m or rad", "<= 1e-06"),
        line(f"{label}, largest distance between shapes", 1000 * shapes, "mm", "<= 1"),
    ]


def _apart(one: Tensor, other: Tensor) -> float:
    """m or rad between two poses [7], whichever is more."""
    turn = pose.multiply_quats(pose.conjugate_quat(one[3:].double()), other[3:].double())
    angle = 2 * torch.atan2(turn[1:].norm(), turn[0].abs())
    return max(float((one[:3].double() - other[:3].double()).norm()), float(angle))


def _shapes(one: Body, other: Body) -> list[tuple[Mesh, Mesh]]:
    """Meshes and convex parts of a body beside those that came back; as many, or it is an error."""
    meshes = [(one.mesh, other.mesh)] if one.mesh is not None and other.mesh is not None else []
    return [*meshes, *zip(one.parts, other.parts, strict=True)]


def _gap(one: Mesh, other: Mesh) -> float:
    """m, Hausdorff distance of the vertices."""
    a, b = one.vertices.double().numpy(), other.vertices.double().numpy()
    return float(max(cKDTree(a).query(b)[0].max(), cKDTree(b).query(a)[0].max()))
