"""B views of one world through the CUDA kernels in one call, without autograd; the CPU's way is in `passes`.

The splats lie in memory once, whatever B is. The kernels add nothing atomically: pictures and gradients have the same
bits every time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from splatworld import native
from splatworld.core.checks import InputError, check_choice
from splatworld.render.passes import PICTURES, RasterPass, Settings, kernel_inputs

DEVICES = ("auto", "cpu", "cuda")
"""Where to work: `auto` is a GPU where there are one and the kernels for it."""

SPLATS_A_BLOCK = 128
"""Splats a block of the projection's backward pass; must match the kernels."""

MOST = 2**31
"""Splats of all views, tiles of all views, and pairs are numbered with 31 bits."""


@contextmanager
def working(device: torch.device, owner: str) -> Iterator[int]:
    """Make `device` current and give its current stream, as kernels want it.

    Raises:
        InputError: the device's memory did not suffice; what was there before is untouched.
    """
    on_gpu = device.type == "cuda"
    try:
        with torch.cuda.device(device) if on_gpu else nullcontext():
            yield torch.cuda.current_stream(device).cuda_stream if on_gpu else 0
    except torch.OutOfMemoryError as error:
        raise InputError(
            f"{owner}: the memory of {device} does not suffice; render fewer views at once, smaller pictures or fewer "
            "splats."
        ) from error


def choose_device(owner: str, name: str) -> torch.device:
    """What `name`, one of DEVICES, means here.

    Raises:
        InputError: another name, or a GPU is asked for where there is none.
        NativeMissing: there is a GPU, but the CUDA kernels are not installed.
    """
    check_choice(owner, "device", name, DEVICES)
    if name == "cuda":
        if not torch.cuda.is_available():
            raise InputError(f"{owner}: device is 'cuda', but torch sees no GPU; use 'cpu' or 'auto'.")
        native.load_cuda()
    return torch.device("cuda" if torch.cuda.is_available() and name != "cpu" and native.has_cuda() else "cpu")


def memory_of(device: torch.device) -> int:
    """Bytes of memory that a device has, used or not; those of a host that plays one are not counted."""
    return torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else 2**63


class Buffers:
    """What a pass over B views of N splats reads and writes beside its inputs, for so many seen splats and pairs.

    Attributes:
        lists: the kernels' PackedLists.
        totals: [3] int64 seen splats, pairs, and 1 where more of them were wanted than fit.
        first_pair: [B, N] int64 number of each seen splat's first pair.
        pair_splat: [P] int32 by view and tile, near to far: which splat of all views it is.
        pair_slot: [P] int32 number of the pair.
        tile_start: [B tiles + 1] int64 where each tile's entries start.
    """

    def __init__(self, counts: Tensor, size: tuple[int, int], seen: int, pairs: int) -> None:
        """Allocate; `counts` [B, N] as `project` fills it, `size` (width, height) px."""
        kernels, device, total = native.load_cuda(), counts.device, counts.numel()

        def empty(number: int, dtype: torch.dtype) -> Tensor:
            return torch.empty(number, dtype=dtype, device=device)

        tiles = len(counts) * tiles_of(size)
        temporary = kernels.temporary_bytes(total, seen, pairs)
        self.totals = torch.zeros(3, dtype=torch.int64, device=device)
        self.first_pair = empty(total, torch.int64).view(counts.shape)
        self.pair_splat, self.pair_slot = empty(pairs, torch.int32), empty(pairs, torch.int32)
        self.tile_start = empty(tiles + 1, torch.int64)
        self.lists = kernels.PackedLists(
            self.totals,
            *(empty(seen, torch.int64) for _ in ("keys", "sorted keys")),
            *(empty(seen, torch.int32) for _ in ("as found", "near to far")),
            self.first_pair,
            empty(seen, torch.int64),
            *(empty(pairs, torch.int32) for _ in ("keys", "sorted keys", "slots", "owners")),
            self.pair_splat, self.pair_slot, self.tile_start, empty(max(temporary, 1), torch.uint8),
        )  # fmt: skip

    def fill(self, records: Tensor, counts: Tensor, size: tuple[int, int], stream: int) -> None:
        """Sort what `project` left in `records` [B, N, RECORD_FLOATS] and `counts` into tiles."""
        kernels = native.load_cuda()
        self.totals.zero_()
        kernels.sort_by_depth(records, counts, self.lists, stream)
        kernels.list_tiles(*size, records, counts, self.lists, stream)


