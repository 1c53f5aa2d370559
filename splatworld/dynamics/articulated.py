"""What hangs on a joint of its own, such as a drawer or a door: it moves along the joint alone, driven by tools."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from splatworld.core.robot import ACTION_SECONDS
from splatworld.core.state import State
from splatworld.core.world import World
from splatworld.dynamics.scene import Kind, Scene
from splatworld.dynamics.step import sweep_tools
from splatworld.dynamics.touch import moved
from splatworld.geometry.contacts import contacts, near_pairs
from splatworld.robot.kinematics import Linkage, ancestors, forward_kinematics

SUBSTEPS = 10
"""Of an action, in each of which contacts are found anew."""
LOOKS = 2
"""Contacts are found anew so many times within one: the points of a door turn as it gives way."""
REACH = 0.01
"""m at which a tool may touch within a substep."""
SLOP = 5e-4
"""m that a tool may be inside of what can give way no more."""
SIDE = 1e-3
"""m that a tool may be inside of a side along which no joint gives way."""
LEAST = 0.1
"""Of the way of a contact that a joint moves, what has to go along its normal for the joint to give way."""
STILL = 1e-4
"""m/s and rad/s below which a joint rests."""
BRAKING = {"slide": 2.0, "hinge": 3.0}
"""m/s^2 and rad/s^2 by which friction in a joint stops what nothing pushes: nobody knows it of a joint never seen to
move."""
DAMPING = {"slide": 3.0, "hinge": 2.0}
"""1/s, the same of what grows with speed."""


@dataclass(frozen=True)
class Hung:
    """Bodies of a world that move along joints that no robot drives.

    Attributes:
        bodies: [K] their numbers, parents before children.
        columns: [K] int64, of `State.joints`.
        pairs: [P, 2] int32, they and the links of the robot.
        low, high: [K] m or rad.
        braking, damping: [K] see above.
    """

    bodies: list[int]
    columns: Tensor
    pairs: Tensor
    low: Tensor
    high: Tensor
    braking: Tensor
    damping: Tensor


def hung_bodies(world: World, scene: Scene) -> Hung:
    """Who hangs on joints; `scene` is the world's."""
    kinds = scene.kinds[0]
    bodies = [i for i in world.joint_bodies if kinds[i] == Kind.TOOL and world.bodies[i].kind != "robot"]
    bodies = [i for i in bodies if (joint := world.bodies[i].joint) is not None and joint.mimic is None]
    bodies.sort(key=lambda i: len(ancestors(world, i)))
    joints = [joint for i in bodies if (joint := world.bodies[i].joint) is not None]
    tools = [i for i, body in enumerate(world.bodies) if body.kind == "robot"]
    numbers = [(*j.limits, BRAKING[j.type], DAMPING[j.type]) for j in joints]
    low, high, braking, damping = torch.tensor(numbers, dtype=torch.float64).reshape(-1, 4).unbind(-1)
    columns = torch.tensor([world.joint_bodies.index(i) for i in bodies], dtype=torch.int64)
    pairs = torch.tensor([sorted((i, tool)) for i in bodies for tool in tools], dtype=torch.int32).reshape(-1, 2)
    return Hung(bodies, columns, pairs, low, high, braking, damping)


