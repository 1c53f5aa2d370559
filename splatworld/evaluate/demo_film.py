"""Films of a demo: a camera that swings about the action, ghosts where bodies shall be, pictures side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from splatworld.bodies.place import place_splats
from splatworld.bodies.shadows import shadows_of
from splatworld.core import pose
from splatworld.core.camera import Camera, resize
from splatworld.core.checks import InputError
from splatworld.core.similarity import Similarity
from splatworld.core.splats import Splats, joined
from splatworld.core.state import State
from splatworld.core.world import World
from splatworld.evaluate.demo_markup import pair
from splatworld.render.film import frames_between
from splatworld.render.render import render
from splatworld.render.rendering import to_bytes
from splatworld.render.sh import C0

SIZE = (640, 360)
"""px."""
BETWEEN = 3
"""Frames an action: 30 a second."""
SWING = math.radians(9)
"""By which the camera swings to either side."""
LOOKS = 20
"""Cameras of the capture that are tried."""
SMALL = 160
"""px, longest side of the pictures they are judged by."""
FILL = 0.80
"""Share of the film's height that the action fills at most."""
WIDEST = 1.25
"""Times the capture's own focal length that films have at least: they turn to where less was filmed."""
NEAREST = 2.0
"""Times the capture's own sharpness at which splats are shown at most."""
GHOST, GHOST_OPACITY = (0.30, 0.78, 1.0), 0.32
"""Colour and what is left of the opacity of a body where it shall be."""


def swinging(
    world: World, focus: Tensor, bodies: list[int], count: int, *, size: tuple[int, int] = SIZE
) -> list[Camera]:
    """Cameras that swing about the action once, near where the capture saw it best.

    Args:
        world: with the cameras of its capture.
        focus: [P, 3] m, what shall be in the picture.
        bodies: that shall be seen well.
        count: cameras.
        size: (width, height) px.

    Raises:
        InputError: the world has no cameras.
    """
    if not world.cameras:
        raise InputError("this world has no cameras, it was imported; look at it with `view`.")
    every = list(world.cameras.values())
    seen = max(every[:: max(1, len(every) // LOOKS)], key=lambda camera: _shown(world, camera, bodies))
    focus = focus.double()
    middle = (focus.max(0).values + focus.min(0).values) / 2
    eye = seen.world_from_camera[:3].double()
    away, reach = float((eye - middle).norm()), float((focus - middle).norm(dim=-1).max())
    own = float(seen.focal[0]) * max(size) / max(seen.size)  # what lies beyond was not filmed from there
    focal = min(max(FILL * min(size) / 2 * away / max(reach, 1e-3), WIDEST * own), NEAREST * own)
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    found = []
    for k in range(count):
        turn = -SWING * math.cos(math.pi * k / max(1, count - 1))
        about = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, turn], dtype=torch.float64)
        at = middle + pose.rotate(pose.exp(about)[3:], eye - middle)
        found.append(Camera(
            torch.full((2,), focal).double(), torch.tensor(size).double() / 2, size, pose.look_at(at, middle, up)
        ))  # fmt: skip
    return found


def filmed(
    world: World,
    states: State,
    cameras: list[Camera],
    *,
    ghosts: dict[int, Tensor] | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Iterator[np.ndarray]:
    """Pictures [H, W, 3] uint8 of a world in states [F], each through its camera; shadows go along with what moves.

    Args:
        world: at rest where it was captured.
        states: `frames_between` the ones to be shown.
        cameras: one a state.
        ghosts: body -> pose [7] where it shall be, shown as a ghost.
        progress: told how many are done, of how many.
    """
    moving = shadows_of(world, [states])
    shown = with_ghosts(moving.world, ghosts or {})
    posed = moving.state(states)
    for k, camera in enumerate(cameras):
        yield to_bytes(render(shown, posed[k], camera).image)
        if progress is not None:
            progress(k + 1, len(cameras))


def slowed(states: State) -> State:
    """States [T + 1] as those of a film, `BETWEEN` frames an action."""
    return frames_between(states, BETWEEN)


def with_ghosts(world: World, ghosts: dict[int, Tensor]) -> World:
    """The world with pale copies of bodies at poses [7]; for pictures alone."""
    splats = [world.splats]
    for index, there in ghosts.items():
        own = world.splats.select(world.splats.body_ids == index)
        way = pose.compose(there.double(), pose.inverse(world.bodies[index].rest_pose.double()))
        splats.append(_pale(place_splats(own, Similarity(1.0, way[3:], way[:3]))))
    return replace(world, splats=joined(splats), skin=None) if ghosts else world


def beside(left: Iterator[np.ndarray], right: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Two films as one."""
    for one, other in zip(left, right, strict=True):
        yield pair(one, other)


def _shown(world: World, camera: Camera, bodies: list[int]) -> tuple[int, float]:
    """How many of the bodies are in view, and how many pixels of them, those at the border left out."""
    factor = min(1.0, SMALL / max(camera.size))
    width, height = (max(8, round(side * factor)) for side in camera.size)
    ids = render(world, None, resize(camera, (width, height))).body_ids
    ids = ids[height // 12 : -height // 12, width // 12 : -width // 12]
    pixels = [int((ids == body).sum()) for body in bodies]
    return sum(each > 0 for each in pixels), float(sum(each**0.5 for each in pixels))


def _pale(splats: Splats) -> Splats:
    base = (torch.tensor(GHOST) - 0.5) / C0
    sh = torch.zeros_like(splats.sh)
    sh[:, 0] = 0.35 * splats.sh[:, 0] + 0.65 * base
    opacity = (GHOST_OPACITY * torch.sigmoid(splats.opacity_logits)).clamp(1e-4, 1 - 1e-4)
    return replace(
        splats, sh=sh, opacity_logits=torch.logit(opacity), body_ids=torch.zeros_like(splats.body_ids)
    )  # fmt: skip
