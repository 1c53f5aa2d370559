"""Ways of the tool as actions of its robot."""

from __future__ import annotations

from dataclasses import fields

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.checks import InputError
from splatworld.core.robot import Robot
from splatworld.core.state import State
from splatworld.core.world import World
from splatworld.robot.actions import clip_action, driven_joints, idle_action, place_tool
from splatworld.robot.kinematics import pose_error

JOINT_STEP = 0.03
"""m that an arm commanded by its joints is led in one action."""


def robot_of(world: World) -> Robot:
    """The world's robot.

    Raises:
        InputError: there is none.
    """
    if world.robot is None:
        raise InputError("plan: the world has no robot, expected one; put a tool or an arm into it with add_robot.")
    return world.robot


def expanded(state: State, count: int) -> State:
    """`count` copies of a single state."""
    return State(**{f.name: getattr(state, f.name).expand(count, *getattr(state, f.name).shape) for f in fields(State)})


def tool_pose(world: World, state: State) -> Tensor:
    """[..., 7] of the tool."""
    return state.world_from_body[..., robot_of(world).tool, :]


def turned_tool(world: World, state: State, places: Tensor, heading: float) -> Tensor:
    """[N, T, 7] the tool of states [N] at places [N, T, 4] (x, y, z m and a heading, rad), turned about the vertical
    from how it is now, `heading`."""
    half = (places[..., 3] - heading) / 2
    turn = torch.stack([half.cos(), 0 * half, 0 * half, half.sin()], dim=-1)
    now = tool_pose(world, state)[:, None, 3:].double()
    return torch.cat([places[..., :3], pose.multiply_quats(turn, now)], dim=-1)


def actions_along(world: World, state: State, places: Tensor) -> Tensor:
    """Actions [N, T, A] float64 that lead the tool along places, its heading and the gripper's width kept.

    Args:
        world: with a robot.
        state: batch [N], where it begins.
        places: [N, T, 3] m of the tool's frame at the end of each action.

    Returns:
        Actions within their limits: a step that is too long falls short.
    """
    robot = robot_of(world)
    if robot.action.kind == "end_effector":
        steps = torch.diff(places, dim=1, prepend=tool_pose(world, state)[:, None, :3])
        idle = idle_action(world, state)[:, None].expand(-1, places.shape[1], -1).clone()
        idle[..., :3] = steps
        return clip_action(robot.action, idle.double())
    columns = [world.joint_bodies.index(index) for index in driven_joints(world)]
    heading, found, now = tool_pose(world, state)[:, 3:], [], state
    for t in range(places.shape[1]):
        now = place_tool(world, now, torch.cat([places[:, t], heading], dim=-1))
        found.append(now.joints[:, columns])
    return clip_action(robot.action, torch.stack(found, dim=1).double())


def actions_through(world: World, state: State, poses: Tensor, widths: Tensor) -> Tensor:
    """Actions [N, T, A] float64 that lead the tool through poses and open the gripper's fingers to widths.

    Args:
        world: with a gripper that is led by its tool.
        state: batch [N], where it begins.
        poses: [N, T, 7] of the tool's frame at the end of each action.
        widths: [N, T] m.
    """
    before = torch.cat([tool_pose(world, state)[:, None].double(), poses[:, :-1]], dim=1)
    steps = pose_error(poses, before)
    return clip_action(robot_of(world).action, torch.cat([steps, widths[..., None]], dim=-1))


def action_towards(world: World, state: State, target: Tensor, *, width: float | None = None) -> Tensor:
    """The action [A] float64 that brings the tool straight towards a pose, as far as one action may.

    Args:
        world: with a robot.
        state: a single one, now.
        target: [7] of the tool.
        width: m of the gripper's opening; None: as it is.
    """
    robot = robot_of(world)
    spec = robot.action
    missing = pose_error(target.double(), tool_pose(world, state).double())
    if spec.kind == "joints":
        share = min(1.0, JOINT_STEP / max(float(missing[:3].norm()), 1e-9))
        turned = pose.exp(torch.cat([torch.zeros(3, dtype=torch.float64), share * missing[3:]]))[3:]
        now = tool_pose(world, state).double()
        there = torch.cat([now[:3] + share * missing[:3], pose.multiply_quats(turned, now[3:])])
        columns = [world.joint_bodies.index(index) for index in driven_joints(world)]
        return clip_action(spec, place_tool(world, state, there).joints[columns].double())
    most = torch.where(missing < 0, -spec.low[:6], spec.high[:6])
    share = float((most / missing.abs().clamp(min=1e-9)).amin().clamp(max=1.0))
    action = idle_action(world, state).double().clone()
    action[:6] = share * missing
    if width is not None and robot.fingers:
        action[6] = width
    return clip_action(spec, action)


def actions_of_steps(world: World, state: State, steps: Tensor) -> Tensor:
    """Actions [N, H, A] from changes: of the tool's pose and the gripper's width, or of the joints, action by action.

    Args:
        world: with a robot.
        state: a single one, where it begins.
        steps: [N, H, A]; all 0 leaves the robot as it is.
    """
    action, idle = robot_of(world).action, idle_action(world, state).double()
    return clip_action(action, idle + (steps if action.kind == "end_effector" else steps.cumsum(dim=-2)))


def longest_step(world: World) -> float:
    """m that the tool may be led in one action, in any direction."""
    robot = robot_of(world)
    if robot.action.kind == "joints":
        return JOINT_STEP
    return float(torch.minimum(robot.action.high[:3], -robot.action.low[:3]).min())


def misplaced(world: World, state: State, places: Tensor) -> Tensor:
    """[N] m by which the tool of states [N] misses places [N, 3]."""
    return (tool_pose(world, state)[..., :3] - places).norm(dim=-1)
