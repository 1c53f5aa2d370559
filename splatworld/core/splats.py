"""Gaussian splats, stored as they are optimised."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import IntEnum

import torch
from torch import Tensor
from torch.nn.functional import pad

from splatworld.core.checks import InputError, check_finite, check_shape


class Provenance(IntEnum):
    """Where a splat comes from; geometric answers carry the same known/unknown mask."""

    OBSERVED = 0
    COMPLETED = 1
    IMPORTED = 2


@dataclass(frozen=True)
class Splats:
    """N Gaussians in the rest frame of the capture's world.

    Attributes:
        means: [N, 3] m (capture units while `World.scale.source` is "none").
        log_scales: [N, 3] natural log of the standard deviations in m.
        quats: [N, 4] wxyz, need not be normalised, never zero.
        opacity_logits: [N].
        sh: [N, K, 3] spherical harmonics of colour, K = (degree + 1)^2; colour = 0.5 + sum, clamped at 0.
        body_ids: [N] int32 index into `World.bodies`.
        provenance: [N] uint8, see `Provenance`.
    """

    means: Tensor
    log_scales: Tensor
    quats: Tensor
    opacity_logits: Tensor
    sh: Tensor
    body_ids: Tensor
    provenance: Tensor

    def __post_init__(self) -> None:
        check_shape("Splats", "means", self.means, ("N", 3))
        count = self.means.shape[0]
        check_shape("Splats", "log_scales", self.log_scales, (count, 3))
        check_shape("Splats", "quats", self.quats, (count, 4))
        check_shape("Splats", "opacity_logits", self.opacity_logits, (count,))
        check_shape("Splats", "sh", self.sh, (count, "K", 3))
        if self.sh.shape[1] not in (1, 4, 9, 16):
            raise InputError(
                f"Splats: sh is {list(self.sh.shape)}, expected 1, 4, 9 or 16 coefficients (degree 0 to 3)."
            )
        check_shape("Splats", "body_ids", self.body_ids, (count,))
        check_shape("Splats", "provenance", self.provenance, (count,))

    def __len__(self) -> int:
        return self.means.shape[0]

    @property
    def scales(self) -> Tensor:
        """[N, 3] standard deviations in m."""
        return self.log_scales.exp()

    @property
    def opacities(self) -> Tensor:
        """[N] in (0, 1)."""
        return self.opacity_logits.sigmoid()

    @property
    def degree(self) -> int:
        """Degree of the spherical harmonics, 0 to 3."""
        return {1: 0, 4: 1, 9: 2, 16: 3}[self.sh.shape[1]]

    def select(self, keep: Tensor) -> Splats:
        """The splats `keep`, a [N] bool or an index tensor."""
        return Splats(**{f.name: getattr(self, f.name)[keep] for f in fields(self)})

    def to(self, device: torch.device | str) -> Splats:
        """The same splats in the memory of a device."""
        return Splats(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def check(self) -> None:
        """Raise InputError naming the first splat with NaN, Inf or a zero quaternion."""
        for name in ("means", "log_scales", "quats", "opacity_logits", "sh"):
            check_finite("Splats", name, getattr(self, name))
        zero = torch.nonzero(self.quats.norm(dim=-1) == 0)
        if len(zero):
            raise InputError(
                f"Splats: quats[{zero[0].item()}] is zero, expected a rotation; drop the {len(zero)} such splat(s)."
            )


def from_points(points: Tensor, colors: Tensor, *, scale: Tensor, opacity: float = 0.1, degree: int = 3) -> Splats:
    """Round splats at points.

    Args:
        points: [N, 3] m.
        colors: [N, 3] uint8 sRGB.
        scale: [N] standard deviation in m.
        opacity: initial opacity.
        degree: of the spherical harmonics; all but the constant start at zero.
    """
    count = points.shape[0]
    sh = torch.zeros(count, (degree + 1) ** 2, 3)
    sh[:, 0] = (colors.float() / 255 - 0.5) / SH_CONSTANT
    quats = torch.zeros(count, 4)
    quats[:, 0] = 1
    return Splats(
        means=points.float().clone(),
        log_scales=scale.float().log()[:, None].repeat(1, 3),
        quats=quats,
        opacity_logits=torch.logit(torch.full((count,), opacity)),
        sh=sh,
        body_ids=torch.zeros(count, dtype=torch.int32),
        provenance=torch.full((count,), int(Provenance.OBSERVED), dtype=torch.uint8),
    )


def joined(parts: list[Splats]) -> Splats:
    """Splats one after the other, in the types of the first, colours of the highest degree among them."""
    first, most = parts[0], max(part.sh.shape[1] for part in parts)
    parts = [replace(part, sh=pad(part.sh, (0, 0, 0, most - part.sh.shape[1]))) for part in parts]
    return Splats(
        **{f.name: torch.cat([getattr(p, f.name).to(getattr(first, f.name)) for p in parts]) for f in fields(Splats)}
    )


def morton_order(means: Tensor) -> Tensor:
    """Indices [N] that bring points [N, 3] into Morton (Z) order, so that neighbours in space are neighbours in memory.

    1,024 cells an axis between the 1st and 99th percentile; ties keep their order. Morton, "A computer oriented
    geodetic data base" (1966).
    """
    if len(means) == 0:
        return torch.zeros(0, dtype=torch.int64, device=means.device)
    ordered = means.sort(dim=0).values
    low, high = ordered[len(means) // 100], ordered[-1 - len(means) // 100]
    cells = ((means - low) / (high - low).clamp(min=1e-12) * 1023).clamp(0, 1023).long()
    code = torch.zeros(len(means), dtype=torch.int64, device=means.device)
    for bit in range(10):
        for axis in range(3):
            code |= ((cells[:, axis] >> bit) & 1) << (3 * bit + axis)
    return code.argsort(stable=True)


SH_CONSTANT = 0.28209479177387814
"""Value of the constant spherical harmonic, 1 / (2 sqrt(pi))."""
