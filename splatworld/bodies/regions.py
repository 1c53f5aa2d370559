"""What the edges of a picture part from the support: regions, and what is support.

Whatever can be reached from the smooth surface of the support without crossing an edge is support, a soft shadow and a
change of light too. The rest are regions, also those of the support's own colour. This is the watershed transform by
flooding (Vincent and Soille, 1991) with the least barrier to the support in place of heights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from splatworld.core import pose
from splatworld.core.camera import Camera, unproject
from splatworld.core.splats import Splats
from splatworld.render.ops import rasterize

BARRIER = 0.5
"""Slope of CIE Lab colour, 1/px, that flooding does not cross; a sharp edge of 2, just noticeable, has 0.8."""
BRIDGE = 1.0
"""Slope that flooding crosses to reach another large smooth piece at the support's height."""
SMOOTH = 0.35
"""Slope below which a surface is smooth enough to be where flooding starts."""
TEXTURE = 3.0
"""Slope above which a fine structure is texture."""
BASIN = 1.5
"""How many times its own slope the barrier around a pixel is at least, where it lies within a region."""
LEVELS = np.geomspace(0.1, 20, 32)
"""Slopes that are flooded to, one after the other."""
LEAST_SEED = 0.02
"""Share of the picture that the support takes at least, for the picture to tell anything."""
CORE = 0.6
"""Share of its inner radius from which on a pixel surely belongs to an island."""
KEPT = 0.4
"""Share of an island that is left at least when its outline is drawn tighter; else it stays as it was."""
ISLAND = 0.3
"""Share of the outline of a region that may run along the picture's edge, for the support to be all around it."""


def parted(
    splats: Splats, cameras: list[Camera], *, rough: float, thin: float, near: Callable[[Tensor], Tensor]
) -> list[tuple[Camera, Tensor]]:
    """The regions [H, W] int64 of every view that shows enough of the support, 0 for the support.

    Args:
        splats: at rest, support at z = 0.
        cameras: undistorted.
        rough: m, how far off the plane the support may come out.
        thin: m, what is narrower, as cables are, is no region.
        near: whether something at points [P, 3] may be of a body, [P] bool; where nothing may, pictures say -1.
    """
    still = replace(splats, body_ids=torch.zeros_like(splats.body_ids))
    pictures = []
    for camera in cameras:
        with torch.no_grad():
            shown = rasterize(still, pose.identity(1), camera)
        rows, columns = torch.meshgrid(*(torch.arange(n) + 0.5 for n in shown.alpha.shape), indexing="ij")
        pixels, kind = torch.stack([columns, rows], dim=-1), camera.world_from_camera
        places = unproject(camera, pixels.to(kind), shown.median_depth.to(kind))
        level = (places[..., 2].abs() < rough) & (shown.median_depth > 0)
        if not bool(level.any()):
            continue
        pixel = float(shown.median_depth[level].median()) / float(camera.focal.mean())
        found = regions(shown.image.clamp(0, 1).numpy(), level.numpy(), thin=thin / pixel)
        if found is not None:
            beyond = ~near(places.flatten(0, 1)).reshape(found.shape) & (torch.from_numpy(found) > 0)
            numbers = torch.from_numpy(found).long().masked_fill(beyond, -1).unique(return_inverse=True)
            pictures.append((camera, numbers[1] + numbers[0][0]))
    return pictures


