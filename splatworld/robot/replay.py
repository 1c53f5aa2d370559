"""Recorded pushes as rollouts of a world: what its tool did and where its bodies went."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.checks import InputError
from splatworld.core.robot import ACTION_SECONDS
from splatworld.core.rollout import Rollout
from splatworld.core.state import State
from splatworld.core.world import World, rest_state
from splatworld.robot.actions import idle_action, place_tool
from splatworld.robot.tracks import PLANAR, Tracks
from splatworld.store import world_id

LONGEST_GAP = 0.5
"""s without a pose, after which nobody knows what happened meanwhile."""
TOOL = "tool"
"""What the robot's tool is called in recordings."""


def replay(world: World, tracks: Tracks, *, relative: bool = False) -> Rollout:
    """A recording as a rollout of a world, sampled every 0.1 s.

    Between recorded moments things move straight on; velocities are differences of poses. Bodies that were not recorded
    stay where they rest; what moves on a plane keeps its height and tilt.

    Args:
        world: with a robot, whose tool the track `tool` is of, and with all other bodies by their names.
        tracks: poses in the world's frame: of bodies about their centres of mass, as the world has them.
        relative: the recording begins with the bodies where the world has them at rest: only how they move from there
            is taken, whatever point of them was recorded.

    Returns:
        The rollout; its actions are the tool's increments of translation (m) and rotation (rad), world axes.

    Raises:
        InputError: no robot whose actions move a tool, no such body, no track of the tool or of any body, a gap, or
            less than 0.1 s.
    """
    if world.robot is None or world.robot.action.kind != "end_effector":
        raise InputError("import-pushes: the world has no robot that is led by its tool; `import` one --into it.")
    names = [body.name for body in world.bodies]
    movable = [body.name for body in world.bodies if body.kind == "rigid" and body.parent is None]
    if TOOL not in tracks.poses:
        given = ", ".join(tracks.poses)
        raise InputError(f"import-pushes: the recording has {given}, expected poses of {TOOL!r} too.")
    for name in tracks.poses:
        if name != TOOL and name not in movable:
            raise InputError(f"import-pushes: no rigid body {name!r}, expected some of {', '.join(movable)}.")
    if len(tracks.poses) < 2:
        raise InputError(f"import-pushes: the recording has the tool alone; expected some of {', '.join(movable)}.")
    gaps = np.diff(tracks.times)
    if gaps.max() > LONGEST_GAP:
        at = tracks.times[gaps.argmax()]
        raise InputError(f"import-pushes: nothing was recorded for {gaps.max():.2g} s after {at:.2f} s, expected at "
                         f"most {LONGEST_GAP} s; cut the recording there.")  # fmt: skip
    count = int((tracks.times[-1] + 1e-6) / ACTION_SECONDS)
    if count < 1:
        raise InputError(f"import-pushes: the recording lasts {tracks.times[-1]:.3g} s, expected 0.1 s or more.")
    rest = rest_state(world)
    states = State(**{name: value.expand(count + 1, *value.shape).clone() for name, value in vars(rest).items()})
    poses = states.world_from_body
    for name, track in tracks.poses.items():
        index = world.robot.tool if name == TOOL else names.index(name)
        found = _sampled(tracks.times, torch.from_numpy(_lifted(track, rest.world_from_body[index])), count)
        if relative and name != TOOL:
            start = pose.compose(pose.inverse(found[0]), rest.world_from_body[index])
            found = pose.compose(found, start.expand_as(found))
        poses[:, index] = found
    tool = poses[:, world.robot.tool].clone()
    placed = place_tool(world, states, tool)
    reached = placed.world_from_body[:, world.robot.tool]
    off = float((reached[:, :3] - tool[:, :3]).norm(dim=-1).max())
    if off > 0.005:
        raise InputError(f"import-pushes: the robot stays {100 * off:.1f} cm short of where its tool was recorded; "
                         "place it where it stood.")  # fmt: skip
    free = torch.tensor([body.name in tracks.poses for body in world.bodies])
    placed = replace(
        placed,
        twists=_twists(placed.world_from_body),
        awake=free.expand(count + 1, -1).clone(),
        time=ACTION_SECONDS * torch.arange(count + 1, dtype=rest.time.dtype),
    )
    actions = idle_action(world, rest).double().repeat(count, 1)
    actions[:, :6] = _way(tool[:-1], tool[1:])
    return Rollout(actions=actions, states=placed, world_id=world_id(world))


def _lifted(track: np.ndarray, rest: Tensor) -> np.ndarray:
    """Poses [K, 7]; of what moves on a plane with height and tilt as at rest [7]."""
    if track.shape[1] != len(PLANAR):
        return track
    turn = pose.quat_to_matrix(rest[3:])
    half = torch.from_numpy(track[:, 2]) / 2 - torch.atan2(turn[1, 0], turn[0, 0]) / 2
    none = torch.zeros_like(half)
    quats = pose.multiply_quats(
        torch.stack([half.cos(), none, none, half.sin()], dim=-1), rest[3:].expand(len(half), 4)
    )
    places = np.column_stack([track[:, :2], np.full(len(track), float(rest[2]))])
    return np.concatenate([places, quats.numpy()], axis=-1)


def _sampled(times: np.ndarray, poses: Tensor, count: int) -> Tensor:
    """Poses [K, 7] at times [K] every 0.1 s: [count + 1, 7]."""
    wanted = np.minimum(ACTION_SECONDS * np.arange(count + 1), times[-1])
    later = np.clip(np.searchsorted(times, wanted), 1, len(times) - 1)
    share = torch.from_numpy((wanted - times[later - 1]) / (times[later] - times[later - 1]))[:, None]
    first, last = poses[later - 1], poses[later]
    near = torch.where((first[:, 3:] * last[:, 3:]).sum(-1, keepdim=True) < 0, -last[:, 3:], last[:, 3:])
    quat = pose.normalize_quat(first[:, 3:] + share * (near - first[:, 3:]))
    return torch.cat([first[:, :3] + share * (last[:, :3] - first[:, :3]), quat], dim=-1)


def _way(first: Tensor, last: Tensor) -> Tensor:
    """Translation and rotation vector [..., 6] from poses to poses [..., 7]."""
    turn = pose.multiply_quats(last[..., 3:], pose.conjugate_quat(first[..., 3:]))
    return pose.log(torch.cat([last[..., :3] - first[..., :3], turn], dim=-1))


def _twists(poses: Tensor) -> Tensor:
    """[T + 1, B, 6] m/s and rad/s of poses [T + 1, B, 7] 0.1 s apart: over both neighbours where there are two."""
    step = _way(poses[:-1], poses[1:]) / ACTION_SECONDS
    inner = (step[:-1] + step[1:]) / 2
    return torch.cat([step[:1], inner, step[-1:]])
