"""A world's folder as the viewer shows it: the world, and what is kept of its capture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from splatworld import store
from splatworld.capture.keep import held_out_name, thumbnail_name
from splatworld.core.world import World
from splatworld.viewer.tracks import Track, load_tracks


@dataclass(frozen=True)
class Truth:
    """A held-out frame as captured.

    Attributes:
        image: [H, W, 3] uint8 sRGB.
        mask: [H, W] bool, pixels that count.
        full_size: whether this is the frame itself and not its thumbnail.
    """

    image: np.ndarray
    mask: np.ndarray
    full_size: bool


@dataclass
class Source:
    """A world and its folder.

    Attributes:
        folder: where the world lies.
        world: what it holds; another one once corrections were saved there.
        held_out: names of the cameras whose frames were kept for scoring, in the order of the world's cameras.
        tracks: rollouts of the world that are shown with it.
    """

    folder: Path
    world: World
    held_out: tuple[str, ...]
    tracks: tuple[Track, ...] = ()

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def unit(self) -> str:
        """The unit of the world's lengths."""
        return "capture units" if self.world.scale.source == "none" else "m"

    def thumbnail(self, camera: str) -> np.ndarray | None:
        """The small picture [H, W, 3] uint8 sRGB of a camera; None where the world keeps none."""
        picture = _read(self.folder / "capture" / "thumbnails" / thumbnail_name(camera))
        return None if picture is None else picture[..., :3]

    def truth(self, camera: str) -> Truth | None:
        """The frame of a held-out camera, its thumbnail where only that is kept; None without either."""
        picture = _read(self.folder / "capture" / "held_out" / held_out_name(camera))
        if picture is None:
            thumbnail = self.thumbnail(camera)
            return None if thumbnail is None else Truth(thumbnail, np.ones(thumbnail.shape[:2], bool), False)
        counts = picture[..., 3] > 0 if picture.shape[2] == 4 else np.ones(picture.shape[:2], bool)
        return Truth(picture[..., :3], counts, True)

    def gain(self, camera: str) -> tuple[float, float, float]:
        """What the colours of a held-out frame's rendering are multiplied by: its exposure, as it was scored."""
        red, green, blue = self._score(camera).get("gain") or (1.0, 1.0, 1.0)
        return red, green, blue

    def score(self, camera: str) -> float | None:
        """PSNR in dB of a held-out frame, as the world's metrics tell it."""
        value = self._score(camera).get("psnr")
        return None if value is None else float(value)

    def _score(self, camera: str) -> dict:
        rows = self.world.metrics.get("held_out")
        row = rows.get(camera) if isinstance(rows, dict) else None
        return row if isinstance(row, dict) else {}


def load_source(path: str | Path, rollouts: Sequence[Path] = ()) -> Source:
    """Read a world, and rollouts of it, for showing.

    Raises:
        InputError, FormatError: as `store.load_world` and `load_tracks`.
    """
    world = store.load_world(path)
    folder = store.read_document(path)[0]
    record = folder / "capture" / "frames.json"
    if record.is_file():
        held = {frame["name"] for frame in json.loads(record.read_text())["frames"] if frame["held_out"]}
    else:
        rows = world.metrics.get("held_out")
        held = set(rows) if isinstance(rows, dict) else set()
    tracks = load_tracks(rollouts, store.world_id(folder)) if rollouts else ()
    return Source(folder, world, tuple(name for name in world.cameras if name in held), tracks)


def _read(file: Path) -> np.ndarray | None:
    """A picture as [H, W, 3 or 4] uint8, RGB(A)."""
    if not file.is_file():
        return None
    picture = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.ndim != 3:
        return None
    return np.ascontiguousarray(picture[..., [2, 1, 0, 3][: picture.shape[2]]])
