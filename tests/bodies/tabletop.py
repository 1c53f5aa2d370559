"""A table with a box, a ball and a dark flat patch on it, as splats, and cameras around."""

from pathlib import Path

import torch

from splatworld import store
from splatworld.bodies import build
from splatworld.bodies.segment import with_labels
from splatworld.core import pose
from splatworld.core.camera import Camera
from splatworld.core.splats import from_points
from splatworld.core.world import Scale, World

SPACING = 0.006
CAMERAS = 8


def square(side: float, center: tuple[float, float, float], a: int = 0, b: int = 1):
    steps = torch.arange(-side / 2, side / 2 + 1e-6, SPACING)
    points = torch.zeros(len(steps) ** 2, 3)
    points[:, [a, b]] = torch.cartesian_prod(steps, steps)
    return points + torch.tensor(center)


def box(side: float, center: tuple[float, float, float]):
    x, y, z = center
    h = side / 2
    walls = [square(side, (x + s * h, y, z), 1, 2) for s in (-1, 1)]
    walls += [square(side, (x, y + s * h, z), 0, 2) for s in (-1, 1)]
    return torch.cat([*walls, square(side, (x, y, z + h))])


def ball(radius: float, center: tuple[float, float, float], count: int = 400):
    index = torch.arange(count) + 0.5
    z = 1 - 2 * index / count
    angle = 3.883222 * index
    around = (1 - z * z).sqrt()
    return radius * torch.stack([around * angle.cos(), around * angle.sin(), z], dim=1) + torch.tensor(center)


def tabletop() -> tuple[World, torch.Tensor]:
    """The world, all of it background, and the true labels: 1 box, 2 ball."""
    table = square(0.6, (0.0, 0.0, 0.0))
    shadow = square(0.05, (0.15, 0.15, 0.0004))
    parts = [table, shadow, box(0.06, (-0.1, 0.0, 0.03)), ball(0.025, (0.06, 0.02, 0.025))]
    colors = [(180, 140, 90), (40, 30, 20), (200, 40, 40), (240, 140, 20)]
    labels = torch.cat([torch.full((len(p),), label) for p, label in zip(parts, (0, 0, 1, 2), strict=True)])
    rows = [torch.tensor([c]).repeat(len(p), 1) for p, c in zip(parts, colors, strict=True)]
    points = torch.cat(parts)
    splats = from_points(
        points, torch.cat(rows).byte(), scale=torch.full((len(points),), SPACING / 2), opacity=0.9, degree=0
    )
    return World(splats=splats, cameras=cameras(), scale=Scale(1.0, "poses", 0.01)), labels


def save_table(folder: Path) -> Path:
    """The world on disk, with box and ball as bodies that have their shapes."""
    world, labels = tabletop()
    store.save_world(build.refresh(with_labels(world, labels, ["box", "ball"])), folder)
    return folder


def cameras() -> dict[str, Camera]:
    found = {}
    for index in range(CAMERAS):
        angle = torch.tensor(2 * torch.pi * index / CAMERAS, dtype=torch.float64)
        eye = torch.stack([0.5 * angle.cos(), 0.5 * angle.sin(), torch.tensor(0.4, dtype=torch.float64)])
        up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
        found[f"view_{index}"] = Camera(
            focal=torch.tensor([160.0, 160.0], dtype=torch.float64),
            center=torch.tensor([80.0, 60.0], dtype=torch.float64),
            size=(160, 120),
            world_from_camera=pose.look_at(eye, torch.zeros(3, dtype=torch.float64), up),
        )
    return found
