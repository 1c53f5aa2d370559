"""A made-up capture: a desk with three boxes and a letter F on the wall, seen from a quarter circle."""

import math
from dataclasses import replace
from pathlib import Path

import torch

from splatworld import store
from splatworld.capture.keep import keep_capture
from splatworld.core import pose
from splatworld.core.body import Body, background
from splatworld.core.camera import Camera
from splatworld.core.clip import Clip, PosedClip
from splatworld.core.rollout import Rollout
from splatworld.core.splats import Splats, from_points
from splatworld.core.state import State
from splatworld.core.world import World, rest_state
from splatworld.recordings import save_rollout
from splatworld.render.render import render
from splatworld.render.rendering import to_bytes

BOXES = {
    "red box": ((-0.3, 0.0, 0.1), (0.2, 0.2, 0.2), (200, 40, 40)),
    "green box": ((0.1, 0.1, 0.15), (0.15, 0.15, 0.3), (40, 170, 60)),
    "blue box": ((0.35, -0.15, 0.05), (0.2, 0.1, 0.1), (50, 80, 210)),
}
"""Name -> centre, size, colour. Red lies to the left as seen from -y; green is the tallest."""
LETTER = ((-0.1, 0.6, 0.35, 0.85), (-0.1, 0.3, 0.75, 0.85), (-0.1, 0.2, 0.57, 0.65))
"""The strokes of an F on the wall y = 0.6: from x, to x, from z, to z."""
HELD_OUT = (2, 6)


