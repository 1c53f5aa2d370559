"""Pictures from buffers of a fixed capacity, again and again: nothing is allocated, nothing waits for the device."""

from __future__ import annotations

import torch
from torch import Tensor

from splatworld import native
from splatworld.core import pose
from splatworld.core.splats import Splats
from splatworld.core.world import Skin
from splatworld.render.device import Buffers, check_numbers, check_pairs, empty_pictures, working
from splatworld.render.ops import check_indices, check_one_device, depth_from_sum
from splatworld.render.passes import RasterPass, Settings, kernel_inputs
from splatworld.render.rendering import Rendering


class FixedPass:
    """B views of one world on a GPU, for `torch.cuda.graph`: `draw` can be captured, after it has run once.

    Write `frames` and `cameras`, then draw, or replay what was captured.

    Attributes:
        frames: [B, F, 7] float32 table of each view; the identity at first.
        cameras: [B, 24] float32 rows of `ops.camera_rows`; zero at first.
        background: [3] float32; black at first.
        totals: [3] int64 splats seen and pairs wanted by the latest drawing, and 1 if those of them did not fit.
        drawn: pictures [B, H, W, ...], overwritten by each drawing; not to be used where `overflow` is not 0.
    """

    def __init__(
        self,
        splats: Splats,
        *,
        views: int,
        frames: int,
        size: tuple[int, int],
        pairs: int,
        seen: int | None = None,
        skin: Skin | None = None,
        antialias: bool = False,
    ) -> None:
        """Allocate.

        Args:
            splats: N Gaussians on a GPU, used as they are when drawn if they are float32 and contiguous.
            views: B.
            frames: F.
            size: (width, height) px of each view.
            pairs: (tile, splat) pairs of all views that fit.
            seen: splats seen by all views that fit, a splat counting once for each; all by default.
            skin: as in `ops.rasterize`.
            antialias: as in `ops.rasterize`.

        Raises:
            InputError: too much for the device's memory or to be counted, or splats that follow no frame.
            NativeMissing: the CUDA kernels are not installed.
        """
        self._kernels, self._device = native.load_cuda(), splats.means.device
        check_one_device(splats, skin=skin)
        check_indices(splats, frames, skin)
        check_numbers(views, len(splats), size, self._device)
        check_pairs(pairs, self._device)
        parameters = {name: getattr(splats, name).detach().float().contiguous() for name in RasterPass.PARAMETERS}
        settings = Settings(splats.body_ids.int().contiguous(), skin, size, splats.sh.shape[1], antialias)
        with working(self._device, "FixedPass"):
            self.frames = pose.identity(views, frames, device=self._device)
            self.cameras = torch.zeros(views, self._kernels.CAMERA_FLOATS, device=self._device)
            self.background = torch.zeros(3, device=self._device)
            self._records = torch.empty(views, len(splats), self._kernels.RECORD_FLOATS, device=self._device)
            self._counts = torch.empty(views, len(splats), dtype=torch.int32, device=self._device)
            seen = self._counts.numel() if seen is None else min(seen, self._counts.numel())
            self._buffers = Buffers(self._counts, size, seen, pairs)
            self._pictures = empty_pictures(views, size, self._device)
            image, self._transmittance, self._depth_sum, median, ids = self._pictures
            alpha, depth = torch.empty_like(self._transmittance), torch.empty_like(self._transmittance)
        self._size = size
        self._inputs = kernel_inputs(parameters, self.frames, self.cameras, settings)
        self.totals = self._buffers.totals
        self.drawn = Rendering(image=image, alpha=alpha, depth=depth, median_depth=median, body_ids=ids)

    @property
    def overflow(self) -> Tensor:
        """[] int64 on the device: not 0 if what was wanted did not fit. Nothing is written beyond the buffers then."""
        return self.totals[2]

    def draw(self) -> None:
        """Fill `drawn` and `totals` from what `frames`, `cameras` and `background` hold by then."""
        with working(self._device, "FixedPass") as stream:
            self._kernels.project(*self._inputs, None, self._records, self._counts, stream)
            self._buffers.fill(self._records, self._counts, self._size, stream)
            self._kernels.rasterize(
                *self._size, self._records, self._buffers.pair_splat, self._buffers.tile_start, self.background,
                *self._pictures, stream,
            )  # fmt: skip
            torch.neg(self._transmittance, out=self.drawn.alpha).add_(1)
            depth_from_sum(self._depth_sum, self.drawn.alpha, out=self.drawn.depth)
