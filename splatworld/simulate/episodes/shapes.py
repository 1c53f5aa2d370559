"""The library of shapes: a family's name and a number give a solid, always the same one."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.spatial import ConvexHull

from splatworld.core.checks import InputError
from splatworld.simulate.episodes import solids
from splatworld.simulate.episodes.captured import solid_of
from splatworld.simulate.episodes.solids import Part, Solid

SIZES = (0.03, 0.25)
"""m, range of a shape's longest side."""
NUMBERS = {
    "train": range(0, 160),
    "valid": range(160, 180),
    "test_known": range(180, 200),
    "test_heldout": range(0, 40),
    "test_outside": range(200, 240),
}
"""Split -> numbers of the shapes it may use."""
OUTSIDE_SIZES = ((0.02, 0.03), (0.25, 0.40))
"""m, longest sides of the shapes numbered for test_outside: smaller and larger than any known."""


def _box(rng: np.random.Generator, size: float) -> list[Part]:
    return [solids.box(np.zeros(3), size * _sides(rng, 0.15))]


def _cylinder(rng: np.random.Generator, size: float) -> list[Part]:
    slender = rng.uniform(0.2, 1.0)
    radius, height = (size / 2, size * slender) if rng.random() < 0.6 else (size * slender / 2, size)
    return [solids.cylinder(radius, 0.0, height)]


def _l_shape(rng: np.random.Generator, size: float) -> list[Part]:
    height, bar, thickness = size * rng.uniform((0.5, 0.15, 0.12), (1.0, 0.35, 0.4))
    return solids.bars(thickness, (0, 0, size, bar), (0, 0, bar, height))


def _t_shape(rng: np.random.Generator, size: float) -> list[Part]:
    height, bar, thickness = size * rng.uniform((0.5, 0.15, 0.12), (1.0, 0.35, 0.4))
    left = (size - bar) * rng.uniform(0.3, 0.7)
    return solids.bars(thickness, (0, height - bar, size, bar), (left, 0, bar, height))


def _blocks(rng: np.random.Generator, size: float) -> list[Part]:
    """Two or three boxes that run into each other."""
    boxes = [(np.zeros(3), _sides(rng, 0.3))]
    for _ in range(int(rng.integers(1, 3))):
        low, high = boxes[int(rng.integers(len(boxes)))]
        sides = rng.uniform(0.2, 0.6, 3)
        start = low - 0.5 * sides + rng.uniform(0.15, 0.85, 3) * (high - low)
        start[2] = max(start[2], 0.0)
        boxes.append((start, start + sides))
    scale = size / np.ptp(np.concatenate(boxes), axis=0).max()
    return [solids.box(low * scale, high * scale) for low, high in boxes]


def _turned(rng: np.random.Generator, size: float) -> list[Part]:
    """Two or three discs on one axis: bottles, spools, mushrooms."""
    count = int(rng.integers(2, 4))
    radii, heights = rng.uniform(0.15, 0.5, count), rng.dirichlet(np.full(count, 4.0)) * rng.uniform(0.5, 1.0)
    scale = size / max(2 * radii.max(), heights.sum())
    levels = np.concatenate([[0.0], np.cumsum(heights)]) * scale
    return [solids.cylinder(r * scale, low, high) for r, low, high in zip(radii, levels, levels[1:], strict=False)]


def _scan(rng: np.random.Generator, size: float) -> list[Part]:
    """As a scan leaves things: a rounded lump of few, noisy corners, two that have grown together, or a bent bar."""
    kind = rng.random()
    if kind < 0.3:
        height, bar = rng.uniform((0.6, 0.22), (1.0, 0.35))
        outline = np.array([(0, 0), (1, 0), (1, bar), (bar, bar), (bar, height), (0, height)])
        outline += rng.normal(0, 0.02, outline.shape) - (0.3, 0.3)
        outline *= size / np.ptp(outline, axis=0).max()
        thickness, taper = rng.uniform(0.2, 0.4) * size, rng.uniform(0.8, 1.0)
        return [solids.prism(outline[corners], thickness, taper=taper) for corners in ([0, 1, 2, 3], [0, 3, 4, 5])]
    lumps = [_lump(rng)]
    if kind < 0.6:
        shift = rng.uniform(0.3, 0.6) * np.array([np.cos(kind * 21), np.sin(kind * 21), 0])
        second = _lump(rng) * rng.uniform(0.5, 0.9)
        second[:, 2] += lumps[0][:, 2].min() - second[:, 2].min()
        lumps.append(second + shift)
    scale = size / np.ptp(np.concatenate(lumps), axis=0).max()
    return [solids.hull(lump * scale) for lump in lumps]