class DevicePass:
    """B views' way through the kernels, kept for the backward pass.

    Attributes:
        image: [B, H, W, 3] over the background.
        transmittance: [B, H, W] what of the background is seen.
        depth_sum: [B, H, W] sum of weight * depth; this and the next two are None where `color_only`.
        median_depth: [B, H, W] m.
        body_ids: [B, H, W] int32.
        counts: [B, N] int32 tiles that each splat touches; 0: not seen.
        pairs: (tile, splat) pairs of all views.
    """

    def __init__(
        self,
        parameters: dict[str, Tensor],
        frames: Tensor,
        cameras: Tensor,
        background: Tensor,
        settings: Settings,
        *,
        color_only: bool = False,
    ) -> None:
        """Project, count, sort and blend. Waits once for the device: for how many pairs there are.

        Args:
            parameters: float32 contiguous tensors without gradient, by the names in `RasterPass.PARAMETERS`; they and
                all others lie on one device.
            frames: [B, F, 7] float32.
            cameras: [B, 24] float32, rows of `camera_rows`.
            background: [3] float32.
            settings: shared by all views.
            color_only: make no pictures of depth and bodies.

        Raises:
            InputError: more splats, tiles or pairs than can be counted, or than the device's memory holds. Nothing was
                allocated for them then.
        """
        self._settings, self._size = settings, settings.size
        self._inputs = kernel_inputs(parameters, frames, cameras, settings)
        self._frames, self._device = frames, frames.device
        self._kernels = kernels = native.load_cuda()
        shape = (len(frames), len(settings.body_ids))
        check_numbers(*shape, settings.size, self._device)
        with working(self._device, "rasterize") as stream:
            self.records = torch.empty(*shape, kernels.RECORD_FLOATS, device=self._device)
            self.counts = torch.empty(shape, dtype=torch.int32, device=self._device)
            kernels.project(*self._inputs, None, self.records, self.counts, stream)
            seen, self.pairs = torch.stack([(self.counts > 0).sum(), self.counts.sum(dtype=torch.int64)]).tolist()
            check_pairs(self.pairs, self._device)
            buffers = Buffers(self.counts, settings.size, seen, self.pairs)
            buffers.fill(self.records, self.counts, settings.size, stream)
            self.first_pair, self.pair_splat = buffers.first_pair, buffers.pair_splat
            self.pair_slot, self.tile_start = buffers.pair_slot, buffers.tile_start
            self.image, self.transmittance, self.depth_sum, self.median_depth, self.body_ids = empty_pictures(
                shape[0], settings.size, self._device, color_only=color_only
            )
            kernels.rasterize(
                *settings.size, self.records, self.pair_splat, self.tile_start, background,
                *(getattr(self, name) for name in PICTURES), stream,
            )  # fmt: skip

    def picture(self, name: str) -> Tensor:
        """One of PICTURES, [B, H, W, ...]."""
        return getattr(self, name)

    def backward(
        self,
        gradients: Mapping[str, Tensor | None],
        image: Tensor,
        transmittance: Tensor | None = None,
        depth_sum: Tensor | None = None,
    ) -> None:
        """Add the gradients of all views to `gradients`.

        Args:
            gradients: float32 tensors shaped like PARAMETERS, and float64 `frames` [B, F, 7] and `camera` [B, 24]; what
                is missing or None is not computed.
            image: [B, H, W, 3] gradient of the image.
            transmittance: [B, H, W] gradient of the transmittance; None: zero.
            depth_sum: [B, H, W] gradient of the depth sum; None: zero.
        """
        kernels, device = self._kernels, self._device
        views, count = self.counts.shape
        frames, cameras = gradients.get("frames"), gradients.get("camera")
        with working(device, "rasterize") as stream:
            pair_gradients = torch.empty(self.pairs, kernels.PAIR_FLOATS, device=device)
            kernels.rasterize_backward(
                *self._size, self.records, self.pair_splat, self.pair_slot, self.tile_start,
                self.image, self.transmittance, self.depth_sum,
                *(None if g is None else g.contiguous() for g in (image, transmittance, depth_sum)),
                pair_gradients, stream,
            )  # fmt: skip
            block_cameras = frame_pairs = None
            if cameras is not None:
                blocks = -(-count // SPLATS_A_BLOCK)
                block_cameras = torch.empty(blocks, *cameras.shape, dtype=torch.float64, device=device)
            start = entries = None
            if frames is not None:
                start, entries = self._by_frame()
                frame_pairs = torch.empty(views, len(entries), 7, device=device)
            kernels.project_backward(
                *self._inputs, self.counts, self.first_pair, pair_gradients, block_cameras, frame_pairs, start, entries,
                *(gradients.get(name) for name in RasterPass.PARAMETERS), frames, cameras, stream,
            )  # fmt: skip

    def _by_frame(self) -> tuple[Tensor, Tensor]:
        """Where each frame's (splat, pair) entries start [F + 1], and the entries [N W] by frame."""
        skin = self._settings.skin
        follows = (self._settings.body_ids if skin is None else skin.indices).long().flatten()
        ordered, entries = follows.sort(stable=True)
        frames = torch.arange(self._frames.shape[1] + 1, device=self._device)
        return torch.searchsorted(ordered, frames), entries


def empty_pictures(views: int, size: tuple[int, int], device: torch.device, *, color_only: bool = False) -> list[Any]:
    """Memory for PICTURES [B, H, W, ...]; of depth and bodies None where `color_only`."""
    shape = (views, size[1], size[0])
    pictures: list[Any] = [torch.empty(*shape, 3, device=device), torch.empty(shape, device=device)]
    if color_only:
        return [*pictures, None, None, None]
    depths = [torch.empty(shape, device=device) for _ in ("sum", "median")]
    return [*pictures, *depths, torch.empty(shape, dtype=torch.int32, device=device)]


def tiles_of(size: tuple[int, int]) -> int:
    """Tiles of a picture of (width, height) px."""
    tile = native.load_cuda().TILE
    return -(-size[0] // tile) * -(-size[1] // tile)


def check_numbers(views: int, splats: int, size: tuple[int, int], device: torch.device) -> None:
    """Raise InputError where so many views of so many splats cannot be counted, or cannot lie on the device."""
    for name, number in (("splats", views * splats), ("tiles", views * tiles_of(size))):
        if number >= MOST:
            raise InputError(f"rasterize: {number} {name} in {views} views do not fit; render fewer views at once.")
    wanted = 64 * views * splats + 28 * views * size[0] * size[1]  # bytes: records and lists; pictures
    _check_memory(wanted, f"{views} views of {splats} splats at {size[0]}x{size[1]} px", device)


def check_pairs(pairs: int, device: torch.device) -> None:
    """Raise InputError where so many pairs cannot be counted, or cannot lie on the device."""
    if pairs >= MOST:
        raise InputError(
            f"rasterize: {pairs} (tile, splat) pairs do not fit; render fewer views at once, a smaller picture or "
            "fewer splats."
        )
    _check_memory(24 * pairs, f"{pairs} (tile, splat) pairs", device)


def _check_memory(wanted: int, what: str, device: torch.device) -> None:
    if wanted > (room := memory_of(device)):
        raise InputError(
            f"rasterize: {what} take {wanted / 2**30:.1f} GiB, but {device} has {room / 2**30:.1f}; render fewer views "
            "at once, smaller pictures or fewer splats."
        )
