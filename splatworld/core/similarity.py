"""Similarities: a rotation, a shift and one factor for all lengths."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.camera import Camera
from splatworld.core.checks import InputError, ShapeError, check_finite, check_shape


@dataclass(frozen=True)
class Similarity:
    """`a_from_b`: a point x of b lies at `translation + scale * rotate(quat, x)` in a.

    Attributes:
        scale: units of a in a unit of b, positive.
        quat: [4] float64 wxyz, unit.
        translation: [3] float64, units of a.
    """

    scale: float = 1.0
    quat: Tensor = field(default_factory=lambda: torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64))
    translation: Tensor = field(default_factory=lambda: torch.zeros(3, dtype=torch.float64))

    def __post_init__(self) -> None:
        check_shape("Similarity", "quat", self.quat, (4,))
        check_shape("Similarity", "translation", self.translation, (3,))
        check_finite("Similarity", "quat", self.quat)
        check_finite("Similarity", "translation", self.translation)
        if not (self.scale > 0 and math.isfinite(self.scale)):
            raise InputError(f"Similarity: scale is {self.scale}, expected a positive factor.")
        if abs(float(self.quat.norm()) - 1) > 1e-6:
            raise InputError(f"Similarity: quat is {self.quat.tolist()}, expected a unit quaternion wxyz.")

    def points(self, points: Tensor) -> Tensor:
        """Points [..., 3], computed in float64, returned in the dtype given."""
        moved = self.translation + self.scale * pose.rotate(self.quat, points.double())
        return moved.to(points.dtype)

    def poses(self, poses: Tensor) -> Tensor:
        """Poses [..., 7], computed in float64, returned in the dtype given; rotations have w >= 0."""
        quats = pose.normalize_quat(pose.multiply_quats(self.quat, poses[..., 3:].double()))
        quats = torch.where(quats[..., :1] < 0, -quats, quats)
        moved = torch.cat([self.translation + self.scale * pose.rotate(self.quat, poses[..., :3].double()), quats], -1)
        return moved.to(poses.dtype)

    def camera(self, camera: Camera) -> Camera:
        """The camera moved along, so that it shows the moved scene as before: `motion` is in its own axes."""
        motion = camera.motion
        if motion is not None:
            motion = torch.cat([motion[..., :3] * self.scale, motion[..., 3:]], dim=-1)
        return replace(camera, world_from_camera=self.poses(camera.world_from_camera), motion=motion)

    def inverse(self) -> Similarity:
        """`b_from_a`."""
        quat = pose.conjugate_quat(self.quat)
        return Similarity(1 / self.scale, quat, -pose.rotate(quat, self.translation) / self.scale)

    def after(self, first: Similarity) -> Similarity:
        """`a_from_c` of this `a_from_b` and `first`, `b_from_c`."""
        quat = pose.normalize_quat(pose.multiply_quats(self.quat, first.quat))
        return Similarity(self.scale * first.scale, quat, self.points(first.translation))


def fit_similarity(source: Tensor, target: Tensor) -> Similarity:
    """The similarity that maps points `source` [N, 3] closest to `target` [N, 3] in the least-squares sense.

    Umeyama, "Least-squares estimation of transformation parameters" (1991).

    Raises:
        ShapeError: the points do not pair up.
        InputError: fewer than 3 of them, or all in one place.
    """
    if source.shape != target.shape or source.dim() != 2 or source.shape[1] != 3:
        raise ShapeError(f"fit_similarity: source is {list(source.shape)}, target {list(target.shape)}, expected both "
                         "[N, 3].")  # fmt: skip
    source, target = source.double(), target.double()
    source_mean, target_mean = source.mean(dim=0), target.mean(dim=0)
    a, b = source - source_mean, target - target_mean
    if len(source) < 3 or float(a.pow(2).sum()) == 0:
        raise InputError(f"fit_similarity: {len(source)} points, expected 3 or more in different places.")
    u, s, vt = torch.linalg.svd(b.T @ a)
    flip = torch.ones(3, dtype=s.dtype)
    flip[2] = torch.sign(torch.linalg.det(u) * torch.linalg.det(vt))
    scale = float((s * flip).sum() / a.pow(2).sum())
    quat = pose.matrix_to_quat(u @ torch.diag(flip) @ vt)
    return Similarity(scale, quat, target_mean - scale * pose.rotate(quat, source_mean))
