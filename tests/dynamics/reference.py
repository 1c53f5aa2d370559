"""What the kernels of dynamics do, in plain torch: the reference that they are tested against."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.dynamics.features import tangent
from splatworld.dynamics.islands import APPROACH, LIFTING, TIPPING, TOUCHING, Islands, still
from splatworld.dynamics.projection import ITERATIONS, LOOKS, NOTICED, RELAXATION, SLOP, TARGET
from splatworld.dynamics.scene import Kind, Scene
from splatworld.dynamics.touch import A_ROW, LATER, SLOTS, Touch, moved, travelled
from splatworld.geometry.contacts import REACH, Contacts, contacts, near_pairs

KINDS = (Kind.STATIC, Kind.TOOL, Kind.FREE)
PHASES = 3


@dataclass(frozen=True)
class Rows:
    """Contacts of pairs, with the phase [C] of the tool at which they were found."""

    found: Contacts
    phase: Tensor


def find_rows(scene: Scene, poses: Tensor, ends: Tensor, between_kinds: tuple[Kind, ...], wanted: Tensor) -> Rows:
    """Contacts of pairs of free bodies with partners of some kinds."""
    states = len(poses)
    now = poses.detach().double()
    ids, kinds = scene.shape_ids, scene.kinds
    parts = [near_pairs(scene.solids.shapes, now, shape_ids=ids, pairs=scene.pairs)]
    stack, all_ids = now, ids
    if Kind.TOOL in between_kinds and bool(scene.tool.any()):
        # Only tools are known to end there: where a body ends is what is to be predicted.
        last = torch.where(scene.tool[..., None], ends.detach().double(), now)
        stack = torch.cat([now, moved(now, 0.5 * travelled(now, last)), last])
        all_ids = ids.repeat(PHASES, 1)
        moving = (scene.tool & (last != now).any(-1)).any(-1)
        later = near_pairs(scene.solids.shapes, stack[states:], shape_ids=all_ids[states:], pairs=scene.pairs)
        later = later[moving[later[:, 0] % states] & _one_is(scene.tool, later, states)]
        parts.append(later + later.new_tensor([states, 0, 0]))
    pairs = torch.cat(parts)
    state = pairs[:, 0] % states
    a, b = kinds[state, pairs[:, 1]], kinds[state, pairs[:, 2]]
    one, other = torch.maximum(a, b), torch.minimum(a, b)  # FREE is the greatest
    chosen = (one == Kind.FREE) & sum((other == kind for kind in between_kinds), torch.zeros_like(a, dtype=torch.bool))
    chosen &= _one_is(scene.free & wanted, pairs, states)
    found = contacts(scene.solids.shapes, stack, shape_ids=all_ids, candidates=pairs[chosen])
    phase = found.pairs[:, 0] // states
    pairs = torch.cat([(found.pairs[:, :1] % states), found.pairs[:, 1:]], dim=-1)
    return Rows(Contacts(pairs, *[getattr(found, name) for name in list(vars(found))[1:]]), phase)


def _one_is(flag: Tensor, pairs: Tensor, states: int) -> Tensor:
    state = pairs[:, 0] % states
    return flag[state, pairs[:, 1]] | flag[state, pairs[:, 2]]


def touches(scene: Scene, rows: Rows, wanted: Tensor) -> Touch:
    """The contacts that matter most to each wanted body: of every partner and phase the first, then further ones."""
    state, body = wanted.nonzero().unbind(-1)
    index = torch.full(wanted.shape, -1)
    index[state, body] = torch.arange(len(state))
    found = rows.found
    sides = []
    for own, other, sign in ((1, 2, 1.0), (2, 1, -1.0)):
        owner = index[found.pairs[:, 0], found.pairs[:, own]]
        keep = (owner >= 0).nonzero().squeeze(-1)
        arms = (found.arm_a, found.arm_b) if own == 1 else (found.arm_b, found.arm_a)
        sides.append((keep, owner[keep], found.pairs[keep, other], sign, *arms))
    row = torch.cat([side[0] for side in sides])
    owner, partner = torch.cat([side[1] for side in sides]), torch.cat([side[2] for side in sides])
    kind = scene.kinds[found.pairs[row, 0], partner]
    distance = found.distance[row, :A_ROW]
    used = torch.arange(A_ROW) < found.count[row, None]
    back = distance.new_tensor([LATER[Kind(k)] for k in range(3)])[kind]
    key = distance.clamp(-0.005, REACH) + back[:, None] * torch.arange(A_ROW)
    slots = _best(owner, torch.where(used, key, torch.inf), len(state))
    valid = slots >= 0
    entry, rank = slots.clamp(min=0) // A_ROW, slots.clamp(min=0) % A_ROW
    if not len(row):
        return _nothing(state, body)
    source = row[entry]
    facing = torch.cat([torch.full((len(side[0]),), side[3]) for side in sides])
    own_arm = torch.cat([side[4][side[0], :A_ROW] for side in sides])
    far_arm = torch.cat([side[5][side[0], :A_ROW] for side in sides])
    apart = distance[entry, rank]
    near = (1 - apart.clamp(min=0) / REACH).clamp(0, 1)
    mask = valid[..., None]
    return Touch(
        state=state,
        body=body,
        partner=torch.where(valid, partner[entry], body[:, None]),
        kind=torch.where(valid, kind[entry], 0),
        phase=torch.where(valid, rows.phase[source], 0),
        distance=torch.where(valid, apart, REACH),
        normal=facing[entry][..., None] * found.normal[source, rank] * mask,
        arm=own_arm[entry, rank] * mask,
        partner_arm=far_arm[entry, rank] * mask,
        weight=near * near * (3 - 2 * near) * valid,
    )


def _best(owner: Tensor, key: Tensor, count: int) -> Tensor:
    """[count, 8] indices into the flattened `key` [E, K] of each owner's least, -1 where there are fewer."""
    flat, whose = key.flatten(), owner.repeat_interleave(key.shape[1])
    order = torch.argsort(flat, stable=True)
    order = order[: int(torch.isfinite(flat).sum())]
    order = order[torch.argsort(whose[order], stable=True)]
    whose = whose[order]
    start = torch.searchsorted(whose, torch.arange(count))
    place = torch.arange(len(order)) - start[whose]
    slots = torch.full((count, SLOTS), -1)
    first = place < SLOTS
    slots[whose[first], place[first]] = order[first]
    return slots


