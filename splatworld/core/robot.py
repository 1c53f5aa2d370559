"""What acts on a world: a robot or a bare tool, and what its actions mean."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from splatworld.core.checks import InputError, check_choice, check_finite, check_shape

ACTION_KINDS = ("end_effector", "joints")
ACTION_SECONDS = 0.1
"""How long one action lasts."""
GRIP_FORCE = 20.0
"""N, by which each finger of a gripper presses where nobody says otherwise."""


@dataclass(frozen=True)
class ActionSpec:
    """The numbers of one action, which lasts `ACTION_SECONDS`.

    Attributes:
        kind: "end_effector": increments of the tool's pose in world axes, then the gripper's width; "joints": positions
            of the robot's joints.
        names: [A] one name a number.
        units: [A] m or rad.
        low: [A] float64, the least allowed.
        high: [A] float64, the most allowed.
    """

    kind: str
    names: tuple[str, ...]
    units: tuple[str, ...]
    low: Tensor
    high: Tensor

    def __post_init__(self) -> None:
        check_choice("ActionSpec", "kind", self.kind, ACTION_KINDS)
        count = len(self.names)
        if len(self.units) != count:
            raise InputError(f"ActionSpec: {len(self.units)} units for {count} names, expected one each.")
        for name in ("low", "high"):
            check_shape("ActionSpec", name, getattr(self, name), (count,))
            check_finite("ActionSpec", name, getattr(self, name))
        if not bool((self.low <= self.high).all()):
            raise InputError("ActionSpec: a lower limit is above its upper limit; swap them.")

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Robot:
    """Which bodies of a world are the robot, and how it is commanded.

    Attributes:
        name: for people.
        bodies: indices of its links in `World.bodies`, the base first; all of kind "robot".
        tool: index of the body whose pose the end-effector actions move.
        fingers: indices of the bodies, on slide joints, that close the gripper, each at half of its width; empty
            without a gripper.
        action: what an action's numbers mean.
        grip_force: N, by which each finger presses on what stops it.
    """

    name: str
    bodies: tuple[int, ...]
    tool: int
    action: ActionSpec
    fingers: tuple[int, ...] = ()
    grip_force: float = GRIP_FORCE

    def __post_init__(self) -> None:
        if not (math.isfinite(self.grip_force) and self.grip_force > 0):
            raise InputError(f"Robot {self.name!r}: grip_force is {self.grip_force} N, expected a positive force.")
        strangers = [index for index in (self.tool, *self.fingers) if index not in self.bodies]
        if strangers:
            raise InputError(
                f"Robot {self.name!r}: bodies {strangers} are no links of it, expected some of {self.bodies}."
            )
