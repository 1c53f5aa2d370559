"""How near balls come to bodies while both move: one answer for each part of the way."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.checks import InputError
from splatworld.geometry.field import swept_distances
from splatworld.plan.answers import Distances
from splatworld.plan.instants import SLACK, Instant
from splatworld.plan.places import answer, asks_gradient, check_places, first_order, flat_places, grown, posed

if TYPE_CHECKING:
    from splatworld.plan.prediction import Prediction

OWNER = "swept_clearance"


def sweep(prediction: Prediction, spheres: Tensor, dt: float | None, start: float, wanted: Tensor) -> Distances:
    """Arguments as of `Prediction.swept_clearance`; wanted [B] uint8, the bodies that count."""
    instants = spheres.shape[-3]
    if prediction.times is None:
        now = prediction.at(OWNER, None)
        still = {
            name: value.unsqueeze(len(now.batch)).expand(*now.batch, instants, *value.shape[len(now.batch) :])
            for name, value in vars(now).items()
        }
        return _swept(prediction, spheres, Instant(**still), wanted)
    times = _instants(prediction.times, instants, dt, start)
    between = prediction.times[(prediction.times > times[0] + SLACK) & (prediction.times < times[-1] - SLACK)]
    between = between[((between[:, None] - times).abs() > SLACK).all(-1)]
    if not len(between):
        return _swept(prediction, spheres, prediction.at(OWNER, times), wanted)
    merged = torch.cat([times, between]).sort().values
    later = torch.searchsorted(times, merged - SLACK).clamp(1)
    share = ((merged - times[later - 1]) / (times[later] - times[later - 1])).clamp(0, 1)[:, None, None].to(spheres)
    way = torch.lerp(spheres[..., later - 1, :, :], spheres[..., later, :, :], share)
    found = _swept(prediction, way, prediction.at(OWNER, merged), wanted)
    ends = torch.searchsorted(merged, times - SLACK)
    first = torch.cat([ends[:1], ends[:-1] + 1])
    parts = [_least(found, int(a), int(b) + 1) for a, b in zip(first, ends, strict=True)]
    names = [f.name for f in fields(Distances)]
    axis = found.value.ndim - 2
    return Distances(**{name: torch.stack([getattr(part, name) for part in parts], dim=axis) for name in names})


def _instants(times: Tensor, count: int, dt: float | None, start: float) -> Tensor:
    """[count] s.

    Raises:
        InputError: they go beyond the rollout.
    """
    if dt is not None and not dt > 0:
        raise InputError(f"{OWNER}: dt is {dt}, expected s above 0.")
    if dt is not None:
        return start + dt * torch.arange(count, dtype=torch.float64)
    first = int((times - start).abs().argmin())
    if abs(float(times[first]) - start) > SLACK:
        raise InputError(f"{OWNER}: start is {start:g} s, where the rollout has no state; give dt too.")
    if first + count > len(times):
        raise InputError(
            f"{OWNER}: spheres have {count} instants from {start:g} s on, expected at most {len(times) - first} as the "
            "rollout has states; give dt if they are of other times."
        )
    return times[first : first + count]


def _swept(prediction: Prediction, spheres: Tensor, now: Instant, wanted: Tensor) -> Distances:
    """Spheres [..., T, S, 4] at instants [*plans, T]."""
    batch = check_places(OWNER, "spheres", spheres, 4, now.batch)
    if len(batch) < 1 or batch[-1] != spheres.shape[-3]:
        raise InputError(f"{OWNER}: spheres have {spheres.shape[-3]} instants, expected {now.batch[-1]}.")
    instants = batch[-1]
    full = posed(
        Instant(**{name: _expanded(value, now.batch, batch) for name, value in vars(now).items()}), batch, wanted
    )
    raw = swept_distances(
        prediction.field, full, flat_places(spheres, batch, len(full.poses)).reshape(len(full.poses), -1, 4), instants
    )
    found = answer(raw, now, batch, spheres)
    if not asks_gradient(spheres, now):
        return found
    assert raw.share is not None
    share = raw.share.reshape(found.value.shape)[..., None].to(spheres)
    index = found.body.clamp(min=0)

    def met(value: Tensor) -> Tensor:
        """The values [..., T, S, n], where each ball came nearest on its way."""
        before = torch.cat([value[..., :1, :, :], value[..., :-1, :, :]], dim=-3)
        return before + share * (value - before)

    poses = _expanded(now.poses, now.batch, batch).to(spheres)
    own = poses.gather(-2, index[..., None].expand(*index.shape, 7))
    before = torch.cat([poses[..., :1, :, :], poses[..., :-1, :, :]], dim=-3)
    own_before = before.gather(-2, index[..., None].expand(*index.shape, 7))
    flip = (own[..., 3:] * own_before[..., 3:]).sum(-1, keepdim=True) < 0
    near = torch.where(flip, -own[..., 3:], own[..., 3:])
    turn = pose.normalize_quat(own_before[..., 3:] + share * (near - own_before[..., 3:]))
    place = own_before[..., :3] + share * (own[..., :3] - own_before[..., :3])
    balls = met(spheres.expand(*batch, *spheres.shape[-2:]))
    change = first_order(found.gradient, found.body, balls[..., :3], torch.cat([place, turn], dim=-1))
    return replace(found, value=found.value + change - grown(balls[..., 3:], found.value))


def _expanded(value: Tensor, have: tuple[int, ...], want: tuple[int, ...]) -> Tensor:
    return value if have == want else value.expand(*want, *value.shape[len(have) :])


def _least(found: Distances, begin: int, end: int) -> Distances:
    """Of the parts of a way from `begin` to `end` the one that comes nearest; [..., S]."""
    axis = found.value.ndim - 2
    part = {name: value.narrow(axis, begin, end - begin) for name, value in vars(found).items()}
    index = part["value"].argmin(axis, keepdim=True)

    def picked(value: Tensor) -> Tensor:
        wide = index.reshape(*index.shape, *(1,) * (value.ndim - index.ndim)).expand(
            *index.shape, *value.shape[index.ndim :]
        )
        return value.gather(axis, wide).squeeze(axis)

    chosen = {name: picked(value) for name, value in part.items()}
    chosen["unseen"], chosen["known"] = part["unseen"].amin(axis), part["known"].all(axis)
    return Distances(**chosen)
