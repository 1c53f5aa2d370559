"""Splats as pieces of surface: their normals, samples across them, and how high they lie above the support."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.splats import Splats

ACROSS = (-1.4, -0.7, 0.0, 0.7, 1.4)
"""Where a splat is sampled along its axes, standard deviations."""


@dataclass(frozen=True)
class Samples:
    """Points spread over splats.

    Attributes:
        points: [P, 3] m.
        owners: [P] int64 the splat each point lies on.
    """

    points: Tensor
    owners: Tensor

    def select(self, keep: Tensor) -> Samples:
        return Samples(self.points[keep], self.owners[keep])


def axes(splats: Splats) -> tuple[Tensor, Tensor]:
    """The splats' axes [N, 3, 3] (columns, unit) and standard deviations [N, 3] along them, longest first."""
    rotation = pose.quat_to_matrix(pose.normalize_quat(splats.quats))
    lengths, order = splats.scales.sort(dim=1, descending=True)
    return rotation.gather(2, order[:, None, :].expand(-1, 3, -1)), lengths


def normals(splats: Splats) -> Tensor:
    """[N, 3] unit vectors across the splats, along their shortest axes; which side is arbitrary."""
    return axes(splats)[0][:, :, 2]


def sample(splats: Splats, chosen: Tensor) -> Samples:
    """27 points on each of the splats `chosen` [N] bool: 25 in the plane of its two long axes, one on either side."""
    owners = torch.nonzero(chosen).squeeze(-1)
    directions, lengths = axes(splats.select(owners))
    steps = torch.tensor(ACROSS)
    grid = torch.nn.functional.pad(torch.cartesian_prod(steps, steps), (0, 1))
    grid = torch.cat([grid, torch.tensor([[0.0, 0.0, ACROSS[0]], [0.0, 0.0, ACROSS[-1]]])])
    spread = directions * lengths[:, None]
    points = splats.means[owners][:, None] + torch.einsum("nij,kj->nki", spread, grid)
    return Samples(points.flatten(0, 1), owners.repeat_interleave(len(grid)))
