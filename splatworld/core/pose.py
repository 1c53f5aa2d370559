"""Rigid poses `[..., 7]` = translation (m), unit quaternion wxyz; `a_from_b` maps b's points into a."""

from __future__ import annotations

import torch
from torch import Tensor


def identity(*batch: int, dtype: torch.dtype = torch.float32, device: torch.device | str | None = None) -> Tensor:
    """Identity poses [*batch, 7]."""
    pose = torch.zeros(*batch, 7, dtype=dtype, device=device)
    pose[..., 3] = 1
    return pose


def normalize_quat(quat: Tensor) -> Tensor:
    """Scale quaternions [..., 4] to unit length; a zero quaternion stays zero."""
    norm = quat.norm(dim=-1, keepdim=True)
    return quat / torch.where(norm > 0, norm, torch.ones_like(norm))


def multiply_quats(a: Tensor, b: Tensor) -> Tensor:
    """Hamilton product [..., 4]: rotate by `b`, then by `a`."""
    aw, ax, ay, az = a.unbind(-1)
    bw, bx, by, bz = b.unbind(-1)
    return torch.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        dim=-1,
    )


def conjugate_quat(quat: Tensor) -> Tensor:
    """The inverse rotation of unit quaternions [..., 4]."""
    return quat * quat.new_tensor([1.0, -1.0, -1.0, -1.0])


def rotate(quat: Tensor, vectors: Tensor) -> Tensor:
    """Rotate vectors [..., 3] by unit quaternions [..., 4]."""
    w, axis = quat[..., :1], quat[..., 1:]
    axis, vectors = torch.broadcast_tensors(axis, vectors)
    twice = 2 * torch.linalg.cross(axis, vectors)
    return vectors + w * twice + torch.linalg.cross(axis, twice)


def quat_to_matrix(quat: Tensor) -> Tensor:
    """Rotation matrices [..., 3, 3] of unit quaternions [..., 4]."""
    w, x, y, z = quat.unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def matrix_to_quat(matrix: Tensor) -> Tensor:
    """Unit quaternions [..., 4], w >= 0, of rotation matrices [..., 3, 3].

    Takes the largest of the four candidate pivots, so no near-zero square root is divided by
    (Shepperd, "Quaternion from rotation matrix", 1978).
    """
    m = matrix
    m00, m11, m22 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    pivots = torch.stack([1 + m00 + m11 + m22, 1 + m00 - m11 - m22, 1 - m00 + m11 - m22, 1 - m00 - m11 + m22], dim=-1)
    xw, yw, zw = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = m[..., 0, 1] + m[..., 1, 0], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1]
    candidates = torch.stack(
        [
            torch.stack([pivots[..., 0], xw, yw, zw], dim=-1),
            torch.stack([xw, pivots[..., 1], xy, xz], dim=-1),
            torch.stack([yw, xy, pivots[..., 2], yz], dim=-1),
            torch.stack([zw, xz, yz, pivots[..., 3]], dim=-1),
        ],
        dim=-2,
    )
    best = pivots.argmax(dim=-1)[..., None, None].expand(*pivots.shape[:-1], 1, 4)
    quat = normalize_quat(candidates.gather(-2, best).squeeze(-2))
    return torch.where(quat[..., :1] < 0, -quat, quat)


def compose(a_from_b: Tensor, b_from_c: Tensor) -> Tensor:
    """`a_from_c` [..., 7]."""
    translation = a_from_b[..., :3] + rotate(a_from_b[..., 3:], b_from_c[..., :3])
    quat = normalize_quat(multiply_quats(a_from_b[..., 3:], b_from_c[..., 3:]))
    return torch.cat([translation, quat.expand(*translation.shape[:-1], 4)], dim=-1)


def inverse(a_from_b: Tensor) -> Tensor:
    """`b_from_a` [..., 7]."""
    quat = conjugate_quat(a_from_b[..., 3:])
    return torch.cat([-rotate(quat, a_from_b[..., :3]), quat], dim=-1)


def transform(a_from_b: Tensor, points: Tensor) -> Tensor:
    """Points [..., 3] of frame b in frame a; batches broadcast."""
    return a_from_b[..., :3] + rotate(a_from_b[..., 3:], points)


def to_matrix(pose: Tensor) -> Tensor:
    """Homogeneous matrices [..., 4, 4]."""
    matrix = torch.zeros(*pose.shape[:-1], 4, 4, dtype=pose.dtype, device=pose.device)
    matrix[..., :3, :3] = quat_to_matrix(pose[..., 3:])
    matrix[..., :3, 3] = pose[..., :3]
    matrix[..., 3, 3] = 1
    return matrix


def from_matrix(matrix: Tensor) -> Tensor:
    """Poses [..., 7] of rigid matrices [..., 3 or 4, 4]."""
    return torch.cat([matrix[..., :3, 3], matrix_to_quat(matrix[..., :3, :3])], dim=-1)


def exp(twist: Tensor) -> Tensor:
    """Pose [..., 7] of a twist [..., 6] = translation (m), then rotation vector (rad).

    Translation and rotation are integrated apart (R^3 x SO(3)), as velocities are stored: linear velocity of the
    origin and angular velocity in the same axes.
    """
    half = 0.5 * twist[..., 3:]
    angle = half.norm(dim=-1, keepdim=True)
    # sin(a)/a by torch.sinc, which is smooth at zero.
    quat = torch.cat([torch.cos(angle), torch.sinc(angle / torch.pi) * half], dim=-1)
    return torch.cat([twist[..., :3], quat], dim=-1)


def log(pose: Tensor) -> Tensor:
    """Twist [..., 6] whose `exp` is `pose`; the rotation vector is at most pi long."""
    quat = torch.where(pose[..., 3:4] < 0, -pose[..., 3:], pose[..., 3:])
    sine = quat[..., 1:].norm(dim=-1, keepdim=True)
    half = torch.atan2(sine, quat[..., :1])
    small = sine < 1e-6
    factor = torch.where(small, 2 / quat[..., :1].clamp(min=1e-6), 2 * half / torch.where(small, sine + 1, sine))
    return torch.cat([pose[..., :3], factor * quat[..., 1:]], dim=-1)


def look_at(eye: Tensor, target: Tensor, up: Tensor) -> Tensor:
    """`world_from_camera` [..., 7] of an OpenCV camera (x right, y down, z forward) at `eye` that sees `target`."""
    forward = torch.nn.functional.normalize(target - eye, dim=-1)
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, up.expand_as(forward)), dim=-1)
    down = torch.linalg.cross(forward, right)
    quat = matrix_to_quat(torch.stack([right, down, forward], dim=-1))
    return torch.cat([eye.expand(*quat.shape[:-1], 3), quat], dim=-1)
