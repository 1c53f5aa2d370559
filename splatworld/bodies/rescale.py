"""Give a finished world its metres: from a length that is known in it, or from its held-out pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from splatworld import store
from splatworld.bodies.place import place
from splatworld.capture.keep import held_out_name, move_capture
from splatworld.capture.marker import scale_from_markers
from splatworld.capture.metric import GRAVITY, turn
from splatworld.capture.scale import GUESSED, disagreements, scale_from_length
from splatworld.capture.support import find_support
from splatworld.core import pose
from splatworld.core.camera import Camera, unproject
from splatworld.core.checks import InputError
from splatworld.core.clip import Clip, PosedClip
from splatworld.core.similarity import Similarity
from splatworld.core.world import Scale, World
from splatworld.render.render import render

CLICK = 1.5
"""px that a point picked in a picture may be off."""
LEAST_STD = 0.003
"""Relative standard deviation of a length that was measured by hand, at least."""
SOLID = 0.5
"""Opacity of the splats that count as surface."""


def points_at(world: World, camera: Camera, pixels: Tensor) -> Tensor:
    """Where the surfaces lie that a picture shows.

    Args:
        world: as captured.
        camera: undistorted.
        pixels: [N, 2] px.

    Returns:
        [N, 3] at the median depth.

    Raises:
        InputError: a pixel outside of the picture, or one that shows nothing.
    """
    depth = render(world, None, camera).median_depth
    return _lift(camera, pixels, depth)


def _lift(camera: Camera, pixels: Tensor, depth: Tensor) -> Tensor:
    inside = (
        torch.isfinite(pixels).all(dim=-1) & (pixels >= 0).all(dim=-1) & (pixels < torch.tensor(camera.size)).all(-1)
    )
    if not bool(inside.all()):
        given = pixels[~inside][0].tolist()
        raise InputError(f"scale: pixel {given} lies outside of the picture, which is {camera.width} x "
                         f"{camera.height} px.")  # fmt: skip
    column, row = pixels.long().unbind(-1)
    found = depth[row, column]
    if bool((found <= 0).any()):
        given = pixels[found <= 0][0].tolist()
        raise InputError(f"scale: pixel {given} shows no surface; pick a point on a thing.")
    return unproject(camera, pixels.to(camera.focal), found.to(camera.focal))


def scale_from_pixels(world: World, camera: Camera, pixels: Tensor, metres: float) -> Scale:
    """Metres a unit of the world, from two pixels of one picture whose distance in space is known.

    The spread is that of the length when the points are moved by 1.5 px.

    Raises:
        InputError: as `points_at`; no length, or one that changes by half when the points move so little.
    """
    depth = render(world, None, camera).median_depth
    points = _lift(camera, pixels, depth)
    scale = scale_from_length(points, metres)
    nearby = torch.tensor([[x, y] for x in (-CLICK, 0, CLICK) for y in (-CLICK, 0, CLICK)]).to(pixels)
    largest = torch.tensor(camera.size).to(pixels) - 1
    around = [_lift(camera, (end + nearby).clamp(min=0).minimum(largest), depth) for end in pixels]
    lengths = torch.cdist(around[0].double(), around[1].double())
    std = float(lengths.std() / (points[1] - points[0]).double().norm())
    if not std < 0.5:
        raise InputError("scale: a point lies on the edge of a thing, where its depth is uncertain; pick it further in "
                         "or take points further apart.")  # fmt: skip
    return replace(scale, std=max(std, LEAST_STD))


def scale_from_held_out(world: World, folder: Path, size: float, marker_id: int | None = None) -> Scale:
    """Metres a unit of the world, from markers in the held-out pictures that its folder keeps.

    Raises:
        InputError: no pictures there, or no marker that was seen well enough in them: says what to do.
    """
    names, pictures = [], []
    for name in world.cameras:
        file = folder / "capture" / "held_out" / held_out_name(name)
        picture = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_COLOR_RGB) if file.is_file() else None
        if picture is not None:
            names.append(name)
            pictures.append(picture)
    if not names:
        raise InputError(f"{folder}: keeps no pictures of its capture; give a known length, or reconstruct it again "
                         "with --marker-size.")  # fmt: skip
    clip = Clip(
        images=torch.from_numpy(np.stack(pictures)),
        times=torch.arange(len(names)).double(),
        held_out=torch.ones(len(names), dtype=torch.bool),
        names=tuple(names),
    )
    nothing = torch.zeros(0, 3)
    seen = PosedClip(
        clip, tuple(world.cameras[n] for n in names), nothing, nothing.byte(), torch.zeros(0, 2, dtype=torch.int64)
    )
    scale, notes = scale_from_markers(seen, size, marker_id)
    if scale is None:
        said = notes[0].removeprefix("Quality: ")
        raise InputError(f"{folder}: of the {len(names)} held-out pictures it keeps: {said} Or reconstruct it again "
                         "with --marker-size, which looks at every frame.")  # fmt: skip
    return scale


def to_scale(world: World, scale: Scale) -> tuple[World, Similarity, tuple[str, ...]]:
    """The world in metres; Z up and gravity too, where up was unknown and a support can be found.

    Args:
        world: in any unit.
        scale: metres a unit that the world has now.

    Returns:
        The world, the similarity that was applied, and notes; those that begin with "Quality:" are warnings.
    """
    change = Similarity(scale.value)
    notes: tuple[str, ...] = ()
    if world.scale.source != "none":
        own = Scale(1.0, f"{world.scale.source}, as the world had it,", world.scale.std)
        notes = disagreements(scale, [own])
    gravity = world.gravity
    if not bool(gravity.any()) and world.cameras:
        poses = torch.stack([camera.world_from_camera for camera in world.cameras.values()]).double()
        support = find_support(world.splats.means[world.splats.opacities > SOLID], poses)
        if support is not None:
            quat = turn(support.up)
            height = torch.tensor([0.0, 0.0, -float(pose.rotate(quat, support.point)[2])], dtype=torch.float64)
            change = change.after(Similarity(1.0, quat, height))
            gravity = torch.tensor([0.0, 0.0, -GRAVITY], dtype=torch.float64)
    known = replace(scale, value=world.scale.value * scale.value)
    metrics = dict(world.metrics)
    if "warnings" in metrics:
        metrics["warnings"] = [warning for warning in metrics["warnings"] if not warning.startswith(GUESSED)]
    return replace(place(world, change), scale=known, gravity=gravity, metrics=metrics), change, notes


def rescale_saved(path: str | Path, scale: Scale) -> tuple[World, tuple[str, ...]]:
    """`to_scale` of the world at `path`, which is replaced as a whole or not at all, the model of its capture with it.

    Raises:
        InputError, FormatError: no world there, or one that cannot be rescaled or written; it is then unchanged.
    """
    folder, _ = store.read_document(path)
    world, change, notes = to_scale(store.load_world(folder), scale)
    store.save_world(world, folder, overwrite=True, capture=lambda new: move_capture(folder / "capture", new, change))
    return world, notes
