"""A robot before it stands in a world: links on joints, as its file describes them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.body import JOINT_TYPES
from splatworld.core.checks import InputError, check_choice, check_finite, check_shape
from splatworld.core.mesh import Mesh

SMALLEST_INERTIA = 1e-12
"""kg m^2; a grain of sand has more."""


@dataclass(frozen=True)
class Link:
    """One rigid piece of a robot.

    Attributes:
        name: unique in its robot.
        visual: what it looks like, in the link's frame; None for a mere frame.
        collision: meshes in the link's frame whose union touches things.
        mass: kg; 0 while unknown.
        center: [3] m, centre of mass in the link's frame.
        inertia: [3, 3] kg m^2 about the centre of mass in the link's axes; None while unknown.
    """

    name: str
    visual: Mesh | None
    collision: tuple[Mesh, ...]
    mass: float
    center: Tensor
    inertia: Tensor | None

    def __post_init__(self) -> None:
        owner = f"Link {self.name!r}"
        check_shape(owner, "center", self.center, (3,))
        check_finite(owner, "center", self.center)
        if not 0 <= self.mass < float("inf"):
            raise InputError(f"{owner}: its mass is {self.mass} kg, expected a positive number; correct the file.")
        if self.inertia is None:
            return
        check_shape(owner, "inertia", self.inertia, (3, 3))
        check_finite(owner, "inertia", self.inertia)
        smallest = float(torch.linalg.eigvalsh(self.inertia)[0])
        if self.mass > 0 and smallest < SMALLEST_INERTIA:
            raise InputError(
                f"{owner}: the smallest principal moment of inertia is {smallest:.3g} kg m^2 for a mass of "
                f"{self.mass:.3g} kg, expected a positive one; correct its inertial or leave it out."
            )


@dataclass(frozen=True)
class LinkJoint:
    """How a link hangs on its parent.

    Attributes:
        name: as in the file.
        type: fixed, hinge (rad) or slide (m).
        parent: name of the parent link.
        child: name of the child link, whose frame is the joint's frame at value zero.
        parent_from_child: [7] pose of the child's frame in the parent's at value zero.
        axis: [3] unit vector in the child's frame, through its origin.
        limits: lowest and highest value, rad or m.
        mimic: (joint, factor, offset) if the value follows another joint's.
    """

    name: str
    type: str
    parent: str
    child: str
    parent_from_child: Tensor
    axis: Tensor
    limits: tuple[float, float]
    mimic: tuple[str, float, float] | None = None

    def __post_init__(self) -> None:
        owner = f"Joint {self.name!r}"
        check_choice(owner, "type", self.type, JOINT_TYPES)
        check_shape(owner, "parent_from_child", self.parent_from_child, (7,))
        check_finite(owner, "parent_from_child", self.parent_from_child)
        check_shape(owner, "axis", self.axis, (3,))
        if self.type != "fixed" and not abs(float(self.axis.norm()) - 1) < 1e-6:
            raise InputError(f"{owner}: its axis is {self.axis.tolist()}, expected a unit vector; correct the file.")
        low, high = self.limits
        if not low <= high:
            raise InputError(f"{owner}: its limits are {low} to {high}, expected the lower one first; swap them.")


@dataclass(frozen=True)
class RobotModel:
    """A tree of links.

    Attributes:
        name: for people.
        links: parents before their children, the base first.
        joints: one a link but the base, in the order of the links they carry.
        notes: what of the file was left out or assumed, one sentence each.
    """

    name: str
    links: tuple[Link, ...]
    joints: tuple[LinkJoint, ...]
    notes: tuple[str, ...] = ()

    @property
    def base(self) -> Link:
        return self.links[0]

    @property
    def moving(self) -> tuple[LinkJoint, ...]:
        """Joints with a value of their own: neither fixed nor following another."""
        return tuple(joint for joint in self.joints if joint.type != "fixed" and joint.mimic is None)

    def poses(self, values: dict[str, float]) -> dict[str, Tensor]:
        """Base-from-link poses [7] of all links from the values of all joints, rad or m."""
        found = {self.base.name: pose.identity(dtype=torch.float64)}
        for joint in self.joints:
            moved = joint_motion(joint.type, joint.axis, torch.tensor(values[joint.name], dtype=torch.float64))
            found[joint.child] = pose.compose(pose.compose(found[joint.parent], joint.parent_from_child), moved)
        return found

    def values(self, values: dict[str, float]) -> dict[str, float]:
        """The values of all joints, rad or m, mimics and fixed ones (0) included, from some of `moving`, others 0.

        Raises:
            InputError: a name that is no joint with a value of its own.
        """
        names = [joint.name for joint in self.moving]
        strangers = sorted(set(values) - set(names))
        if strangers:
            raise InputError(f"Robot {self.name!r}: no joint {strangers[0]!r} to set, expected some of {names}.")
        full = {joint.name: float(values.get(joint.name, 0.0)) for joint in self.joints}
        for joint in self.joints:
            if joint.mimic is not None:
                leader, factor, offset = joint.mimic
                full[joint.name] = factor * full[leader] + offset
        return full


def joint_motion(type: str, axis: Tensor, value: Tensor) -> Tensor:
    """Pose [..., 7] that a joint of this type about the axis [3] adds at values [...], rad or m."""
    along = axis.to(value) * value[..., None]
    still = torch.zeros_like(along)
    if type == "hinge":
        return pose.exp(torch.cat([still, along], dim=-1))
    if type == "slide":
        return pose.exp(torch.cat([along, still], dim=-1))
    return pose.identity(*value.shape, dtype=value.dtype, device=value.device)


def tree(name: str, links: list[Link], joints: list[LinkJoint], notes: list[str]) -> RobotModel:
    """Order links and joints from the base outward.

    Raises:
        InputError: names repeat, a joint names a link that is missing, a link has two parents, links form a cycle, or
            more than one link has no parent.
    """
    owner = f"Robot {name!r}"
    known = {link.name: link for link in links}
    if not links:
        raise InputError(f"{owner}: no links, expected at least one.")
    for kind, names in (("link", [k.name for k in links]), ("joint", [j.name for j in joints])):
        twice = next((n for n in names if names.count(n) > 1), None)
        if twice is not None:
            raise InputError(f"{owner}: two {kind}s are named {twice!r}; rename one.")
    above: dict[str, LinkJoint] = {}
    for joint in joints:
        for end in (joint.parent, joint.child):
            if end not in known:
                raise InputError(f"{owner}: joint {joint.name!r} names link {end!r}, which is not in the file.")
        if joint.child in above:
            raise InputError(
                f"{owner}: link {joint.child!r} hangs on two joints, {above[joint.child].name!r} and {joint.name!r}; "
                "loops are not supported, expected a tree; cut the loop at one of them."
            )
        above[joint.child] = joint
    moving = {joint.name for joint in joints if joint.type != "fixed" and joint.mimic is None}
    for joint in joints:
        if joint.mimic is not None and joint.mimic[0] not in moving:
            raise InputError(
                f"{owner}: joint {joint.name!r} mimics {joint.mimic[0]!r}, expected a joint that moves by itself, one "
                f"of {sorted(moving)}."
            )
    roots = [link.name for link in links if link.name not in above]
    if len(roots) > 1:
        raise InputError(f"{owner}: links {roots} have no parent, expected one base; join them by fixed joints.")
    order, below = list(roots), [joint.child for joint in joints]
    for parent in order:  # grows while it is walked
        order += [child for child in below if above[child].parent == parent]
    if len(order) < len(links):
        left = [link.name for link in links if link.name not in order]
        raise InputError(f"{owner}: links {left} form a cycle, expected a tree; cut it at one of their joints.")
    return RobotModel(
        name=name,
        links=tuple(known[n] for n in order),
        joints=tuple(above[n] for n in order[1:]),
        notes=tuple(notes),
    )
