"""Differentiable rasterization by the native kernels; the float64 twin is `reference.rasterize`."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from splatworld import native
from splatworld.core import pose
from splatworld.core.camera import Camera
from splatworld.core.checks import InputError, ShapeError, check_shape
from splatworld.core.splats import Splats
from splatworld.core.world import Skin
from splatworld.render.device import DevicePass
from splatworld.render.passes import PICTURES, RasterPass, RasterPasses, Settings
from splatworld.render.rendering import Rendering
from splatworld.render.states import draw_states

MAX_PIXELS = 1 << 28
"""Largest picture that is attempted."""


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
    """Render splats posed by frames, on the device where they are: the CPU, or a GPU if the kernels have CUDA.

    A GPU draws all views of the batch in one call, and the splats lie in its memory once.

    Args:
        splats: N Gaussians in the rest frame; everything else lies on the same device.
        frames: [..., F, 7] table that poses them, bodies first, then nodes.
        camera: undistorted; its leading batch and that of `frames` broadcast to `...`.
        skin: which frames move each splat; None: splat n follows `frames[body_ids[n]]` rigidly.
        background: [3] colour behind everything, black by default.
        antialias: scale opacities by the share of the dilated ellipse that the true one covers (Mip-Splatting).
        sh_degree: use spherical harmonics only up to this degree.

    Returns:
        Pictures with batch `...`. Differentiable in every float of splats, frames, camera and background.

    Raises:
        InputError: a distorted camera, a picture too large, more (tile, splat) pairs than can be counted, more than the
            memory of a device holds, or tensors on different devices.
        NativeMissing: the kernels for this device are not installed.
        ShapeError: shapes that do not fit.
    """
    check_shape("rasterize", "frames", frames, ("...", "F", 7))
    check_one_device(splats, frames=frames, camera=camera, skin=skin, background=background)
    if camera.is_distorted:
        raise InputError("rasterize: the camera has distortion; undistort the images and cameras first.")
    if camera.width * camera.height > MAX_PIXELS:
        raise InputError(f"rasterize: {camera.width}x{camera.height} px is too large; render it in parts.")
    check_indices(splats, frames.shape[-2], skin)
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
        background = torch.zeros(3, device=frames.device)
    settings = Settings(splats.body_ids.int().contiguous(), skin, camera.size, count, antialias)
    parameters = {name: getattr(splats, name) for name in RasterPass.PARAMETERS}
    floats = (*parameters.values(), flat_frames, flat_cameras, background)
    if torch.is_grad_enabled() and any(value.requires_grad for value in floats):
        pictures = _Rasterize.apply(*floats, settings)
    else:
        parameters = {name: value.detach().float().contiguous() for name, value in parameters.items()}
        floor = background.detach().float().contiguous()
        inputs = (parameters, flat_frames.detach(), flat_cameras.detach(), floor, settings)
        if native.on_device(frames):
            drawn = DevicePass(*inputs)
            pictures = tuple(drawn.picture(name) for name in PICTURES)
        else:
            pictures = draw_states(*inputs)
    image, transmittance, depth_sum, median, ids = pictures
    alpha = 1 - transmittance
    depth = depth_from_sum(depth_sum, alpha)

    def unflatten(picture: Tensor) -> Tensor:
        return picture.reshape(*batch, *picture.shape[1:])

    return Rendering(
        image=unflatten(image),
        alpha=unflatten(alpha),
        depth=unflatten(depth),
        median_depth=unflatten(median),
        body_ids=unflatten(ids),
    )


def depth_from_sum(depth_sum: Tensor, alpha: Tensor, *, out: Tensor | None = None) -> Tensor:
    """[..., H, W] expected depth; any splat that is drawn adds more than the least alpha, where none is both are 0."""
    return torch.div(depth_sum, torch.clamp(alpha, min=0.5 / 255, out=out), out=out)


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


def check_one_device(splats: Splats, **others: Any) -> None:
    """Raise InputError where a tensor, or one of a dataclass, lies elsewhere than the splats' means."""
    home = splats.means.device
    for name, value in (("splats", splats), *others.items()):
        tensors = [getattr(value, f.name) for f in fields(value)] if is_dataclass(value) else [value]
        for tensor in tensors:
            if isinstance(tensor, Tensor) and tensor.device != home:
                raise InputError(
                    f"rasterize: the splats' means are on {home}, {name} on {tensor.device}; move all to one device "
                    "with .to(device)."
                )


def check_indices(splats: Splats, frames: int, skin: Skin | None) -> None:
    """Raise an error where a splat has no skin, or follows a frame that is not one of `frames`."""
    indices = splats.body_ids if skin is None else skin.indices
    if skin is not None and skin.indices.shape[0] != len(splats):
        raise ShapeError(f"rasterize: skin for {skin.indices.shape[0]} splats, expected {len(splats)}.")
    if not indices.numel():
        return
    least, most = torch.stack(indices.aminmax()).tolist()
    if least < 0 or most >= frames:
        raise InputError(
            f"rasterize: splats follow frames {least} to {most}, expected 0 to {frames - 1}; pose every body "
            "of the world."
        )


class _Rasterize(torch.autograd.Function):
    @staticmethod
    def forward(ctx, means, log_scales, quats, opacity_logits, sh, frames, cameras, background, settings):
        given = dict(zip(RasterPass.PARAMETERS, (means, log_scales, quats, opacity_logits, sh), strict=True))
        parameters = {name: value.detach().float().contiguous() for name, value in given.items()}
        floor = background.detach().float().contiguous()
        views_of = DevicePass if native.on_device(means) else RasterPasses
        ctx.views = views = views_of(parameters, frames.detach(), cameras.detach(), floor, settings)
        ctx.tables, ctx.rows, ctx.background_type = frames.shape, cameras.shape, background.dtype
        ctx.like = {name: (value.shape, value.dtype) for name, value in given.items()}
        # What is returned must not be what `views` keeps: the graph would hold itself and never be freed.
        pictures = [views.picture(name).detach() for name in PICTURES]
        ctx.save_for_backward(*pictures[:3])
        ctx.mark_non_differentiable(*pictures[3:])
        return tuple(pictures)

    @staticmethod
    def backward(ctx, image, transmittance, depth_sum, _median, _ids):
        light = ctx.saved_tensors[1]  # raises where a picture was changed in place
        needed, zeros = ctx.needs_input_grad, partial(torch.zeros, device=image.device)
        gradients: dict[str, Tensor | None] = {
            name: zeros(shape) if wanted else None
            for (name, (shape, _)), wanted in zip(ctx.like.items(), needed, strict=False)
        }
        gradients["frames"] = frames = zeros(ctx.tables, dtype=torch.float64) if needed[5] else None
        gradients["camera"] = cameras = zeros(ctx.rows, dtype=torch.float64) if needed[6] else None
        ctx.views.backward(gradients, image, transmittance, depth_sum)
        background = None
        if needed[7]:
            background = (image * light[..., None]).sum(dim=(0, 1, 2)).to(ctx.background_type)
        splats = [None if (g := gradients[name]) is None else g.to(kind) for name, (_, kind) in ctx.like.items()]
        return (*splats, *(None if g is None else g.float() for g in (frames, cameras)), background, None)
