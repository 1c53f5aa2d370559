"""What the sample's exact truth says of a reconstruction: path, depths, and held-out views without noise."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from splatworld.core.camera import Camera
from splatworld.core.checks import InputError
from splatworld.core.clip import PosedClip
from splatworld.core.similarity import Similarity, fit_similarity
from splatworld.core.world import World
from splatworld.render.render import render

LEAST_ALPHA = 0.5
"""Pixels that are less opaque than this show no surface."""


def read_truth(folder: Path) -> dict[str, Any]:
    """`truth.json` of the sample.

    Raises:
        InputError: it is not there.
    """
    if not (folder / "truth.json").exists():
        raise InputError(f"eval reconstruction: {folder} holds no truth.json; run it in a checkout of the sources.")
    return json.loads((folder / "truth.json").read_text())


def align(cameras: Mapping[str, Camera], truth: dict[str, Any]) -> tuple[Similarity, float]:
    """The best similarity from the cameras' frame to the true one, and the RMS distance of their positions in m.

    Args:
        cameras: by name, `frame_NNNNNN`.
        truth: as read by `read_truth`.
    """
    found = torch.stack([camera.world_from_camera[:3] for camera in cameras.values()]).double()
    poses = np.array(truth["world_from_camera"])
    true = torch.from_numpy(poses[[frame_number(name) for name in cameras], :3]).double()
    best = fit_similarity(found, true)
    return best, float((best.points(found) - true).pow(2).sum(dim=-1).mean().sqrt())


def true_depth(folder: Path, truth: dict[str, Any], name: str, size: tuple[int, int]) -> Tensor | None:
    """[H, W] m along +z at `size` px by nearest pixel, of a held-out frame; None for others."""
    picture = cv2.imread(str(folder / "depth" / f"{frame_number(name):06d}.png"), cv2.IMREAD_ANYDEPTH)
    if picture is None:
        return None
    small = cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST)
    return torch.from_numpy(small.astype(np.float32) * np.float32(truth["depth"]["unit_m"]))


def depth_error(world: World, posed: PosedClip, folder: Path, truth: dict[str, Any], *, scale: float) -> float:
    """Median distance of rendered from true depth along +z over the pixels of the views whose depth is known, m.

    Args:
        world: fitted to `posed`; its cameras take the views.
        posed: frames named `frame_NNNNNN`.
        folder: the sample's.
        truth: as read by `read_truth`.
        scale: metres a unit of the capture.
    """
    errors = []
    for name in posed.clip.names:
        camera = world.cameras[name]
        true = true_depth(folder, truth, name, camera.size)
        if true is None:
            continue
        shown = render(world, None, camera)
        seen = (shown.alpha > LEAST_ALPHA) & (shown.median_depth > 0) & (true > 0)
        errors.append((shown.median_depth * scale - true)[seen].abs())
    return float(torch.cat(errors).median())


def with_clean(posed: PosedClip, folder: Path) -> PosedClip:
    """Held-out frames replaced by the noise-free, sharp renders of the same view."""
    images = posed.clip.images.clone()
    height, width = images.shape[1:3]
    for frame in torch.nonzero(posed.clip.held_out).squeeze(-1).tolist():
        file = folder / "clean" / f"{frame_number(posed.clip.names[frame]):06d}.webp"
        picture = cv2.imread(str(file))
        if picture is None:
            raise InputError(f"eval reconstruction: {file} cannot be read; make the sample again (data/README.md).")
        small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        images[frame] = torch.from_numpy(np.ascontiguousarray(small[..., ::-1]))
    return replace(posed, clip=replace(posed.clip, images=images))


def frame_number(name: str) -> int:
    """NNNNNN of `frame_NNNNNN`."""
    return int(name.rsplit("_", 1)[1])
