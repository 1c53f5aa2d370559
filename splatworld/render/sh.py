"""Real spherical harmonics to degree 3, in the sign convention of splat files (Condon-Shortley, m = -l..l)."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.checks import InputError, ShapeError

C0 = 0.5 / math.sqrt(math.pi)
C1 = math.sqrt(3 / (4 * math.pi))
C2 = math.sqrt(15 / (4 * math.pi))
C20 = math.sqrt(5 / (16 * math.pi))
C30 = math.sqrt(7 / (16 * math.pi))
C31 = math.sqrt(21 / (32 * math.pi))
C32 = math.sqrt(105 / (4 * math.pi))
C33 = math.sqrt(35 / (32 * math.pi))

COUNTS = (1, 4, 9, 16)
"""Coefficients up to each degree."""


def basis(directions: Tensor, degree: int) -> Tensor:
    """Values of the harmonics (Sloan, "Stupid Spherical Harmonics Tricks", 2008, appendix A2).

    Args:
        directions: [..., 3] unit vectors.
        degree: 0 to 3.

    Returns:
        [..., (degree + 1)^2], differentiable in `directions`.

    Raises:
        InputError: another degree.
    """
    if degree not in range(4):
        raise InputError(f"sh.basis: degree is {degree}, expected 0 to 3.")
    x, y, z = directions.unbind(-1)
    values = [torch.full_like(x, C0)]
    if degree >= 1:
        values += [-C1 * y, C1 * z, -C1 * x]
    if degree >= 2:
        xx, yy, zz = x * x, y * y, z * z
        values += [C2 * x * y, -C2 * y * z, C20 * (2 * zz - xx - yy), -C2 * x * z, 0.5 * C2 * (xx - yy)]
    if degree >= 3:
        values += [
            -C33 * y * (3 * xx - yy),
            C32 * x * y * z,
            -C31 * y * (4 * zz - xx - yy),
            C30 * z * (2 * zz - 3 * xx - 3 * yy),
            -C31 * x * (4 * zz - xx - yy),
            0.5 * C32 * z * (xx - yy),
            -C33 * x * (xx - 3 * yy),
        ]
    return torch.stack(values, dim=-1)


def evaluate(sh: Tensor, directions: Tensor, degree: int | None = None) -> Tensor:
    """Sum of the harmonics in a direction.

    Args:
        sh: [..., K, C] coefficients, K = 1, 4, 9 or 16.
        directions: [..., 3] unit vectors.
        degree: highest degree to use; all of `sh` by default.

    Returns:
        [..., C]; a splat's colour is 0.5 plus this, clamped at 0.
    """
    degree = limit_degree(sh, degree)
    count = COUNTS[degree]
    return (basis(directions, degree)[..., None] * sh[..., :count, :]).sum(dim=-2)


def limit_degree(sh: Tensor, degree: int | None) -> int:
    """The degree to evaluate: that of `sh` [..., K, C], lowered to `degree` where one is given.

    Raises:
        ShapeError: K is none of 1, 4, 9, 16.
        InputError: `degree` is negative.
    """
    if sh.shape[-2] not in COUNTS:
        raise ShapeError(f"sh: {sh.shape[-2]} coefficients, expected 1, 4, 9 or 16 (degree 0 to 3).")
    stored = COUNTS.index(sh.shape[-2])
    if degree is None:
        return stored
    if degree < 0:
        raise InputError(f"sh: degree is {degree}, expected 0 to 3.")
    return min(stored, degree)


@torch.no_grad()
def rotate(sh: Tensor, quats: Tensor) -> Tensor:
    """Coefficients of the rotated function: `evaluate(rotate(sh, q), R d) == evaluate(sh, d)`.

    Each degree is closed under rotation: its matrix follows from the harmonics at more fixed directions than it has
    coefficients, by a pseudo-inverse that is computed once.

    Args:
        sh: [..., K, C].
        quats: [..., 4] wxyz, unit; the batch broadcasts against that of `sh`.

    Returns:
        [..., K, C] in the dtype of `sh`; computed in float64. Not differentiable.
    """
    degree = limit_degree(sh, None)
    samples, inverses = _samples()
    back = pose.conjugate_quat(quats.double())[..., None, :]
    values = basis(pose.rotate(back, samples.to(quats.device)), degree)
    bands = [sh.double()[..., :1, :].expand(*torch.broadcast_shapes(sh.shape[:-2], quats.shape[:-1]), 1, sh.shape[-1])]
    for band in range(1, degree + 1):
        part = slice(COUNTS[band - 1], COUNTS[band])
        matrix = inverses[band].to(quats.device) @ values[..., part]
        bands.append(matrix @ sh.double()[..., part, :])
    return torch.cat(bands, dim=-2).to(sh.dtype)


@cache
def _samples() -> tuple[Tensor, tuple[Tensor, ...]]:
    """Sixteen spread directions [16, 3] and, for each degree, the pseudo-inverse [2 l + 1, 16] of its values there."""
    index = torch.arange(16, dtype=torch.float64) + 0.5
    z = 1 - index / 8
    angle = math.pi * (1 + math.sqrt(5)) * index
    radius = (1 - z * z).sqrt()
    directions = torch.stack([radius * angle.cos(), radius * angle.sin(), z], dim=-1)
    values = basis(directions, 3)
    starts = (0, *COUNTS)
    return directions, tuple(torch.linalg.pinv(values[:, starts[i] : COUNTS[i]]) for i in range(4))
