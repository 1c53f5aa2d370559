"""A picture of a world's bodies: each in a colour of its own, and the scene without them."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np

from splatworld.bodies.remove import without
from splatworld.core.camera import Camera
from splatworld.core.checks import InputError
from splatworld.core.world import World
from splatworld.render.render import render
from splatworld.render.rendering import to_bytes

LOOKS = 24
"""Cameras that are tried for the view."""
SHORTEST = 12
"""Px between neighbouring names."""


def best_view(world: World, cameras: list[Camera]) -> Camera:
    """Of cameras the one that shows most bodies, and of those the one that shows them largest."""
    step = max(1, len(cameras) // LOOKS)

    def shown(camera: Camera) -> tuple[int, int]:
        ids = render(world, None, camera).body_ids
        return len(ids[ids > 0].unique()), int((ids > 0).sum())

    return max(cameras[::step], key=shown)


def draw_bodies(world: World, camera: Camera) -> np.ndarray:
    """[H, 2 W + gap, 3] uint8: left bodies in colours with their names, right the scene without them.

    Where bodies cannot be taken out, since others hang on them, there is the left picture alone.
    """
    view = render(world, None, camera)
    ids, picture = view.body_ids.numpy(), to_bytes(view.image)
    colors = np.array([(0, 0, 0), *(_color(index) for index in range(1, len(world.bodies)))], np.float32)
    moving = ids > 0
    tinted = 0.45 * picture + 0.55 * colors[np.maximum(ids, 0)]
    picture = np.where(moving[..., None], tinted, picture).astype(np.uint8)
    taken: list[tuple[int, int]] = []
    for index in range(1, len(world.bodies)):
        own = ids == index
        if own.any():
            row, column = (int(np.median(axis)) for axis in np.nonzero(own))
            while any(abs(row - r) < SHORTEST and abs(column - c) < 8 * SHORTEST for r, c in taken):
                row += SHORTEST
            taken.append((row, column))
            _write(picture, world.bodies[index].name, (column, row))
    names = [body.name for body in world.bodies[1:] if body.kind != "robot"]
    try:
        bare = to_bytes(render(without(world, names), None, camera).image)
    except InputError:
        return picture
    return np.hstack([picture, np.full((picture.shape[0], 12, 3), 255, np.uint8), bare])


def _color(index: int) -> tuple[float, ...]:
    """RGB in 0 to 255; the golden ratio keeps the hues of neighbours apart."""
    return tuple(255 * c for c in colorsys.hsv_to_rgb(index * 0.618034 % 1, 0.75, 1.0))


def _write(picture: np.ndarray, words: str, at: tuple[int, int]) -> None:
    (width, _), _ = cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, 0.42, 1)
    corner = (max(0, min(at[0] - width // 2, picture.shape[1] - width)), at[1])
    for thick, color in ((3, (20, 20, 20)), (1, (255, 255, 255))):
        cv2.putText(picture, words, corner, cv2.FONT_HERSHEY_SIMPLEX, 0.42, color, thick, cv2.LINE_AA)