def make_desk(count: int = 3000, seed: int = 0) -> tuple[World, PosedClip]:
    """A world of about `count` splats, and frames of it that differ a little from what it shows."""
    rng = torch.Generator().manual_seed(seed)
    parts = [_sheet(rng, count // 3, (-0.8, -0.6, 0.0), (0.8, 0.6, 0.0), (150, 115, 80))]
    parts += [_sheet(rng, count // 5, (-0.8, 0.6, 0.0), (0.8, 0.6, 1.0), (190, 190, 180))]
    for low, high, bottom, top in ((-0.1, -0.04, 0.35, 0.85), (-0.1, 0.2, 0.79, 0.85), (-0.1, 0.12, 0.58, 0.64)):
        parts.append(_sheet(rng, count // 40, (low, 0.57, bottom), (high, 0.57, top), (20, 20, 30)))
    for body, (center, size, color) in enumerate(BOXES.values(), 1):
        parts.append(_box(rng, count // 9, center, size, color, body))
    splats = Splats(**{
        name: torch.cat([getattr(part, name) for part in parts]) for name in Splats.__dataclass_fields__
    })  # fmt: skip
    splats.sh[:, 1:] = 0.02 * torch.randn(splats.sh[:, 1:].shape, generator=rng)
    bodies = [
        Body(name, "rigid", pose.exp(torch.tensor([*center, 0, 0, 0.3 * i], dtype=torch.float64)))
        for i, (name, (center, _, _)) in enumerate(BOXES.items(), 1)
    ]
    cameras = {f"frame_{i:04}.png": _camera(i) for i in range(9)}
    world = World(splats=splats, bodies=(background(), *bodies), cameras=cameras)
    images = []
    for i, camera in enumerate(cameras.values()):
        image = torch.from_numpy(to_bytes(render(world, None, camera).image))
        image[20:40, 30 + 4 * i : 60 + 4 * i] = 255  # something the world does not show
        images.append(image)
    held = torch.zeros(9, dtype=torch.bool)
    held[list(HELD_OUT)] = True
    clip = Clip(images=torch.stack(images), times=torch.arange(9) / 3, held_out=held, names=tuple(cameras))
    posed = PosedClip(
        clip=clip,
        cameras=tuple(cameras.values()),
        points=torch.zeros(0, 3),
        colors=torch.zeros(0, 3, dtype=torch.uint8),
        tracks=torch.zeros(0, 2, dtype=torch.int64),
    )
    rows = {
        name: {"psnr": 20.0 + i, "ssim": 0.9, "gain": [1.02, 1.0, 0.98]} for i, name in enumerate(clip.names) if held[i]
    }
    return replace(world, metrics={"held_out": rows, "psnr_mean": 24.0, "ssim_mean": 0.9}), posed


def save_desk(folder: Path, count: int = 3000) -> Path:
    world, posed = make_desk(count)
    store.save_world(world, folder, capture=lambda inside: keep_capture(posed, inside))
    return folder


def push(world: World, name: str, velocity: tuple[float, float, float], steps: int = 12) -> Rollout:
    """A rollout in which one body of a world glides and turns, and all others rest."""
    rest, index = rest_state(world), [body.name for body in world.bodies].index(name)
    states = State(**{
        field: getattr(rest, field).expand(steps + 1, *getattr(rest, field).shape).clone()
        for field in State.__dataclass_fields__
    })  # fmt: skip
    seconds = 0.1 * torch.arange(steps + 1, dtype=torch.float64)
    motion = torch.cat([torch.tensor(velocity), torch.tensor([0.0, 0.0, 0.5])]).double()
    turned = pose.exp(torch.cat([torch.zeros(steps + 1, 3), seconds[:, None] * motion[3:]], dim=1).double())
    states.world_from_body[:, index] = pose.compose(states.world_from_body[:, index], turned)
    states.world_from_body[:, index, :3] += seconds[:, None] * motion[:3]
    states.twists[1:, index] = motion
    states.time[:] = seconds
    std = torch.zeros(steps + 1, len(world.bodies), 6, dtype=torch.float64)
    std[:, index, :3] = 0.02 * seconds[:, None]
    actions = torch.zeros(steps, 0, dtype=torch.float64)
    return Rollout(actions=actions, states=states, world_id=store.world_id(world), std=std)


def save_pushes(folder: Path) -> list[Path]:
    """Two rollouts beside the world at `folder`: the red box is pushed one way and the other."""
    world = store.load_world(folder)
    paths = [folder.parent / name for name in ("to the right", "away")]
    for path, velocity in zip(paths, ((0.15, 0.0, 0.0), (0.0, 0.25, 0.0)), strict=True):
        save_rollout(push(world, "red box", velocity), path)
    return paths


def _camera(index: int) -> Camera:
    angle = math.radians(-130 + 10 * index)
    eye = torch.tensor([1.6 * math.cos(angle), 1.6 * math.sin(angle), 0.9], dtype=torch.float64)
    target, up = torch.tensor([0.0, 0, 0.2]).double(), torch.tensor([0.05, 0, 1.0]).double()
    return Camera(
        focal=torch.tensor([300.0, 300.0], dtype=torch.float64),
        center=torch.tensor([160.0, 120.0], dtype=torch.float64),
        size=(320, 240),
        world_from_camera=pose.look_at(eye, target, up),
    )


def _sheet(rng, count, low, high, color, body=0) -> Splats:
    low, high = torch.tensor(low), torch.tensor(high)
    points = low + (high - low) * torch.rand(count, 3, generator=rng)
    sides = (high - low)[high != low]
    sigma = 1.2 * math.sqrt(float(sides.prod()) / count)
    colors = (torch.tensor(color) + 12 * torch.randn(count, 1, generator=rng)).clamp(0, 255).byte()
    splats = from_points(points, colors, scale=torch.full((count,), sigma), opacity=0.9, degree=1)
    splats.log_scales[:, high == low] = math.log(0.003)
    return replace(splats, body_ids=torch.full((count,), body, dtype=torch.int32))


def _box(rng, count, center, size, color, body) -> Splats:
    center, size = torch.tensor(center), torch.tensor(size)
    faces = []
    for axis in range(3):
        for side in (-0.5, 0.5):
            low, high = center - size / 2, center + size / 2
            low[axis] = high[axis] = center[axis] + side * size[axis]
            shade = tuple(int(c * (1.0, 0.8, 1.25)[axis]) for c in color)
            faces.append(_sheet(rng, count // 6, low.tolist(), high.tolist(), shade, body))
    return Splats(**{n: torch.cat([getattr(f, n) for f in faces]) for n in Splats.__dataclass_fields__})
