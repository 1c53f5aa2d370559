"""A rollout as the frames of a video."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

import numpy as np
import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.camera import Camera, stack
from splatworld.core.state import State
from splatworld.core.world import World
from splatworld.render.render import render
from splatworld.render.rendering import to_bytes

AT_ONCE = 10
"""Frames that are rendered together: what stands still in them is drawn once."""


def frames_between(states: State, count: int) -> State:
    """States [T + 1] with `count` - 1 more between each two: [T * count + 1]; see `states_between`."""
    return states_between(states, torch.arange((len(states.time) - 1) * count + 1, dtype=torch.float64) / count)


def states_between(states: State, at: Tensor) -> State:
    """States [T + 1] at instants between them.

    Poses go straight and turn evenly, near enough for turns in a tenth of a second; all else is as at the state before.

    Args:
        states: one after the other.
        at: [F] from 0 to T, in steps from one state to the next.
    """
    before = at.floor().long()
    share, after = (at - before)[:, None, None], (before + 1).clamp(max=len(states.time) - 1)
    values = {f.name: getattr(states, f.name)[before] for f in fields(State)}
    for name in ("world_from_body", "nodes"):
        values[name] = _between(values[name], getattr(states, name)[after], share)
    return State(**values)


def film(world: World, states: State, camera: Camera | list[Camera]) -> Iterator[np.ndarray]:
    """Pictures [H, W, 3] uint8 of states [T], one after the other; by one camera, or by one of one size for each."""
    for first in range(0, len(states.time), AT_ONCE):
        part = slice(first, first + AT_ONCE)
        seen = camera if isinstance(camera, Camera) else stack(camera[part])
        yield from to_bytes(render(world, states[part], seen).image)


def _between(one: Tensor, other: Tensor, share: Tensor) -> Tensor:
    """Poses [..., 7], `share` of the way from one to the other; bit for bit the first where they are equal."""
    near = torch.where((one[..., 3:] * other[..., 3:]).sum(-1, keepdim=True) < 0, -other[..., 3:], other[..., 3:])
    mixed = one + share.to(one) * (torch.cat([other[..., :3], near], dim=-1) - one)
    mixed = torch.cat([mixed[..., :3], pose.normalize_quat(mixed[..., 3:])], dim=-1)
    return torch.where((one == other).all(-1, keepdim=True) | (share == 0), one, mixed)
