"""Blending of the reference rasterizer: splats on the image to pixels, and the pixels where precision decides."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from splatworld.render.rendering import ALPHA_MAX, ALPHA_MIN, TRANSMITTANCE_STOP

GATE_TOLERANCE = 1e-4
"""Relative distance from a gate within which float32 may fall on the other side."""
TILE = 16
"""px; pixels are blended in squares of this side, each with the splats that reach it."""


@dataclass(frozen=True)
class Footprints:
    """n splats on the image, in order of depth.

    Attributes:
        means: [n, 2] px.
        depths: [n] m along +z.
        conics: [n, 3] entries a, b, c of the inverse 2D covariance [[a, b], [b, c]], 1 / px^2.
        opacities: [n].
        colors: [n, 3].
        body_ids: [n].
        drawn: [n] bool; False for those just before the near plane, kept to flag what they would cover.
        at_gate: [n] bool; the near plane, the colour's clamp or the frustum clamp of the Jacobian is within tolerance.
    """

    means: Tensor
    depths: Tensor
    conics: Tensor
    opacities: Tensor
    colors: Tensor
    body_ids: Tensor
    drawn: Tensor
    at_gate: Tensor

    def select(self, keep: Tensor) -> Footprints:
        return Footprints(**{f.name: getattr(self, f.name)[keep] for f in fields(self)})


def draw(footprints: Footprints, size: tuple[int, int], background: Tensor) -> tuple[Tensor, ...]:
    """Blend all pixels: image, alpha, depth, median depth, body ids, flags, median flags."""
    width, height = size
    rows = []
    for top in range(0, height, TILE):
        tiles = []
        for left in range(0, width, TILE):
            ys = torch.arange(top, min(top + TILE, height), dtype=torch.float64, device=background.device) + 0.5
            xs = torch.arange(left, min(left + TILE, width), dtype=torch.float64, device=background.device) + 0.5
            grid_y, grid_x = torch.meshgrid(ys, xs, indexing="ij")
            parts = _blend(footprints, torch.stack([grid_x.flatten(), grid_y.flatten()], dim=-1), background)
            tiles.append([part.unflatten(0, (len(ys), len(xs))) for part in parts])
        rows.append([torch.cat(parts, dim=1) for parts in zip(*tiles, strict=True)])
    return tuple(torch.cat(parts, dim=0) for parts in zip(*rows, strict=True))


def _blend(footprints: Footprints, pixels: Tensor, background: Tensor) -> tuple[Tensor, ...]:
    """Blend pixels [P, 2] front to back; see `draw` for what is returned, each [P, ...]."""
    with torch.no_grad():
        reach = (_falloff(footprints, pixels) >= ALPHA_MIN * (1 - GATE_TOLERANCE)).any(dim=1)
    near = footprints.select(reach)
    with torch.no_grad():
        raw = _falloff(near, pixels)
        alphas = torch.where((raw >= ALPHA_MIN) & near.drawn[:, None], raw.clamp(max=ALPHA_MAX), 0.0)
        after = (1 - alphas).cumprod(dim=0)
        # Transmittance only falls, so all splats after the one that stops a pixel fail the same comparison.
        blended = (alphas > 0) & (after > TRANSMITTANCE_STOP)

    raw = _falloff(near, pixels)
    alphas = torch.where(blended, torch.where(raw > ALPHA_MAX, ALPHA_MAX, raw), 0.0)
    passed = (1 - alphas).cumprod(dim=0)
    before = torch.cat([torch.ones_like(pixels[None, :, 0]), passed])
    left, weights = before[-1], alphas * before[:-1]
    alpha = 1 - left
    image = weights.T @ near.colors + left[:, None] * background
    seen = alpha > 0
    depth = torch.where(seen, weights.T @ near.depths / torch.where(seen, alpha, 1.0), 0.0)
    with torch.no_grad():
        median, body = _median(near, blended & (passed <= 0.5))
        flags, median_flags = _flag(near, raw, alphas, after, passed)
    return image, alpha, depth, median, body, flags, flags | median_flags


def _falloff(footprints: Footprints, pixels: Tensor) -> Tensor:
    """Opacity [n, P] of splats at pixels [P, 2], before any gate."""
    dx, dy = (pixels[None] - footprints.means[:, None]).unbind(-1)
    a, b, c = (footprints.conics[:, i : i + 1] for i in range(3))
    sigma = 0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy
    return footprints.opacities[:, None] * torch.exp(-sigma) * (sigma >= 0)


def _median(footprints: Footprints, below: Tensor) -> tuple[Tensor, Tensor]:
    """Depth and body [P] of the first splat for which `below` [n, P] is true; 0 and -1 where there is none."""
    # The last row stands for "none".
    first = torch.cat([below, below.new_ones(1, below.shape[1])]).int().argmax(dim=0)
    depths = torch.cat([footprints.depths, footprints.depths.new_zeros(1)])
    body_ids = torch.cat([footprints.body_ids.int(), footprints.body_ids.new_full((1,), -1, dtype=torch.int32)])
    return depths[first], body_ids[first]


def _flag(footprints: Footprints, raw: Tensor, alphas: Tensor, after: Tensor, passed: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels [P] near a gate, and those whose median splat is in doubt.

    Args:
        footprints: n splats in order of depth.
        raw: [n, P] opacity before the gates.
        alphas: [n, P] as blended.
        after: [n, P] transmittance after each splat, had none been stopped.
        passed: [n, P] transmittance after each splat.
    """

    def close(value: Tensor, gate: float) -> Tensor:
        return (value / gate - 1).abs() < GATE_TOLERANCE

    before = torch.cat([torch.ones_like(after[:1]), after[:-1]])
    reached = before > TRANSMITTANCE_STOP * (1 - GATE_TOLERANCE)
    touched = reached & (raw >= ALPHA_MIN * (1 - GATE_TOLERANCE))
    at_gate = touched & (close(raw, ALPHA_MIN) | close(raw, ALPHA_MAX) | footprints.at_gate[:, None])
    at_gate |= touched & close(after, TRANSMITTANCE_STOP)
    contributes = touched & footprints.drawn[:, None]
    depths = footprints.depths[:, None].expand_as(raw)
    latest = torch.where(contributes, depths, -torch.inf).cummax(dim=0).values if len(depths) else depths
    previous = torch.cat([torch.full_like(latest[:1], -torch.inf), latest[:-1]])
    tied = contributes & (depths - previous < GATE_TOLERANCE * depths)
    halved = (alphas > 0) & close(passed, 0.5)
    return (at_gate | tied).any(dim=0), halved.any(dim=0)
