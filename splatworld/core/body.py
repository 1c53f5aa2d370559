"""One thing that persists."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.checks import InputError, check_choice, check_finite, check_shape
from splatworld.core.mesh import Mesh
from splatworld.core.shape import Capsules, DistanceGrid

KINDS = ("static", "rigid", "articulated", "deformable", "robot")
JOINT_TYPES = ("fixed", "hinge", "slide")


@dataclass(frozen=True)
class Joint:
    """How a body hangs on its parent: one degree of freedom about an axis.

    Attributes:
        type: fixed, hinge (rad) or slide (m).
        parent_from_joint: [7] pose of the joint frame in the parent's frame at zero.
        axis: [3] unit vector in the joint frame.
        limits: lowest and highest value, rad or m.
        rest: the value at which parent and child are in their rest poses, rad or m.
        mimic: (body, factor, offset) if the value follows that of another body's joint: factor * its value + offset.
    """

    type: str
    parent_from_joint: Tensor
    axis: Tensor
    limits: tuple[float, float]
    rest: float = 0.0
    mimic: tuple[int, float, float] | None = None

    def __post_init__(self) -> None:
        check_choice("Joint", "type", self.type, JOINT_TYPES)
        check_shape("Joint", "parent_from_joint", self.parent_from_joint, (7,))
        check_shape("Joint", "axis", self.axis, (3,))


@dataclass(frozen=True)
class Body:
    """One body of a world.

    Attributes:
        name: unique in its world.
        kind: static, rigid, articulated, deformable or robot.
        rest_pose: [7] pose at rest; the frame sits at the centre of mass.
        parent: index of the parent body, with `joint`; None for a free or static body.
        joint: how it hangs on the parent.
        node_range: first and one-past-last node of a deformable body in `World.rest_nodes`.
        mass: kg; 0 while unknown, and for static bodies.
        inertia: [3, 3] kg m^2 about the centre of mass in the body's axes; None while unknown.
        mesh: its closed surface in the body's frame; of the static background what was seen of it, which may be open.
        parts: convex meshes in the body's frame whose union is the collision shape; empty if `mesh` is convex itself.
        grid: distances to the mesh, in the body's frame.
        capsules: the collision shape of a deformable body.
        weighed: the mass was told, not guessed from the shape.
    """

    name: str
    kind: str
    rest_pose: Tensor
    parent: int | None = None
    joint: Joint | None = None
    node_range: tuple[int, int] | None = None
    mass: float = 0.0
    inertia: Tensor | None = None
    mesh: Mesh | None = None
    parts: tuple[Mesh, ...] = ()
    grid: DistanceGrid | None = None
    capsules: Capsules | None = None
    weighed: bool = False

    def __post_init__(self) -> None:
        check_choice(f"Body {self.name!r}", "kind", self.kind, KINDS)
        check_shape(f"Body {self.name!r}", "rest_pose", self.rest_pose, (7,))
        check_finite(f"Body {self.name!r}", "rest_pose", self.rest_pose)
        if (self.parent is None) != (self.joint is None):
            raise InputError(f"Body {self.name!r}: parent and joint go together; give both or neither.")


def background() -> Body:
    """The body that owns everything that never moves."""
    return Body(name="background", kind="static", rest_pose=pose.identity(dtype=torch.float64))
