"""Which bodies touch, what carries what, and how hard they press."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.checks import InputError
from splatworld.geometry.contacts import contacts as find_contacts
from splatworld.geometry.distance import is_known
from splatworld.geometry.seen import nearest_inside
from splatworld.plan.answers import Estimate, Touches
from splatworld.plan.gripping import grip_impulses
from splatworld.plan.impulses import Pressed, impulses
from splatworld.plan.instants import Instant

if TYPE_CHECKING:
    from splatworld.plan.prediction import Prediction

TOUCHING = 0.0015
"""m between surfaces up to which bodies touch: bodies that dynamics lets rest are apart by up to a millimetre."""
UPWARD = 0.3
"""Of a contact's normal, from which on it carries."""


def contacts(prediction: Prediction, t: float | Tensor | None, reach: float) -> Touches:
    """Arguments and errors as of `Prediction.contacts`."""
    now = prediction.at("contacts", t)
    if not reach >= 0:
        raise InputError(f"contacts: reach is {reach}, expected m, 0 or more.")
    found = touching(prediction, now, reach)
    pressed = _pressed(prediction, now, t, found)
    impulse, std = impulses(prediction.world, prediction.weights, pressed, found)
    impulse = impulse + grip_impulses(prediction.world, pressed, found)
    return Touches(**{**vars(found), "impulse": impulse, "impulse_std": std})


def touching(prediction: Prediction, now: Instant, reach: float) -> Touches:
    """Contacts nearer than `reach`, impulses left at 0."""
    near = find_contacts(prediction.field.shapes, now.poses, reach=reach)
    slot = torch.arange(near.distance.shape[1])
    used = (slot < near.count[:, None]) & (near.distance <= reach)
    row, column = torch.nonzero(used).unbind(-1)
    state, a, b = near.pairs[row].unbind(-1)
    normal, point = near.normal[row, column], near.point[row, column]
    arms = torch.stack([near.arm_a[row, column], near.arm_b[row, column]], dim=1)
    both = torch.stack([a, b], dim=1)
    bodies = now.poses.shape[-2]
    twists = now.twists.detach().cpu().float().reshape(-1, bodies, 6)[state[:, None], both]
    speed = twists[..., :3] + torch.linalg.cross(twists[..., 3:], arms)
    std = now.std.detach().cpu().float().reshape(-1, bodies, 6)[state[:, None], both]
    turn = torch.linalg.cross(arms, normal[:, None].expand_as(arms))
    variance = (std[..., :3] * normal[:, None]).square().sum(-1) + (std[..., 3:] * turn).square().sum(-1)
    rough = prediction.field.roughness[both].square()
    nothing = torch.zeros(len(state))
    return Touches(
        state=state,
        bodies=both,
        point=point,
        normal=normal,
        distance=near.distance[row, column],
        approach=-((speed[:, 0] - speed[:, 1]) * normal).sum(-1),
        impulse=nothing,
        impulse_std=nothing,
        std=(variance + rough).sum(-1).sqrt(),
        known=_known(prediction, now, state, both, point),
    )


def _known(prediction: Prediction, now: Instant, state: Tensor, both: Tensor, point: Tensor) -> Tensor:
    """[C] bool: both surfaces were seen there, and the prediction had not broken down."""
    known = now.alive.detach().cpu().reshape(-1)[state]
    poses = now.poses.detach().cpu().double().reshape(-1, now.poses.shape[-2], 7)
    for side in (0, 1):
        for body in both[:, side].unique().tolist():
            grid = prediction.field.seen[body]
            if grid is None:
                continue
            mine = both[:, side] == body
            local = pose.transform(pose.inverse(poses[state[mine], body]), point[mine].double())
            known[mine] &= is_known(grid, nearest_inside(grid, local))
    return known


def supported_by(prediction: Prediction, body: int, t: float | Tensor | None) -> Estimate:
    """Arguments and errors as of `Prediction.supported_by`."""
    now = prediction.at("supported_by", t)
    found = touching(prediction, now, TOUCHING)
    up = prediction.world.gravity.float()
    up = -up / up.norm() if bool(up.norm() > 0) else torch.tensor([0.0, 0.0, 1.0])
    count = len(prediction.world.bodies)
    states = now.alive.numel()
    value = torch.zeros(states, count, dtype=torch.bool)
    std = torch.zeros(states, count)
    known = now.alive.detach().cpu().reshape(-1, 1).expand(-1, count).clone()
    lift = (found.normal * up).sum(-1)
    for side, sign in ((0, 1.0), (1, -1.0)):
        carries = (found.bodies[:, side] == body) & (sign * lift > UPWARD)
        at = (found.state[carries], found.bodies[carries, 1 - side])
        value.index_put_(at, torch.tensor(True))
        std.index_put_(at, found.std[carries])
        known[at] = known[at] & found.known[carries]
    return Estimate(*(each.reshape(*now.batch, count) for each in (value, std, known)))


def _pressed(prediction: Prediction, now: Instant, t: float | Tensor | None, found: Touches) -> Pressed:
    """How the bodies' motion changed during the action that ends at t."""

    def flat(value: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        return value.detach().to("cpu", dtype).reshape(-1, *value.shape[-2:])

    if prediction.times is None:
        twists = flat(now.twists)
        return Pressed(
            twists, torch.zeros_like(twists), twists, flat(now.poses, torch.float64), flat(now.latents), None
        )
    start, end, seconds = prediction.step("contacts", t)
    length = seconds.float().expand(start.batch).reshape(-1)
    first, last = (flat(each.poses, torch.float64) for each in (start, end))
    turn = pose.multiply_quats(last[..., 3:], pose.conjugate_quat(first[..., 3:]))
    along = pose.log(torch.cat([last[..., :3] - first[..., :3], turn], dim=-1)).float() / length[:, None, None]
    return Pressed(flat(start.twists), flat(end.twists), along, last, flat(end.latents), length)
