"""A path of the eye through a world, or along a rollout of it, as the pictures of a film."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator

import numpy as np
import torch

from splatworld.bodies.shadows import shadows_of
from splatworld.core.world import World, rest_state
from splatworld.pictures import encode_image
from splatworld.render.film import film, states_between
from splatworld.viewer.flight import CameraPath
from splatworld.viewer.tracks import Track

FPS = 30


def pictures(
    world: World, track: Track | None, path: CameraPath, size: tuple[int, int], *, rate: float = 1.0
) -> tuple[Iterator[np.ndarray], int]:
    """A film by the rasterizer: its pictures [H, W, 3] uint8, and how many there are.

    What moves in the rollout leaves no hole where it stood, and its shadow goes along.

    Args:
        world: to be filmed.
        track: a rollout, whose time is the path's; None for the world at rest.
        path: of the eye.
        size: width and height of the pictures, px.
        rate: seconds of the path in a second of the film.
    """
    count = 1 + round((path.times[-1] - path.times[0]) / rate * FPS)
    times = np.linspace(path.times[0], path.times[-1], count)
    if track is None:
        states, steps = rest_state(world)[None], np.zeros(count)
    else:
        states, steps = track.rollout.states, np.interp(times, track.times, np.arange(len(track.times)))
    shown = states_between(states, torch.from_numpy(steps))
    moving = shadows_of(world, [shown])
    return film(moving.world, moving.state(shown), [path.at(instant).camera(size) for instant in times]), count


def zipped(shown: Iterator[np.ndarray]) -> bytes:
    """Pictures as numbered PNG files in a zip file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, picture in enumerate(shown):
            archive.writestr(f"{number:05d}.png", encode_image(picture))
    return buffer.getvalue()
