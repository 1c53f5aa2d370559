"""Fingers that come down upon a body that stands on something stop there, and the hand with them."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from splatworld.core.state import State
from splatworld.core.world import World
from splatworld.dynamics.gripper import Gripper
from splatworld.dynamics.scene import Kind, Scene
from splatworld.dynamics.touch import moved, travelled
from splatworld.geometry.contacts import REACH, Contacts, contacts, near_pairs
from splatworld.robot.kinematics import forward_kinematics

CUTS = 10
"""Places along its way at which a finger is checked against what is below it."""
DEEP = 3e-4
"""m inside of a body from which a finger presses on it."""
UPON = 0.7
"""Of a contact's normal that goes down, from which a finger presses down."""
STANDS = 2e-3
"""m to what carries a body up to which it stands on it."""


def jam(world: World, scene: Scene, gripper: Gripper, before: State, commanded: State) -> tuple[State, Tensor]:
    """How far fingers come down before a body stops them that cannot tip out of their way.

    It cannot where the middle of what presses on it lies within the outline of what it stands on.

    Args:
        world, scene: of S states.
        gripper: of the world.
        before: the states.
        commanded: the robot where its command puts it.

    Returns:
        `commanded` with the robot as far as it gets, and [S] the fraction of its way that this is.
    """
    starts, share = before.world_from_body.double(), torch.ones(len(before.time), dtype=torch.float64)
    way = torch.where(scene.tool[..., None], travelled(starts, commanded.world_from_body.double()), 0.0)
    down = torch.nn.functional.normalize(scene.gravity.double(), dim=-1)
    comes = (way[:, gripper.fingers[0], :3] * down).sum(-1) > DEEP
    if not bool(comes.any()):
        return commanded, share
    reach = float(way[:, list(gripper.fingers), :3].norm(dim=-1).max())
    shapes, ids = scene.solids.shapes, scene.shape_ids
    near = near_pairs(shapes, starts, shape_ids=ids, pairs=gripper.pairs, reach=reach)
    near = near[comes[near[:, 0]]]
    if not len(near):
        return commanded, share
    at, row = near[:, 0].unique(return_inverse=True)
    parts = torch.arange(1, CUTS + 1).to(way) / CUTS
    poses = moved(starts[at, None].expand(-1, CUTS, -1, -1), parts[:, None, None] * way[at, None]).flatten(0, 1)
    cuts = (row[:, None] * CUTS + torch.arange(CUTS)).flatten()
    candidates = torch.cat([cuts[:, None], near[:, 1:].repeat_interleave(CUTS, 0)], dim=-1)
    candidates = candidates[candidates[:, 0].argsort(stable=True)]
    found = contacts(shapes, poses, shape_ids=ids[at].repeat_interleave(CUTS, 0), candidates=candidates)
    first = (found.pairs[:, 1:2] == torch.tensor(gripper.fingers)).any(-1)
    stopped = _stopped(scene, at, starts[at], found, first, down).reshape(len(at), CUTS)
    free = (stopped.cumsum(-1) == 0).sum(-1).double() / CUTS
    share[at] = torch.where(comes[at], free, 1.0)
    part, tool = share[:, None], scene.tool[..., None]
    # Where nothing is in the way the command stays as it is, to the last bit.
    whole, joints = part == 1, before.joints + part * (commanded.joints - before.joints)
    reached = replace(
        commanded,
        world_from_body=torch.where(
            tool & ~whole[..., None], moved(starts, part[..., None] * way).to(commanded.world_from_body),
            commanded.world_from_body,
        ),
        twists=torch.where(tool, commanded.twists * part[..., None].to(commanded.twists), commanded.twists),
        joints=torch.where(whole, commanded.joints, joints.to(commanded.joints)),
        joint_velocities=(part * commanded.joint_velocities).to(commanded.joint_velocities),
    )  # fmt: skip
    return forward_kinematics(world, reached), share


