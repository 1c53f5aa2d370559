"""Masks of any 2D tool, lifted to splats by weighted votes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import Tensor

from splatworld.bodies.lift import vote
from splatworld.bodies.segment import NEVER_SEEN, forgotten, with_labels
from splatworld.core.camera import Camera
from splatworld.core.checks import FormatError, InputError
from splatworld.core.world import World

SUFFIXES = (".png", ".webp", ".tif", ".tiff")
"""Lossless pictures; others blur ids."""


def read_masks(world: World, folder: Path) -> dict[str, Tensor]:
    """Pictures of body ids, named like the cameras of the world.

    Args:
        world: whose cameras took the frames.
        folder: NAME.png of one channel, 8 or 16 bits, 0 the background.

    Returns:
        camera -> [H, W] int64.

    Raises:
        InputError: no such folder, no file named like a camera, or a picture of another size.
        FormatError: a picture that cannot be read, or has colours.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give one with id images named like the frames.")
    masks = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() not in SUFFIXES or file.stem not in world.cameras:
            continue
        picture = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        if picture is None or picture.ndim != 2:
            raise FormatError(f"{file}: not a picture of one channel; write body ids as 8 or 16 bit grey, 0 for none.")
        width, height = world.cameras[file.stem].size
        if picture.shape != (height, width):
            given = f"{picture.shape[1]}x{picture.shape[0]}"
            raise InputError(f"{file}: {given} px, expected {width}x{height} as the camera {file.stem}; resize it.")
        masks[file.stem] = torch.from_numpy(picture.astype("int64"))
    if not masks:
        known = ", ".join(list(world.cameras)[:3])
        raise InputError(f"{folder}: no picture is named like a camera; name them {known}, ... with .png.")
    return masks


def from_masks(world: World, masks: dict[str, Tensor], *, progress: Callable[..., Any] | None = None) -> World:
    """Bodies as masks show them: every splat goes to the id that most of its pixels have.

    Args:
        world: bodies it already has are forgotten.
        masks: camera -> [H, W] ids, the same body with the same id in all of them.
        progress: called with (stage, done, total).

    Returns:
        The world with "body ID" for every id above 0 that wins any splat. Splats that no masked view shows stay
        background.

    Raises:
        InputError: the world has a robot or deformable bodies.
    """
    if world.robot is not None or world.skin is not None:
        raise InputError("masks: the world has a robot or deformable bodies; segment it before they are added.")
    world = forgotten(world)
    ids = torch.cat([torch.zeros(1, dtype=torch.int64), *(mask.flatten() for mask in masks.values())]).unique()

    def shown() -> Iterator[tuple[Camera, Tensor]]:
        for done, (name, mask) in enumerate(masks.items(), 1):
            yield world.cameras[name], torch.searchsorted(ids, mask)
            if progress is not None:
                progress("bodies: masks vote", done, len(masks))

    votes = vote(world.splats, shown(), len(ids))
    labels = torch.where(votes.sum(dim=1) > NEVER_SEEN, votes.argmax(dim=1), 0)
    return with_labels(world, labels, [f"body {i}" for i in ids[1:].tolist()])
