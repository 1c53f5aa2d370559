"""Images of points and splats under symmetries: upright mirror planes, and revolutions about upright axes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.splats import Provenance, Splats

TURNS = 12
"""Steps of a revolution."""


@dataclass(frozen=True)
class Family:
    """Upright symmetries, told by an angle and a place [K, 3] (radians, m, m).

    Mirrors: the direction of the plane's normal and a point of the plane. Revolutions, by M turns: a point of the axis.
    """

    mirrors: bool

    def matrices(self, told: Tensor) -> Tensor:
        """[K, M, 3, 3], small turns first."""
        steps = torch.arange(1, TURNS)
        steps = torch.where(steps % 2 == 1, (steps + 1) // 2, -steps // 2)
        angle = 2 * told[:, :1] if self.mirrors else (steps * (2 * torch.pi / TURNS)).expand(len(told), -1)
        c, s = angle.to(told).cos(), angle.to(told).sin()
        zero = torch.zeros_like(c)
        rows = [-c, -s, zero, -s, c, zero] if self.mirrors else [c, -s, zero, s, c, zero]
        return torch.stack([*rows, zero, zero, zero + 1], dim=2).unflatten(2, (3, 3))

    def images(self, told: Tensor, points: Tensor) -> Tensor:
        """[K, M, P, 3] images of points [P, 3]."""
        at = torch.nn.functional.pad(told[:, 1:], (0, 1))[:, None, None]
        return torch.einsum("kmij,kmpj->kmpi", self.matrices(told), points - at) + at

    def copies(self, told: Tensor, splats: Splats) -> list[Splats]:
        """M images of splats under one symmetry [3], completed, of one colour from all sides."""
        matrices, places = self.matrices(told[None])[0].float(), self.images(told[None], splats.means.double())[0]
        # A splat is its own mirror image along each axis: with the last one turned back, a mirror gives a rotation.
        back = torch.tensor([1.0, 1.0, -1.0 if self.mirrors else 1.0])
        turned = matrices[:, None] @ pose.quat_to_matrix(pose.normalize_quat(splats.quats)) * back
        same = replace(
            splats,
            sh=splats.sh * (torch.arange(splats.sh.shape[1]) == 0)[:, None],
            provenance=torch.full_like(splats.provenance, int(Provenance.COMPLETED)),
        )
        return [
            replace(same, means=means.float(), quats=quats)
            for means, quats in zip(places, pose.matrix_to_quat(turned), strict=True)
        ]