def _nothing(state: Tensor, body: Tensor) -> Touch:
    count = len(state)
    whole, zero = torch.zeros(count, SLOTS, dtype=torch.int64), torch.zeros(count, SLOTS, 3)
    return Touch(state, body, body[:, None].expand(-1, SLOTS), whole, whole, torch.full((count, SLOTS), REACH), zero,
                 zero, zero, torch.zeros(count, SLOTS))  # fmt: skip


def find_islands(
    scene: Scene, poses: Tensor, twists: Tensor, ends: Tensor, seconds: float, *, unsure: Tensor
) -> Islands:
    """The islands of contact that hold something that moves."""
    with torch.no_grad():
        free = scene.free
        unsettled = free & ~still(twists)
        moving = unsettled | scene.tool & (ends != poses).any(-1)
        colliding = _approaching(scene, poses, twists, seconds)
        unsure = free & (unsure | unsettled) & bool(scene.gravity.any())
        loose = unsure & ~_held(scene, poses, unsure)
        linked = colliding | _linked(scene, find_rows(scene, poses, ends, (Kind.TOOL, Kind.FREE), free))
        together = _closure(linked)
        awake = free & ((together & (moving | loose)[:, None]).any(-1) | moving | loose)
        lively = (twists[..., 3:5].norm(dim=-1) > TIPPING) | (twists[..., 2].abs() > LIFTING)
        lively = free & (lively | loose | colliding.any(-1))
        # A tool that joins two islands does not make one's pace the other's.
        bodies = _closure(linked & free[:, None] & free[..., None])
        fine = awake & ((bodies & lively[:, None]).any(-1) | lively)
        driven = awake & (together & (scene.tool & (ends != poses).any(-1))[:, None]).any(-1)
        return Islands(awake, fine, driven)


