"""Pinhole cameras with OpenCV axes (x right, y down, z forward) and OpenCV distortion."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.checks import InputError, ShapeError, check_finite, check_shape


@dataclass(frozen=True)
class Camera:
    """One camera, or a batch of cameras of one image size.

    Attributes:
        focal: [..., 2] px.
        center: [..., 2] px, principal point; the top-left corner of the first pixel is the origin, so pixel
            centres lie at +0.5.
        size: (width, height) px.
        world_from_camera: [..., 7] pose of the camera.
        distortion: [..., 4] OpenCV radial-tangential k1, k2, p1, p2; zero for an ideal pinhole.
        motion: [..., 6] linear (m/s) and angular (rad/s) velocity of the camera in its own axes at the time of
            `world_from_camera`, which is mid-exposure of the middle row; None stands still.
        shutter: [..., 2] s, from the first row's exposure to the last row's, and how long each row is exposed; None is
            a global shutter without blur. Without effect where the camera stands still.
    """

    focal: Tensor
    center: Tensor
    size: tuple[int, int]
    world_from_camera: Tensor
    distortion: Tensor | None = None
    motion: Tensor | None = None
    shutter: Tensor | None = None

    def __post_init__(self) -> None:
        check_shape("Camera", "focal", self.focal, ("...", 2))
        check_shape("Camera", "center", self.center, ("...", 2))
        check_shape("Camera", "world_from_camera", self.world_from_camera, ("...", 7))
        if self.distortion is not None:
            check_shape("Camera", "distortion", self.distortion, ("...", 4))
        if self.motion is not None:
            check_shape("Camera", "motion", self.motion, ("...", 6))
        if self.shutter is not None:
            check_shape("Camera", "shutter", self.shutter, ("...", 2))
        if len(self.size) != 2 or min(self.size) < 1:
            raise ShapeError(f"Camera: size is {self.size}, expected (width, height) of at least 1 px.")

    @property
    def width(self) -> int:
        return self.size[0]

    @property
    def height(self) -> int:
        return self.size[1]

    @property
    def is_distorted(self) -> bool:
        return self.distortion is not None and bool((self.distortion != 0).any())

    def to(self, device: torch.device | str) -> Camera:
        """The same camera in the memory of a device."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        moved: dict[str, Any] = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in given.items()}
        return Camera(**moved)

    def check(self) -> None:
        """Raise InputError unless all numbers are finite and focal lengths positive."""
        for name in ("focal", "center", "world_from_camera", "motion", "shutter"):
            if getattr(self, name) is not None:
                check_finite("Camera", name, getattr(self, name))
        if bool((self.focal <= 0).any()):
            raise InputError(f"Camera: focal is {self.focal.tolist()}, expected positive pixels.")


def resize(camera: Camera, size: tuple[int, int]) -> Camera:
    """The same view with another image size (width, height) px; distortion has no unit and stays."""
    factor = camera.focal.new_tensor([size[0] / camera.width, size[1] / camera.height])
    return replace(camera, focal=camera.focal * factor, center=camera.center * factor, size=(size[0], size[1]))


def distort(camera: Camera, normalized: Tensor) -> Tensor:
    """Apply the camera's distortion to normalized image points [..., 2] (x/z, y/z)."""
    if camera.distortion is None:
        return normalized
    k1, k2, p1, p2 = camera.distortion.unbind(-1)
    x, y = normalized.unbind(-1)
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * k2)
    return torch.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        ],
        dim=-1,
    )


def project(camera: Camera, points: Tensor) -> tuple[Tensor, Tensor]:
    """World points [..., 3] m -> pixels [..., 2] px (distortion applied) and depth [...] m along +z."""
    local = pose.transform(pose.inverse(camera.world_from_camera), points)
    depth = local[..., 2]
    pixels = distort(camera, local[..., :2] / depth[..., None]) * camera.focal + camera.center
    return pixels, depth


def unproject(camera: Camera, pixels: Tensor, depth: Tensor) -> Tensor:
    """Lift pixels of an undistorted camera to world points.

    Args:
        camera: an ideal pinhole.
        pixels: [..., 2] px, origin at the top-left corner of the first pixel.
        depth: [...] m, along the camera's +z axis (not along the ray).

    Returns:
        [..., 3] m, world frame. Differentiable in depth and pose.

    Raises:
        ShapeError: the leading shapes differ.
        InputError: the camera has distortion; undistort the image first.
    """
    if camera.is_distorted:
        raise InputError("unproject: the camera has distortion; undistort the image and its camera first.")
    if pixels.shape[:-1] != depth.shape:
        raise ShapeError(
            f"unproject: depth is {list(depth.shape)}, expected {list(pixels.shape[:-1])} to match pixels."
        )
    rays = (pixels - camera.center) / camera.focal
    local = torch.cat([rays, torch.ones_like(rays[..., :1])], dim=-1) * depth[..., None]
    return pose.transform(camera.world_from_camera, local)


def stack(cameras: list[Camera]) -> Camera:
    """One batched camera [C, ...] from cameras of one size."""
    sizes = {camera.size for camera in cameras}
    if len(sizes) != 1:
        raise ShapeError(f"stack: cameras have sizes {sorted(sizes)}, expected one; resize them first.")

    def optional(name: str) -> Tensor | None:
        values = [getattr(camera, name) for camera in cameras]
        known = [value for value in values if value is not None]
        return torch.stack([torch.zeros_like(known[0]) if v is None else v for v in values]) if known else None

    return Camera(
        focal=torch.stack([camera.focal for camera in cameras]),
        center=torch.stack([camera.center for camera in cameras]),
        size=cameras[0].size,
        world_from_camera=torch.stack([camera.world_from_camera for camera in cameras]),
        distortion=optional("distortion"),
        motion=optional("motion"),
        shutter=optional("shutter"),
    )
