"""What a world keeps of its capture: the COLMAP model, small pictures, and the frames that were held out."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pycolmap

from splatworld.capture.colmap import find_model, write_colmap
from splatworld.capture.config import fit_side
from splatworld.core.clip import PosedClip
from splatworld.core.similarity import Similarity

THUMBNAIL_SIDE = 256
"""Longest side of a thumbnail, px."""
QUALITY = 85
"""JPEG quality, 0 to 100."""


def keep_capture(posed: PosedClip, folder: Path) -> None:
    """Write a world's `capture/` folder; the same clip gives the same bytes.

    Holds what `write_colmap` writes, without images, `thumbnails/NAME.jpg` of every placed frame, and lossless
    `held_out/NAME.png` of those held out, so that a world can be scored again; alpha is 0 where a mask ignores a pixel.
    """
    write_colmap(posed, folder, images=False)
    clip = posed.clip
    for frame in clip.held_out.nonzero().flatten().tolist():
        picture = clip.images[frame].numpy()[..., ::-1]
        if clip.masks is not None:
            picture = np.dstack([picture, clip.masks[frame].numpy().astype(np.uint8) * 255])
        file = folder / "held_out" / held_out_name(clip.names[frame])
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    for name, image in zip(posed.clip.names, posed.clip.images, strict=True):
        picture = image.numpy()
        size = fit_side((picture.shape[1], picture.shape[0]), THUMBNAIL_SIDE)
        small = cv2.resize(picture[..., ::-1], size, interpolation=cv2.INTER_AREA)
        file = folder / "thumbnails" / thumbnail_name(name)
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes())


def move_capture(source: Path, target: Path, similarity: Similarity) -> None:
    """Copy a world's `capture/` folder into the empty one at `target`, its COLMAP model moved along with the world."""
    if not source.is_dir():
        return
    shutil.copytree(source, target, dirs_exist_ok=True)
    model = find_model(target)
    if model is not None:
        reconstruction = pycolmap.Reconstruction(str(model))
        rotation = pycolmap.Rotation3d(similarity.quat.numpy()[[1, 2, 3, 0]])
        reconstruction.transform(pycolmap.Sim3d(similarity.scale, rotation, similarity.translation.numpy()))
        reconstruction.write_binary(str(model))


def thumbnail_name(name: str) -> str:
    """A frame's thumbnail in `capture/thumbnails`: its name with folders folded in."""
    return _flat_name(name, ".jpg")


def held_out_name(name: str) -> str:
    """A held-out frame's picture in `capture/held_out`."""
    return _flat_name(name, ".png")


def _flat_name(name: str, suffix: str) -> str:
    flat = name.replace("/", "_").lstrip("._")
    return flat if flat.endswith(suffix) else flat + suffix
