"""What an action makes a robot do, kinematically: the robot is never predicted, it is where its command puts it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.checks import InputError, ShapeError, check_finite
from splatworld.core.robot import ACTION_SECONDS, ActionSpec, Robot
from splatworld.core.state import State
from splatworld.core.world import World
from splatworld.robot.kinematics import ancestors, forward_kinematics, inverse_kinematics, pose_error

TOLERANCE = 1e-6
"""m or rad that an action may lie beyond its limits, for rounding."""


def check_action(action: ActionSpec, values: Tensor) -> None:
    """Require actions [..., A] to be finite and within limits.

    Raises:
        ShapeError: another number of values.
        InputError: NaN, Inf or beyond a limit; names the first such number.
    """
    names = ", ".join(action.names)
    if not isinstance(values, Tensor) or values.ndim < 1 or values.shape[-1] != len(action):
        given = list(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise ShapeError(f"action: given {given}, expected [..., {len(action)}]: {names}.")
    check_finite("action", "values", values)
    low, high = action.low.to(values), action.high.to(values)
    beyond = torch.nonzero((values < low - TOLERANCE) | (values > high + TOLERANCE))
    if len(beyond):
        index = beyond[0].tolist()
        column = index[-1]
        raise InputError(
            f"action: {action.names[column]} is {values[tuple(index)].item():.4g} {action.units[column]}, expected "
            f"{action.low[column].item():.4g} to {action.high[column].item():.4g}; shorten the step or use clip_action."
        )


def clip_action(action: ActionSpec, values: Tensor) -> Tensor:
    """Actions [..., A] brought within limits; NaN stays."""
    return torch.minimum(torch.maximum(values, action.low.to(values)), action.high.to(values))


def apply_action(world: World, state: State, values: Tensor) -> State:
    """The state `ACTION_SECONDS` later if nothing but the robot moved.

    An arm whose tool hangs on joints reaches for the commanded pose as far as its joints' limits allow; a bare tool,
    whose base carries it without joints, flies there. Velocities are those of an even motion. Bodies that hang on
    joints follow by forward kinematics.

    Args:
        world: with a robot.
        state: any batch.
        values: [..., A] as `world.robot.action` says; its batch broadcasts with the state's.

    Raises:
        ShapeError: the action has another shape.
        InputError: no robot, or an action that is not finite or beyond its limits.
    """
    robot = _robot(world)
    check_action(robot.action, values)
    batch = torch.broadcast_shapes(state.batch, values.shape[:-1])
    state = _expanded(state, batch)
    values = values.to(state.joints).expand(*batch, len(robot.action))
    if robot.action.kind == "joints":
        moved = _set_joints(world, state, driven_joints(world), values)
        moved = forward_kinematics(world, moved)
    else:
        moved = _move_tool(world, robot, state, values)
    return _with_velocities(world, robot, state, moved)


def idle_action(world: World, state: State) -> Tensor:
    """The action [..., A] that leaves the robot of `state` as it is.

    Raises:
        InputError: no robot.
    """
    robot = _robot(world)
    columns = [world.joint_bodies.index(index) for index in driven_joints(world)]
    if robot.action.kind == "joints":
        return state.joints[..., columns]
    values = state.joints.new_zeros(*state.batch, len(robot.action))
    if robot.fingers:
        values[..., 6] = 2 * state.joints[..., world.joint_bodies.index(robot.fingers[0])]
    return values


def driven_joints(world: World) -> tuple[int, ...]:
    """Bodies of the robot whose joints have a value of their own, in the order of its actions."""
    joints = [(index, world.bodies[index].joint) for index in _robot(world).bodies]
    return tuple(i for i, joint in joints if joint is not None and joint.type != "fixed" and joint.mimic is None)


def _robot(world: World) -> Robot:
    if world.robot is None:
        raise InputError("action: the world has no robot, expected one; use add_robot first.")
    return world.robot


def _expanded(state: State, batch: torch.Size) -> State:
    one = (1,) * (len(batch) - len(state.batch))
    tails = {name: value.shape[len(state.batch) :] for name, value in vars(state).items()}
    return State(
        **{name: value.reshape(one + value.shape).expand(batch + tails[name]) for name, value in vars(state).items()}
    )


def place_tool(world: World, state: State, target: Tensor) -> State:
    """The state with the robot's tool at a pose, or as near to it as the joints of the arm that carries it allow.

    Args:
        world: with a robot.
        state: any batch; velocities stay.
        target: [..., 7] of the batch of the state, world frame.

    Raises:
        InputError: no robot.
    """
    robot = _robot(world)
    chain = ancestors(world, robot.tool)
    arm = tuple(index for index in driven_joints(world) if _carries(world, index, chain))
    if arm:
        return inverse_kinematics(world, state, robot.tool, target, arm)
    base, now = chain[-1], state.world_from_body[..., robot.tool, :]  # the base flies
    poses = state.world_from_body.clone()
    if base == robot.tool:
        poses[..., base, :] = target
    else:
        rest = pose.compose(pose.inverse(now), state.world_from_body[..., base, :])
        poses[..., base, :] = pose.compose(target, rest)
    return forward_kinematics(world, replace(state, world_from_body=poses))


def open_fingers(world: World, state: State, width: Tensor) -> State:
    """The state with the gripper's fingers apart by a width [...] m of the batch of the state; velocities stay.

    Raises:
        InputError: no robot.
    """
    fingers = tuple(index for index in _robot(world).fingers if index in driven_joints(world))
    moved = _set_joints(world, state, fingers, (width[..., None] / 2).expand(*width.shape, len(fingers)))
    return forward_kinematics(world, moved)


def _move_tool(world: World, robot: Robot, state: State, values: Tensor) -> State:
    now = state.world_from_body[..., robot.tool, :]
    turned = pose.multiply_quats(pose.exp(values[..., :6])[..., 3:], now[..., 3:])
    target = torch.cat([now[..., :3] + values[..., :3], pose.normalize_quat(turned)], dim=-1)
    moved = place_tool(world, state, target)
    return open_fingers(world, moved, values[..., 6]) if robot.fingers else moved


def _carries(world: World, index: int, chain: list[int]) -> bool:
    """Whether a joint, by itself or through one that mimics it, moves the end of the chain."""
    joints = [(link, world.bodies[link].joint) for link in chain]
    return any(
        link == index or (joint is not None and joint.mimic and joint.mimic[0] == index) for link, joint in joints
    )


def _set_joints(world: World, state: State, bodies: tuple[int, ...], values: Tensor) -> State:
    columns = [world.joint_bodies.index(index) for index in bodies]
    joints = state.joints.clone()
    joints[..., columns] = values
    return replace(state, joints=joints)


def _with_velocities(world: World, robot: Robot, before: State, after: State) -> State:
    """The robot's joint rates and its root's twist, from where it was and is; what hangs on them follows."""
    mine = [index for index, body in enumerate(world.joint_bodies) if body in robot.bodies]
    rates = after.joint_velocities.clone()
    rates[..., mine] = ((after.joints - before.joints) / ACTION_SECONDS)[..., mine]
    root = ancestors(world, robot.tool)[-1]
    twists = after.twists.clone()
    travelled = pose_error(after.world_from_body[..., root, :], before.world_from_body[..., root, :])
    twists[..., root, :] = travelled / ACTION_SECONDS
    moved = replace(after, joint_velocities=rates, twists=twists, time=after.time + ACTION_SECONDS)
    return forward_kinematics(world, moved)