def _held(scene: Scene, poses: Tensor, wanted: Tensor) -> Tensor:
    """[S, B] bool, whether a body touches something that is below the contact."""
    rows = find_rows(scene, poses, poses, KINDS, wanted)
    held = torch.zeros_like(scene.free)
    found = rows.found
    state, a, b = found.pairs.unbind(-1)
    touching = (found.distance < TOUCHING) & (torch.arange(found.distance.shape[1]) < found.count[:, None])
    up = found.normal[..., 2]
    lifts_a, lifts_b = (touching & (up > 0.3)).any(-1), (touching & (up < -0.3)).any(-1)
    held[state[lifts_a], a[lifts_a]] = True
    held[state[lifts_b], b[lifts_b]] = True
    return held


def _linked(scene: Scene, rows: Rows) -> Tensor:
    """[S, B, B] bool, symmetric: pairs that touch, or will as far as the tool is concerned."""
    linked = torch.zeros(*scene.free.shape, scene.free.shape[1], dtype=torch.bool)
    near = rows.found.pairs[rows.found.distance.amin(-1) < TOUCHING]
    linked[near[:, 0], near[:, 1], near[:, 2]] = True
    return linked | linked.mT


def _approaching(scene: Scene, poses: Tensor, twists: Tensor, seconds: float) -> Tensor:
    """[S, B, B] bool: free bodies that come nearer fast, and whose boxes could meet on the way."""
    boxes = scene.solids.shapes.boxes[scene.shape_ids.long()].double().unflatten(-1, (2, 3))
    middle, half = boxes.mean(-2), boxes.diff(dim=-2).squeeze(-2) / 2
    spin = twists[..., 3:].norm(dim=-1) * seconds * (middle.norm(dim=-1) + half.norm(dim=-1))
    turn = pose.quat_to_matrix(poses[..., 3:])
    place, extent = pose.transform(poses, middle), (turn.abs() @ half[..., None]).squeeze(-1)
    low, high = place - extent, place + extent
    way = (twists[:, :, None, :3] - twists[:, None, :, :3]) * seconds
    nearer = ((poses[:, :, None, :3] - poses[:, None, :, :3]) * way).sum(-1) < 0
    stray = (spin[:, :, None] + spin[:, None])[..., None]
    before = (low[:, :, None] + way.clamp(max=0) - stray <= high[:, None]).all(-1)
    after = (low[:, None] <= high[:, :, None] + way.clamp(min=0) + stray).all(-1)
    pairs = scene.free[:, None] & scene.free[..., None]
    return pairs & (way.norm(dim=-1) > APPROACH) & nearer & before & after


def _closure(linked: Tensor) -> Tensor:
    """[S, B, B] bool: what hangs together through any number of links."""
    bodies = linked.shape[-1]
    reach = (linked | torch.eye(bodies, dtype=torch.bool)).float()
    for _ in range(max(1, (bodies - 1).bit_length())):
        reach = (reach @ reach).clamp(max=1)
    return reach > 0


def project(scene: Scene, poses: Tensor, free: Tensor) -> tuple[Tensor, Rows]:
    """Poses without penetration, near the given ones; static bodies and tools stay, the rest give way by mass."""
    look = free
    rows = None
    for _ in range(LOOKS):
        rows = _overlapping(find_rows(scene, poses, poses, KINDS, look))
        if not len(rows.found.count):
            break
        shift = _solve(scene, poses, rows.found)
        poses = moved(poses, shift.to(poses))
        state, a, b = rows.found.pairs.unbind(-1)
        look = torch.zeros_like(free)
        look[state, a] = look[state, b] = True
        look = look & scene.free
    else:
        rows = _overlapping(find_rows(scene, poses, poses, KINDS, look))
    assert rows is not None
    return poses, rows


def _overlapping(rows: Rows) -> Rows:
    deep = (rows.found.distance.amin(-1) < -NOTICED).nonzero().squeeze(-1)
    return Rows(Contacts(*[value[deep] for value in vars(rows.found).values()]), rows.phase[deep])


