"""First splats: the points that training frames saw, and pixels between them at interpolated depth."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from splatworld.capture.depth import pixels_of
from splatworld.core.camera import Camera, project, unproject
from splatworld.core.checks import InputError
from splatworld.core.clip import PosedClip
from splatworld.core.splats import Splats, from_points
from splatworld.reconstruct.config import FitConfig
from splatworld.reconstruct.depth import depth_unit

LEAST_POINTS = 50
"""Fewer points than this cannot start a fit."""
NEIGHBOURS = 4
"""Points a pixel's depth is interpolated from."""


def seed_splats(posed: PosedClip, config: FitConfig) -> Splats:
    """Round splats, each as wide as its neighbours are far.

    Structure from motion finds points only at corners; walls and table tops have none, and copies of far corners are
    slow to get there. So `config.seed_share` of the budget is filled with pixels of the training frames, at the depth
    that the capture's depth maps tell or else the nearest points of the same frame suggest. Points that fewer than two
    training frames saw, outside their masks, are left out: nothing of the held-out frames enters the fit.

    Raises:
        InputError: too few points, and no depth maps.
    """
    tracks = _used_tracks(posed)
    seen = torch.bincount(tracks[:, 0], minlength=len(posed.points)) >= 2
    depths = posed.clip.depths
    if int(seen.sum()) < LEAST_POINTS and (depths is None or not bool(depths[~posed.clip.held_out].any())):
        raise InputError(
            f"reconstruct: only {int(seen.sum())} points were seen by two training frames, at least {LEAST_POINTS} "
            "are needed; film slower, closer and with more light."
        )
    tracks = tracks[seen[tracks[:, 0]]]
    generator = np.random.default_rng(config.seed)
    points, colors = [posed.points[seen].float()], [posed.colors[seen]]
    wanted = round(config.splats * config.seed_share)
    train = torch.nonzero(~posed.clip.held_out).squeeze(-1).tolist()
    unit = depth_unit(posed)
    for frame in train:
        own = posed.points[tracks[tracks[:, 1] == frame, 0]].float()
        place, color = _lifted(posed, frame, own, unit, wanted // len(train), generator)
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
    return from_points(place, color, scale=spacing * config.seed_size, opacity=config.seed_opacity, degree=0)


def _used_tracks(posed: PosedClip) -> Tensor:
    """[K, 2] sightings by training frames, without those on pixels that a mask ignores."""
    tracks, clip = posed.tracks[~posed.clip.held_out[posed.tracks[:, 1]]], posed.clip
    if clip.masks is None:
        return tracks
    kept = []
    for frame in torch.nonzero(~clip.held_out).squeeze(-1).tolist():
        own = tracks[tracks[:, 1] == frame]
        row, column, _, inside = pixels_of(posed.cameras[frame], posed.points[own[:, 0]])
        kept.append(own[inside & clip.masks[frame][row, column]])
    return torch.cat(kept)


def _lifted(
    posed: PosedClip, frame: int, points: Tensor, unit: float, count: int, generator: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Places and colours of `count` random pixels of a frame, less those that are masked or whose depth is unknown."""
    clip, camera = posed.clip, posed.cameras[frame]
    pixels = generator.random((count, 2)) * np.array(camera.size)
    if clip.masks is not None:
        column, row = pixels.astype(np.int64).T
        pixels = pixels[clip.masks[frame].numpy()[row, column]]
    column, row = torch.from_numpy(pixels.astype(np.int64)).unbind(-1)
    depth = torch.from_numpy(_between(camera, pixels, points))
    if clip.depths is not None:
        given = clip.depths[frame][row, column].double() / unit
        depth = torch.where(given > 0, given, depth)
    known = depth > 0
    place = unproject(camera, torch.from_numpy(pixels).float(), depth.float())
    return place[known].float(), clip.images[frame][row, column][known]


def _between(camera: Camera, pixels: np.ndarray, points: Tensor) -> np.ndarray:
    """[P] depth at `pixels` [P, 2]: the inverse-distance mean of the nearest points' inverse depths; 0: too few."""
    known, depth = project(camera, points)
    front = depth > 1e-6
    near = min(NEIGHBOURS, int(front.sum()))
    if len(points) < NEIGHBOURS or near == 0 or len(pixels) == 0:
        return np.zeros(len(pixels))
    distance, index = cKDTree(known[front].numpy()).query(pixels, k=near)
    weight = 1 / (distance.reshape(len(pixels), near) + 1.0)
    inverse = (weight / depth[front].numpy()[index].reshape(len(pixels), near)).sum(axis=1) / weight.sum(axis=1)
    return 1 / inverse
