"""A gripper's two fingers: where they touch what is between them, and how they close until it stops them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.world import World
from splatworld.dynamics.scene import Scene
from splatworld.dynamics.touch import moved
from splatworld.geometry.contacts import REACH, contacts, near_pairs
from splatworld.robot.kinematics import Linkage

TOUCHING = 1e-3
"""m from a finger up to which a body touches it."""
THIN = 0.0025
"""m between contacts up to which they are at one edge, past which the fingers meet each other."""
INNER = 0.2
"""Of a contact's normal that goes against the way in which a finger opens, from which it is on the inner side."""
PARTS = 10
"""Of an action, in each of which contacts with closing fingers are found anew."""
LOOKS = 2
"""Within one part, too: a body that gives way turns."""
GIVES = 0.02
"""How much easier a body gives way than fingers do, as a ratio of masses: they yield where it cannot."""
ITERATIONS = 60
SLOTS = 8
"""Contacts of a finger."""


@dataclass(frozen=True)
class Gripper:
    """Two fingers of a robot that slide towards each other.

    Attributes:
        fingers: their bodies.
        hand: the body that they hang on.
        columns: of `State.joints`, half the width each.
        pairs: [P, 2] int32, a finger and a free body each.
        force: N, by which each presses.
    """

    fingers: tuple[int, int]
    hand: int
    columns: tuple[int, int]
    pairs: Tensor
    force: float


def find_gripper(world: World, scene: Scene) -> Gripper | None:
    """The gripper of a world's robot; None without one, or with other than two fingers. `scene` is the world's."""
    robot = world.robot
    if robot is None or len(robot.fingers) != 2:
        return None
    left, right = robot.fingers
    hand = world.bodies[left].parent
    free = scene.free[0].nonzero()[:, 0].tolist()
    if hand is None or world.bodies[right].parent != hand or not free:
        return None
    columns = world.joint_bodies.index(left), world.joint_bodies.index(right)
    pairs = torch.tensor([sorted((finger, body)) for body in free for finger in robot.fingers], dtype=torch.int32)
    return Gripper((left, right), hand, columns, pairs, robot.grip_force)


@dataclass(frozen=True)
class Pinch:
    """What is between the fingers of N states: up to 8 contacts of each finger with one body; others have distance
    `REACH` and 0 for the rest.

    Attributes:
        body: [N] int64, -1 where no finger touches or nearly touches a free body with its inner side.
        distance: [N, 2, 8] m.
        normal: [N, 2, 8, 3] from the finger into the body, world axes.
        point: [N, 2, 8, 3] m, world frame.
        opens: [N, 2, 3] unit, how each finger opens.
    """

    body: Tensor
    distance: Tensor
    normal: Tensor
    point: Tensor
    opens: Tensor

    @property
    def touching(self) -> Tensor:
        """[N, 2, 8] bool."""
        return self.distance < TOUCHING

    def opposed(self, friction: Tensor) -> Tensor:
        """[N] bool, whether two contacts hold against each other: their line lies inside both friction cones.

        Nguyen, "Constructing force-closure grasps", 1988.

        Args:
            friction: [N] Coulomb's coefficient.
        """
        line = self.point[:, 1, None, :, :] - self.point[:, 0, :, None, :]  # [N, 8, 8, 3]
        thick = line.norm(dim=-1)
        line = line / thick.clamp(min=1e-9)[..., None]
        cosine = 1 / (1 + friction.square()).sqrt()[:, None, None]
        left = (line * self.normal[:, 0, :, None]).sum(-1) >= cosine
        right = (-line * self.normal[:, 1, None, :]).sum(-1) >= cosine
        near = self.touching[:, 0, :, None] & self.touching[:, 1, None, :]
        near &= thick > THIN
        return (left & right & near).flatten(1).any(-1) & (self.body >= 0)


def pinched(scene: Scene, gripper: Gripper, linkage: Linkage, poses: Tensor) -> Pinch:
    """What is between the fingers where bodies are at `poses` [N, B, 7], of the scene's states."""
    shapes, ids, count = scene.solids.shapes, scene.shape_ids, len(poses)
    distance = poses.new_full((count, 2, SLOTS), REACH)
    normal, point = poses.new_zeros(2, count, 2, SLOTS, 3)
    opens = linkage.screws(poses)[..., :3]
    body = torch.full((count,), -1)
    near = near_pairs(shapes, poses, shape_ids=ids, pairs=gripper.pairs, reach=REACH)
    if not len(near):
        return Pinch(body, distance, normal, point, opens)
    found = contacts(shapes, poses, shape_ids=ids, candidates=near, reach=REACH)
    state, a, b = found.pairs.unbind(-1)
    links = torch.tensor(gripper.fingers)
    first = (a[:, None] == links).any(-1)
    finger, other = torch.where(first, a, b), torch.where(first, b, a)
    side = (finger == links[1]).long()
    into = torch.where(first[:, None, None], -found.normal, found.normal).to(poses)
    inner = (into * -opens[state, side][:, None]).sum(-1) > INNER
    inner &= torch.arange(SLOTS) < found.count[:, None]
    gap = torch.where(inner, found.distance.to(poses), REACH)
    # Whose farther finger is nearest is between them.
    nearest = poses.new_full((count, 2, poses.shape[1]), REACH)
    nearest[state, side, other] = gap.amin(-1)
    body = torch.where(nearest.amin(1).amin(-1) < REACH, (nearest.amax(1) + 1e-3 * nearest.amin(1)).argmin(-1), -1)
    mine = other == body[state]
    at = (state[mine], side[mine])
    distance[at], normal[at], point[at] = gap[mine], into[mine], found.point[mine].to(poses)
    return Pinch(body, distance, normal, point, opens)