def _lump(rng: np.random.Generator) -> np.ndarray:
    """Noisy corners [V, 3] between those of a ball and of a box, flat below."""
    points = rng.normal(size=(int(rng.integers(14, 36)), 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    points = np.sign(points) * np.abs(points) ** rng.uniform(0.35, 1.0) * _sides(rng, 0.3)
    points *= rng.normal(1.0, 0.04, (len(points), 1))
    points[:, 2] = np.maximum(points[:, 2], np.quantile(points[:, 2], 0.2))
    return points


def _u_shape(rng: np.random.Generator, size: float) -> list[Part]:
    height, bar, thickness, other = size * rng.uniform((0.5, 0.14, 0.12, 0.4), (1.0, 0.25, 0.4, 1.0))
    return solids.bars(thickness, (0, 0, size, bar), (0, 0, bar, height), (size - bar, 0, bar, other))


def _plus(rng: np.random.Generator, size: float) -> list[Part]:
    height, bar, thickness = size * rng.uniform((0.7, 0.18, 0.12), (1.0, 0.32, 0.4))
    return solids.bars(thickness, (0, (height - bar) / 2, size, bar), ((size - bar) / 2, 0, bar, height))


def _hook(rng: np.random.Generator, size: float) -> list[Part]:
    """A J with a lip at its upper end."""
    width, bar, thickness, rise, lip = size * rng.uniform((0.5, 0.13, 0.12, 0.3, 0.12), (0.8, 0.2, 0.4, 0.5, 0.3))
    foot, stem = (0, 0, width, bar), (0, 0, bar, size)
    return solids.bars(thickness, foot, stem, (width - bar, 0, bar, rise), (0, size - bar, bar + lip, bar))


def _star(rng: np.random.Generator, size: float) -> list[Part]:
    count = int(rng.integers(4, 7))
    inner, thickness = rng.uniform(0.35, 0.5), rng.uniform(0.15, 0.35) * size
    angle = np.pi * np.arange(2 * count) / count
    outline = np.where(np.arange(2 * count) % 2, inner, 1.0)[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    outline *= size / np.ptp(outline, axis=0).max()
    kites = [np.stack([np.zeros(2), *outline[[2 * k - 1, 2 * k, 2 * k + 1]]]) for k in range(count)]
    return [solids.prism(kite, thickness) for kite in kites]


Maker = Callable[[np.random.Generator, float], list[Part]]
KNOWN: dict[str, Maker] = {
    "box": _box,
    "cylinder": _cylinder,
    "L": _l_shape,
    "T": _t_shape,
    "blocks": _blocks,
    "turned": _turned,
    "scan": _scan,
}
"""Families that training may use."""
HELD_OUT: dict[str, Maker] = {
    "U": _u_shape,
    "plus": _plus,
    "hook": _hook,
    "star": _star,
}
"""Families kept back to measure what a model makes of shapes it has never met."""


@lru_cache(maxsize=4096)
def shape(name: str) -> Solid:
    """The shape called FAMILY-NUMBER, such as "T-017", or that of a body of a world, whose path is its family.

    Raises:
        InputError: there is no such family or number.
    """
    family, _, digits = name.rpartition("-")
    makers = {**KNOWN, **HELD_OUT}
    if family and family not in makers and digits.isdigit() and Path(family).exists():
        return solid_of(name)
    if family not in makers or not digits.isdigit():
        raise InputError(f"{name!r}: no shape of the library, expected FAMILY-NUMBER of {', '.join(makers)}.")
    number = int(digits)
    rng = np.random.default_rng([zlib.crc32(family.encode()), number])
    low, high = OUTSIDE_SIZES[number % 2] if number in NUMBERS["test_outside"] else SIZES
    return solids.union(makers[family](rng, float(np.exp(rng.uniform(np.log(low), np.log(high))))))


def stable_poses(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How a shape can lie on a table.

    Returns:
        Quaternions [S, 4] that turn the supporting side down, heights [S] m of the centre, and weights [S] that sum
        to 1: likelier the larger the side and the farther inside of it the centre.
    """
    return _stable(name)[:3]


def base_margins(name: str) -> np.ndarray:
    """[S] m, of the poses of `stable_poses`: how far inside of the supporting side's outline the centre's foot lies."""
    return _stable(name)[3]


@lru_cache(maxsize=4096)
def _stable(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Quaternions, heights, weights and margins."""
    points = shape(name).hull
    hull = ConvexHull(points)
    planes = np.unique(np.round(hull.equations, 6), axis=0)
    quats, heights, weights, margins = [], [], [], []
    for *normal, offset in planes:
        side = points[np.abs(points @ normal + offset) < 1e-5 + 1e-4 * -offset]
        turn = _down(np.array(normal))
        flat = (side @ rotation(turn).T)[:, :2]
        if len(flat) < 3:
            continue
        outline = ConvexHull(flat)
        margin = float(-outline.equations[:, 2].max())
        if margin > 5e-4:
            quats.append(turn)
            heights.append(-offset)
            weights.append(outline.volume * min(1.0, margin / 0.01))
            margins.append(margin)
    total = np.array(weights) / sum(weights)
    return np.array(quats), np.array(heights), total, np.array(margins)


def rotation(quat: np.ndarray) -> np.ndarray:
    """Rotation matrices [..., 3, 3] of unit quaternions [..., 4] wxyz."""
    w, x, y, z = np.moveaxis(np.asarray(quat), -1, 0)
    rows = [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)]
    rows += [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)]
    rows += [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]
    return np.stack(rows, -1).reshape(*w.shape, 3, 3)


def _down(normal: np.ndarray) -> np.ndarray:
    """The quaternion that turns a unit vector to -z by the shortest way."""
    quat = np.array([1.0 - normal[2], -normal[1], normal[0], 0.0])
    length = np.linalg.norm(quat)
    return quat / length if length > 1e-9 else np.array([0.0, 1.0, 0.0, 0.0])


def _sides(rng: np.random.Generator, least: float) -> np.ndarray:
    """Three sides of which the longest is 1 and none is below `least`, in random order."""
    return rng.permutation([1.0, *np.exp(rng.uniform(np.log(least), 0, 2))])