def _solve(scene: Scene, poses: Tensor, found: Contacts) -> Tensor:
    """[S, B, 6] float32 displacements, 0 where nothing is in the way."""
    states, bodies = scene.free.shape
    state, a, b = found.pairs.unbind(-1)
    ends = [state * bodies + a, state * bodies + b]
    inverse = scene.inverse_mass.flatten()
    volume = scene.solids.volume[scene.shape_ids.long()].flatten().clamp(min=1e-9)
    # The inertia of a ball of the body's size about each axis is near enough to share a correction out.
    spread = scene.solids.spread.diagonal(dim1=-2, dim2=-1).sum(-1)[scene.shape_ids.long()].flatten()
    turning = inverse / (2 / 3 * spread).clamp(min=1e-6) * (volume > 1e-9)
    used = (torch.arange(found.distance.shape[1]) < found.count[:, None]) & (found.distance < 0)
    arms = [found.arm_a, found.arm_b]
    levers = [torch.linalg.cross(arm, found.normal) for arm in arms]
    number = torch.zeros(states * bodies)
    for end in ends:
        number = number.index_add(0, end, used.sum(-1).float())
    signs = (1.0, -1.0)
    give = sum(
        (number[e] * inverse[e])[:, None] + (number[e] * turning[e])[:, None] * lever.square().sum(-1)
        for e, lever in zip(ends, levers, strict=True)
    )
    assert isinstance(give, Tensor)
    slopes = tangent(poses).reshape(-1, 6) if poses.requires_grad else None
    distance = found.distance
    if slopes is not None:
        distance = distance + _along(slopes, ends, found.normal, levers)
    push = torch.zeros_like(found.distance)
    total = torch.zeros(states * bodies, 6)
    for _ in range(ITERATIONS):
        gap = distance + _along(total, ends, found.normal, levers) + TARGET
        push = torch.where(used & (give > 0), (push - RELAXATION * gap / give.clamp(min=1e-9)).clamp(min=0), 0.0)
        total = torch.zeros(states * bodies, 6)
        for end, lever, sign in zip(ends, levers, signs, strict=True):
            linear = inverse[end, None] * (push[..., None] * found.normal).sum(1)
            angular = turning[end, None] * (push[..., None] * lever).sum(1)
            total = total.index_add(0, end, sign * torch.cat([linear, angular], dim=-1))
    return total.reshape(states, bodies, 6)


def _along(motion: Tensor, ends: list[Tensor], normal: Tensor, levers: list[Tensor]) -> Tensor:
    """[C, K] by how much motions [S * B, 6] of both bodies open each contact."""
    a, b = (motion[end][:, None] for end in ends)
    opened = ((a[..., :3] - b[..., :3]) * normal).sum(-1)
    return opened + (a[..., 3:] * levers[0]).sum(-1) - (b[..., 3:] * levers[1]).sum(-1)


def squeezed(scene: Scene, rows: Rows, way: Tensor) -> Tensor:
    """[S] the fraction of their way that tools must give back, for free bodies that could not give way."""
    found = rows.found
    state, a, b = found.pairs.unbind(-1)
    tool_a, tool_b = scene.tool[state, a], scene.tool[state, b]
    tool = torch.where(tool_a, a, b)
    way = way[state, tool].float()[:, None]
    arm = torch.where(tool_a[:, None, None], found.arm_a, found.arm_b)
    sign = torch.where(tool_a, -1.0, 1.0)[:, None]
    deeper = sign * ((way[..., :3] + torch.linalg.cross(way[..., 3:].expand_as(arm), arm)) * found.normal).sum(-1)
    over = (-found.distance - SLOP).clamp(min=0)
    share = torch.where((tool_a | tool_b)[:, None] & (deeper > 1e-6), over / deeper.clamp(min=1e-6), 0.0).clamp(0, 1)
    return torch.zeros(len(scene.kinds)).scatter_reduce(0, state, share.amax(-1), "amax")
