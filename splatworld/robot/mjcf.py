"""Worlds as MuJoCo models: an XML file and, beside it, a folder of meshes.

Bodies keep their frames, so that poses carry over as they are; a joint's `ref` is its value at rest. Splats, friction
and deformable bodies do not travel. MuJoCo is not needed to write.
"""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.body import Body
from splatworld.core.checks import InputError
from splatworld.core.mesh import Mesh
from splatworld.core.world import World
from splatworld.files import replacing_folder, write_file, write_through
from splatworld.robot.kinematics import ancestors
from splatworld.world_json import robot_entry

VISUAL, COLLISION = {"group": "2", "contype": "0", "conaffinity": "0"}, {"group": "3"}
NO_END = 1e6
"""What stands for a limit that is not there, where only the other end has one."""
REMARK = "splatworld"
"""Name of the text that holds what MJCF has no word for: kinds of bodies, their order, and the robot."""
LEAST_MASS = {"mass": "1e-6", "diaginertia": "1e-9 1e-9 1e-9"}
"""Of bodies that weigh nothing, which MuJoCo does not move."""


def write_mjcf(path: str | Path, world: World, *, overwrite: bool = False) -> tuple[str, ...]:
    """Write a world's bodies, joints, masses and shapes as MJCF.

    `scene.xml` comes with a folder `scene_meshes`. Visual shapes are in geom group 2, convex parts in group 3.

    Args:
        path: the .xml file.
        world: bodies without a parent are free if their kind is rigid or articulated; a flying tool is a mocap body.
        overwrite: replace what is there.

    Returns:
        What of the world is not in the file, one sentence each.

    Raises:
        InputError: something is there and `overwrite` is off, or the disk is full.
    """
    path = Path(path)
    folder = path.with_name(f"{path.stem}_meshes")
    for there in (path, folder):
        if there.exists() and not (overwrite and there.is_file() == (there == path)):
            raise InputError(f"{there}: something is there already; choose another path or pass --overwrite.")
    document = _Document(world, folder.name)
    with replacing_folder(folder) as new:
        for name, mesh in document.meshes.items():
            write_through(new / name, to_obj(mesh))
    write_file(path, document.text())
    return tuple(document.notes)


def to_obj(mesh: Mesh) -> str:
    """Wavefront OBJ, vertex colours as three further numbers, to a nanometre."""
    rows = [f"v {x:.9f} {y:.9f} {z:.9f}" for x, y, z in mesh.vertices.tolist()]
    if mesh.colors is not None:
        tints = (mesh.colors.double() / 255).tolist()
        rows = [f"{row} {r:.4f} {g:.4f} {b:.4f}" for row, (r, g, b) in zip(rows, tints, strict=True)]
    rows += [f"f {a} {b} {c}" for a, b, c in (mesh.faces + 1).tolist()]
    return "\n".join(rows) + "\n"


