"""How hard a gripper presses on what is between its fingers: what they press against each other leaves no trace in how
the body moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.robot import ACTION_SECONDS
from splatworld.core.world import World
from splatworld.plan.answers import Touches

if TYPE_CHECKING:
    from splatworld.plan.impulses import Pressed

NEAR = 0.0015
"""m from a finger up to which it touches."""
INNER = 0.2
"""Of a contact's normal that goes against the way in which a finger opens, from which it is on the inner side."""
OPENS = 1e-3
"""m/s at which fingers part from which they let go."""


def grip_impulses(world: World, pressed: Pressed, found: Touches) -> Tensor:
    """[C] N s along the normals that contacts get from the grip, 0 of all others.

    Where both fingers touch a free body with their inner sides and do not open, each presses with the gripper's force,
    shared evenly by its contacts: along the way in which it closes they add up to the force times the seconds.

    Args:
        world: with or without a gripper.
        pressed: how motion changed.
        found: the contacts.
    """
    nothing = torch.zeros(len(found))
    robot = world.robot
    if robot is None or len(robot.fingers) != 2 or not len(found):
        return nothing
    states, bodies = pressed.before.shape[:2]
    opens = torch.stack([opening(world, pressed.poses, finger) for finger in robot.fingers], dim=1)
    parting = (pressed.along[:, robot.fingers[0], :3] - pressed.along[:, robot.fingers[1], :3]) * opens[:, 0]
    seconds = torch.full((states,), ACTION_SECONDS) if pressed.seconds is None else pressed.seconds
    links = torch.tensor(robot.fingers)
    free = torch.tensor([body.kind == "rigid" for body in world.bodies])
    by_finger = found.bodies[..., None] == links  # [C, 2 bodies, 2 fingers]
    side = by_finger.any(1).long().argmax(-1)
    first = by_finger[:, 0].any(-1)
    other = torch.where(first, found.bodies[:, 1], found.bodies[:, 0])
    into = torch.where(first[:, None], -found.normal, found.normal)
    facing = -(into * opens[found.state, side]).sum(-1)
    inner = by_finger.any(-1).any(-1) & free[other] & (facing > INNER) & (found.distance < NEAR)
    row = found.state * bodies + other
    total = torch.zeros(states * bodies, 2).index_put_((row[inner], side[inner]), facing[inner], accumulate=True)
    gripped = (total > 0).all(-1)[row] & (parting.sum(-1) < OPENS)[found.state]
    share = robot.grip_force * seconds[found.state] / total[row, side].clamp(min=INNER)
    return torch.where(inner & gripped, share, nothing)


def opening(world: World, poses: Tensor, finger: int) -> Tensor:
    """[S, 3] unit, world axes, how a finger opens where bodies are at `poses` [S, B, 7]."""
    body = world.bodies[finger]
    assert body.joint is not None
    assert body.parent is not None
    turn = pose.multiply_quats(
        poses[:, body.parent, 3:], body.joint.parent_from_joint[3:].to(poses).expand(len(poses), 4)
    )
    return pose.rotate(turn, body.joint.axis.to(poses).expand(len(poses), 3)).float()