def _stopped(scene: Scene, at: Tensor, starts: Tensor, found: Contacts, first: Tensor, down: Tensor) -> Tensor:
    """[N * CUTS] bool, where fingers press on what cannot tip: `found` at cuts of states `at` [N], whose bodies are at
    `starts` [N, B, 7]; `first`: the finger is the first of a pair."""
    cut, body = found.pairs[:, 0], torch.where(first, found.pairs[:, 2], found.pairs[:, 1])
    into = torch.where(first[:, None, None], -found.normal, found.normal).double()
    used = torch.arange(found.distance.shape[1]) < found.count[:, None]
    presses = used & (found.distance < -DEEP) & ((into * down).sum(-1) > UPON)
    bodies = starts.shape[1]
    key, points = cut * bodies + body, found.point.double()
    total, middle = points.new_zeros(len(at) * CUTS * bodies), points.new_zeros(len(at) * CUTS * bodies, 3)
    total.index_add_(0, key, presses.sum(-1).double())
    middle.index_add_(0, key, torch.where(presses[..., None], points, 0.0).sum(1))
    pressed = total.nonzero()[:, 0]
    middle = middle[pressed] / total[pressed, None]
    state, body = pressed // bodies // CUTS, pressed % bodies
    feet = _feet(scene, at, starts, down)
    inside = _within(middle, feet[0][state, body], feet[1][state, body], down)
    stopped = torch.zeros(len(at) * CUTS, dtype=torch.bool)
    stopped[pressed[inside] // bodies] = True
    return stopped


def _feet(scene: Scene, at: Tensor, starts: Tensor, down: Tensor) -> tuple[Tensor, Tensor]:
    """Points [N, B, F, 3] on which bodies stand, and whether they are any [N, B, F] bool."""
    still, free = scene.kinds[at] == Kind.STATIC, scene.kinds[at] == Kind.FREE
    low, high = scene.pairs.long().unbind(-1)
    carried = (still[:, low] & free[:, high]) | (free[:, low] & still[:, high])
    state, pair = carried.nonzero().unbind(-1)
    candidates = torch.stack([state, low[pair], high[pair]], dim=-1)
    found = contacts(scene.solids.shapes, starts, shape_ids=scene.shape_ids[at], candidates=candidates, reach=REACH)
    state, a, b = found.pairs.unbind(-1)
    body = torch.where(free[state, a], a, b)
    up = torch.where(free[state, a][:, None, None], found.normal, -found.normal).double()
    slots = found.distance.shape[1]
    used = (torch.arange(slots) < found.count[:, None]) & (found.distance < STANDS) & ((-up * down).sum(-1) > UPON)
    # A body that stands on several things has the feet of all.
    order = torch.zeros_like(state)
    seen: dict[tuple[int, int], int] = {}
    for k, key in enumerate(zip(state.tolist(), body.tolist(), strict=True)):
        order[k] = seen.get(key, 0)
        seen[key] = int(order[k]) + 1
    most = max(seen.values(), default=1)
    points = starts.new_zeros(len(at), starts.shape[1], most, slots, 3)
    there = torch.zeros(points.shape[:-1], dtype=torch.bool)
    points[state, body, order], there[state, body, order] = found.point.double(), used
    return points.flatten(2, 3), there.flatten(2, 3)


def _within(middle: Tensor, feet: Tensor, used: Tensor, down: Tensor) -> Tensor:
    """[M] bool, whether points [M, 3] lie above the outline of feet [M, F, 3]: seen from there they lie all around."""
    across = torch.linalg.cross(down, down.new_tensor([1.0, 0.0, 0.0] if abs(float(down[0])) < 0.9 else [0, 1.0, 0]))
    across = torch.nn.functional.normalize(across, dim=-1)
    gap = feet - middle[:, None]
    angle = torch.atan2((gap * torch.linalg.cross(down, across)).sum(-1), (gap * across).sum(-1))
    angle = torch.where(used, angle, torch.inf).sort(-1).values
    count = used.sum(-1)
    last = angle.gather(-1, (count - 1).clamp(min=0)[:, None])
    after = torch.cat([angle[:, 1:], angle.new_full((len(angle), 1), torch.inf)], dim=-1)
    after = torch.where(torch.isfinite(after), after, angle[:, :1] + 2 * torch.pi)
    gaps = torch.where(angle <= last, after - angle, 0.0)
    return (count > 2) & (gaps.amax(-1) < torch.pi)
