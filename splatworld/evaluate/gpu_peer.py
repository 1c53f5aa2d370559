"""gsplat on our scenes, to compare with; the project does not need it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.evaluate.scenes import Scene

NAME = "gsplat 1.5.3"
PACKED = (False, True)
"""Its two ways to go on after the projection; which is faster depends on the scene."""


def load_peer() -> Any | None:
    """Its function `rasterization`; None where it is not installed, or not built for this GPU."""
    try:
        from gsplat import rasterization
        from gsplat.cuda._backend import _C
    except ImportError:
        return None
    return rasterization if _C is not None else None


def parameters(scene: Scene) -> dict[str, Tensor]:
    """Of a scene whose frames are all at rest: leaves that want gradients, by the names of its arguments."""
    splats = scene.splats
    held = {
        "means": splats.means,
        "quats": splats.quats,
        "scales": splats.log_scales.exp(),
        "opacities": splats.opacity_logits.sigmoid(),
        "colors": splats.sh,
    }
    return {name: value.detach().clone().requires_grad_() for name, value in held.items()}


def draw(rasterization: Any, given: dict[str, Tensor], scene: Scene, *, packed: bool) -> Tensor:
    """[..., H, W, 3], with the batch that `given` has beyond [N, ...]."""
    camera = scene.camera
    device, batch = given["means"].device, given["means"].shape[:-2]
    calibration = torch.eye(3, device=device)
    calibration[0, 0], calibration[1, 1] = camera.focal.unbind(-1)
    calibration[:2, 2] = camera.center
    camera_from_world = torch.eye(4, device=device)
    inverse = pose.inverse(camera.world_from_camera)
    camera_from_world[:3, :3], camera_from_world[:3, 3] = pose.quat_to_matrix(inverse[3:]), inverse[:3]
    image, _, _ = rasterization(
        **given,
        viewmats=camera_from_world.expand(*batch, 1, 4, 4),
        Ks=calibration.expand(*batch, 1, 3, 3),
        width=camera.width,
        height=camera.height,
        sh_degree=3,
        packed=packed,
    )
    return image.squeeze(-4)


def posed(given: dict[str, Tensor], body_ids: Tensor, frames: Tensor) -> dict[str, Tensor]:
    """A copy of all splats for each state of `frames` [B, F, 7], which is how it takes many states at once."""
    own = frames[:, body_ids.long()]
    count = len(frames)
    return {
        "means": pose.transform(own, given["means"]),
        "quats": pose.multiply_quats(own[..., 3:], pose.normalize_quat(given["quats"])),
        **{name: given[name].expand(count, *given[name].shape) for name in ("scales", "opacities", "colors")},
    }
