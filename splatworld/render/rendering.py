"""What a rasterizer returns, and the constants every rasterizer shares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

NEAR = 0.01
"""m; splats nearer than this are not drawn."""
DILATION = 0.3
"""px^2 added to both diagonal terms of every projected covariance, so that no splat is thinner than a pixel."""
ALPHA_MIN = 1.0 / 255.0
"""Contributions below this alpha are skipped."""
ALPHA_MAX = 0.999
"""Alphas are clamped here, so that transmittance never reaches zero."""
TRANSMITTANCE_STOP = 1e-4
"""A pixel is finished before the splat that would take its transmittance to this or below."""
FRUSTUM_MARGIN = 0.3
"""Share of the half field of view beyond the image's edge where the projection's Jacobian stops growing."""

ROW_REACH = 0.6
"""Rows of a rolling shutter go on beyond the picture, up to this share of its height from the middle."""


@dataclass(frozen=True)
class Rendering:
    """Pictures of a posed world; `...` is the batch of frames and cameras.

    Attributes:
        image: [..., H, W, 3] colour over the background, sRGB-like as in the capture, not clamped at 1.
        alpha: [..., H, W] opacity, 1 minus the final transmittance.
        depth: [..., H, W] expected depth in m along +z (weighted mean over what is seen); 0 where nothing is.
        median_depth: [..., H, W] m, depth of the splat at which transmittance falls to 0.5 or below; 0 where it never
            does. No gradient.
        body_ids: [..., H, W] int32 body of that same splat; -1 where there is none. No gradient.
    """

    image: Tensor
    alpha: Tensor
    depth: Tensor
    median_depth: Tensor
    body_ids: Tensor


def to_bytes(image: Tensor) -> np.ndarray:
    """[..., 3] colour as rendered -> [..., 3] uint8 sRGB, clamped to 0..255."""
    return (image.detach().clamp(0, 1) * 255 + 0.5).byte().cpu().numpy()
