"""Splats and cameras made by hand, in float64; backends cast them to what they compute in."""

from __future__ import annotations

from dataclasses import fields, replace

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.camera import Camera
from splatworld.core.splats import SH_CONSTANT, Splats
from splatworld.core.world import Skin
from splatworld.evaluate.scenes import Scene
from splatworld.render.rendering import Rendering

FLOATS = ("means", "log_scales", "quats", "opacity_logits", "sh")
PICTURES = ("image", "alpha", "depth", "median_depth", "body_ids")


def splats(
    means: list,
    *,
    scale: float | list = 0.1,
    opacity: float | list = 0.5,
    color: float | list = 1.0,
    quats: list | None = None,
    body_ids: list | None = None,
) -> Splats:
    """One splat a row of `means`; the other values broadcast to it. `color` is seen from every side."""
    places = torch.tensor(means, dtype=torch.float64).reshape(-1, 3)
    count = len(places)
    tall = torch.as_tensor(scale, dtype=torch.float64)
    shade = torch.as_tensor(color, dtype=torch.float64)
    return Splats(
        means=places,
        log_scales=tall.log().expand(count, 3).clone(),
        quats=torch.tensor(quats or [[1.0, 0, 0, 0]] * count, dtype=torch.float64).reshape(-1, 4),
        opacity_logits=torch.logit(torch.as_tensor(opacity, dtype=torch.float64)).expand(count).clone(),
        sh=((shade - 0.5) / SH_CONSTANT).expand(count, 3)[:, None].clone(),
        body_ids=torch.tensor(body_ids or [0] * count, dtype=torch.int32),
        provenance=torch.zeros(count, dtype=torch.uint8),
    )


def camera(
    width: int = 9, height: int = 7, *, focal: float = 10.0, center: tuple[float, float] | None = None
) -> Camera:
    """At the origin, looking along +z; by default the middle of the image is a pixel's centre for odd sizes."""
    return Camera(
        focal=torch.full((2,), focal, dtype=torch.float64),
        center=torch.tensor(center or (width / 2, height / 2), dtype=torch.float64),
        size=(width, height),
        world_from_camera=pose.identity(dtype=torch.float64),
    )


def still(count: int = 1) -> Tensor:
    """Identity frames [count, 7]."""
    return pose.identity(count, dtype=torch.float64)


def leaves(given: Splats) -> Splats:
    """The same splats, as leaves that want gradients."""
    return replace(given, **{name: getattr(given, name).detach().clone().requires_grad_() for name in FLOATS})


def joined(*parts: Splats) -> Splats:
    return Splats(**{f.name: torch.cat([getattr(part, f.name) for part in parts]) for f in fields(Splats)})


def doubled(scene: Scene) -> Scene:
    """A scene in float64; weights sum to 1 in it."""
    skin = scene.skin
    if skin is not None:
        weights = skin.weights.double()
        skin = Skin(skin.indices, weights / weights.sum(dim=-1, keepdim=True))
    return replace(
        scene,
        skin=skin,
        splats=replace(scene.splats, **{name: getattr(scene.splats, name).double() for name in FLOATS}),
        frames=scene.frames.double(),
        camera=replace(
            scene.camera,
            **{
                name: value.double()
                for name in ("focal", "center", "world_from_camera", "motion", "shutter")
                if (value := getattr(scene.camera, name)) is not None
            },
        ),
    )


def assert_same(a: Rendering, b: Rendering) -> None:
    """Bit by bit."""
    for name in PICTURES:
        assert torch.equal(getattr(a, name), getattr(b, name)), name


def assert_finite(rendering: Rendering) -> None:
    for name in PICTURES:
        assert torch.isfinite(getattr(rendering, name)).all(), name
