"""Where bodies touch or nearly do during a step, listed for each body that is to be predicted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.dynamics.scene import Kind, Scene
from splatworld.geometry.contacts import REACH, Contacts, contacts, near_pairs

SLOTS = 8
"""Contacts a body, at most."""
PHASES = 3
"""The tool is looked at where it starts, halfway, and where it ends."""
A_ROW = 4
"""Contacts of one pair that are considered, far apart."""
LATER = {Kind.STATIC: 0.004, Kind.TOOL: 0.01, Kind.FREE: 0.006}
"""m that a further contact of the same pair stands back: a body keeps three or four of its support beside the tool's
first at each phase."""


@dataclass(frozen=True)
class Rows:
    """Contacts of pairs, with the phase of the tool at which they were found.

    Attributes:
        found: pairs name states of the batch, not of phases.
        phase: [C] int64, 0 to 2.
    """

    found: Contacts
    phase: Tensor


@dataclass(frozen=True)
class Touch:
    """Up to 8 contacts for each of N bodies; unused ones have weight 0.

    Attributes:
        state, body: [N] int64, whose contacts.
        partner: [N, 8] int64, the other body.
        kind: [N, 8] int64, its kind.
        phase: [N, 8] int64.
        distance: [N, 8] m.
        normal: [N, 8, 3] from the partner towards the body, world axes.
        arm, partner_arm: [N, 8, 3] m from the body's and the partner's frame to the contact, world axes.
        weight: [N, 8] 1 at a contact, smoothly to 0 at `REACH`.
    """

    state: Tensor
    body: Tensor
    partner: Tensor
    kind: Tensor
    phase: Tensor
    distance: Tensor
    normal: Tensor
    arm: Tensor
    partner_arm: Tensor
    weight: Tensor


def swept(poses: Tensor, ends: Tensor) -> Tensor:
    """Poses halfway [..., 7] between `poses` and `ends`, exactly `poses` where nothing moves."""
    return between(poses, ends, 0.5)


def between(poses: Tensor, ends: Tensor, fraction: Tensor | float) -> Tensor:
    """Poses [..., 7] a `fraction` [...] of the way from `poses` to `ends`: straight, turning evenly."""
    share = torch.as_tensor(fraction, dtype=poses.dtype, device=poses.device)[..., None]
    return moved(poses, share * travelled(poses, ends))


def travelled(poses: Tensor, ends: Tensor) -> Tensor:
    """[..., 6] translation and rotation vector, world axes, from `poses` to `ends` [..., 7]."""
    turn = pose.multiply_quats(ends[..., 3:], pose.conjugate_quat(poses[..., 3:]))
    return pose.log(torch.cat([ends[..., :3] - poses[..., :3], turn], dim=-1))


def moved(poses: Tensor, motion: Tensor) -> Tensor:
    """Poses [..., 7] displaced by `motion` [..., 6] in world axes, about their own origins."""
    step = pose.exp(motion)
    quat = pose.normalize_quat(pose.multiply_quats(step[..., 3:], poses[..., 3:]))
    still = (motion == 0).all(dim=-1, keepdim=True)
    return torch.where(still, poses, torch.cat([poses[..., :3] + step[..., :3], quat], dim=-1))


def find_rows(scene: Scene, poses: Tensor, ends: Tensor, between_kinds: tuple[Kind, ...], wanted: Tensor) -> Rows:
    """Contacts of pairs of free bodies with partners of some kinds.

    Args:
        scene: of S states.
        poses: [S, B, 7] where all bodies start.
        ends: [S, B, 7] where tools end.
        between_kinds: the partners' kinds.
        wanted: [S, B] bool; one of a pair must be wanted and free.
    """
    states = len(poses)
    now = poses.detach().double()
    ids, kinds = scene.shape_ids, scene.kinds
    parts = [near_pairs(scene.solids.shapes, now, shape_ids=ids, pairs=scene.pairs)]
    stack, all_ids = now, ids
    if Kind.TOOL in between_kinds and bool(scene.tool.any()):
        # Only tools are known to end there: where a body ends is what is to be predicted.
        last = torch.where(scene.tool[..., None], ends.detach().double(), now)
        stack = torch.cat([now, swept(now, last), last])
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


def joined(*rows: Rows) -> Rows:
    """All of them."""
    names = list(vars(rows[0].found))
    found = Contacts(*[torch.cat([getattr(each.found, name) for each in rows]) for name in names])
    return Rows(found, torch.cat([each.phase for each in rows]))


def touches(scene: Scene, rows: Rows, wanted: Tensor) -> Touch:
    """The contacts that matter most to each wanted body: of every partner and phase the first, then further ones.

    Args:
        scene: of S states.
        rows: found among them.
        wanted: [S, B] bool.
    """
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
