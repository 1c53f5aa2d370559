"""What a world keeps of its capture: the COLMAP model, which frames were held out, and small pictures."""

from __future__ import annotations

from pathlib import Path

import cv2

from splatworld.capture.colmap import write_colmap
from splatworld.capture.config import fit_side
from splatworld.core.clip import PosedClip

THUMBNAIL_SIDE = 256
"""Longest side of a thumbnail, px."""
QUALITY = 85
"""JPEG quality, 0 to 100."""


def keep_capture(posed: PosedClip, folder: Path) -> None:
    """Write a world's `capture/` folder; the same clip gives the same bytes.

    Holds what `write_colmap` writes, without images, and `thumbnails/NAME.jpg` of every placed frame.
    """
    write_colmap(posed, folder, images=False)
    for name, image in zip(posed.clip.names, posed.clip.images, strict=True):
        picture = image.numpy()
        size = fit_side((picture.shape[1], picture.shape[0]), THUMBNAIL_SIDE)
        small = cv2.resize(picture[..., ::-1], size, interpolation=cv2.INTER_AREA)
        file = folder / "thumbnails" / thumbnail_name(name)
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes())


def thumbnail_name(name: str) -> str:
    """A frame's thumbnail in `capture/thumbnails`: its name with folders folded in."""
    flat = name.replace("/", "_").lstrip("._")
    return flat if flat.endswith(".jpg") else flat + ".jpg"
