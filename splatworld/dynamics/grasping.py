"""What a gripper holds goes with it, and slips as far as friction lets it.

Who is held follows from a state and an action alone: fingers that are not told to open press with the gripper's force
on what touches both; it is held if two of these contacts oppose each other and friction carries its weight.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.latents import CENTER, FRICTION, MASS, TOOL_FRICTION
from splatworld.core.robot import ACTION_SECONDS
from splatworld.core.state import State
from splatworld.core.world import World
from splatworld.dynamics.gripper import Gripper, Pinch, carry, close, pinched
from splatworld.dynamics.scene import Kind, Scene
from splatworld.dynamics.touch import travelled
from splatworld.geometry.contacts import REACH, contacts, near_pairs
from splatworld.robot.kinematics import Linkage, forward_kinematics

OPENS = 1e-4
"""m by which a finger has to be told to open for the grip to end."""
TRIED = (1.0, 0.75, 0.5, 0.25, 0.0)
"""Shares of a slip that are tried before a body that hangs in the grip runs into what stands still."""
PRESSING = 3e-4
"""m beyond a finger's nearest contact up to which others press."""
STEEP = 1.5
"""rad, beyond which a side counts as a ledge."""
SUNK = 5e-4
"""m by which what is held may be inside of what stands still."""


@dataclass(frozen=True)
class SlipConfig:
    """How bodies slip in a grip; fitted to episodes of the oracle by `evaluate/grasp_fit.py`.

    A pad resists sliding by its friction and turning by friction at a radius. Where weight and torque together are too
    much (an ellipsoidal limit surface: Howe and Cutkosky, "Practical force-motion models for sliding manipulation",
    1996), the body turns about the line between the fingers until they are not, and slides down with it.

    Attributes:
        radius: of the pad's contacts, as a share of their mean distance from their middle.
        pad: m added to it.
        friction: share of Coulomb's that holds a weight, for hands do not start evenly.
        turning: share of the way to where it comes to rest that a body turns in an action.
        sliding: share of what the limit surface says that it slides meanwhile.
    """

    radius: float = 0.5
    pad: float = 0.004
    friction: float = 0.85
    turning: float = 1.0
    sliding: float = 1.0


@dataclass(frozen=True)
class Load:
    """What N grips carry, and how they slip in an action.

    Attributes:
        held: [N] bool, friction carries the weight.
        middle: [N, 3] m, of the grip.
        axis: [N, 3] unit, the line between the fingers.
        turn: [N] rad about it.
        slide: [N, 3] m.
    """

    held: Tensor
    middle: Tensor
    axis: Tensor
    turn: Tensor
    slide: Tensor


@dataclass(frozen=True)
class Gripped:
    """What a gripper does in one action of S states.

    Attributes:
        scene: in which what it moves is a tool.
        commanded: with fingers where they stop, and with what they move where it gets.
        body: [S] int64 what they move, -1 where nothing.
    """

    scene: Scene
    commanded: State
    body: Tensor


def grip(
    world: World, scene: Scene, gripper: Gripper, before: State, commanded: State, *, config: SlipConfig | None = None
) -> Gripped | None:
    """What fingers that close, or that are closed, do to what is between them; None where there is nothing.

    Args:
        world, scene: of S states.
        gripper: of the world.
        before: the states.
        commanded: the robot where its command puts it.
        config: of how bodies slip; None: the fitted one.
    """
    columns = list(gripper.columns)
    presses = (commanded.joints[:, columns] <= before.joints[:, columns] + OPENS).all(-1)
    poses, ends = before.world_from_body.double(), commanded.world_from_body.double()
    way = torch.where(scene.tool[..., None], travelled(poses, ends), 0.0)
    closing = float((before.joints - commanded.joints)[:, columns].amax().clamp(min=0))
    reach = REACH + closing + float(way[:, gripper.hand, :3].norm(dim=-1).max())
    near = near_pairs(scene.solids.shapes, poses, shape_ids=scene.shape_ids, pairs=gripper.pairs, reach=reach)
    rows = torch.zeros_like(presses)
    rows[near[:, 0]] = True
    rows &= presses
    if not bool(rows.any()):
        return None
    at = rows.nonzero()[:, 0]
    some, linkage = _rows(scene, at), Linkage(world, list(gripper.fingers), poses)
    poses, way, latents = poses[at], way[at], before.latents[at].double()
    joints = before.joints[at].double(), commanded.joints[at].double()
    friction = FRICTION * latents[..., TOOL_FRICTION].exp()
    found = pinched(some, gripper, linkage, poses)
    one, row = found.body.clamp(min=0), torch.arange(len(at))
    opposed = found.opposed(friction[row, one])
    told = torch.tensor([bool(body.mass) for body in world.bodies])
    heavy = torch.where(told, some.mass.double(), some.typical_mass.double() * latents[..., MASS].exp())
    load = carried_load(some, gripper, found, poses, heavy, friction, latents, config or SlipConfig())
    held = opposed & load.held
    after, values, moves = ends[at].clone(), joints[1].clone(), torch.where(held, one, -1)
    values[:, columns] = torch.where(opposed[:, None], joints[0][:, columns], values[:, columns])
    shut = ~opposed
    if bool(shut.any()):
        which = shut.nonzero()[:, 0]
        closed = close(
            _rows(some, which), gripper, linkage, poses[which], way[which],
            (joints[0][which], joints[1][which]), friction[which],
        )  # fmt: skip
        values[which], moves[which], after[which] = closed.joints, closed.body, closed.poses
    stay = torch.where((moves >= 0)[:, None], after[row, moves.clamp(min=0)], poses[row, moves.clamp(min=0)])
    if bool(held.any()):
        stay[held] = _hung(some, poses, ends[at], load, one, gripper)[held]
    return _gripped(world, scene, before, commanded, (at, values, moves, stay))


