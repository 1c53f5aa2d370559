"""The rasterizer in plain torch and float64: the oracle that the native kernels are held to.

Written from the equations (Zwicker et al., "EWA splatting", 2002; Kerbl et al., "3D Gaussian Splatting", 2023), with no
thought for speed. Every gate is a comparison that NaN fails.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.camera import Camera
from splatworld.core.checks import InputError, check_finite, check_shape
from splatworld.core.splats import Splats
from splatworld.core.world import Skin
from splatworld.render import sh as harmonics
from splatworld.render.reference_blend import GATE_TOLERANCE, Footprints, draw
from splatworld.render.rendering import DILATION, FRUSTUM_MARGIN, NEAR, ROW_REACH, Rendering

QUAT_MIN = 1e-24
"""A quaternion whose squared norm does not exceed this is no rotation."""


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
    """Draw the splats, posed by a frames table, in float64.

    Args:
        splats: in the rest frame; one that is not finite, has a zero quaternion or does not project to finite numbers
            is not drawn and gets gradient zero.
        frames: [..., F, 7] poses, see `core.world.frames`.
        camera: its batch and that of `frames` broadcast to `...`.
        skin: frames and weights of each splat; None: splat n follows `frames[body_ids[n]]`.
        background: [3] colour behind everything; black by default.
        antialias: scale opacity by the area the dilation added (Yu et al., "Mip-Splatting", 2024).
        sh_degree: highest degree of spherical harmonics to use.

    Returns:
        Rendering in float64, differentiable in every floating input.

    Raises:
        ShapeError, InputError: wrong shapes, a frame index out of range, a distorted or non-finite camera.
    """
    return rasterize_flagged(
        splats, frames, camera, skin=skin, background=background, antialias=antialias, sh_degree=sh_degree
    )[0]


def rasterize_flagged(
    splats: Splats,
    frames: Tensor,
    camera: Camera,
    *,
    skin: Skin | None = None,
    background: Tensor | None = None,
    antialias: bool = False,
    sh_degree: int | None = None,
) -> tuple[Rendering, Tensor, Tensor]:
    """`rasterize`, and where lower precision may rightly differ.

    Returns:
        rendering: as from `rasterize`.
        flags: [..., H, W] bool; a gate or a tie in depth lies within `GATE_TOLERANCE` (relative) at this pixel.
        median_flags: [..., H, W] bool; `flags`, or the median depth and body may be those of a neighbouring splat.
    """
    check_shape("rasterize", "frames", frames, ("...", "F", 7))
    _check_camera(camera)
    skin = _skin(splats, skin, frames.shape[-2])
    degree = harmonics.limit_degree(splats.sh, sh_degree)
    splats = _double(splats)
    background = splats.means.new_zeros(3) if background is None else background.double()
    check_shape("rasterize", "background", background, (3,))

    parts = {
        "world_from_camera": camera.world_from_camera,
        "focal": camera.focal,
        "center": camera.center,
        "motion": camera.world_from_camera.new_zeros(6) if camera.motion is None else camera.motion,
        "shutter": camera.world_from_camera.new_zeros(2) if camera.shutter is None else camera.shutter,
    }
    batch = torch.broadcast_shapes(frames.shape[:-2], *(part.shape[:-1] for part in parts.values()))
    tables = frames.double().expand(*batch, *frames.shape[-2:]).reshape(-1, *frames.shape[-2:])
    rows = {name: p.double().expand(*batch, p.shape[-1]).reshape(-1, p.shape[-1]) for name, p in parts.items()}
    pictures = []
    for index, table in enumerate(tables):
        one = Camera(size=camera.size, **{name: row[index] for name, row in rows.items()})
        footprints = _project_visible(splats, table, one, skin, antialias, degree)
        pictures.append(draw(footprints, camera.size, background))
    stacked = [torch.stack(parts).unflatten(0, batch) if batch else parts[0] for parts in zip(*pictures, strict=True)]
    return Rendering(*stacked[:5]), stacked[5], stacked[6]


def pose_splats(splats: Splats, frames: Tensor, skin: Skin | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Splats moved by a frames table: means blend linearly, rotations by sign-aligned nlerp.

    Args:
        splats: N splats.
        frames: [F, 7]; the quaternions need not be unit.
        skin: [N, W] pairs; None: splat n follows `frames[body_ids[n]]`.

    Returns:
        means [N, 3] and unit quats [N, 4] in the world, and the blended rotation [N, 4] of each splat's frame, all in
        float64; NaN for a rotation that is none.

    Raises:
        ShapeError, InputError: the skin is of another length, a frame index is out of range.
    """
    skin = _skin(splats, skin, frames.shape[0])
    pairs = frames.double()[skin.indices.long()]
    turns = _unit(pairs[..., 3:])
    aligned = torch.where((turns * turns[:, :1]).sum(dim=-1, keepdim=True) < 0, -turns, turns)
    weights = skin.weights[..., None]
    moved = pose.rotate(turns, splats.means.double()[:, None]) + pairs[..., :3]
    blend = _unit((weights * aligned).sum(dim=-2))
    return (weights * moved).sum(dim=-2), pose.multiply_quats(blend, _unit(splats.quats.double())), blend


