"""Read still images into frames of one size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from splatworld.capture.config import Progress, fit_side, silent
from splatworld.core.checks import FormatError, InputError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")


def list_images(folder: str | Path) -> list[Path]:
    """The images of a folder, by name; names with numbers sort by number."""
    files = [f for f in Path(folder).iterdir() if f.suffix.lower() in IMAGE_SUFFIXES and not f.name.startswith(".")]
    return sorted(files, key=lambda f: [int(p) if p.isdecimal() else p for p in _split_numbers(f.name)])


def read_image(path: str | Path, *, orient: bool = True) -> np.ndarray:
    """[H, W, 3] uint8 sRGB.

    Args:
        path: the file.
        orient: turn by the EXIF orientation; posed captures describe the pixels as stored.

    Raises:
        InputError: no such file.
        FormatError: not an image, or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such image.")
    flags = cv2.IMREAD_COLOR | (0 if orient else cv2.IMREAD_IGNORE_ORIENTATION)
    picture = cv2.imdecode(np.fromfile(path, np.uint8), flags) if path.stat().st_size else None
    if picture is None:
        raise FormatError(f"{path}: not a readable image (empty, damaged or cut off); copy it again or remove it.")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def shrink(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resample to (width, height) px: area-averaged when shrinking, cubic when enlarging."""
    if picture.shape[1::-1] == tuple(size):
        return picture
    smaller = size[0] <= picture.shape[1] and size[1] <= picture.shape[0]
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)


def held_out_every(count: int, every: int) -> torch.Tensor:
    """[count] bool: every so many'th frame in file order, starting with the first."""
    return torch.arange(count) % every == 0 if every else torch.zeros(count, dtype=torch.bool)


def read_frames(
    paths: Sequence[Path], *, longest: int | None, orient: bool, progress: Progress | None = None
) -> tuple[torch.Tensor, list[int], tuple[int, int]]:
    """Read images of one shape.

    Args:
        paths: the files.
        longest: longest side, px, to shrink to.
        orient: see `read_image`.
        progress: told of each image.

    Returns:
        images [T, H, W, 3] uint8, the positions in `paths` they come from, and the (width, height) px most files
        have. Files of another shape than most (beyond 1 % of aspect) are left out.
    """
    progress = progress or silent
    pictures: list[np.ndarray] = []
    sizes: list[tuple[int, int]] = []
    for done, path in enumerate(paths):
        progress("read images", done, len(paths))
        picture = read_image(path, orient=orient)
        sizes.append(picture.shape[1::-1])
        pictures.append(shrink(picture, fit_side(sizes[-1], longest)))
    progress("read images", len(paths), len(paths))
    usual = max(sorted(set(sizes)), key=sizes.count)
    target = fit_side(usual, longest)
    kept = [i for i, s in enumerate(sizes) if abs(s[0] / s[1] / (usual[0] / usual[1]) - 1) < 0.01]
    return torch.from_numpy(np.stack([shrink(pictures[i], target) for i in kept])), kept, usual


def _split_numbers(name: str) -> list[str]:
    parts, digits = [""], False
    for character in name:
        if character.isdecimal() != digits:
            parts.append("")
            digits = not digits
        parts[-1] += character
    return parts
