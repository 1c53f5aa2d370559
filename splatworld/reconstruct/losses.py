"""How far a picture is from the frame it should show."""

from __future__ import annotations

import torch
from torch import Tensor

from splatworld import native
from splatworld.reconstruct.views import Target
from splatworld.render.device import tiles_of, working


class PictureLoss:
    """L1 and SSIM (Kerbl et al., 2023), with the memory that they need kept for the next picture of the same size."""

    def __init__(self, ssim_weight: float) -> None:
        """`ssim_weight`: share of 1 - SSIM in the loss, the rest is L1."""
        self._ssim_weight = ssim_weight
        self._size: tuple[int, int] | None = None

    def gradients(self, image: Tensor, gain: Tensor, target: Target) -> tuple[Tensor, Tensor]:
        """Of the loss of `image` * `gain` against `target`.

        Args:
            image: [H, W, 3] float32, as rendered; all lies where it does, on the CPU or on a GPU.
            gain: [3] factor on its channels.
            target: what it should show.

        Returns:
            By the image [H, W, 3], valid until the next call, and by the log of the gain [3].
        """
        if target.size != self._size:
            self._size = target.size
            self._make_room(image)
        if native.on_device(image):
            return self._gradient, self._on_device(image, gain, target)
        _, _, by_log_gain = native.load().l1_ssim(
            image, gain, target.image, target.mask, self._ssim_weight, self._planes, self._sums, self._gradient
        )
        return self._gradient, torch.tensor(by_log_gain, dtype=torch.float32)

    def _make_room(self, image: Tensor) -> None:
        height, width, _ = image.shape
        self._gradient = torch.empty_like(image)
        if native.on_device(image):
            sums = 9 * tiles_of((width, height))
            self._planes = image.new_empty(9, height, width)
            self._used = torch.empty(1, dtype=torch.int64, device=image.device)
            self._loss = image.new_empty(5, dtype=torch.float64)
        else:
            kernels = native.load()
            self._planes = torch.empty(kernels.LOSS_PLANES, height, width)
            sums = height * kernels.LOSS_SUMS
        self._sums = image.new_empty(sums, dtype=torch.float64)

    def _on_device(self, image: Tensor, gain: Tensor, target: Target) -> Tensor:
        with working(image.device, "PictureLoss") as stream:
            native.load_cuda().l1_ssim(
                image, gain, target.image, target.mask, self._ssim_weight, self._planes, self._sums, self._used,
                self._loss, self._gradient, stream,
            )  # fmt: skip
        return self._loss[2:].float()