def swing_joints(world: World, scene: Scene, hung: Hung, before: State, commanded: State) -> tuple[State, Tensor]:
    """Where joints get in one action of 0.1 s in which the robot is commanded to move.

    Joints are driven by what touches the bodies on them: a tool that would run into one pushes it along its joint, as
    fast as it goes itself. What nothing pushes goes on and is slowed by friction. Other bodies are pushed by what hangs
    on joints, and do not push back.

    Args:
        world, scene: of S states.
        hung: of the world.
        before: the states.
        commanded: the robot where its command puts it.

    Returns:
        `commanded` with the joints where they get and the robot as far as nothing stops it; and [S] the fraction of its
        way that this is.
    """
    done, way, _ = sweep_tools(scene, before.world_from_body, commanded.world_from_body)
    done, starts, way = done.double(), before.world_from_body.double(), way.double()
    values, rates = before.joints[:, hung.columns].double(), before.joint_velocities[:, hung.columns].double()
    if not bool((rates != 0).any()) and not _near(scene, hung, moved(starts, way), way):
        return commanded, torch.ones_like(done)
    linkage, joints = Linkage(world, hung.bodies, starts), before.joints.double()
    share, going, deep = torch.ones_like(done), torch.ones(len(done), dtype=torch.bool), torch.zeros_like(done)
    seconds = ACTION_SECONDS / SUBSTEPS
    for k in range(1, SUBSTEPS + 1):
        slowed = rates.sign() * (rates.abs() * torch.exp(-hung.damping * seconds) - hung.braking * seconds).clamp(min=0)
        poses, now = moved(starts, k / SUBSTEPS * way), values + slowed * seconds
        for _ in range(LOOKS):
            now = now.clamp(hung.low, hung.high)
            joints = joints.index_copy(1, hung.columns, now)
            felt = _feel(scene, hung, linkage, linkage.poses(poses, joints))
            now = now + felt.push
        over = (now - now.clamp(hung.low, hung.high)).abs().amax(-1)
        now = now.clamp(hung.low, hung.high)
        # What is pinched, and what runs into a side along which nothing gives way, stops the tool.
        stopped = felt.pinched | (over > SLOP) | ((felt.deep > SIDE) & (felt.deep > deep))
        share = torch.where(going & stopped, (k - 1) / SUBSTEPS, share)
        going, deep = going & ~stopped, felt.deep
        rates = torch.where(going[:, None], (now - values) / seconds, 0.0)
        values = torch.where(going[:, None], now, values)
    part, tool = share[:, None], scene.tool[..., None]
    joints = before.joints + part * (commanded.joints - before.joints)
    rates = torch.where(rates.abs() < STILL, 0.0, rates)
    reached = replace(
        commanded,
        world_from_body=torch.where(tool, moved(starts, part[..., None] * way), starts).to(commanded.world_from_body),
        twists=torch.where(tool, commanded.twists * part[..., None], commanded.twists),
        joints=joints.to(commanded.joints).index_copy(1, hung.columns, values.to(commanded.joints)),
        joint_velocities=(part * commanded.joint_velocities).index_copy(1, hung.columns, rates.to(before.joints)),
    )
    return forward_kinematics(world, reached), share * done


@dataclass(frozen=True)
class _Felt:
    """What tools do to bodies on joints.

    Attributes:
        push: [S, K] m or rad by which joints give way.
        pinched: [S] bool, where one would have to give way in both directions.
        deep: [S] m by which a tool is inside along no way that a joint goes.
    """

    push: Tensor
    pinched: Tensor
    deep: Tensor


def _feel(scene: Scene, hung: Hung, linkage: Linkage, poses: Tensor) -> _Felt:
    states, count = len(poses), len(hung.bodies)
    shapes, ids = scene.solids.shapes, scene.shape_ids
    near = near_pairs(shapes, poses, shape_ids=ids, pairs=hung.pairs, reach=REACH)
    push, deep = poses.new_zeros(2, states, count), poses.new_zeros(states)
    if not len(near):
        return _Felt(push[0], torch.zeros(states, dtype=torch.bool), deep)
    found = contacts(shapes, poses, shape_ids=ids, candidates=near, reach=REACH)
    state, a, b = found.pairs.unbind(-1)
    column = torch.full((poses.shape[1],), -1)
    column[hung.bodies] = torch.arange(count)
    first = column[a] >= 0  # the hung body is a, from which the normal points away
    which = torch.where(first, column[a], column[b])
    arm = torch.where(first[:, None, None], found.arm_a, found.arm_b).double()
    screw = linkage.screws(poses)[state, which][:, None]
    speed = screw[..., :3] + torch.linalg.cross(screw[..., 3:].expand_as(arm), arm)
    opening = (found.normal.double() * speed).sum(-1) * torch.where(first, 1.0, -1.0)[:, None]
    inside = -found.distance.double().clamp(max=0)
    gives = opening.abs() > LEAST * speed.norm(dim=-1)
    need = torch.where(gives, inside / torch.where(gives, opening, 1.0), 0.0)
    row = state * count + which
    for k, sign in enumerate((1, -1)):
        most = (sign * need).clamp(min=0).amax(-1)
        push[k] = push[k].flatten().scatter_reduce(0, row, most, "amax").reshape(states, count)
    side = torch.where(gives, 0.0, inside).amax(-1)
    deep = deep.scatter_reduce(0, state, side, "amax")
    return _Felt(push[0] - push[1], (push.amin(0) > SLOP).any(-1), deep)


def _near(scene: Scene, hung: Hung, poses: Tensor, way: Tensor) -> bool:
    """Whether a tool that comes to `poses` along `way` may have touched a body on a joint."""
    reach = REACH + float(way[..., :3].norm(dim=-1).max()) + float(way[..., 3:].norm(dim=-1).max())
    return len(near_pairs(scene.solids.shapes, poses, shape_ids=scene.shape_ids, pairs=hung.pairs, reach=reach)) > 0