def _project_visible(
    splats: Splats, frames: Tensor, camera: Camera, skin: Skin, antialias: bool, degree: int
) -> Footprints:
    """Footprints of the splats that are in front of the camera and finite, nearest first.

    The first pass, without gradients, finds them; the second sees only them, so that no NaN meets a gradient.
    """
    with torch.no_grad():
        seen = _project(splats, frames, camera, skin, antialias, degree)
        floats = (seen.means, seen.depths[:, None], seen.conics, seen.opacities[:, None], seen.colors)
        given = (splats.means, splats.log_scales, splats.quats, splats.opacity_logits[:, None])
        finite = torch.isfinite(torch.cat(floats + given, dim=-1)).all(dim=-1)
        keep = torch.nonzero(finite & (seen.depths >= NEAR * (1 - GATE_TOLERANCE)))[:, 0]
        keep = keep[torch.sort(seen.depths[keep], stable=True).indices]
    return _project(
        splats.select(keep), frames, camera, Skin(skin.indices[keep], skin.weights[keep]), antialias, degree
    )


def _project(splats: Splats, frames: Tensor, camera: Camera, skin: Skin, antialias: bool, degree: int) -> Footprints:
    """Pose and project every splat; what cannot be is NaN."""
    means, quats, blend = pose_splats(splats, frames, skin)
    eye, turn = camera.world_from_camera[:3], _unit(camera.world_from_camera[3:])
    assert camera.motion is not None
    assert camera.shutter is not None
    still = pose.rotate(pose.conjugate_quat(turn), means - eye)
    local, speed, at_reach = _when_read(still, camera, camera.motion, camera.shutter[0])
    z = local[:, 2]
    means2d = camera.focal * (local[:, :2] / z[:, None]) + camera.center

    axes = pose.quat_to_matrix(pose.multiply_quats(pose.conjugate_quat(turn), quats)) * splats.scales[:, None]
    jacobian, at_frustum = _jacobian(local, camera)
    image_axes = jacobian @ axes
    covariance = image_axes @ image_axes.mT
    a, b, c = covariance[:, 0, 0], covariance[:, 0, 1], covariance[:, 1, 1]
    before = a * c - b * b
    a, c = a + DILATION, c + DILATION
    # Over the exposure a point walks a straight path: a box, whose covariance is a twelfth of its length squared.
    unblurred = a * c - b * b
    path = camera.shutter[1] * (jacobian @ speed[..., None])[..., 0]
    a, b, c = a + path[:, 0] ** 2 / 12, b + path[:, 0] * path[:, 1] / 12, c + path[:, 1] ** 2 / 12
    determinant = a * c - b * b
    determinant = torch.where(determinant > 0, determinant, torch.full_like(determinant, torch.nan))
    conics = torch.stack([c, -b, a], dim=-1) / determinant[:, None]

    shrunk = (before if antialias else unblurred) / determinant
    positive = shrunk > 0
    opacities = splats.opacities * torch.where(positive, torch.where(positive, shrunk, 1.0).sqrt(), 0.0)

    offset = means - eye
    direction = offset / offset.norm(dim=-1, keepdim=True)
    raw = 0.5 + harmonics.evaluate(splats.sh, pose.rotate(pose.conjugate_quat(blend), direction), degree)
    near = (z / NEAR - 1).abs() < GATE_TOLERANCE
    return Footprints(
        means=means2d,
        depths=z,
        conics=conics,
        opacities=opacities,
        colors=torch.where((raw > 0) | ~raw.isfinite(), raw, 0.0),
        body_ids=splats.body_ids,
        drawn=z >= NEAR,
        at_gate=near | at_frustum | at_reach | (raw.abs() < GATE_TOLERANCE).any(dim=-1),
    )