@dataclass(frozen=True)
class Closed:
    """How far the fingers of N states got.

    Attributes:
        joints: [N, J] where they are.
        poses: [N, B, 7] of the hand, the fingers, and what they moved.
        body: [N] int64 what they moved or gripped, -1 where nothing.
    """

    joints: Tensor
    poses: Tensor
    body: Tensor


def close(
    scene: Scene, gripper: Gripper, linkage: Linkage, poses: Tensor, way: Tensor, joints: tuple[Tensor, Tensor],
    friction: Tensor,
) -> Closed:  # fmt: skip
    """Fingers close until what is between them stops them.

    A body on its support that one finger runs into slides and turns before it; one that two opposed contacts hold
    stops both and from then on goes with the hand; one that they do not hold slides out.

    Args:
        scene: of N states.
        gripper: of their world.
        linkage: of its fingers.
        poses: [N, B, 7] at first.
        way: [N, B, 6] m and rad of the robot during the action.
        joints: [N, J] at first, and commanded.
        friction: [N, B] of bodies with the fingers.
    """
    starts, columns, row = poses, list(gripper.columns), torch.arange(len(poses))
    half, wanted = joints[0][:, columns], joints[1][:, columns]
    locked, touched = torch.zeros(len(poses), dtype=torch.bool), torch.full((len(poses),), -1)
    robot = scene.tool[..., None]
    for k in range(1, PARTS + 1):
        hand = poses[:, gripper.hand]
        placed = torch.where(robot, moved(starts, k / PARTS * way), poses)
        aim = joints[0][:, columns] + k / PARTS * (wanted - joints[0][:, columns])
        half = torch.where(locked[:, None], half, torch.minimum(half, aim))
        carried = carry(hand, placed[:, gripper.hand], placed[row, touched.clamp(min=0)])
        placed[row[locked], touched[locked]] = carried[locked]
        for look in range(LOOKS + 1):
            values = joints[0].index_copy(1, torch.tensor(columns), half)
            poses = linkage.poses(placed, values)
            found = pinched(scene, gripper, linkage, poses)
            if not bool((found.distance < 0).any()) or look == LOOKS:
                break
            shift, back = _give_way(scene, found, poses)
            active = (found.body >= 0) & ~locked & (found.distance < 0).flatten(1).any(-1)
            half = torch.where(active[:, None], half + back[:, None], half)
            at = found.body.clamp(min=0)
            placed = poses.clone()
            placed[row[active], at[active]] = moved(poses[row, at], shift)[active]
            touched = torch.where(active, at, touched)
        known = friction[row, found.body.clamp(min=0)]
        caught = ~locked & found.opposed(known)
        locked, touched = locked | caught, torch.where(caught, found.body, touched)
    values = joints[0].index_copy(1, torch.tensor(columns), half)
    return Closed(values, poses, touched)


def carry(hand: Tensor, moved_hand: Tensor, body: Tensor) -> Tensor:
    """Where poses [N, 7] get that go with a hand from `hand` to `moved_hand` [N, 7]."""
    return pose.compose(moved_hand, pose.compose(pose.inverse(hand), body))


def _give_way(scene: Scene, found: Pinch, poses: Tensor) -> tuple[Tensor, Tensor]:
    """How bodies [N, 6] slide and turn on their support out of fingers, and fingers [N] m back where they cannot.

    The least motion after which no contact overlaps; accelerated projected gradients of its dual (Beck and Teboulle,
    2009).
    """
    count = len(poses)
    at = (torch.arange(count), found.body.clamp(min=0))
    gravity = scene.gravity.to(poses)
    up = -gravity / gravity.norm() if bool(gravity.any()) else gravity.new_tensor([0.0, 0.0, 1.0])
    arm = found.point - poses[at][:, None, None, :3]
    flat = found.normal - (found.normal * up).sum(-1, keepdim=True) * up
    spin = (torch.linalg.cross(arm, found.normal) * up).sum(-1)
    spread = scene.of_bodies(scene.solids.spread, at).diagonal(dim1=-2, dim2=-1).to(poses)
    radius = spread.unbind(-1)
    size = ((radius[0] + radius[1] + radius[2]) * 2 / 3).clamp(min=1e-6).sqrt()[:, None, None]
    backs = -(found.normal * found.opens[:, :, None]).sum(-1) * GIVES**0.5
    rows = torch.cat([flat, (spin / size)[..., None], backs[..., None]], dim=-1).reshape(count, 2 * SLOTS, 5)
    gap = found.distance.reshape(count, 2 * SLOTS)
    used = gap < 0
    rows, short = torch.where(used[..., None], rows, 0.0), torch.where(used, -gap, 0.0)
    # No eigenvalue exceeds the sum of all.
    step = 1 / _total(rows.square().sum(-1)).clamp(min=1e-9)[:, None]
    force = momentum = torch.zeros_like(gap)
    pace = 1.0
    for _ in range(ITERATIONS):
        motion = _total(momentum[..., None] * rows)
        after = (momentum + step * (short - (rows * motion[:, None]).sum(-1))).clamp(min=0)
        faster = (1 + (1 + 4 * pace * pace) ** 0.5) / 2
        momentum, force, pace = after + (pace - 1) / faster * (after - force), after, faster
    motion = _total(force[..., None] * rows)
    turn = (motion[:, 3:4] / size[:, 0]) * up
    return torch.cat([motion[:, :3], turn], dim=-1), motion[:, 4] * GIVES**0.5


def _total(values: Tensor) -> Tensor:
    """[N, ...] the sums over the second axis of [N, 16, ...], always in the same order."""
    while values.shape[1] > 1:
        values = values[:, ::2] + values[:, 1::2]
    return values[:, 0]
