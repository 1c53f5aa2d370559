"""What hangs on a body, and joints told from the frames of bodies that were moved or shaped anew."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from splatworld.core import pose
from splatworld.core.body import Body
from splatworld.core.world import World


def family(world: World, index: int) -> list[int]:
    """The body and all that hangs on it."""
    found = [index]
    for parent in found:  # grows while it is walked
        found += [i for i, body in enumerate(world.bodies) if body.parent == parent and i not in found]
    return found


def seen_from(world_from_parent: Tensor, world_from_joint: Tensor) -> Tensor:
    """`parent_from_joint` [7] in float64."""
    return pose.compose(pose.inverse(world_from_parent.double()), world_from_joint)


def rehung(body: Body, old: Tensor, new: Tensor) -> Body:
    """A body whose parent's frame lies elsewhere in the parent; the joint stays where it is in the world.

    Args:
        body: with a joint.
        old: [7] rest pose of the parent that the joint is told from.
        new: [7] rest pose of the parent from now on.
    """
    if body.joint is None or bool((old == new).all()):
        return body
    frame = pose.compose(old.double(), body.joint.parent_from_joint.double())
    return replace(body, joint=replace(body.joint, parent_from_joint=seen_from(new, frame)))


def reframed(bodies: list[Body], index: int, body: Body) -> list[Body]:
    """The bodies with `body` in the place of one; what hangs on it stays where it is, its joint as well."""
    old, new = bodies[index].rest_pose, body.rest_pose
    found = [rehung(other, old, new) if other.parent == index else other for other in bodies]
    found[index] = body
    return found