def _when_read(still: Tensor, camera: Camera, motion: Tensor, readout: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Camera-space points at the moment their own row is read (rolling shutter), to first order in the motion.

    Args:
        still: [N, 3] in the camera's axes when its middle row is read.
        camera: one camera.
        motion: [6] its velocity.
        readout: s from the first row to the last.

    Returns:
        points [N, 3], the camera's velocity at them [N, 3] m/s, and [N] bool: near the last row that counts.
    """
    velocity, turn = motion.expand(len(still), 6).split(3, dim=-1)
    speed = velocity + torch.linalg.cross(turn, still)
    row = (camera.focal[1] * still[:, 1] / still[:, 2] + camera.center[1]) / camera.height - 0.5
    moving = (speed != 0).any(dim=-1) & (readout != 0)
    at_reach = moving & ((row.abs() / ROW_REACH - 1).abs() < GATE_TOLERANCE)
    read = row.clamp(-ROW_REACH, ROW_REACH) * readout
    return still - read[:, None] * speed, speed, at_reach


def _jacobian(local: Tensor, camera: Camera) -> tuple[Tensor, Tensor]:
    """Derivative [N, 2, 3] of the projection at camera-space points [N, 3], and [N] bool: near its clamp.

    Beyond the image's edge plus a margin the point is moved back to that edge, along x and y, before the derivative is
    taken: the linearisation would otherwise grow without bound.
    """
    z = local[:, 2:]
    size = camera.focal.new_tensor(camera.size)
    margin = FRUSTUM_MARGIN * 0.5 * size / camera.focal
    low, high = -(camera.center / camera.focal + margin), (size - camera.center) / camera.focal + margin
    slope = local[:, :2] / z
    moved = z * torch.minimum(torch.maximum(slope, low), high)
    close = torch.minimum((slope / low - 1).abs(), (slope / high - 1).abs()) < GATE_TOLERANCE
    diagonal = torch.diag_embed(camera.focal / z)
    return torch.cat([diagonal, (-camera.focal * moved / z**2)[..., None]], dim=-1), close.any(dim=-1)


def _unit(quats: Tensor) -> Tensor:
    """Quaternions [..., 4] of unit length; NaN where there is no rotation."""
    square = (quats * quats).sum(dim=-1, keepdim=True)
    return quats / torch.where(square > QUAT_MIN, square, torch.full_like(square, torch.nan)).sqrt()


def _double(splats: Splats) -> Splats:
    names = ("means", "log_scales", "quats", "opacity_logits", "sh")
    return replace(splats, **{name: getattr(splats, name).double() for name in names})


def _skin(splats: Splats, skin: Skin | None, count: int) -> Skin:
    """The pairs of every splat; a rigid splat has one."""
    if skin is None:
        skin = Skin(splats.body_ids[:, None], torch.ones_like(splats.means[:, :1], dtype=torch.float64))
    check_shape("frames", "skin.indices", skin.indices, (len(splats), "W"))
    if skin.indices.numel() and not 0 <= skin.indices.min() <= skin.indices.max() < count:
        raise InputError(
            f"frames: a splat follows frame {int(skin.indices.max())} (least {int(skin.indices.min())}), "
            f"expected 0 to {count - 1}; give one frame a body and node."
        )
    return Skin(skin.indices, skin.weights.double())


def _check_camera(camera: Camera) -> None:
    if camera.is_distorted:
        raise InputError("rasterize: the camera has distortion; undistort the image and its camera first.")
    camera.check()
    check_finite("rasterize", "world_from_camera", camera.world_from_camera)
    if bool((camera.world_from_camera[..., 3:].square().sum(dim=-1) <= QUAT_MIN).any()):
        raise InputError("rasterize: world_from_camera has a zero quaternion, expected a rotation.")
