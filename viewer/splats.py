"""Splats as the browser takes them: in the frames of their bodies, one colour each."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.camera import Camera
from splatworld.core.splats import SH_CONSTANT, Provenance, Splats
from splatworld.core.world import World
from splatworld.render import sh as harmonics
from splatworld.render.rendering import ALPHA_MIN

COLOR_VIEWS = 8
"""Capture cameras over which a splat's colour is averaged; the browser draws one colour from every side."""
LARGEST = 1000.0
"""Splats are drawn at most this many times as large as the median one; fits leave a few that are larger."""
TYPICAL = 1 / 8
"""Median standard deviation sent, in the node's own unit. The largest squared is still a float16, and so is a 500th of
the median. A larger one would fill the window: for one frame the browser draws a new node without the node's unit."""


@dataclass(frozen=True)
class SplatArrays:
    """The splats of one body, in its frame.

    Attributes:
        centers: [N, 3] float32, in units of `scale`.
        covariances: [N, 3, 3] float32, in squared units of `scale`.
        colors: [N, 3] uint8 sRGB.
        opacities: [N, 1] uint8.
        completed: [N] bool, those that no camera saw.
        scale: m or capture units a unit of the node has; the browser holds covariances in float16, which has no room
            for the square of a millimetre.
    """

    centers: np.ndarray
    covariances: np.ndarray
    colors: np.ndarray
    opacities: np.ndarray
    completed: np.ndarray
    scale: float

    def __len__(self) -> int:
        return len(self.centers)

    def same(self, other: SplatArrays) -> bool:
        """Whether the other ones are these, number by number."""
        return all(np.array_equal(getattr(self, field.name), getattr(other, field.name)) for field in fields(self))


def drawable(splats: Splats) -> Tensor:
    """[N] bool: splats of finite numbers that are not too faint to be drawn by any rasterizer."""
    finite = torch.stack(
        [getattr(splats, name).isfinite().all(dim=-1) for name in ("means", "log_scales", "quats")]
    ).all(dim=0)
    finite &= splats.sh.isfinite().flatten(1).all(dim=1) & (splats.quats.norm(dim=-1) > 0)
    return finite & (splats.opacities >= ALPHA_MIN)


@torch.no_grad()
def body_arrays(world: World) -> dict[int, SplatArrays]:
    """The drawable splats of every body that has some, by its index in `world.bodies`."""
    splats = world.splats
    keep = drawable(splats)
    if not bool(keep.any()):
        return {}
    kept = splats.select(keep)
    scales = kept.scales.clamp(max=LARGEST * float(kept.scales.median()))
    unit = max(float(kept.scales.median()) / TYPICAL, 1e-12)
    colors = (seen_colors(kept, list(world.cameras.values())).clamp(0, 1) * 255 + 0.5).byte()
    opacities = (kept.opacities * 255 + 0.5).byte()
    found = {}
    for index, body in enumerate(world.bodies):
        of_body = torch.nonzero(kept.body_ids == index).squeeze(-1)
        if not len(of_body):
            continue
        body_from_world = pose.inverse(body.rest_pose.double()).float()
        means = pose.transform(body_from_world, kept.means[of_body])
        quats = pose.multiply_quats(body_from_world[3:], pose.normalize_quat(kept.quats[of_body]))
        axes = pose.quat_to_matrix(quats) * (scales[of_body, None, :] / unit)
        found[index] = SplatArrays(
            centers=(means / unit).numpy(),
            covariances=(axes @ axes.transpose(1, 2)).numpy(),
            colors=colors[of_body].numpy(),
            opacities=opacities[of_body, None].numpy(),
            completed=(kept.provenance[of_body] == int(Provenance.COMPLETED)).numpy(),
            scale=unit,
        )
    return found


@torch.no_grad()
def seen_colors(splats: Splats, cameras: list[Camera]) -> Tensor:
    """One colour [N, 3] a splat: the mean of what it shows to the capture's cameras that it lies in view of.

    A splat in view of none, and any splat without cameras, has the colour that is the mean over all directions.
    """
    constant = 0.5 + SH_CONSTANT * splats.sh[:, 0]
    if splats.degree == 0 or not cameras:
        return constant.clamp(min=0)
    step = max(1, -(-len(cameras) // COLOR_VIEWS))
    total, count = torch.zeros(len(splats), splats.sh.shape[1]), torch.zeros(len(splats), 1)
    for camera in cameras[::step]:
        offsets = splats.means - camera.world_from_camera[:3].float()
        local = offsets @ pose.quat_to_matrix(camera.world_from_camera[3:]).float()
        pixels = local[:, :2] / local[:, 2:] * camera.focal.float() + camera.center.float()
        seen = (local[:, 2] > 0) & (pixels >= 0).all(dim=-1) & (pixels < torch.tensor(camera.size)).all(dim=-1)
        directions = torch.nn.functional.normalize(offsets, dim=-1)
        total += harmonics.basis(directions, splats.degree) * seen[:, None]
        count += seen[:, None]
    mean = 0.5 + ((total / count.clamp(min=1))[..., None] * splats.sh).sum(dim=1)
    return torch.where(count > 0, mean, constant).clamp(min=0)
