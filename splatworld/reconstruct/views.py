"""What the fit compares its renderings with: a training frame at the sizes it uses."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from splatworld.core.clip import PosedClip


@dataclass(frozen=True)
class Target:
    """A training frame at one size.

    Attributes:
        image: [H, W, 3] uint8 sRGB.
        mask: optional [H, W] uint8, 0 where a pixel is ignored.
        depth: optional [H, W] float32 along +z in units of the capture, 0 where unknown or ignored.
        size: (W, H) px.
    """

    image: Tensor
    mask: Tensor | None
    depth: Tensor | None
    size: tuple[int, int]


class View:
    """A training frame, shrunk when first asked for."""

    def __init__(
        self, posed: PosedClip, frame: int, *, depth_unit: float = 1.0, device: torch.device | str = "cpu"
    ) -> None:
        """`depth_unit`: what one unit of the capture measures in those of `posed.clip.depths`; `device`: for `at`."""
        clip = posed.clip
        self._image = clip.images[frame].numpy()
        self._mask = None if clip.masks is None else clip.masks[frame].numpy()
        self._depth = None if clip.depths is None or not bool(clip.depths[frame].any()) else clip.depths[frame]
        self._depth_unit, self._device = depth_unit, device
        self._size = posed.cameras[frame].size
        self._targets: dict[int, Target] = {}

    def at(self, shrink: int) -> Target:
        """The frame at 1/`shrink` of its size."""
        if shrink not in self._targets:
            # Coarse copies are dropped once the fit has moved on to finer ones.
            self._targets = {shrink: self._make(shrink)}
        return self._targets[shrink]

    def _make(self, shrink: int) -> Target:
        width, height = self._size
        size = (max(math.ceil(width / shrink), 1), max(math.ceil(height / shrink), 1))
        image, mask = self._image, self._mask
        if shrink > 1:
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            if mask is not None:  # a coarse pixel counts only where every fine pixel does
                mask = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.999
        used = None if mask is None else torch.from_numpy(np.ascontiguousarray(mask).astype(np.uint8))
        depth = self._shrunk_depth(size, used)
        return Target(
            image=torch.from_numpy(np.ascontiguousarray(image)).to(self._device),
            mask=None if used is None else used.to(self._device),
            depth=None if depth is None else depth.to(self._device),
            size=size,
        )

    def _shrunk_depth(self, size: tuple[int, int], mask: Tensor | None) -> Tensor | None:
        if self._depth is None:
            return None
        # The nearest pixel: between two surfaces no depth is invented.
        rows = ((torch.arange(size[1]) + 0.5) * self._size[1] / size[1]).long()
        columns = ((torch.arange(size[0]) + 0.5) * self._size[0] / size[0]).long()
        depth = self._depth[rows][:, columns].float() / self._depth_unit
        return depth if mask is None else depth * mask
