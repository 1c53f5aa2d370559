"""One view's way through the kernels, without autograd."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from splatworld import native
from splatworld.core.checks import InputError
from splatworld.core.world import Skin
from splatworld.render.scratch import scratch

PICTURES = ("image", "transmittance", "depth_sum", "median_depth", "body_ids")
"""What a pass draws, by the attributes of `RasterPass`."""

SPLATS_A_CHUNK = 1024
"""Splats a task of the projection; must match the kernels."""


@dataclass(frozen=True)
class PairLists:
    """The splats of each tile, P (tile, splat) pairs in all.

    Attributes:
        first_pair: [N] int64, number of each splat's first pair; pairs are numbered splat by splat.
        pair_splat: [P] int32 by tile, near to far.
        pair_slot: [P] int32 number of the pair.
        tile_start: [tiles + 1] int64 where each tile's entries start.
    """

    first_pair: Tensor
    pair_splat: Tensor
    pair_slot: Tensor
    tile_start: Tensor


def list_pairs(records: Tensor, counts: Tensor, size: tuple[int, int]) -> PairLists:
    """Sort projected splats into the tiles of a picture.

    Args:
        records: [N, RECORD_FLOATS] and
        counts: [N] as `project` fills them.
        size: (width, height) px.

    Raises:
        InputError: more pairs than can be counted.
    """
    kernels, count = native.load(), len(counts)
    order = torch.empty(count, dtype=torch.int32)
    seen = kernels.sort_by_depth(records, counts, order, scratch("sort", 4 * count, dtype=torch.int32))
    first_pair = torch.empty(count, dtype=torch.int64)
    pairs = kernels.number_pairs(counts, first_pair)
    if pairs >= 2**31:
        raise InputError(
            f"rasterize: {pairs} (tile, splat) pairs do not fit; render a smaller picture or fewer splats."
        )
    tiles = -(-size[0] // kernels.TILE) * -(-size[1] // kernels.TILE)
    pair_splat, pair_slot = torch.empty(pairs, dtype=torch.int32), torch.empty(pairs, dtype=torch.int32)
    tile_start = torch.empty(tiles + 1, dtype=torch.int64)
    parts = kernels.get_threads()
    kernels.list_tiles(
        seen, pairs, order, counts, first_pair, records, *size, parts,
        scratch("lists", 3 * pairs + parts * tiles, dtype=torch.int32), pair_splat, pair_slot, tile_start,
    )  # fmt: skip
    return PairLists(first_pair, pair_splat, pair_slot, tile_start)


class RasterPass:
    """One view's way through the kernels, kept for the backward pass. `rasterize` is its autograd form.

    Attributes:
        image: [H, W, 3] over the background.
        transmittance: [H, W] what of the background is seen.
        depth_sum: [H, W] sum of weight * depth; this and the next two are None where `color_only`.
        median_depth: [H, W] m.
        body_ids: [H, W] int32.
        records: [N, RECORD_FLOATS] the splats as the kernels blend them.
        counts: [N] int32 tiles that each splat touches; 0: not seen.
        lists: the splats of each tile.
        pairs: (tile, splat) pairs.
    """

    PARAMETERS = ("means", "log_scales", "quats", "opacity_logits", "sh")

    def __init__(
        self,
        parameters: dict[str, Tensor],
        body_ids: Tensor,
        frames: Tensor,
        camera_row: Tensor,
        size: tuple[int, int],
        background: Tensor,
        *,
        skin: Skin | None = None,
        sh_count: int | None = None,
        antialias: bool = False,
        color_only: bool = False,
        hidden: Tensor | None = None,
    ) -> None:
        """Project, sort and blend.

        Args:
            parameters: float32 contiguous tensors without gradient, by the names in PARAMETERS.
            body_ids: [N] int32.
            frames: [F, 7] float32.
            camera_row: [24] float32, a row of `camera_rows`.
            size: (width, height) px.
            background: [3] float32.
            skin: as in `rasterize`.
            sh_count: harmonics to use, 1, 4, 9 or 16; all that are stored by default.
            antialias: as in `rasterize`.
            color_only: make no pictures of depth and bodies.
            hidden: indices of splats to leave out.

        Raises:
            InputError: more (tile, splat) pairs than can be counted.
        """
        self._kernels = kernels = native.load()
        self._width, self._height = size
        self._skin_pairs = 1 if skin is None else skin.indices.shape[1]
        count = len(body_ids)
        settings = Settings(
            body_ids, skin, size, parameters["sh"].shape[1] if sh_count is None else sh_count, antialias
        )
        self._inputs = kernel_inputs(parameters, frames, camera_row, settings)
        self.records = torch.empty(count, kernels.RECORD_FLOATS)
        self.counts = torch.empty(count, dtype=torch.int32)
        kernels.project(*self._inputs, self.records, self.counts)
        if hidden is not None:
            self.counts[hidden] = 0
        self.lists = lists = list_pairs(self.records, self.counts, size)
        self.pairs = len(lists.pair_splat)
        shape = (self._height, self._width)
        self.image, self.transmittance = torch.empty(*shape, 3), torch.empty(shape)
        self.depth_sum = None if color_only else torch.empty(shape)
        self.median_depth = None if color_only else torch.empty(shape)
        self.body_ids = None if color_only else torch.empty(shape, dtype=torch.int32)
        kernels.rasterize(
            self._width, self._height, self.records, lists.pair_splat, lists.tile_start, background,
            self.image, self.transmittance, self.depth_sum, self.median_depth, self.body_ids,
        )  # fmt: skip

    def backward(
        self,
        gradients: Mapping[str, Tensor | None],
        image: Tensor,
        transmittance: Tensor | None = None,
        depth_sum: Tensor | None = None,
    ) -> None:
        """Add this view's gradients to `gradients`.

        Args:
            gradients: float32 tensors shaped like PARAMETERS, and float64 `frames` [F, 7] and `camera` [24]; what is
                missing or None is not computed.
            image: [H, W, 3] gradient of the image.
            transmittance: [H, W] gradient of the transmittance; None: zero.
            depth_sum: [H, W] gradient of the depth sum; None: zero.
        """
        kernels, lists = self._kernels, self.lists
        pair_gradients = scratch("pair gradients", self.pairs, kernels.PAIR_FLOATS)
        kernels.rasterize_backward(
            self._width, self._height, self.records, lists.pair_splat, lists.pair_slot, lists.tile_start,
            self.image, self.transmittance, self.depth_sum,
            *(None if g is None else g.contiguous() for g in (image, transmittance, depth_sum)), pair_gradients,
        )  # fmt: skip
        count = len(self.counts)
        frames, camera = gradients.get("frames"), gradients.get("camera")
        kernels.project_backward(
            *self._inputs, self.counts, lists.first_pair, pair_gradients,
            None if camera is None else torch.empty(-(-count // SPLATS_A_CHUNK), kernels.CAMERA_FLOATS).double(),
            None if frames is None else torch.empty(count, self._skin_pairs, 7),
            *(gradients.get(name) for name in self.PARAMETERS), frames, camera,
        )  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """What the passes of one batch share; see `RasterPass`."""

    body_ids: Tensor
    skin: Skin | None
    size: tuple[int, int]
    sh_count: int
    antialias: bool


def kernel_inputs(parameters: dict[str, Tensor], frames: Tensor, camera_row: Tensor, settings: Settings) -> tuple:
    """The first arguments of the kernels `project` and `project_backward`; see `RasterPass`."""
    skin = settings.skin
    return (
        *(parameters[name] for name in RasterPass.PARAMETERS),
        settings.sh_count,
        settings.body_ids,
        frames,
        None if skin is None else skin.indices.to(torch.int32).contiguous(),
        None if skin is None else skin.weights.detach().float().contiguous(),
        camera_row,
        *settings.size,
        settings.antialias,
    )


def draw(
    parameters: dict[str, Tensor],
    frames: Tensor,
    camera_row: Tensor,
    background: Tensor,
    settings: Settings,
    *,
    hidden: Tensor | None = None,
) -> RasterPass:
    """A pass with all pictures; arguments as of `RasterPass`."""
    return RasterPass(
        parameters, settings.body_ids, frames, camera_row, settings.size, background,
        skin=settings.skin, sh_count=settings.sh_count, antialias=settings.antialias, hidden=hidden,
    )  # fmt: skip


class RasterPasses:
    """B views' way through the kernels, one after the other; `device.DevicePass` does the same on a GPU at once."""

    def __init__(
        self, parameters: dict[str, Tensor], frames: Tensor, cameras: Tensor, background: Tensor, settings: Settings
    ) -> None:
        """`frames` [B, F, 7], `cameras` [B, 24]; the rest as of `RasterPass`."""
        self._passes = [
            draw(parameters, table, row, background, settings) for table, row in zip(frames, cameras, strict=True)
        ]

    def picture(self, name: str) -> Tensor:
        """One of PICTURES, [B, H, W, ...]."""
        return torch.stack([getattr(one, name) for one in self._passes])

    def backward(
        self, gradients: Mapping[str, Tensor | None], image: Tensor, transmittance: Tensor, depth_sum: Tensor
    ) -> None:
        """Add the gradients of all views to `gradients`; `frames` [B, F, 7], `camera` [B, 24], see `RasterPass`."""
        frames, cameras = gradients.get("frames"), gradients.get("camera")
        for b, one in enumerate(self._passes):
            own = {"frames": None if frames is None else frames[b], "camera": None if cameras is None else cameras[b]}
            one.backward({**gradients, **own}, image[b], transmittance[b], depth_sum[b])
