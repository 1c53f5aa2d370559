"""Differentiable rasterization by the native kernels; the float64 twin is `reference.rasterize`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from splatworld import native
from splatworld.core import pose
from splatworld.core.camera import Camera
from splatworld.core.checks import InputError, ShapeError, check_shape
from splatworld.core.splats import Splats
from splatworld.core.world import Skin
from splatworld.render.rendering import Rendering

MAX_PIXELS = 1 << 28
"""Largest picture that is attempted."""

SPLATS_A_CHUNK = 1024
"""Splats a task of the projection; must match the kernels."""


def rasterize(
    splats: Splats,
    frames: Tensor,
    camera: Camera,
    *,
    skin: Skin | None = None,
    background: Tensor | None = None,
    antialias: bool = False,
    sh_degree: int | None = None,
) -> Rendering:
    """Render splats posed by frames.

    Args:
        splats: N Gaussians in the rest frame.
        frames: [..., F, 7] table that poses them, bodies first, then nodes.
        camera: undistorted; its leading batch and that of `frames` broadcast to `...`.
        skin: which frames move each splat; None: splat n follows `frames[body_ids[n]]` rigidly.
        background: [3] colour behind everything, black by default.
        antialias: scale opacities by the share of the dilated ellipse that the true one covers (Mip-Splatting).
        sh_degree: use spherical harmonics only up to this degree.

    Returns:
        Pictures with batch `...`. Differentiable in every float of splats, frames, camera and background.

    Raises:
        InputError: a distorted camera, a picture too large, or more (tile, splat) pairs than can be counted.
        ShapeError: shapes that do not fit.
    """
    check_shape("rasterize", "frames", frames, ("...", "F", 7))
    if camera.is_distorted:
        raise InputError("rasterize: the camera has distortion; undistort the images and cameras first.")
    if camera.width * camera.height > MAX_PIXELS:
        raise InputError(f"rasterize: {camera.width}x{camera.height} px is too large; render it in parts.")
    _check_indices(splats, frames, skin)
    if background is not None:
        check_shape("rasterize", "background", background, (3,))
    if sh_degree is not None and sh_degree < 0:
        raise InputError(f"rasterize: sh_degree is {sh_degree}, expected 0 to 3.")
    count = splats.sh.shape[1] if sh_degree is None else min((sh_degree + 1) ** 2, splats.sh.shape[1])

    rows = camera_rows(camera)
    batch = torch.broadcast_shapes(frames.shape[:-2], rows.shape[:-1])
    flat_frames = frames.float().expand(*batch, *frames.shape[-2:]).reshape(-1, *frames.shape[-2:]).contiguous()
    flat_cameras = rows.float().expand(*batch, -1).reshape(-1, rows.shape[-1]).contiguous()
    if background is None:
        background = torch.zeros(3)
    image, transmittance, depth_sum, median, ids = _Rasterize.apply(
        splats.means, splats.log_scales, splats.quats, splats.opacity_logits, splats.sh, flat_frames, flat_cameras,
        background, _Settings(splats.body_ids.int().contiguous(), skin, camera.size, count, antialias),
    )  # fmt: skip
    alpha = 1 - transmittance
    seen = alpha > 0
    depth = torch.where(seen, depth_sum / torch.where(seen, alpha, torch.ones_like(alpha)), torch.zeros_like(alpha))

    def unflatten(picture: Tensor) -> Tensor:
        return picture.reshape(*batch, *picture.shape[1:])

    return Rendering(
        image=unflatten(image),
        alpha=unflatten(alpha),
        depth=unflatten(depth),
        median_depth=unflatten(median),
        body_ids=unflatten(ids),
    )


def camera_rows(camera: Camera) -> Tensor:
    """[..., 24] what the kernels read of a camera: rotation into it, position, focal, center, motion, shutter."""
    translation, quat = camera.world_from_camera[..., :3], camera.world_from_camera[..., 3:]
    camera_from_world = pose.conjugate_quat(pose.normalize_quat(quat))
    rotation = pose.quat_to_matrix(camera_from_world)
    motion = translation.new_zeros(6) if camera.motion is None else camera.motion
    shutter = translation.new_zeros(2) if camera.shutter is None else camera.shutter
    parts = [rotation.flatten(-2), translation, camera.focal, camera.center, motion, shutter]
    rows = torch.broadcast_shapes(*(part.shape[:-1] for part in parts))
    return torch.cat([part.expand(*rows, -1) for part in parts], dim=-1)


def _check_indices(splats: Splats, frames: Tensor, skin: Skin | None) -> None:
    indices = splats.body_ids if skin is None else skin.indices
    if skin is not None and skin.indices.shape[0] != len(splats):
        raise ShapeError(f"rasterize: skin for {skin.indices.shape[0]} splats, expected {len(splats)}.")
    if indices.numel() and (int(indices.min()) < 0 or int(indices.max()) >= frames.shape[-2]):
        raise InputError(
            f"rasterize: splats follow frames {int(indices.min())} to {int(indices.max())}, "
            f"expected 0 to {frames.shape[-2] - 1}; pose every body of the world."
        )


class RasterPass:
    """One view's way through the kernels, kept for the backward pass. `rasterize` is its autograd form.

    Attributes:
        image: [H, W, 3] over the background.
        transmittance: [H, W] what of the background is seen.
        depth_sum: [H, W] sum of weight * depth; this and the next two are None where `color_only`.
        median_depth: [H, W] m.
        body_ids: [H, W] int32.
        counts: [N] int32 tiles that each splat touches; 0: not seen.
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

        Raises:
            InputError: more (tile, splat) pairs than can be counted.
        """
        self._kernels = kernels = native.load()
        self._width, self._height = size
        self._skin_pairs = 1 if skin is None else skin.indices.shape[1]
        count = len(body_ids)
        self._inputs = (
            *(parameters[name] for name in self.PARAMETERS),
            parameters["sh"].shape[1] if sh_count is None else sh_count,
            body_ids,
            frames,
            None if skin is None else skin.indices.to(torch.int32).contiguous(),
            None if skin is None else skin.weights.detach().float().contiguous(),
            camera_row,
            *size,
            antialias,
        )
        self._records = torch.empty(count, kernels.RECORD_FLOATS)
        self.counts = torch.empty(count, dtype=torch.int32)
        kernels.project(*self._inputs, self._records, self.counts)
        order = torch.empty(count, dtype=torch.int32)
        seen = kernels.sort_by_depth(self._records, self.counts, order, torch.empty(2 * count, dtype=torch.int32))
        self._first_pair = torch.empty(count, dtype=torch.int64)
        self.pairs = kernels.place_pairs(seen, order, self.counts, self._first_pair)
        if self.pairs >= 2**31:
            raise InputError(
                f"rasterize: {self.pairs} (tile, splat) pairs do not fit; render a smaller picture or fewer splats."
            )
        tiles = -(-self._width // kernels.TILE) * -(-self._height // kernels.TILE)
        self._pair_splat = torch.empty(self.pairs, dtype=torch.int32)
        self._pair_slot = torch.empty(self.pairs, dtype=torch.int32)
        self._tile_start = torch.empty(tiles + 1, dtype=torch.int64)
        kernels.list_tiles(
            seen, self.pairs, order, self._first_pair, self._records, self._width, self._height,
            torch.empty(self.pairs, dtype=torch.int32), self._pair_splat, self._pair_slot, self._tile_start,
        )  # fmt: skip
        shape = (self._height, self._width)
        self.image, self.transmittance = torch.empty(*shape, 3), torch.empty(shape)
        self.depth_sum = None if color_only else torch.empty(shape)
        self.median_depth = None if color_only else torch.empty(shape)
        self.body_ids = None if color_only else torch.empty(shape, dtype=torch.int32)
        kernels.rasterize(
            self._width, self._height, self._records, self._pair_splat, self._tile_start, background,
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
        kernels = self._kernels
        pair_gradients = torch.empty(self.pairs, kernels.PAIR_FLOATS)
        kernels.rasterize_backward(
            self._width, self._height, self._records, self._pair_splat, self._pair_slot, self._tile_start,
            self.image, self.transmittance, self.depth_sum,
            *(None if g is None else g.contiguous() for g in (image, transmittance, depth_sum)), pair_gradients,
        )  # fmt: skip
        count = len(self.counts)
        frames, camera = gradients.get("frames"), gradients.get("camera")
        kernels.project_backward(
            *self._inputs, self.counts, self._first_pair, pair_gradients,
            None if camera is None else torch.empty(-(-count // SPLATS_A_CHUNK), kernels.CAMERA_FLOATS).double(),
            None if frames is None else torch.empty(count, self._skin_pairs, 7),
            *(gradients.get(name) for name in self.PARAMETERS), frames, camera,
        )  # fmt: skip


@dataclass(frozen=True)
class _Settings:
    """What the passes of one batch share."""

    body_ids: Tensor
    skin: Skin | None
    size: tuple[int, int]
    sh_count: int
    antialias: bool


class _Rasterize(torch.autograd.Function):
    @staticmethod
    def forward(ctx, means, log_scales, quats, opacity_logits, sh, frames, cameras, background, settings):
        given = dict(zip(RasterPass.PARAMETERS, (means, log_scales, quats, opacity_logits, sh), strict=True))
        parameters = {name: value.detach().float().contiguous() for name, value in given.items()}
        floor = background.detach().float().contiguous()
        passes = [
            RasterPass(
                parameters, settings.body_ids, table.detach(), row.detach(), settings.size, floor,
                skin=settings.skin, sh_count=settings.sh_count, antialias=settings.antialias,
            )
            for table, row in zip(frames, cameras, strict=True)
        ]  # fmt: skip
        ctx.passes, ctx.tables, ctx.rows, ctx.background_type = passes, frames.shape, cameras.shape, background.dtype
        ctx.like = {name: (value.shape, value.dtype) for name, value in given.items()}
        pictures = [
            torch.stack([getattr(p, name) for p in passes])
            for name in ("image", "transmittance", "depth_sum", "median_depth", "body_ids")
        ]
        ctx.mark_non_differentiable(*pictures[3:])
        return tuple(pictures)

    @staticmethod
    def backward(ctx, image, transmittance, depth_sum, _median, _ids):
        needed = ctx.needs_input_grad
        gradients: dict[str, Tensor | None] = {
            name: torch.zeros(shape) if wanted else None
            for (name, (shape, _)), wanted in zip(ctx.like.items(), needed, strict=False)
        }
        frames = torch.zeros(ctx.tables, dtype=torch.float64) if needed[5] else None
        cameras = torch.zeros(ctx.rows, dtype=torch.float64) if needed[6] else None
        for b, one in enumerate(ctx.passes):
            gradients["frames"] = None if frames is None else frames[b]
            gradients["camera"] = None if cameras is None else cameras[b]
            one.backward(gradients, image[b], transmittance[b], depth_sum[b])
        background = None
        if needed[7]:
            light = torch.stack([p.transmittance for p in ctx.passes])
            background = (image * light[..., None]).sum(dim=(0, 1, 2)).to(ctx.background_type)
        splats = [None if (g := gradients[name]) is None else g.to(kind) for name, (_, kind) in ctx.like.items()]
        return (*splats, *(None if g is None else g.float() for g in (frames, cameras)), background, None)
