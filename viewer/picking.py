"""What a browser's window shows at a pixel."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from splatworld.bodies import correct
from splatworld.core.camera import Camera
from splatworld.core.world import Skin, World

WINDOW = "the window"
"""The camera of a browser's window among those of a world."""


def picked(world: World, camera: Camera, pixel: Tensor, shown: set[int]) -> int:
    """Index of the body that a pixel [2] of a view shows where only the bodies `shown` are.

    Raises:
        InputError: as `correct.pick`.
    """
    if len(shown) < len(world.bodies):
        keep = torch.isin(world.splats.body_ids, torch.tensor(sorted(shown), dtype=world.splats.body_ids.dtype))
        skin = None if world.skin is None else Skin(world.skin.indices[keep], world.skin.weights[keep])
        world = replace(world, splats=world.splats.select(keep), skin=skin)
    return correct.pick(replace(world, cameras={WINDOW: camera}), WINDOW, _pair(pixel))[0]


def grown(world: World, camera: Camera, pixel: Tensor) -> World:
    """The world with a body of what stands up at a pixel [2] of a view; the same object if it is one already.

    Raises:
        InputError: as `correct.click`.
    """
    through = replace(world, cameras={WINDOW: camera})
    after = correct.click(through, WINDOW, _pair(pixel))
    return world if after is through else replace(after, cameras=world.cameras)


def _pair(pixel: Tensor) -> tuple[float, float]:
    x, y = pixel.tolist()
    return x, y
