"""What exact truth says of bodies: whose splats they are, and the scene without each of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from splatworld.bodies.lift import vote
from splatworld.bodies.remove import without
from splatworld.core.camera import resize
from splatworld.core.checks import InputError
from splatworld.core.splats import Provenance
from splatworld.core.world import World
from splatworld.evaluate.sample_truth import frame_number
from splatworld.render.render import render

FOUND = 0.5
"""IoU from which a body counts as found."""


def votes_of_truth(world: World, folder: Path, truth: dict[str, Any]) -> Tensor:
    """[N, bodies + 1] what the true id pictures of the held-out frames say of each splat, 0 for the background."""
    labels = 1 + max(body["id"] for body in truth["bodies"])
    frames = [name for name in world.cameras if frame_number(name) in truth["held_out"]]

    def shown():
        for name in frames:
            ids = _picture(folder / "ids" / f"{frame_number(name):06d}.png")
            camera = world.cameras[name]
            small = cv2.resize(ids, camera.size, interpolation=cv2.INTER_NEAREST)
            yield camera, torch.from_numpy(small.astype(np.int64))

    return vote(world.splats, shown(), labels)


def ious(world: World, votes: Tensor) -> Tensor:
    """[B, T] IoU of the world's bodies with true ones over the observed splats, each counting as much as it is seen."""
    observed = world.splats.provenance == int(Provenance.OBSERVED)
    weight, true = votes.sum(dim=1) * observed, votes.argmax(dim=1)
    found = world.splats.body_ids.long()
    table = torch.zeros(len(world.bodies), votes.shape[1]).double()
    table.index_put_((found, true), weight.double(), accumulate=True)
    union = table.sum(dim=1, keepdim=True) + table.sum(dim=0, keepdim=True) - table
    return table / union.clamp(min=1e-9)


def removed_psnr(world: World, names: dict[int, str], folder: Path, truth: dict[str, Any]) -> dict[int, float]:
    """PSNR in dB of what is revealed when a body goes, its shadow included, over all held-out frames.

    The video's exposure drifts: one gain a channel is fitted to the pixels that stay the same.

    Args:
        world: completed.
        names: true body id -> name of the body that was found for it.
        folder: the sample's.
        truth: as read by `read_truth`.
    """
    found = {}
    for body, name in names.items():
        bare, errors = without(world, [name]), []
        for entry in truth["removed"]:
            camera_name = f"frame_{entry['frame']:06d}"
            if entry["body"] != body or camera_name not in world.cameras:
                continue
            target, mask = _revealed(folder, entry)
            camera = world.cameras[camera_name]
            if camera.size != (mask.shape[1], mask.shape[0]):
                camera = resize(camera, (mask.shape[1], mask.shape[0]))
            image = render(bare, None, camera).image.numpy()
            gain = (target[~mask] * image[~mask]).sum(axis=0) / (image[~mask] ** 2).sum(axis=0)
            errors.append(((np.clip(image * gain, 0, 1) - target)[mask] ** 2).ravel())
        if errors:
            found[body] = float(-10 * np.log10(np.concatenate(errors).mean()))
    return found


def _revealed(folder: Path, entry: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The true picture without the body [H, W, 3] in 0 to 1, and which pixels that changes [H, W]."""
    target = _picture(folder / "clean" / f"{entry['frame']:06d}.webp")[..., 2::-1].astype(np.float32) / 255
    crop = _picture(folder / entry["path"])
    x, y, width, height = entry["box"]
    changed = crop[..., 3] == 255
    target[y : y + height, x : x + width][changed] = crop[..., 2::-1][changed].astype(np.float32) / 255
    mask = np.zeros(target.shape[:2], dtype=bool)
    mask[y : y + height, x : x + width] = changed
    return target, mask


def outline_ious(world: World, file: Path) -> dict[str, float]:
    """Mean IoU of drawn outlines with the rendered body that fits each best over all frames, by name."""
    drawn = json.loads(file.read_text())
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    for frame in drawn["frames"]:
        if frame["name"] not in world.cameras:
            continue
        camera = resize(world.cameras[frame["name"]], tuple(drawn["size"]))
        ids = render(world, None, camera).body_ids
        for name, outline in frame["bodies"].items():
            canvas = np.zeros((camera.height, camera.width), np.uint8)
            cv2.fillPoly(canvas, [np.round(np.array(outline)).astype(np.int32)], 1)
            true = torch.from_numpy(canvas > 0)
            each = torch.stack(
                [((ids == i) & true).sum() / ((ids == i) | true).sum() for i in range(len(world.bodies))]
            )
            sums[name] = sums.get(name, torch.zeros(len(world.bodies))) + each
            counts[name] = counts.get(name, 0) + 1
    return {name: float(total[1:].max()) / counts[name] if len(total) > 1 else 0.0 for name, total in sums.items()}


def _picture(file: Path) -> np.ndarray:
    picture = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise InputError(f"eval bodies: {file} cannot be read; make the sample again (data/README.md).")
    return picture
