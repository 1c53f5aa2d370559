"""First splats: the points that training frames saw, and pixels between them at interpolated depth."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree

from splatworld.core.camera import project, unproject
from splatworld.core.checks import InputError
from splatworld.core.clip import PosedClip
from splatworld.core.splats import Splats, from_points
from splatworld.reconstruct.config import FitConfig

LEAST_POINTS = 50
"""Fewer points than this cannot start a fit."""
NEIGHBOURS = 4
"""Points a pixel's depth is interpolated from."""


def seed_splats(posed: PosedClip, config: FitConfig) -> Splats:
    """Round splats, each as wide as its neighbours are far.

    Structure from motion finds points only at corners; walls and table tops have none, and copies of far corners are
    slow to get there. So `config.seed_share` of the budget is filled with pixels of the training frames, at the depth
    that the nearest points of the same frame suggest. Points that fewer than two training frames saw are left out:
    nothing of the held-out frames enters the fit.

    Raises:
        InputError: too few points.
    """
    trained = ~posed.clip.held_out[posed.tracks[:, 1]]
    tracks = posed.tracks[trained]
    seen = torch.bincount(tracks[:, 0], minlength=len(posed.points)) >= 2
    if int(seen.sum()) < LEAST_POINTS:
        raise InputError(
            f"reconstruct: only {int(seen.sum())} points were seen by two training frames, at least {LEAST_POINTS} "
            "are needed; film slower, closer and with more light."
        )
    tracks = tracks[seen[tracks[:, 0]]]
    generator = np.random.default_rng(config.seed)
    points, colors = [posed.points[seen].float()], [posed.colors[seen]]
    wanted = round(config.splats * config.seed_share)
    train = torch.nonzero(~posed.clip.held_out).squeeze(-1).tolist()
    for frame in train:
        own = tracks[tracks[:, 1] == frame, 0]
        if len(own) >= NEIGHBOURS:
            place, color = _between(posed, frame, posed.points[own].float(), wanted // len(train), generator)
            points.append(place)
            colors.append(color)
    place, color = torch.cat(points), torch.cat(colors)
    if len(place) > config.splats:
        chosen = torch.from_numpy(np.sort(generator.permutation(len(place))[: config.splats]))
        place, color = place[chosen], color[chosen]
    distance, _ = cKDTree(place.numpy()).query(place.numpy(), k=4)
    spacing = torch.from_numpy(distance[:, 1:].mean(axis=1)).float()
    # Duplicates have no spacing and outliers too much of it.
    spacing = spacing.clamp(min=float(spacing.median()) * 0.1, max=float(torch.quantile(spacing, 0.98)))
    return from_points(
        place, color, scale=spacing * config.seed_size, opacity=config.seed_opacity, degree=config.sh_degree
    )


def _between(
    posed: PosedClip, frame: int, points: torch.Tensor, count: int, generator: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """`count` random pixels of a frame, lifted by the inverse-distance mean of its points' inverse depths."""
    camera = posed.cameras[frame]
    known, depth = project(camera, points)
    front = depth > 1e-6
    pixels = generator.random((count, 2)) * np.array(camera.size)
    if posed.clip.masks is not None:
        column, row = pixels.astype(np.int64).T
        pixels = pixels[posed.clip.masks[frame].numpy()[row, column]]
    near = min(NEIGHBOURS, int(front.sum()))
    if near == 0 or len(pixels) == 0:
        return torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.uint8)
    distance, index = cKDTree(known[front].numpy()).query(pixels, k=near)
    weight = 1 / (distance.reshape(len(pixels), near) + 1.0)
    inverse = (weight / depth[front].numpy()[index].reshape(len(pixels), near)).sum(axis=1) / weight.sum(axis=1)
    color = posed.clip.images[frame][pixels[:, 1].astype(np.int64), pixels[:, 0].astype(np.int64)]
    return unproject(camera, torch.from_numpy(pixels).float(), torch.from_numpy(1 / inverse).float()), color
