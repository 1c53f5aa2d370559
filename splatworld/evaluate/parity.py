"""A rasterizer against the float64 oracle, on one scene."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.evaluate.scenes import Scene
from splatworld.render import reference
from splatworld.render.bake import bake
from splatworld.render.rendering import Rendering

Rasterize = Callable[..., Rendering]
"""The signature of `render.reference.rasterize`."""

PICTURES = ("image", "alpha", "depth")
"""What carries gradients."""


@dataclass(frozen=True)
class Parity:
    """How far a rasterizer is from the oracle on one scene.

    Attributes:
        forward: largest difference of image, alpha and depth (m) where no gate or tie is near.
        flagged: share of the pixels where one is.
        flagged_error: largest difference of image and alpha there.
        median: share of the pixels whose median depth or body is another though nothing is in doubt.
        cosines: of the gradient with the oracle's, by parameter.
        distances: relative L2 distance of the same.
    """

    forward: float
    flagged: float
    flagged_error: float
    median: float
    cosines: dict[str, float]
    distances: dict[str, float]


def compare(rasterize: Rasterize, scene: Scene, *, seed: int = 0) -> Parity:
    """Draw `scene` with both and compare pictures and gradients.

    The gradients are those of one random linear functional of image, alpha and depth; flagged pixels do not enter. The
    oracle is given the same float32 numbers.
    """
    inputs, oracle_inputs = parameters(scene), parameters(scene)
    drawn = call(rasterize, scene, inputs)
    expected, flags, median_flags = call(reference.rasterize_flagged, scene, oracle_inputs)

    clear = ~flags
    errors = {name: (getattr(drawn, name).double() - getattr(expected, name)).abs() for name in PICTURES}
    other = (drawn.body_ids != expected.body_ids) | ((drawn.median_depth - expected.median_depth).abs() > 1e-4)

    generator = torch.Generator().manual_seed(seed)
    loss = oracle_loss = torch.zeros((), dtype=torch.float64)
    for name in PICTURES:
        value = getattr(expected, name)
        mask = clear if value.ndim == clear.ndim else clear[..., None]
        weight = torch.randn(value.shape, generator=generator, dtype=torch.float64) * mask
        oracle_loss = oracle_loss + (weight * value).sum()
        loss = loss + (weight * getattr(drawn, name).double()).sum()
    loss.backward()
    oracle_loss.backward()

    cosines, distances = {}, {}
    for name, given in inputs.items():
        oracle_gradient = oracle_inputs[name].grad
        assert oracle_gradient is not None
        truth = oracle_gradient.double().flatten()
        found = torch.zeros_like(truth) if given.grad is None else given.grad.double().flatten()
        if truth.norm() > 0:
            usable = bool(found.isfinite().all()) and bool(found.norm() > 0)
            cosines[name] = float(found @ truth / (found.norm() * truth.norm())) if usable else 0.0
            distances[name] = float((found - truth).norm() / truth.norm()) if usable else float("inf")
    return Parity(
        forward=max(_largest(error[clear]) for error in errors.values()),
        flagged=float(flags.double().mean()),
        flagged_error=max(_largest(errors[name][flags]) for name in ("image", "alpha")),
        median=float((other & ~median_flags).double().mean()),
        cosines=cosines,
        distances=distances,
    )


@torch.no_grad()
def baked_error(rasterize: Rasterize, scene: Scene) -> float:
    """Largest difference of image and alpha, off flagged pixels, between posing by frames and rewriting the splats."""
    worst = 0.0
    batch = torch.broadcast_shapes(scene.frames.shape[:-2], scene.camera.world_from_camera.shape[:-1])
    tables = scene.frames.expand(*batch, *scene.frames.shape[-2:]).flatten(0, -3)
    cameras = {
        name: value.expand(*batch, -1).reshape(len(tables), -1)
        for name in ("focal", "center", "world_from_camera", "motion", "shutter")
        if (value := getattr(scene.camera, name)) is not None
    }
    still = pose.identity(scene.frames.shape[-2])
    for index, table in enumerate(tables):
        camera = replace(scene.camera, **{name: value[index] for name, value in cameras.items()})
        options = scene.options
        posed = rasterize(scene.splats, table, camera, **options)
        options["skin"] = None
        rewritten = bake(scene.splats, table, skin=scene.skin)
        baked = rasterize(rewritten, still, camera, **options)
        _, flags, _ = reference.rasterize_flagged(rewritten, still, camera, **options)
        for name in ("image", "alpha"):
            difference = (getattr(posed, name) - getattr(baked, name)).abs()
            worst = max(worst, _largest(difference[~flags]))
    return worst


def parameters(scene: Scene) -> dict[str, Tensor]:
    """Copies, as leaves that want gradients, of everything in `scene` that is differentiated."""
    held = {
        "means": scene.splats.means,
        "log_scales": scene.splats.log_scales,
        "quats": scene.splats.quats,
        "opacity_logits": scene.splats.opacity_logits,
        "sh": scene.splats.sh,
        "frames": scene.frames,
        "world_from_camera": scene.camera.world_from_camera,
        "focal": scene.camera.focal,
        "center": scene.camera.center,
    }
    held |= {name: value for name in ("motion", "shutter") if (value := getattr(scene.camera, name)) is not None}
    if scene.background is not None:
        held["background"] = scene.background
    return {name: value.detach().clone().requires_grad_() for name, value in held.items()}


def call(rasterize: Callable, scene: Scene, inputs: dict[str, Tensor]):
    """What `rasterize` returns for `scene` with `inputs` (see `parameters`) in place of its own."""
    splats = replace(scene.splats, **{f.name: inputs[f.name] for f in fields(scene.splats) if f.name in inputs})
    camera = replace(
        scene.camera,
        focal=inputs["focal"],
        center=inputs["center"],
        world_from_camera=inputs["world_from_camera"],
        motion=inputs.get("motion"),
        shutter=inputs.get("shutter"),
    )
    options = scene.options | {"background": inputs.get("background")}
    return rasterize(splats, inputs["frames"], camera, **options)


def _largest(values: Tensor) -> float:
    """The maximum, 0 of none, infinity where one is NaN."""
    if not values.numel():
        return 0.0
    values = values.detach()
    return float("inf") if bool(values.isnan().any()) else float(values.max())
