"""Depth maps that came with a capture: their unit, and the pull they have on the splats."""

from __future__ import annotations

import torch
from torch import Tensor

from splatworld.capture.depth import depth_ratios
from splatworld.core.clip import PosedClip
from splatworld.render.passes import RasterPass
from splatworld.render.single import DeviceView

LEAST_SAMPLES = 30
"""Points whose depth is known twice, below which the maps are taken to be in the capture's own unit."""
LEAST_ALPHA = 0.5
"""Pixels that are less opaque than this have no depth to speak of."""


def depth_unit(posed: PosedClip) -> float:
    """What one unit of the capture measures in the depth maps: the median over training tracks of map over point.

    Cameras that structure from motion placed have a unit of their own; those that came with the depths share theirs.
    """
    clip = posed.clip
    if clip.depths is None:
        return 1.0
    ratios = depth_ratios(posed, torch.nonzero(~clip.held_out).squeeze(-1).tolist())
    ratio = torch.cat(ratios)
    return float(ratio.median()) if len(ratio) >= LEAST_SAMPLES else 1.0


def depth_gradients(one: RasterPass | DeviceView, target: Tensor, weight: float) -> tuple[Tensor, Tensor]:
    """Gradients of `weight` * mean |D - d| / d by transmittance and by depth sum, each [H, W].

    D is the expected depth, d the given one; the relative error, not squared, so that far and false depths count for
    no more than others.

    Args:
        one: a pass with depth.
        target: [H, W] depth in units of the capture, 0 where unknown.
        weight: of this loss.
    """
    assert one.depth_sum is not None
    alpha = 1 - one.transmittance
    used = (target > 0) & (alpha > LEAST_ALPHA)
    expected = one.depth_sum / alpha.clamp(min=LEAST_ALPHA)
    slope = torch.sign(expected - target) / target.clamp(min=1e-12) * (weight / max(int(used.sum()), 1))
    by_sum = torch.where(used, slope / alpha.clamp(min=LEAST_ALPHA), torch.zeros_like(alpha))
    return by_sum * expected, by_sum
