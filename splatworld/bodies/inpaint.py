"""Fill what bodies hide of the support's picture: texture taken from elsewhere, fitted in smoothly."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage

RING = 5
"""Cells around a hole that a patch is compared on."""
TRIES = 400
"""Places that a patch is looked for at, about."""
SAME_STUFF = 0.06
"""Most that the range of colours within a patch differs from that around it."""
ALIKE = 2.0
"""Times the surroundings' own variation that a patch's may differ from them; another piece of the same stuff differs
by one and a half."""
SMALL = 24
"""Cells; a larger hole for which there is no patch is filled in halves."""


def inpaint(colors: np.ndarray, known: np.ndarray, holes: np.ndarray) -> np.ndarray:
    """The picture with its holes filled.

    Each hole takes the patch of the picture whose surroundings are most like its own, as in exemplar-based inpainting
    (Criminisi et al., 2004) with one patch a hole; what differs along the rim is spread over it as a membrane (as in
    Perez et al., "Poisson image editing", 2003). Where no patch fits, the membrane alone fills the hole.

    Args:
        colors: [Y, X, 3].
        known: [Y, X] bool, cells to copy from.
        holes: [Y, X] bool, cells to fill; not known.

    Returns:
        [Y, X, 3] float32; outside of the holes as given.
    """
    usable = known & ~holes
    filled = np.where(holes[..., None], interpolate(colors, usable), colors).astype(np.float32)
    numbers = ndimage.label(holes, np.ones((3, 3)))[0]
    waiting = [(part, numbers[part] == index) for index, part in enumerate(ndimage.find_objects(numbers), 1)]
    while waiting:
        part, hole = waiting.pop()
        window = tuple(
            slice(max(0, p.start - RING), min(n, p.stop + RING)) for p, n in zip(part, usable.shape, strict=True)
        )
        wide = np.pad(hole, [(p.start - w.start, w.stop - p.stop) for p, w in zip(part, window, strict=True)])
        around = ndimage.binary_dilation(wide, iterations=RING) & ~wide
        patch = _patch(colors, usable, window, wide, around & usable[window])
        if patch is not None:
            rim = around & (usable | holes)[window]  # of a piece of a hole also what the others have by now
            apart = interpolate((filled[window] - patch) * rim[..., None], rim)
            filled[window][wide] = np.clip(patch + apart, 0, 1)[wide]
        elif max(hole.shape) > SMALL:
            waiting += _halves(part, hole)
    return filled


def _halves(part: tuple[slice, ...], hole: np.ndarray) -> list[tuple[tuple[slice, ...], np.ndarray]]:
    """A hole cut in two across its longer side, each half with the part of the picture that it just fits."""
    axis = int(np.argmax(hole.shape))
    found = []
    for half in np.array_split(np.arange(hole.shape[axis]), 2):
        own = np.take(hole, half, axis)
        for within in ndimage.find_objects(own.astype(np.uint8)):
            low = [p.start + w.start for p, w in zip(part, within, strict=True)]
            low[axis] += int(half[0])
            found.append((tuple(slice(a, a + n) for a, n in zip(low, own[within].shape, strict=True)), own[within]))
    return found


def interpolate(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Values [Y, X, C] with the membrane over what is not known [Y, X]: smooth, and equal to them elsewhere.

    From coarse to fine (push-pull, Gortler et al., "The Lumigraph", 1996), then relaxed.
    """
    weight = known.astype(np.float32)[..., None]
    full = _push_pull(values.astype(np.float32) * weight, weight)
    for _ in range(60):
        full = np.where(known[..., None], values, cv2.blur(full, (3, 3)).reshape(values.shape))
    return full


def _push_pull(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    rows, columns = weight.shape[:2]
    if min(rows, columns) <= 2:
        total = weight.sum()
        mean = values.sum(axis=(0, 1)) / max(total, 1e-9)
        return np.where(weight > 0, values / np.maximum(weight, 1e-9), mean)
    size = ((columns + 1) // 2, (rows + 1) // 2)
    channels = values.shape[2]
    small = cv2.resize(values, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], channels)
    share = cv2.resize(weight, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], 1)
    full = np.minimum(share * 4, 1) / np.maximum(share, 1e-9)
    coarse = _push_pull(small * full, share * full)
    up = cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_LINEAR).reshape(rows, columns, channels)
    return values + (1 - weight) * up


def _patch(
    colors: np.ndarray, usable: np.ndarray, window: tuple[slice, ...], hole: np.ndarray, ring: np.ndarray
) -> np.ndarray | None:
    """[y, x, 3] the part of the picture, as large as the window, that best agrees with it on the ring."""
    needed = hole | ring
    rows, columns = needed.shape
    if not ring.any():
        return None
    places = (usable.shape[0] - rows + 1, usable.shape[1] - columns + 1)
    step = max(1, int(np.sqrt(places[0] * places[1] / TRIES)))
    wanted = colors[window][ring]
    most = ALIKE * float(np.abs(wanted - wanted.mean(axis=0)).mean())
    at = np.argwhere(needed)
    at = at[:: max(1, len(at) // 2000)]
    best, found, where = np.inf, None, (0, 0)

    def try_at(top: int, left: int) -> None:
        nonlocal best, found, where
        if not usable[top + at[:, 0], left + at[:, 1]].all():
            return
        patch = colors[top : top + rows, left : left + columns]
        given, inside = patch[ring], patch[hole]
        cost = float(np.abs(given - wanted - (given - wanted).mean(axis=0)).mean())
        # What is inside must be the same stuff as around it: no print that lies on the support is copied.
        other = float(np.abs(_range(inside) - _range(given)).mean()) if cost < best else np.inf
        if cost + other < best and other < SAME_STUFF and cost <= most:
            best, found, where = cost + other, patch, (top, left)

    for top in range(0, places[0], step):
        for left in range(0, places[1], step):
            try_at(top, left)
    if found is not None:
        for top in range(max(0, where[0] - step + 1), min(places[0], where[0] + step)):
            for left in range(max(0, where[1] - step + 1), min(places[1], where[1] + step)):
                try_at(top, left)
    return found


def _range(colors: np.ndarray) -> np.ndarray:
    """[3, C] low, middle and high of colours [P, C]."""
    return np.quantile(colors[:: max(1, len(colors) // 500)], (0.05, 0.5, 0.95), axis=0)