def carried_load(
    scene: Scene, gripper: Gripper, found: Pinch, poses: Tensor, mass: Tensor, friction: Tensor, latents: Tensor,
    config: SlipConfig,
) -> Load:  # fmt: skip
    """How N grips bear what is between them.

    Args:
        scene: of N states.
        gripper: of their world.
        found: what is between the fingers.
        poses: [N, B, 7].
        mass, friction: [N, B] kg, and Coulomb's coefficient with the fingers.
        latents: [N, B, 8], which tell where the centre of mass is.
        config: how they slip.
    """
    row, at = torch.arange(len(poses)), found.body.clamp(min=0)
    touching = found.touching.to(poses)[..., None]
    count = _sum(touching).clamp(min=1)
    middles = _sum(touching * found.point) / count  # [N, 2, 3]
    off = (found.point - middles[:, :, None]).norm(dim=-1, keepdim=True)
    radius = (_sum(touching * off) / count)[..., 0]
    radius = config.radius * (radius[:, 0] + radius[:, 1]) / 2
    middle = (middles[:, 0] + middles[:, 1]) / 2
    axis = torch.nn.functional.normalize(found.opens[:, 0], dim=-1)
    spread = scene.of_bodies(scene.solids.spread, (row, at)).diagonal(dim1=-2, dim2=-1).to(poses)
    center = pose.transform(poses[row, at], latents[row, at, CENTER] * spread.clamp(min=0).sqrt())
    weight = mass[row, at, None] * scene.gravity.to(poses)
    down = weight - (weight * axis).sum(-1, keepdim=True) * axis
    pull = down.norm(dim=-1)
    most = gripper.force * bearing(found, down / pull.clamp(min=1e-9)[:, None], config.friction * friction[row, at])
    share = pull / most.clamp(min=1e-9)
    arm = center - middle
    torque = (torch.linalg.cross(arm, weight) * axis).sum(-1)
    bears = 2 * gripper.force * (friction[row, at] * radius + config.pad)
    left = bears * (1 - share.square()).clamp(min=0).sqrt()
    # A pendulum about the axis: its torque is `swing` times the sine of how far it is from hanging down.
    arm = arm - (arm * axis).sum(-1, keepdim=True) * axis
    swing = (arm.norm(dim=-1) * pull).clamp(min=1e-9)
    hanging = torch.atan2(torque, (arm * down).sum(-1))
    rests = torch.asin((left / swing).clamp(max=1.0))
    inside = (torque.abs() <= left) & (left > 0)
    turn = config.turning * hanging.sign() * (hanging.abs() - rests).clamp(min=0)
    turn = torch.where(inside, 0.0, turn)
    flow = share.square() / pull.clamp(min=1e-9) * bears.square() / torque.abs().clamp(min=1e-9)
    slide = config.sliding * turn.abs() * flow.clamp(max=0.02)
    slide = slide[:, None] * down / pull.clamp(min=1e-9)[:, None]
    return Load((share < 1) & (found.body >= 0), middle, axis, turn, slide)


