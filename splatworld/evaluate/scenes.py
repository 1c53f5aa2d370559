"""Seeded scenes for the rasterizer: random ones that visit every corner, and a room that costs what captures cost."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.camera import Camera
from splatworld.core.splats import Splats, morton_order
from splatworld.core.world import MAX_WEIGHTS, Skin

SIZES = ((96, 64), (64, 96), (80, 48), (50, 77), (33, 17))
"""(width, height) px of the random scenes; not square, and not all multiples of a tile."""
BODIES = 4


@dataclass(frozen=True)
class Scene:
    """All that one call of a rasterizer takes; float32.

    Attributes:
        splats: N splats.
        frames: [..., F, 7].
        camera: batch that broadcasts with that of `frames`.
        skin: None when splats follow their bodies rigidly.
        background: [3].
        antialias: scale opacity by the area that dilation adds.
        sh_degree: highest degree of colour to use.
    """

    splats: Splats
    frames: Tensor
    camera: Camera
    skin: Skin | None = None
    background: Tensor | None = None
    antialias: bool = False
    sh_degree: int | None = None

    @property
    def options(self) -> dict:
        """The keyword arguments of `rasterize`."""
        return {
            "skin": self.skin,
            "background": self.background,
            "antialias": self.antialias,
            "sh_degree": self.sh_degree,
        }


def random_scene(seed: int, *, count: int = 300) -> Scene:
    """A random scene; the seed also chooses image size, batch, skin, degree, anti-aliasing and the camera's motion.

    Of the splats, some are needles, some nearly opaque or nearly clear, some behind the camera, at its near plane or
    beside the image. Two or three cameras look from different sides at as many states of four bodies; one seed in
    three has a single camera for all states.
    """
    draw = _Draw(seed)
    batch = 2 + seed % 2
    splats = _random_splats(draw, count, degree=(3, 2, 3, 1, 0)[seed % 5])
    width, height = SIZES[seed % len(SIZES)]
    views = 1 if seed % 3 == 2 else batch
    eyes = draw.normal(views, 3) * 0.3 - torch.tensor([0.0, 3.0, 0.0])
    camera = Camera(
        focal=torch.tensor([0.9, 0.95]) * width * draw.uniform(0.8, 1.5, views, 1),
        center=torch.tensor([width, height]) * draw.uniform(0.3, 0.7, views, 2),
        size=(width, height),
        world_from_camera=pose.look_at(eyes, draw.normal(views, 3) * 0.3, draw.normal(3) * 0.3 + torch.eye(3)[2]),
    )
    _near_splats(draw, splats, camera)
    if seed % 3:
        camera = replace(
            camera,
            motion=draw.normal(views, 6) * torch.tensor([0.3, 0.3, 0.3, 0.4, 0.4, 0.4]),
            shutter=draw.uniform(0.0, 1.0, views, 2) * torch.tensor([0.05, 0.08]) * (seed % 4 != 1),
        )
    frames = pose.exp(draw.normal(batch, BODIES, 6) * torch.tensor([0.2, 0.2, 0.2, 0.5, 0.5, 0.5]))
    frames[:, 0] = pose.identity()
    return Scene(
        splats=splats,
        frames=frames,
        camera=camera if views == batch else first(camera),
        skin=_random_skin(draw, count, 1 + seed % MAX_WEIGHTS) if seed % 2 else None,
        background=draw.uniform(0.0, 1.0, 3),
        antialias=seed % 4 == 3,
        sh_degree=2 if seed % 5 == 2 else None,
    )


def room(count: int, size: tuple[int, int], *, seed: int = 0, overlap: float = 20.0) -> Scene:
    """Splats on the surfaces of a 4 x 3 x 2.5 m room with twelve boxes, seen from one corner.

    Args:
        count: of splats, spread evenly by area.
        size: (width, height) px.
        seed: of everything random.
        overlap: sets the splats' size: about this many of one surface cover a point of it, whatever their number. At 20
            some 35 contribute to a pixel before it is finished.
    """
    draw = _Draw(seed)
    sizes = [torch.tensor([4.0, 3.0, 2.5]), *(draw.uniform(0.2, 0.7, 3) for _ in range(12))]
    centers = [torch.tensor([0.0, 0.0, 1.25])]
    centers += [torch.cat([draw.uniform(-1.2, 1.2, 2), box[2:] / 2]) for box in sizes[1:]]
    box_sizes, box_centers = torch.stack(sizes), torch.stack(centers)
    areas = torch.stack([box_sizes[:, (i + 1) % 3] * box_sizes[:, (i + 2) % 3] for i in range(3)], dim=-1)
    area = 2 * areas.sum()
    face = torch.multinomial(areas.flatten(), count, replacement=True, generator=draw.generator)
    box, axis = face // 3, face % 3
    local = draw.uniform(-0.5, 0.5, count, 3)
    local.scatter_(1, axis[:, None], (draw.uniform(0.0, 1.0, count, 1) < 0.5).float() - 0.5)
    # A splat of opacity o reaches alpha 1/255 at sqrt(2 ln(255 o)) deviations; about 3 here.
    sigma = (overlap * area / (torch.pi * 3.0**2 * count)).sqrt()
    log_scales = sigma.log() + draw.normal(count, 3) * 0.4
    log_scales.scatter_add_(1, axis[:, None], torch.full((count, 1), -2.0))
    tilt = pose.exp(torch.cat([torch.zeros(count, 3), draw.normal(count, 3) * 0.15], dim=-1))[:, 3:]
    sh = draw.normal(count, 16, 3) * 0.05
    sh[:, 0] = draw.normal(count, 3) * 0.8
    splats = Splats(
        means=box_centers[box] + local * box_sizes[box],
        log_scales=log_scales,
        quats=tilt,
        opacity_logits=draw.normal(count) * 1.5,
        sh=sh,
        body_ids=box.int(),
        provenance=torch.zeros(count, dtype=torch.uint8),
    )
    splats = splats.select(morton_order(splats.means))  # as fitted worlds are stored
    eye, target = torch.tensor([-1.8, -1.3, 1.9]), torch.tensor([0.6, 0.5, 0.5])
    camera = Camera(
        focal=torch.full((2,), 0.8 * max(size)),
        center=torch.tensor(size) / 2,
        size=size,
        world_from_camera=pose.look_at(eye, target, torch.tensor([0.0, 0.0, 1.0])),
    )
    return Scene(splats=splats, frames=pose.identity(len(sizes)), camera=camera, background=torch.zeros(3))


def moved(value: Any, device: torch.device) -> Any:
    """A dataclass of tensors, such as a `Scene`, with all of them on a device."""
    if isinstance(value, Tensor):
        return value.to(device)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: moved(getattr(value, f.name), device) for f in fields(value)})
    return value


class _Draw:
    """Random numbers of one seed, in order of the calls."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=self.generator)

    def integers(self, high: int, *shape: int) -> Tensor:
        return torch.randint(high, shape, generator=self.generator, dtype=torch.int32)


