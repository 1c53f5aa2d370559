"""Forward and inverse kinematics of whatever hangs on joints: robots, drawers, doors."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.checks import InputError, ShapeError
from splatworld.core.state import State
from splatworld.core.world import World

ITERATIONS = 50
"""Most steps of inverse kinematics; two or three are usual for one action."""
DAMPING = 1e-6
"""Added to the squared error as the damping of a step, m^2."""
REACHED = 1e-6
"""Error, m and rad together, at which a pose counts as reached."""


def forward_kinematics(world: World, state: State) -> State:
    """Put every body with a parent where its joint says, and let it move as its joint moves.

    Joints that mimic another take their value from it, `State.joints` included. A body whose joints and root are bit by
    bit at rest gets exactly its rest pose, unless a gradient is wanted.

    Args:
        world: whose joints count.
        state: any leading batch; poses and twists of bodies without a parent are taken as they are. Differentiable.

    Raises:
        ShapeError: the state has another number of joints than the world.
        InputError: bodies are their own ancestors.
    """
    order = descent(world)
    joints, rates = mimicked(world, state.joints), mimicked(world, state.joint_velocities, rates=True)
    if not order:
        return replace(state, joints=joints, joint_velocities=rates)
    linkage = Linkage(world, order, joints)
    poses = linkage.poses(state.world_from_body, joints)
    column = {body: index for index, body in enumerate(world.joint_bodies)}
    screws = linkage.screws(poses)
    twists = list(state.twists.unbind(-2))
    for position, index in enumerate(order):
        parent = linkage.parents[position]
        arm = poses[..., index, :3] - poses[..., parent, :3]
        linear = twists[parent][..., :3] + torch.linalg.cross(twists[parent][..., 3:], arm)
        twists[index] = torch.cat([linear, twists[parent][..., 3:]], dim=-1)
        if index in column:
            twists[index] = twists[index] + rates[..., column[index], None] * screws[..., position, :]
    return replace(
        state,
        world_from_body=poses,
        twists=torch.stack(twists, dim=-2),
        joints=joints,
        joint_velocities=rates,
    )


class Linkage:
    """What is constant about some bodies with parents, stacked, so that all joints are computed at once.

    Attributes:
        bodies: [K] indices, parents before children.
        parents: [K] indices of their parents.
    """

    def __init__(self, world: World, bodies: list[int], like: Tensor) -> None:
        joints = {index: joint for index in bodies if (joint := world.bodies[index].joint) is not None}
        self.bodies = bodies
        self.parents = [parent for index in bodies if (parent := world.bodies[index].parent) is not None]
        self._rest = torch.stack([body.rest_pose for body in world.bodies]).to(like)
        self._columns = [world.joint_bodies.index(i) if joints[i].type != "fixed" else -1 for i in bodies]
        self._values = torch.tensor([joints[i].rest for i in bodies], dtype=torch.float64).to(like)
        self._frames = torch.stack([joints[i].parent_from_joint for i in bodies]).to(like)
        axes = torch.stack([joints[i].axis for i in bodies]).to(like)
        slides = torch.tensor([joints[i].type == "slide" for i in bodies], device=like.device)[:, None]
        moves = torch.tensor([joints[i].type != "fixed" for i in bodies], device=like.device)[:, None]
        self._slide, self._hinge = axes * (slides & moves), axes * (~slides & moves)
        moved = pose.compose(pose.compose(self._rest[self.parents], self._frames), self._motion(self._values))
        self._tails = pose.compose(pose.inverse(moved), self._rest[self.bodies])

    def poses(self, world_from_body: Tensor, joints: Tensor) -> Tensor:
        """Poses [..., B, 7] of all bodies, these ones from their joints [..., J]."""
        fixed = torch.zeros_like(joints[..., :1] if joints.shape[-1] else world_from_body[..., 0, :1])
        values = torch.cat([joints, fixed], dim=-1)[..., self._columns]
        local = pose.compose(self._frames, pose.compose(self._motion(values), self._tails))
        found = list(world_from_body.unbind(-2))
        for k, (index, parent) in enumerate(zip(self.bodies, self.parents, strict=True)):
            found[index] = pose.compose(found[parent], local[..., k, :])
            if not found[index].requires_grad:
                still = (found[parent] == self._rest[parent]).all(dim=-1)
                if self._columns[k] >= 0:
                    still = still & (values[..., k] == self._values[k])
                found[index] = torch.where(still[..., None], self._rest[index], found[index])
        return torch.stack(found, dim=-2)

    def screws(self, poses: Tensor) -> Tensor:
        """Twists [..., K, 6] of these bodies' frames for a unit of their own joints, world axes."""
        frames = pose.compose(poses[..., self.parents, :], self._frames)
        return self.screws_at(poses, poses[..., self.bodies, :3], frames)

    def screws_at(self, poses: Tensor, points: Tensor, frames: Tensor | None = None) -> Tensor:
        """Twists [..., K, 6] of points [..., K or 1, 3] that hang on these bodies, for a unit of each joint."""
        frames = pose.compose(poses[..., self.parents, :], self._frames) if frames is None else frames
        along, about = pose.rotate(frames[..., 3:], self._slide), pose.rotate(frames[..., 3:], self._hinge)
        return torch.cat([along + torch.linalg.cross(about, points - frames[..., :3]), about], dim=-1)

    def _motion(self, values: Tensor) -> Tensor:
        """What the joints add at values [..., K]: poses [..., K, 7]."""
        return pose.exp(torch.cat([self._slide, self._hinge], dim=-1) * values[..., None])


