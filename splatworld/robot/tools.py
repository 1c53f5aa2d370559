"""Tools without a robot: pushers and a gripper whose base flies wherever end-effector actions send it.

Each is a `RobotModel`; `add_robot` stands it in a world. The tip is at the origin of the base link's frame, the handle
along +z, so that a tool placed at z = 0 touches the table.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from splatworld.core import pose
from splatworld.core.checks import InputError
from splatworld.core.mesh import Mesh
from splatworld.geometry.mesh import transform_mesh
from splatworld.robot import primitives
from splatworld.robot.model import Link, LinkJoint, RobotModel
from splatworld.robot.weigh import weigh

DENSITY = 1200.0
"""kg/m^3 of hard plastic."""
STEEL = (0.62, 0.65, 0.70)
ORANGE = (0.95, 0.55, 0.15)
FINGER_SIZE = (0.016, 0.010, 0.045)
"""m; across, in the direction of closing, along."""
HAND_HEIGHT = 0.05


def sphere_pusher(radius: float = 0.015) -> RobotModel:
    """A ball, radius in m, that stands on the origin."""
    return _single("sphere_pusher", _raised(primitives.sphere(radius), radius))


def cylinder_pusher(radius: float = 0.01, length: float = 0.12) -> RobotModel:
    """An upright rod, m, that stands on the origin."""
    return _single("cylinder_pusher", _raised(primitives.cylinder(radius, length), length / 2))


def box_pusher(size: tuple[float, float, float] = (0.02, 0.10, 0.06)) -> RobotModel:
    """A block with edges `size` [3] m that stands on the origin."""
    return _single("box_pusher", _raised(primitives.box(size), size[2] / 2))


def parallel_gripper(opening: float = 0.08) -> RobotModel:
    """A hand with two fingers that close along y, their tips at the origin.

    Args:
        opening: m between the fingers at most.

    Raises:
        InputError: the opening is not positive.
    """
    if not (math.isfinite(opening) and opening > 0):
        raise InputError(f"parallel_gripper: opening is {opening} m, expected a positive length.")
    across, thick, long = FINGER_SIZE
    palm = primitives.box((0.03, opening + 4 * thick, HAND_HEIGHT))
    links = [_link("hand", primitives.painted(_raised(palm, long + HAND_HEIGHT / 2), STEEL))]
    joints = []
    for name, side in (("left_finger", 1.0), ("right_finger", -1.0)):
        pad = transform_mesh(primitives.box((across, thick, long)), _shift(0.0, side * thick / 2, long / 2))
        links.append(_link(name, primitives.painted(pad, ORANGE)))
        joints.append(
            LinkJoint(
                name=f"{name}_joint",
                type="slide",
                parent="hand",
                child=name,
                parent_from_child=pose.identity(dtype=torch.float64),
                axis=torch.tensor([0.0, side, 0.0], dtype=torch.float64),
                limits=(0.0, opening / 2),
                mimic=None if side > 0 else ("left_finger_joint", 1.0, 0.0),
            )
        )
    return RobotModel("parallel_gripper", tuple(links), tuple(joints))


TOOLS: dict[str, Callable[[], RobotModel]] = {
    "sphere_pusher": sphere_pusher,
    "cylinder_pusher": cylinder_pusher,
    "box_pusher": box_pusher,
    "parallel_gripper": parallel_gripper,
}
"""Name -> the tool in its usual size."""


def _single(name: str, mesh: Mesh) -> RobotModel:
    return RobotModel(name, (_link(name, primitives.painted(mesh, ORANGE)),), ())


def _link(name: str, mesh: Mesh) -> Link:
    return weigh(name, mesh, (mesh,), [], density=DENSITY)


def _raised(mesh: Mesh, height: float) -> Mesh:
    return transform_mesh(mesh, _shift(0.0, 0.0, height))


def _shift(x: float, y: float, z: float) -> torch.Tensor:
    return torch.tensor([x, y, z, 1.0, 0.0, 0.0, 0.0], dtype=torch.float64)
