"""Differentiable rasterization by the native kernels; the float64 twin is `reference.rasterize`."""

from __future__ import annotations

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
    count = splats.sh.shape[1] if sh_degree is None else min((sh_degree + 1) ** 2, splats.sh.shape[1])

    camera_rows = _camera_rows(camera)
    batch = torch.broadcast_shapes(frames.shape[:-2], camera_rows.shape[:-1])
    unit = torch.cat([frames[..., :3], pose.normalize_quat(frames[..., 3:])], dim=-1)
    flat_frames = unit.float().expand(*batch, *unit.shape[-2:]).reshape(-1, *unit.shape[-2:]).contiguous()
    flat_cameras = camera_rows.float().expand(*batch, -1).reshape(-1, camera_rows.shape[-1]).contiguous()
    if background is None:
        background = torch.zeros(3)
    image, transmittance, depth_sum, median, ids = _Rasterize.apply(
        splats.means, splats.log_scales, splats.quats, splats.opacity_logits, splats.sh, flat_frames, flat_cameras,
        background, _Settings(splats.body_ids, skin, camera.size, count, antialias),
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


def _camera_rows(camera: Camera) -> Tensor:
    """[..., 19] what the kernels read of a camera: rotation, translation, position, focal, center."""
    translation, quat = camera.world_from_camera[..., :3], camera.world_from_camera[..., 3:]
    camera_from_world = pose.conjugate_quat(pose.normalize_quat(quat))
    rotation = pose.quat_to_matrix(camera_from_world)
    moved = -pose.rotate(camera_from_world, translation)
    rows = torch.broadcast_shapes(translation.shape[:-1], camera.focal.shape[:-1], camera.center.shape[:-1])
    parts = [rotation.flatten(-2), moved, translation, camera.focal, camera.center]
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


@dataclass(frozen=True)
class _Settings:
    body_ids: Tensor
    skin: Skin | None
    size: tuple[int, int]
    sh_count: int
    antialias: bool


class _View:
    """One element of the batch between its forward and its backward pass."""

    def __init__(self, arrays: tuple, settings: _Settings, frames: Tensor, camera: Tensor, background: Tensor) -> None:
        kernels = native.load()
        self.width, self.height = settings.size
        count = arrays[0].shape[0]
        self.inputs = (
            *arrays,
            settings.sh_count,
            settings.body_ids.to(torch.int32).contiguous(),
            frames,
            None if settings.skin is None else settings.skin.indices.to(torch.int32).contiguous(),
            None if settings.skin is None else settings.skin.weights.detach().float().contiguous(),
            camera,
            self.width,
            self.height,
            settings.antialias,
        )
        records = torch.empty(count, kernels.RECORD_FLOATS)
        self.counts = torch.empty(count, dtype=torch.int32)
        kernels.project(*self.inputs, records, self.counts)
        order = torch.empty(count, dtype=torch.int32)
        seen = kernels.sort_by_depth(records, self.counts, order, torch.empty(2 * count, dtype=torch.int32))
        self.first_pair = torch.empty(count, dtype=torch.int64)
        self.pairs = kernels.place_pairs(seen, order, self.counts, self.first_pair)
        if self.pairs >= 2**31:
            raise InputError(
                f"rasterize: {self.pairs} (tile, splat) pairs do not fit; render a smaller picture or fewer splats."
            )
        tiles = -(-self.width // kernels.TILE) * -(-self.height // kernels.TILE)
        self.pair_splat = torch.empty(self.pairs, dtype=torch.int32)
        self.pair_slot = torch.empty(self.pairs, dtype=torch.int32)
        self.tile_start = torch.empty(tiles + 1, dtype=torch.int64)
        kernels.list_tiles(
            seen, self.pairs, order, self.first_pair, records, self.width, self.height,
            torch.empty(self.pairs, dtype=torch.int32), self.pair_splat, self.pair_slot, self.tile_start,
        )  # fmt: skip
        self.records = records
        shape = (self.height, self.width)
        self.image, self.transmittance, self.depth = torch.empty(*shape, 3), torch.empty(shape), torch.empty(shape)
        self.median, self.ids = torch.empty(shape), torch.empty(shape, dtype=torch.int32)
        kernels.rasterize(
            self.width, self.height, records, self.pair_splat, self.tile_start, background,
            self.image, self.transmittance, self.depth, self.median, self.ids,
        )  # fmt: skip

    def backward(self, pictures: tuple[Tensor, Tensor, Tensor], targets: dict[str, Tensor | None]) -> None:
        """Add to `targets` the gradients of this view, given those of image, transmittance and depth sum."""
        kernels = native.load()
        pair_gradients = torch.empty(self.pairs, kernels.PAIR_FLOATS)
        kernels.rasterize_backward(
            self.width, self.height, self.records, self.pair_splat, self.pair_slot, self.tile_start,
            self.image, self.transmittance, self.depth, *(p.contiguous() for p in pictures), pair_gradients,
        )  # fmt: skip
        count = self.counts.shape[0]
        pairs = 1 if self.inputs[8] is None else self.inputs[8].shape[1]
        chunks = -(-count // SPLATS_A_CHUNK)
        wants_camera, wants_frames = targets["camera"] is not None, targets["frames"] is not None
        kernels.project_backward(
            *self.inputs, self.counts, self.first_pair, pair_gradients,
            torch.empty(chunks, kernels.CAMERA_FLOATS, dtype=torch.float64) if wants_camera else None,
            torch.empty(count, pairs, 7) if wants_frames else None,
            *(targets[name] for name in ("means", "log_scales", "quats", "opacity_logits", "sh", "frames", "camera")),
        )  # fmt: skip


class _Rasterize(torch.autograd.Function):
    @staticmethod
    def forward(ctx, means, log_scales, quats, opacity_logits, sh, frames, cameras, background, settings):  # noqa: ANN001, ANN205
        arrays = tuple(a.detach().float().contiguous() for a in (means, log_scales, quats, opacity_logits, sh))
        floor = background.detach().float().contiguous()
        views = [
            _View(arrays, settings, frames[b].detach(), cameras[b].detach(), floor) for b in range(frames.shape[0])
        ]
        ctx.views, ctx.dtypes = views, [t.dtype for t in (means, log_scales, quats, opacity_logits, sh)]
        pictures = [
            torch.stack([getattr(view, name) for view in views]) if len(views) != 1 else getattr(views[0], name)[None]
            for name in ("image", "transmittance", "depth", "median", "ids")
        ]
        ctx.shapes = [tuple(a.shape) for a in arrays] + [tuple(frames.shape), tuple(cameras.shape)]
        ctx.background_dtype = background.dtype
        ctx.mark_non_differentiable(pictures[3], pictures[4])
        return tuple(pictures)

    @staticmethod
    def backward(ctx, g_image, g_transmittance, g_depth, _median, _ids):  # noqa: ANN001, ANN205
        names = ("means", "log_scales", "quats", "opacity_logits", "sh")
        targets: dict[str, Tensor | None] = {
            name: torch.zeros(shape) if needed else None
            for name, shape, needed in zip(names, ctx.shapes, ctx.needs_input_grad, strict=False)
        }
        g_frames = torch.zeros(ctx.shapes[5], dtype=torch.float64) if ctx.needs_input_grad[5] else None
        g_cameras = torch.zeros(ctx.shapes[6], dtype=torch.float64) if ctx.needs_input_grad[6] else None
        for b, view in enumerate(ctx.views):
            targets["frames"] = None if g_frames is None else g_frames[b]
            targets["camera"] = None if g_cameras is None else g_cameras[b]
            view.backward((g_image[b], g_transmittance[b], g_depth[b]), targets)
        g_background = None
        if ctx.needs_input_grad[7]:
            light = torch.stack([view.transmittance for view in ctx.views])
            g_background = (g_image * light[..., None]).sum(dim=(0, 1, 2)).to(ctx.background_dtype)
        gradients = [
            None if targets[name] is None else targets[name].to(dtype)
            for name, dtype in zip(names, ctx.dtypes, strict=True)
        ]
        to_float = [None if g is None else g.float() for g in (g_frames, g_cameras)]
        return (*gradients, *to_float, g_background, None)
