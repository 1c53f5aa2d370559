"""Rewrite splats as posed by a frames table, for tools that know no frames."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.checks import check_shape
from splatworld.core.splats import Splats
from splatworld.core.world import Skin
from splatworld.render import sh
from splatworld.render.reference import pose_splats

CHUNK = 65536
"""Splats rewritten at a time, which bounds memory."""


@torch.no_grad()
def bake(splats: Splats, frames: Tensor, *, skin: Skin | None = None) -> Splats:
    """The splats as they lie once the frames have moved them: means, rotations and SH coefficients.

    Args:
        splats: N splats in the rest frame.
        frames: [F, 7], see `core.world.frames`.
        skin: frames and weights of each splat; None: splat n follows `frames[body_ids[n]]`.

    Returns:
        Splats that, drawn under identity frames, look as `splats` do under `frames`. Computed in float64, returned in
        the dtypes given; bit by bit the input where every frame of a splat is the identity. Not differentiable.

    Raises:
        ShapeError, InputError: wrong shapes, a frame index out of range.
    """
    check_shape("bake", "frames", frames, ("F", 7))
    moved = [
        _bake(splats.select(part), frames, None if skin is None else Skin(skin.indices[part], skin.weights[part]))
        for part in torch.arange(len(splats), device=splats.means.device).split(CHUNK)
    ]
    names = ("means", "quats", "sh")
    return replace(splats, **{name: torch.cat([getattr(part, name) for part in moved]) for name in names})


def _bake(splats: Splats, frames: Tensor, skin: Skin | None) -> Splats:
    means, quats, blend = pose_splats(splats, frames, skin)
    indices = splats.body_ids[:, None] if skin is None else skin.indices
    identity = pose.identity(dtype=frames.dtype, device=frames.device)
    still = (frames == identity).all(dim=-1)[indices.long()].all(dim=-1)[:, None]
    return replace(
        splats,
        means=torch.where(still, splats.means, means.to(splats.means)),
        quats=torch.where(still, splats.quats, quats.to(splats.quats)),
        sh=torch.where(still[..., None], splats.sh, sh.rotate(splats.sh, blend)),
    )
