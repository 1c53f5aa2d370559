"""URDF files to robot models."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yourdfpy

from splatworld.core import pose
from splatworld.core.checks import FormatError, InputError
from splatworld.core.mesh import Mesh
from splatworld.geometry.mesh import read_mesh, transform_mesh
from splatworld.robot import primitives
from splatworld.robot.model import Link, LinkJoint, RobotModel, tree
from splatworld.robot.weigh import weigh

TYPES = {"fixed": "fixed", "revolute": "hinge", "continuous": "hinge", "prismatic": "slide"}


def read_urdf(path: str | Path) -> RobotModel:
    """Read a URDF file and the meshes that it names.

    Links without `visual` look like their `collision` and the other way round; a link with shape but without
    `inertial` is weighed from its mesh. Both are noted.

    Raises:
        FormatError: not XML, or not a URDF.
        InputError: a mesh is missing, a joint is planar or floating, the links are no tree, an inertia is not positive.
    """
    path = Path(path)
    logging.getLogger("yourdfpy").setLevel(logging.CRITICAL)  # its remarks are errors of ours, told below
    try:
        robot = yourdfpy.URDF.load(str(path), build_scene_graph=False, load_meshes=False).robot
    except Exception as error:  # of many kinds: lxml's, numpy's, its own
        raise FormatError(f"{path}: not a URDF that can be read ({error}); repair the file.") from error
    if robot is None or not robot.links:
        raise FormatError(f"{path}: no links, expected a URDF robot; give another file.")
    paints = {material.name: material for material in robot.materials}
    notes = _one_shape_for_both(robot.links)
    links = [_link(path, link, paints, notes) for link in robot.links]
    joints = [_joint(path, joint) for joint in robot.joints]
    return tree(robot.name or path.stem, links, joints, notes)


def _link(path: Path, link: Any, paints: dict[str, Any], notes: list[str]) -> Link:
    owner = f"{path}: link {link.name!r}"
    visuals = [_shape(path, owner, item, _rgb(item.material, paints)) for item in link.visuals]
    collisions = tuple(_shape(path, owner, item, None) for item in link.collisions)
    visual = primitives.joined(visuals or list(collisions))
    collisions = collisions or tuple(visuals)
    inertial = link.inertial
    if inertial is None or inertial.mass is None:
        return weigh(link.name, visual, collisions, notes)
    where = _pose(inertial.origin)
    given = np.zeros((3, 3)) if inertial.inertia is None else inertial.inertia
    turn = pose.quat_to_matrix(where[3:])
    return Link(
        name=link.name,
        visual=visual,
        collision=collisions,
        mass=float(inertial.mass),
        center=where[:3],
        inertia=turn @ torch.from_numpy(np.array(given, np.float64)) @ turn.T,
    )


def _one_shape_for_both(links: list[Any]) -> list[str]:
    """Notes on links of which only one of visual and collision shape is given."""
    bare = [link.name for link in links if link.collisions and not link.visuals]
    soft = [link.name for link in links if link.visuals and not link.collisions]
    notes = []
    if bare:
        notes.append(f"Links {', '.join(bare)} have no visual shape; their collision shape is shown.")
    if soft:
        notes.append(f"Links {', '.join(soft)} have no collision shape; their visual shape stands for it.")
    return notes


def _shape(path: Path, owner: str, item: Any, rgb: tuple[float, float, float] | None) -> Mesh:
    shape = item.geometry
    if shape is not None and shape.mesh is not None:
        mesh = read_mesh(_file(path, owner, shape.mesh.filename))
        if shape.mesh.scale is not None:
            mesh = _scaled(mesh, np.broadcast_to(np.asarray(shape.mesh.scale, np.float64), (3,)))
    elif shape is not None and shape.box is not None:
        x, y, z = (float(size) for size in shape.box.size)
        mesh = primitives.box((x, y, z))
    elif shape is not None and shape.cylinder is not None:
        mesh = primitives.cylinder(float(shape.cylinder.radius), float(shape.cylinder.length))
    elif shape is not None and shape.sphere is not None:
        mesh = primitives.sphere(float(shape.sphere.radius))
    else:
        raise InputError(f"{owner}: a shape of unknown form, expected mesh, box, cylinder or sphere; replace it.")
    if rgb is not None:
        mesh = primitives.painted(mesh, rgb)
    return transform_mesh(mesh, _pose(item.origin))


def _file(path: Path, owner: str, name: str) -> Path:
    """Where a mesh lies: beside the file, or, for `package://`, in one of its folders upward."""
    plain = name.split("://", 1)[-1]
    tries = [path.parent / plain]
    if name.startswith("package://"):
        within = Path(*Path(plain).parts[1:])
        tries = [folder / tail for folder in path.resolve().parents for tail in (plain, within)]
    found = next((file for file in tries if file.is_file()), None)
    if found is None:
        raise InputError(f"{owner}: its mesh {name!r} is missing, expected {tries[0]}; put it there.")
    return found


def _scaled(mesh: Mesh, scale: np.ndarray) -> Mesh:
    # A mirrored mesh would be inside out.
    faces = mesh.faces.flip(1) if np.prod(scale) < 0 else mesh.faces
    return Mesh(mesh.vertices * torch.from_numpy(scale.copy()), faces, mesh.colors)


def _rgb(material: Any, paints: dict[str, Any]) -> tuple[float, float, float] | None:
    if material is not None and material.color is None:
        material = paints.get(material.name)
    if material is None or material.color is None or material.color.rgba is None:
        return None
    red, green, blue = (float(channel) for channel in material.color.rgba[:3])
    return red, green, blue


def _joint(path: Path, joint: Any) -> LinkJoint:
    owner = f"{path}: joint {joint.name!r}"
    if joint.type not in TYPES:
        raise InputError(f"{owner}: its type {joint.type!r} is not supported, expected one of {', '.join(TYPES)}.")
    limits = (-math.inf, math.inf)
    if joint.type in ("revolute", "prismatic"):
        if joint.limit is None:
            raise InputError(f"{owner}: no limit, which a {joint.type} joint needs; add one.")
        limits = (float(joint.limit.lower or 0.0), float(joint.limit.upper or 0.0))
    mimic = joint.mimic
    if mimic is not None:
        factor = 1.0 if mimic.multiplier is None else float(mimic.multiplier)
        mimic = (mimic.joint, factor, float(mimic.offset or 0.0))
    return LinkJoint(
        name=joint.name,
        type=TYPES[joint.type],
        parent=joint.parent,
        child=joint.child,
        parent_from_child=_pose(joint.origin),
        axis=_axis(owner, joint),
        limits=limits,
        mimic=mimic,
    )


def _axis(owner: str, joint: Any) -> torch.Tensor:
    given: Sequence[float] = (1.0, 0.0, 0.0) if joint.axis is None else joint.axis
    axis = torch.tensor([float(value) for value in given], dtype=torch.float64)
    length = float(axis.norm())
    if joint.type == "fixed":
        return torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    if not (math.isfinite(length) and length > 0):
        raise InputError(f"{owner}: its axis is {axis.tolist()}, expected a direction; correct the file.")
    return axis / length


def _pose(origin: Any) -> torch.Tensor:
    matrix = np.eye(4) if origin is None else np.asarray(origin, np.float64)
    return pose.from_matrix(torch.from_numpy(np.array(matrix)))