class _Document:
    """The XML tree and the mesh files that it names."""

    def __init__(self, world: World, folder: str) -> None:
        self.world, self.notes = world, []
        self.meshes: dict[str, Mesh] = {}
        self.root = ElementTree.Element("mujoco", model="world")
        self._add(self.root, "compiler", angle="radian", meshdir=folder, balanceinertia="true")
        self._add(self.root, "option", gravity=_numbers(world.gravity))
        self.assets = self._add(self.root, "asset")
        scene = self._add(self.root, "worldbody")
        equalities = self._add(self.root, "equality")
        ours = {
            "bodies": [[body.name, body.kind] for body in world.bodies],
            "robot": None if world.robot is None else robot_entry(world.robot),
        }
        self._add(self._add(self.root, "custom"), "text", name=REMARK, data=json.dumps(ours))
        for index, body in enumerate(world.bodies):
            if body.kind == "deformable":
                self.notes.append(f"Body {body.name!r} is deformable, which MJCF export leaves out.")
            elif body.parent is None:
                self._body(scene, index)
            joint = body.joint
            if joint is not None and joint.mimic is not None:
                leader, factor, _ = joint.mimic
                follows = f"0 {factor!r} 0 0 0"
                self._add(equalities, "joint", joint1=body.name, joint2=world.bodies[leader].name, polycoef=follows)

    def text(self) -> str:
        ElementTree.indent(self.root)
        return ElementTree.tostring(self.root, encoding="unicode") + "\n"

    def _body(self, above: ElementTree.Element, index: int) -> None:
        body = self.world.bodies[index]
        if index == 0:
            element, relative = above, body.rest_pose.double()
            still = bool(torch.equal(relative, pose.identity(dtype=torch.float64)))
            if not still or body.name != "background":
                element = self._add(above, "body", name=body.name, **_placed(relative))
        else:
            parent = None if body.parent is None else self.world.bodies[body.parent]
            relative = body.rest_pose.double()
            if parent is not None and not (body.parent == 0 and above.tag == "worldbody"):
                relative = pose.compose(pose.inverse(parent.rest_pose.double()), relative)
            element = self._add(above, "body", name=body.name, **_placed(relative))
            self._joint(element, index)
            self._inertial(element, index)
        self._shapes(element, index)
        for child, other in enumerate(self.world.bodies):
            if other.parent == index:
                self._body(element, child)

    def _joint(self, element: ElementTree.Element, index: int) -> None:
        body = self.world.bodies[index]
        robot = self.world.robot
        if body.parent is None or body.joint is None:
            flies = robot is not None and index == ancestors(self.world, robot.tool)[-1] and _bare(self.world)
            if flies:
                element.set("mocap", "true")
            elif body.kind in ("rigid", "articulated"):
                self._add(element, "freejoint", name=body.name)
            return
        joint = body.joint
        if joint.type == "fixed":
            return
        parent = self.world.bodies[body.parent].rest_pose.double()
        # A rest value moves along or about the axis only, so that the axis and a point on it are as at zero.
        frame = pose.compose(
            pose.inverse(body.rest_pose.double()), pose.compose(parent, joint.parent_from_joint.double())
        )
        low, high = joint.limits
        limits = {}
        if math.isfinite(low) or math.isfinite(high):
            limits["range"] = f"{max(low, -NO_END)!r} {min(high, NO_END)!r}"
        self._add(
            element, "joint", name=body.name, type=joint.type, ref=repr(float(joint.rest)), pos=_numbers(frame[:3]),
            axis=_numbers(pose.rotate(frame[3:], joint.axis.double())), **limits,
        )  # fmt: skip

    def _inertial(self, element: ElementTree.Element, index: int) -> None:
        body = self.world.bodies[index]
        if body.mass > 0 and body.inertia is not None:
            i = body.inertia.double()
            full = torch.stack([i[0, 0], i[1, 1], i[2, 2], i[0, 1], i[0, 2], i[1, 2]])
            self._add(element, "inertial", pos="0 0 0", mass=repr(float(body.mass)), fullinertia=_numbers(full))
        elif body.kind != "static" and body.mesh is None and not body.parts:
            self._add(element, "inertial", pos="0 0 0", **LEAST_MASS)
        elif body.kind != "static":
            self.notes.append(f"The mass of body {body.name!r} is unknown; MuJoCo takes its shape to be of water.")

    def _shapes(self, element: ElementTree.Element, index: int) -> None:
        body = self.world.bodies[index]
        collision = body.parts or ((body.mesh,) if body.mesh is not None and index else ())
        if body.mesh is not None:
            self._geom(element, f"{index:03d}", body.mesh, VISUAL, body)
        for k, part in enumerate(collision):
            self._geom(element, f"{index:03d}_{k:03d}", part, COLLISION, body)

    def _geom(self, element: ElementTree.Element, name: str, mesh: Mesh, group: dict[str, str], body: Body) -> None:
        self.meshes[f"{name}.obj"] = mesh
        self._add(self.assets, "mesh", name=name, file=f"{name}.obj", inertia="shell" if group is VISUAL else "convex")
        color = mesh.colors if mesh.colors is not None else None if body.mesh is None else body.mesh.colors
        rgb = [0.85] * 3 if color is None else (color.double().mean(dim=0) / 255).tolist()
        rgba = " ".join(f"{channel:.4f}" for channel in (*rgb, 1.0))
        self._add(element, "geom", type="mesh", mesh=name, rgba=rgba, mass="0" if group is VISUAL else None, **group)

    def _add(self, above: ElementTree.Element, tag: str, **attributes: str | None) -> ElementTree.Element:
        given = {name: value for name, value in attributes.items() if value is not None}
        return ElementTree.SubElement(above, tag, given)


def _bare(world: World) -> bool:
    """Whether the robot is a bare tool, whose base flies."""
    assert world.robot is not None
    joints = (world.bodies[index].joint for index in ancestors(world, world.robot.tool))
    return all(joint is None or joint.type == "fixed" for joint in joints)


def _placed(placement: Tensor) -> dict[str, str]:
    return {"pos": _numbers(placement[:3]), "quat": _numbers(placement[3:])}


def _numbers(values: Tensor) -> str:
    return " ".join(repr(float(value)) for value in values.double())
