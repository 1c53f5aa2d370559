"""How far a picture is from the frame it should show."""

from __future__ import annotations

import torch
from torch import Tensor

from splatworld import native
from splatworld.reconstruct.views import Target


class PictureLoss:
    """L1 and SSIM (Kerbl et al., 2023), with the memory that they need kept for the next picture of the same size."""

    def __init__(self, ssim_weight: float) -> None:
        """`ssim_weight`: share of 1 - SSIM in the loss, the rest is L1."""
        self._ssim_weight = ssim_weight
        self._size: tuple[int, int] | None = None

    def gradients(self, image: Tensor, gain: Tensor, target: Target) -> tuple[Tensor, Tensor]:
        """Of the loss of `image` * `gain` against `target`.

        Args:
            image: [H, W, 3] float32, as rendered.
            gain: [3] factor on its channels.
            target: what it should show.

        Returns:
            By the image [H, W, 3], valid until the next call, and by the log of the gain [3].
        """
        kernels = native.load()
        if target.size != self._size:
            self._size = target.size
            width, height = target.size
            self._planes = torch.empty(kernels.LOSS_PLANES, height, width)
            self._row_sums = torch.empty(height, kernels.LOSS_SUMS, dtype=torch.float64)
            self._gradient = torch.empty(height, width, 3)
        _, _, by_log_gain = kernels.l1_ssim(
            image, gain, target.image, target.mask, self._ssim_weight, self._planes, self._row_sums, self._gradient
        )
        return self._gradient, torch.tensor(by_log_gain, dtype=torch.float32)