def _random_splats(draw: _Draw, count: int, degree: int) -> Splats:
    kind = draw.uniform(0.0, 1.0, count)
    log_scales = draw.uniform(-4.5, -2.0, count, 1) + draw.normal(count, 3) * 0.5
    needles = kind < 0.15
    log_scales[needles, 0] += 1.5
    log_scales[needles, 1:] -= 2.5
    logits = draw.normal(count) * 1.5
    logits[kind > 0.9] += 7.0
    logits[(kind > 0.8) & (kind < 0.9)] -= 4.0
    sh = draw.normal(count, (degree + 1) ** 2, 3) * 0.15
    sh[:, 0] += draw.normal(count, 3)
    return Splats(
        means=draw.normal(count, 3) * torch.tensor([1.0, 1.3, 0.8]),
        log_scales=log_scales,
        quats=draw.normal(count, 4) * draw.uniform(0.3, 3.0, count, 1),
        opacity_logits=logits,
        sh=sh,
        body_ids=draw.integers(BODIES, count),
        provenance=torch.zeros(count, dtype=torch.uint8),
    )


def _near_splats(draw: _Draw, splats: Splats, camera: Camera) -> None:
    """Move every 25th splat of the fixed body to the near plane of a camera or behind it, in place."""
    chosen = torch.arange(len(splats))[::25]
    view = draw.integers(camera.world_from_camera.shape[0], len(chosen)).long()
    local = draw.normal(len(chosen), 3) * 0.01
    local[:, 2] = draw.uniform(-0.05, 0.06, len(chosen))
    splats.means[chosen] = pose.transform(camera.world_from_camera[view], local)
    splats.body_ids[chosen] = 0
    splats.log_scales[chosen] -= 3.0
    splats.opacity_logits[chosen] -= 2.0


def _random_skin(draw: _Draw, count: int, pairs: int) -> Skin:
    weights = draw.uniform(0.0, 1.0, count, pairs) ** 2
    weights[:, pairs // 2 + 1 :] *= (draw.uniform(0.0, 1.0, count, 1) < 0.5).float()
    return Skin(draw.integers(BODIES, count, pairs), weights / weights.sum(dim=-1, keepdim=True))


def first(camera: Camera) -> Camera:
    rows = ("focal", "center", "world_from_camera", "motion", "shutter")
    return replace(camera, **{name: v[0] for name in rows if (v := getattr(camera, name)) is not None})
