"""The front door for robot files."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from splatworld.core.checks import FormatError, InputError
from splatworld.core.world import World
from splatworld.robot.mjcf_read import read_mjcf, read_mjcf_robot
from splatworld.robot.model import RobotModel
from splatworld.robot.place import add_robot, metric_world
from splatworld.robot.urdf import read_urdf


def load_robot(path: str | Path) -> RobotModel:
    """Read a robot from a URDF or MJCF file, told apart by the root element.

    Raises:
        FormatError: not XML, or neither a URDF nor an MJCF.
        InputError: no such file, a missing mesh, an unsupported joint, a loop, an inertia that is not positive; for
            MJCF also without mujoco, and if the file holds not exactly one robot.
    """
    if root_tag(path) == "robot":
        return read_urdf(path)
    return read_mjcf_robot(path)


def read_scene(path: str | Path) -> tuple[World, tuple[str, ...]]:
    """A world of a URDF robot alone, or of all that an MJCF file holds; and notes on what was assumed or left out.

    Raises:
        FormatError, InputError: as `load_robot`; an MJCF file may hold any number of robots and bodies.
    """
    if root_tag(path) == "mujoco":
        return read_mjcf(path)
    model = read_urdf(path)
    return add_robot(metric_world(), model), model.notes


def root_tag(path: str | Path) -> str:
    """The root element of an XML file: robot (URDF) or mujoco (MJCF).

    Raises:
        InputError: no such file.
        FormatError: not XML, or of another root.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a URDF or MJCF file.")
    try:
        tag = ElementTree.parse(path).getroot().tag
    except (ElementTree.ParseError, ValueError) as error:
        raise FormatError(f"{path}: not XML ({error}); give a URDF or MJCF file.") from error
    if tag not in ("robot", "mujoco"):
        raise FormatError(f"{path}: its root is <{tag}>, expected <robot> (URDF) or <mujoco> (MJCF).")
    return tag
