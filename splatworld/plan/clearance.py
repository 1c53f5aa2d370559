"""Room that bodies keep in predicted futures, measured surface to surface."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from splatworld.core.checks import InputError
from splatworld.core.rollout import Rollout
from splatworld.geometry.contacts import contacts, near_pairs
from splatworld.geometry.shapes import Shapes


@dataclass(frozen=True)
class KeepClear:
    """Other bodies shall keep away from a body all the time.

    Attributes:
        shapes: of the world.
        body: index.
        others: indices of those that shall keep away.
        distance: m, surface to surface.
        weight: of a metre that is missing.
    """

    shapes: Shapes
    body: int
    others: tuple[int, ...]
    distance: float
    weight: float = 5.0

    def __post_init__(self) -> None:
        if not 0 < self.distance <= 1:
            raise InputError(f"KeepClear: the distance is {self.distance} m, expected more than 0 and at most 1.")

    def __call__(self, rollout: Rollout) -> Tensor:
        pairs = torch.tensor([sorted((self.body, other)) for other in self.others], dtype=torch.int32).reshape(-1, 2)
        near = gaps(self.shapes, rollout.states.world_from_body, pairs, self.distance)
        return self.weight * (self.distance - near).clamp(min=0).amax(dim=-1)


def gaps(shapes: Shapes, poses: Tensor, pairs: Tensor, reach: float) -> Tensor:
    """[...] m between the nearest surfaces of some pairs of bodies in states of poses [..., B, 7]; `reach` where none
    come nearer."""
    flat = poses.reshape(-1, *poses.shape[-2:])
    found = torch.full((len(flat),), reach, dtype=poses.dtype)
    near = near_pairs(shapes, flat, reach=reach, pairs=pairs)
    if len(near):
        close = contacts(shapes, flat, reach=reach, candidates=near)
        found = found.scatter_reduce(0, close.pairs[:, 0], close.distance.amin(dim=-1).to(found), "amin")
    return found.reshape(poses.shape[:-2])