def bearing(found: Pinch, down: Tensor, friction: Tensor) -> Tensor:
    """How much weight N grips bear per force of a finger, [N]; 0 where what is between the fingers slides out.

    A finger presses along the way in which it closes, and its side bears any force across. The sum of both lies inside
    the friction cone about the normal: a side that leans by an angle bears the tangent of the friction angle plus this.

    Args:
        found: what is between the fingers.
        down: [N, 3] unit, across the line between the fingers.
        friction: [N] Coulomb's coefficient.
    """
    presses = found.touching & (found.distance < found.distance.amin(-1, keepdim=True) + PRESSING)
    normal = _sum(torch.where(presses[..., None], found.normal, 0.0))  # [N, 2, 3]
    along = -(normal * found.opens).sum(-1)
    leans = torch.atan2(-(normal * down[:, None]).sum(-1), along.clamp(min=1e-9))
    return (leans + torch.atan(friction)[:, None]).clamp(-STEEP, STEEP).tan().sum(-1).clamp(min=0)


def _hung(scene: Scene, poses: Tensor, ends: Tensor, load: Load, body: Tensor, gripper: Gripper) -> Tensor:
    """[N, 7] where bodies get that go with the hand from `poses` to `ends` [N, B, 7] and slip in it."""
    row = torch.arange(len(poses))
    was, hand = poses[row, body], (poses[:, gripper.hand], ends[:, gripper.hand])
    best, undecided = carry(*hand, was), torch.ones(len(poses), dtype=torch.bool)
    deep = _sunk(scene, poses, body, was)
    for share in TRIED:
        slipped = _turned(was, load, share)
        placed = carry(*hand, slipped)
        fits = undecided & (_sunk(scene, poses, body, placed) <= deep.clamp(min=SUNK))
        best, undecided = torch.where(fits[:, None], placed, best), undecided & ~fits
        if not bool(undecided.any()):
            break
    return best


def _turned(body: Tensor, load: Load, share: float) -> Tensor:
    """Poses [N, 7] after a share of the slip."""
    quat = pose.exp(torch.cat([torch.zeros_like(load.axis), share * load.turn[:, None] * load.axis], dim=-1))[..., 3:]
    place = load.middle + pose.rotate(quat, body[:, :3] - load.middle) + share * load.slide
    return torch.cat([place, pose.normalize_quat(pose.multiply_quats(quat, body[:, 3:]))], dim=-1)


def _sunk(scene: Scene, poses: Tensor, body: Tensor, at: Tensor) -> Tensor:
    """[N] m by which bodies at `at` [N, 7] are inside of what stands still."""
    row = torch.arange(len(poses))
    placed = poses.clone()
    placed[row, body] = at
    state, other = (scene.kinds == Kind.STATIC).nonzero().unbind(-1)
    mine = body[state]
    low, high = torch.minimum(mine, other), torch.maximum(mine, other)
    wanted = torch.stack([state, low, high], dim=-1)
    meet = torch.zeros(poses.shape[1], poses.shape[1], dtype=torch.bool)
    meet[tuple(scene.pairs.long().unbind(-1))] = True
    found = contacts(scene.solids.shapes, placed, shape_ids=scene.shape_ids, candidates=wanted[meet[low, high]])
    deep = poses.new_zeros(len(poses))
    return deep.scatter_reduce(0, found.pairs[:, 0], -found.distance.amin(-1).clamp(max=0).to(poses), "amax")


def _gripped(
    world: World, scene: Scene, before: State, commanded: State, found: tuple[Tensor, Tensor, Tensor, Tensor]
) -> Gripped:
    """`found`: states [N], their joints [N, J], what is moved [N] or -1, and where it gets [N, 7]."""
    at, values, moves, places = found
    joints, which = commanded.joints.clone(), torch.full((len(commanded.time),), -1)
    joints[at] = values.to(joints)
    which[at] = moves
    rates = torch.where(
        joints == commanded.joints, commanded.joint_velocities, (joints - before.joints) / ACTION_SECONDS
    )
    reached = forward_kinematics(world, replace(commanded, joints=joints, joint_velocities=rates))
    kept = moves >= 0
    rows, bodies = at[kept], moves[kept]
    poses, twists, kinds = reached.world_from_body.clone(), reached.twists.clone(), scene.kinds.clone()
    poses[rows, bodies] = places[kept].to(poses)
    starts = before.world_from_body[rows, bodies]
    twists[rows, bodies] = travelled(starts, poses[rows, bodies]) / ACTION_SECONDS
    kinds[rows, bodies] = Kind.TOOL
    return Gripped(replace(scene, kinds=kinds), replace(reached, world_from_body=poses, twists=twists), which)


def _rows(scene: Scene, at: Tensor) -> Scene:
    """The scene of some of its states."""
    return Scene(scene.solids, scene.shape_ids[at], scene.kinds[at], scene.mass[at], scene.pairs, scene.gravity)


def _sum(values: Tensor) -> Tensor:
    """[N, 2, ...] sums over the contacts of [N, 2, 8, ...], always in the same order."""
    while values.shape[2] > 1:
        values = values[:, :, ::2] + values[:, :, 1::2]
    return values[:, :, 0]