def regions(image: np.ndarray, level: np.ndarray, *, thin: float) -> np.ndarray | None:
    """Part a picture into the support and regions.

    Args:
        image: [H, W, 3] float32, RGB in 0 to 1.
        level: [H, W] bool, what may be support by its height.
        thin: px, what is narrower, as cables are, is no region.

    Returns:
        [H, W] int32, 0 for the support; None where the picture shows too little of it.
    """
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2Lab)
    radius = max(1, round(thin / 2))
    plain = _without_thin(lab, radius)
    slope = _slope(plain, 1.0)
    busy = _closed(_slope(lab, 0.7) > TEXTURE, max(1, radius // 2))
    texture = _opened(busy, round(1.5 * radius))
    walls = np.where(texture, LEVELS[-1], slope)
    seed = _seeds(walls, level)
    if not seed.any():
        return None
    barrier = _barrier(walls, seed)
    inside = _opened((barrier > BARRIER) & (barrier > BASIN * walls) & ~texture, 1)
    core = cv2.erode(texture.astype(np.uint8), _disk(1)) > 0
    plains, first = ndimage.label(inside)
    busies, _ = ndimage.label(core)
    marks = (barrier < BARRIER).astype(np.int32)
    marks[inside] = plains[inside] + 1
    marks[core] = busies[core] + 1 + first
    fine = _slope(cv2.medianBlur(lab, 5), 0.7) + 0.3 * slope
    fine = np.where(texture, np.minimum(fine, 1.0), fine)
    parts = ndimage.watershed_ift((np.clip(fine / LEVELS[-1], 0, 1) * 65535).astype(np.uint16), marks)
    parts = np.where(_opened(parts > 1, radius), parts - 1, 0).astype(np.int32)
    return _islands_whole(parts, lab, texture, radius)


def _without_thin(lab: np.ndarray, radius: int) -> np.ndarray:
    """The picture without what is narrower than twice the radius: the mean of both alternating filters."""
    disk = _disk(radius)
    opened = cv2.morphologyEx(lab, cv2.MORPH_OPEN, disk)
    closed = cv2.morphologyEx(lab, cv2.MORPH_CLOSE, disk)
    closed_last = cv2.morphologyEx(opened, cv2.MORPH_CLOSE, disk)
    return (closed_last + cv2.morphologyEx(closed, cv2.MORPH_OPEN, disk)) / 2


def _slope(lab: np.ndarray, sigma: float) -> np.ndarray:
    """[H, W] length of the gradient of the smoothed colour, 1/px."""
    smooth = cv2.GaussianBlur(lab, (0, 0), sigma)
    along = [cv2.Sobel(smooth, cv2.CV_32F, x, 1 - x) / 8 for x in (1, 0)]
    return np.sqrt((along[0] ** 2 + along[1] ** 2).sum(axis=-1))


def _barrier(slope: np.ndarray, seed: np.ndarray) -> np.ndarray:
    """[H, W] the least level at which flooding from the seed reaches a pixel."""
    barrier = np.full(slope.shape, 10 * LEVELS[-1], dtype=np.float32)
    for level in LEVELS[::-1]:
        open_ = slope < level
        count, numbers = cv2.connectedComponents(open_.astype(np.uint8), connectivity=4)
        reached = np.zeros(count, dtype=bool)
        reached[numbers[seed & open_]] = True
        reached[0] = False
        barrier[reached[numbers]] = level
    return barrier


def _islands_whole(parts: np.ndarray, lab: np.ndarray, texture: np.ndarray, radius: int) -> np.ndarray:
    """Parts [H, W] with all of an island in one, without its shadow: what support surrounds belongs together."""
    numbers, count = ndimage.label(parts > 0)
    outline = (numbers > 0) & ~ndimage.binary_erosion(numbers > 0, border_value=0)
    edge = np.zeros_like(outline)
    edge[[0, -1], :] = edge[:, [0, -1]] = True
    around = np.bincount(numbers[outline], minlength=count + 1)
    along = np.bincount(numbers[outline & edge], minlength=count + 1)
    whole = along <= ISLAND * around
    whole[0] = False
    result = np.where(whole[numbers], 0, parts)
    for number in np.flatnonzero(whole):
        island = numbers == number
        if texture[island].mean() < 0.5:
            island = _tight(lab, island, radius)
        result[island] = parts.max() + number
    return np.unique(np.append(result.ravel(), 0), return_inverse=True)[1][:-1].reshape(parts.shape).astype(np.int32)


def _tight(lab: np.ndarray, island: np.ndarray, radius: int) -> np.ndarray:
    """The island [H, W] bool without what looks like the support around it, by GrabCut (Rother et al., 2004)."""
    pad = 3 * radius
    rows, columns = (np.flatnonzero(island.any(axis=axis)) for axis in (1, 0))
    window = (slice(max(0, rows[0] - pad), rows[-1] + pad), slice(max(0, columns[0] - pad), columns[-1] + pad))
    own = island[window]
    depth = ndimage.distance_transform_edt(own)
    away = ndimage.distance_transform_edt(~own)
    guess = np.where(own, cv2.GC_PR_FGD, np.where(away <= 2, cv2.GC_PR_BGD, cv2.GC_BGD)).astype(np.uint8)
    guess[depth > CORE * depth.max()] = cv2.GC_FGD
    if not (guess == cv2.GC_BGD).any():
        return island
    colors = np.clip(lab[window] * (2.55, 1, 1) + (0, 128, 128), 0, 255).astype(np.uint8)
    cv2.setRNGSeed(0)
    cv2.grabCut(colors, guess, (0, 0, 1, 1), np.zeros((1, 65)), np.zeros((1, 65)), 4, cv2.GC_INIT_WITH_MASK)
    found = _opened((guess == cv2.GC_FGD) | (guess == cv2.GC_PR_FGD), radius)
    if found.sum() < KEPT * own.sum():
        return island
    result = np.zeros_like(island)
    result[window] = ndimage.binary_fill_holes(found)
    return result


def _seeds(slope: np.ndarray, level: np.ndarray) -> np.ndarray:
    """[H, W] where flooding starts: the largest smooth piece at the support's height, and other large ones that only
    a shadow between two bodies parts from it."""
    smooth = cv2.erode(((slope < SMOOTH) & level).astype(np.uint8), np.ones((5, 5)))
    _, numbers, stats, _ = cv2.connectedComponentsWithStats(smooth, connectivity=4)
    large = stats[:, cv2.CC_STAT_AREA] >= LEAST_SEED * slope.size
    large[0] = False
    if not large.any():
        return np.zeros(slope.shape, dtype=bool)
    largest = 1 + stats[1:, cv2.CC_STAT_AREA].argmax()
    barrier = _barrier(slope, numbers == largest)
    return np.isin(numbers, [n for n in np.flatnonzero(large) if barrier[numbers == n].min() < BRIDGE])


def _disk(radius: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))


def _opened(mask: np.ndarray, radius: int) -> np.ndarray:
    return cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, _disk(radius)) > 0


def _closed(mask: np.ndarray, radius: int) -> np.ndarray:
    return cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, _disk(radius)) > 0