def mimicked(world: World, joints: Tensor, *, rates: bool = False) -> Tensor:
    """Joint values [..., J] in which mimics follow; `rates` for velocities, which know no offset.

    Raises:
        ShapeError: another number of joints than in the world.
    """
    bodies = world.joint_bodies
    if joints.shape[-1] != len(bodies):
        raise ShapeError(
            f"kinematics: the state has {joints.shape[-1]} joints, expected {len(bodies)} as in the world."
        )
    values = list(joints.unbind(-1))
    for index, body in enumerate(bodies):
        joint = world.bodies[body].joint
        if joint is not None and joint.mimic is not None:
            leader, factor, offset = joint.mimic
            values[index] = factor * values[bodies.index(leader)] + (0.0 if rates else offset)
    return torch.stack(values, dim=-1) if values else joints


def descent(world: World) -> list[int]:
    """Bodies with a parent, parents before children.

    Raises:
        InputError: some are their own ancestors.
    """
    order = [index for index, body in enumerate(world.bodies) if body.parent is None]
    free = len(order)
    for parent in order:  # grows while it is walked
        order += [index for index, body in enumerate(world.bodies) if body.parent == parent]
    if len(order) < len(world.bodies):
        names = [body.name for index, body in enumerate(world.bodies) if index not in order]
        raise InputError(f"World: bodies {names} are their own ancestors; hang one of them on another parent.")
    return order[free:]


def ancestors(world: World, body: int) -> list[int]:
    """The body and what it hangs on, upward."""
    chain = [body]
    while (parent := world.bodies[chain[-1]].parent) is not None:
        chain.append(parent)
    return chain


def jacobian(world: World, poses: Tensor, body: int, joints: tuple[int, ...], linkage: Linkage) -> Tensor:
    """The geometric Jacobian of a body's frame.

    Args:
        world: whose joints count.
        poses: [..., B, 7] as forward kinematics left them.
        body: whose frame moves.
        joints: bodies whose joints are asked for, each with a value of its own; mimics add to their leader's column.
        linkage: of `body` and its ancestors.

    Returns:
        [..., 6, len(joints)] m and rad, world axes, a unit of each joint.
    """
    screws = linkage.screws_at(poses, poses[..., body, None, :3])
    share = torch.zeros(len(linkage.bodies), len(joints)).to(poses)
    for row, index in enumerate(linkage.bodies):
        joint = world.bodies[index].joint
        leader, factor = (index, 1.0) if joint is None or joint.mimic is None else joint.mimic[:2]
        if leader in joints:
            share[row, joints.index(leader)] = factor
    return screws.mT @ share


def inverse_kinematics(
    world: World, state: State, body: int, target: Tensor, joints: tuple[int, ...], *, iterations: int = ITERATIONS
) -> State:
    """Joint values that bring a body's frame to a pose, or as near as the limits allow.

    Damped least squares on the geometric Jacobian, the damping growing with what is still missing (Sugihara,
    "Solvability-unconcerned inverse kinematics by the Levenberg-Marquardt method", 2011); joints at a limit that would
    go beyond it are left out of a step.

    Args:
        world: whose joints count.
        state: where to start; any batch.
        body: whose frame shall go to `target`.
        target: [..., 7] world pose.
        joints: bodies whose joints may move, each with a value of its own.
        iterations: most steps.

    Returns:
        The state after the last step, as `forward_kinematics` leaves it.
    """
    columns = [world.joint_bodies.index(index) for index in joints]
    bounds = [world.bodies[index].joint.limits for index in joints]  # type: ignore[union-attr]
    low, high = (target.new_tensor([bound[side] for bound in bounds]) for side in (0, 1))
    linkage = Linkage(world, ancestors(world, body)[-2::-1], target)
    values = state.joints
    for _ in range(iterations):
        poses = linkage.poses(state.world_from_body, mimicked(world, values))
        error = pose_error(target, poses[..., body, :])
        squared = error.square().sum(dim=-1)
        if bool((squared < REACHED**2).all()):
            break
        own = values[..., columns]
        matrix = jacobian(world, poses, body, joints, linkage)
        damping = (squared + DAMPING)[..., None, None] * torch.eye(len(joints)).to(values)
        free = torch.ones_like(own, dtype=torch.bool)
        for _ in range(2):  # once with all joints, once without those that would leave their limits
            used = matrix * free[..., None, :]
            step = torch.linalg.solve(used.mT @ used + damping, used.mT @ error[..., None])[..., 0]
            free = free & ~(((own <= low) & (step < 0)) | ((own >= high) & (step > 0)))
        values = values.clone()
        values[..., columns] = torch.minimum(torch.maximum(own + step * free, low), high)
    return forward_kinematics(world, replace(state, joints=values))


def pose_error(target: Tensor, now: Tensor) -> Tensor:
    """What is missing from pose `now` to `target` [..., 7]: [..., 6] m and rotation vector in rad, world axes."""
    turn = pose.multiply_quats(target[..., 3:], pose.conjugate_quat(now[..., 3:]))
    return pose.log(torch.cat([target[..., :3] - now[..., :3], turn], dim=-1))
