"""Pictures of many states without gradients: from one camera, what stands still is sorted and blended once."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from splatworld import native
from splatworld.core.world import Skin
from splatworld.render.passes import PICTURES, Settings, draw, kernel_inputs, list_pairs

MOST_MOVING = 0.5
"""Share of the splats that move above which states are drawn one by one."""


def draw_states(
    parameters: dict[str, Tensor], frames: Tensor, cameras: Tensor, background: Tensor, settings: Settings
) -> tuple[Tensor, ...]:
    """The pictures of B states.

    Args:
        parameters: see `RasterPass`.
        frames: [B, F, 7].
        cameras: [B, 24] rows of `camera_rows`.
        background: [3].
        settings: shared by all.

    Returns:
        PICTURES, each [B, H, W, ...]. Bit by bit those of B single passes.
    """
    width, height = settings.size
    pictures = {
        name: torch.empty(len(frames), height, width, *((3,) if name == "image" else ()), dtype=_dtype(name))
        for name in PICTURES
    }
    moving = _moving(frames, settings) if len(frames) > 1 and bool((cameras == cameras[0]).all()) else None
    if moving is None or len(moving) > MOST_MOVING * len(settings.body_ids):
        for b, (table, row) in enumerate(zip(frames, cameras, strict=True)):
            one = draw(parameters, table, row, background, settings)
            for name in PICTURES:
                pictures[name][b] = getattr(one, name)
    else:
        _draw_moving(parameters, frames, cameras[0], background, settings, moving, pictures)
    return tuple(pictures.values())


def _dtype(name: str) -> torch.dtype:
    return torch.int32 if name == "body_ids" else torch.float32


def _moving(frames: Tensor, settings: Settings) -> Tensor:
    """Indices of the splats that any two states pose differently."""
    changed = (frames != frames[0]).any(dim=-1).any(dim=0)
    follows = settings.body_ids[:, None] if settings.skin is None else settings.skin.indices
    return torch.nonzero(changed[follows.long()].any(dim=-1)).squeeze(-1)


def _draw_moving(
    parameters: dict[str, Tensor],
    frames: Tensor,
    camera: Tensor,
    background: Tensor,
    settings: Settings,
    moving: Tensor,
    pictures: dict[str, Tensor],
) -> None:
    """Fill `pictures`: the still splats drawn once, the moving ones merged into the tiles they touch."""
    kernels = native.load()
    still = draw(parameters, frames[0], camera, background, settings, hidden=moving)
    own = {name: value[moving].contiguous() for name, value in parameters.items()}
    skin = settings.skin
    rest = replace(
        settings,
        body_ids=settings.body_ids[moving].contiguous(),
        skin=None if skin is None else Skin(skin.indices[moving], skin.weights[moving]),
    )
    first, index = len(still.records), moving.int()
    records = torch.cat([still.records, still.records.new_empty(len(moving), still.records.shape[1])])
    counts = torch.empty(len(moving), dtype=torch.int32)
    for name in PICTURES:
        pictures[name][:] = getattr(still, name)
    for b, table in enumerate(frames):
        kernels.project(*kernel_inputs(own, table, camera, rest), records[first:], counts)
        lists = list_pairs(records[first:], counts, settings.size)
        tiles = torch.nonzero(lists.tile_start.diff()).squeeze(-1).int()
        both = still.lists.tile_start.diff() + lists.tile_start.diff()
        start = torch.cat([both.new_zeros(1), both[tiles.long()].cumsum(0)])
        pair_splat = torch.empty(int(start[-1]), dtype=torch.int32)
        kernels.merge_tiles(
            tiles, records, still.lists.pair_splat, still.lists.tile_start, lists.pair_splat, lists.tile_start,
            index, start, pair_splat,
        )  # fmt: skip
        kernels.rasterize_tiles(
            *settings.size, tiles, records, pair_splat, start, background, *(pictures[name][b] for name in PICTURES)
        )
