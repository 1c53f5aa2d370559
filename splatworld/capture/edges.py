"""Corners of a dark square in a picture, from its edges."""

from __future__ import annotations

import cv2
import numpy as np

SAMPLES = 32
"""Places along a side at which its edge is sought."""
INSET = 0.12
"""Share of a side left out at each end, where the corner rounds it."""
STEP = 0.25
"""px between the values that are read across an edge."""
REACH = 0.09
"""How far from a first guess the edge is sought, as a share of the side: less than the narrowest black border."""
GAMMA = 1.5
"""Optics blur light, sharpening and scaling mix its encoding (2.2), which moves edges the other way: half-way."""
EDGE_STD = 0.15
"""px that an edge may lie off for that reason, towards the dark or the light everywhere alike."""


def refine_corners(gray: np.ndarray, corners: np.ndarray) -> np.ndarray | None:
    """Where the lines along the four edges meet.

    A corner detector sees the corner that blur has rounded, inside of the true one by a good part of a pixel; edges
    stay where they are however blurred they are.

    Args:
        gray: [H, W] uint8, sRGB.
        corners: [4, 2] px, first guess, clockwise in the picture, pixel centres at whole numbers.

    Returns:
        [4, 2] px, or None where an edge cannot be seen.
    """
    values = (gray.astype(np.float32) / 255) ** GAMMA
    lines = []
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        side = float(np.linalg.norm(end - start))
        line = _edge(values, start, end, reach=max(2.0, min(REACH * side, 8.0)))
        if line is None:
            return None
        lines.append(line)
    # Homogeneous lines meet in their cross product; corner i lies between the side before it and its own.
    meets = np.cross(np.roll(lines, 1, axis=0), lines)
    if (np.abs(meets[:, 2]) < 1e-9).any():
        return None
    refined = meets[:, :2] / meets[:, 2:]
    return refined if np.abs(refined - corners).max() < 5 else None


def _edge(picture: np.ndarray, start: np.ndarray, end: np.ndarray, reach: float) -> np.ndarray | None:
    """The line [3] (a x + b y + c = 0) along a side, from where brightness rises most steeply outward."""
    along = (end - start) / np.linalg.norm(end - start)
    outward = np.array([along[1], -along[0]])  # the corners go clockwise, y points down
    places = start + np.linspace(INSET, 1 - INSET, SAMPLES)[:, None] * (end - start)
    offsets = np.zeros(SAMPLES)
    span = np.arange(-reach, reach + STEP, STEP)
    for _ in range(2):
        grid = (places[:, None] + (offsets[:, None] + span)[..., None] * outward).astype(np.float32)
        values = cv2.remap(picture, grid[..., 0], grid[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        rise = np.maximum(np.diff(values, axis=1), 0)
        rise[rise < 0.2 * rise.max(axis=1, keepdims=True)] = 0  # texture beside the edge
        weight = rise.sum(axis=1)
        middle = (span[:-1] + span[1:]) / 2
        offsets = offsets + (rise * middle).sum(axis=1) / np.maximum(weight, 1e-9)
    points = (places + offsets[:, None] * outward)[weight > 0.3 * np.median(weight) + 1e-6]
    for limit in (1.0, 0.5):
        if len(points) < SAMPLES // 2:
            return None
        center = points.mean(axis=0)
        normal = np.linalg.svd(points - center)[2][1]
        away = np.abs((points - center) @ normal)
        points = points[away < max(limit, 2.5 * float(np.median(away)))]
    return np.array([*normal, -normal @ center])
