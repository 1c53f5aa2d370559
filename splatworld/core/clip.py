"""Frames picked from a video, and the same frames once their cameras are known."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.camera import Camera
from splatworld.core.checks import ShapeError, check_finite, check_shape
from splatworld.core.similarity import Similarity
from splatworld.core.world import Scale


@dataclass(frozen=True)
class Clip:
    """Frames of one capture, in time order.

    Attributes:
        images: [T, H, W, 3] uint8 sRGB.
        times: [T] s since the first frame of the video; the index for image folders.
        held_out: [T] bool, frames kept for scoring: they take part in structure from motion, but in neither seeds
            nor loss.
        names: one name a frame, for messages, thumbnails and foreign formats.
        masks: optional [T, H, W] bool, False where a pixel must be ignored (moving things, people).
        depths: optional [T, H, W] float m along +z, 0 where unknown.
    """

    images: Tensor
    times: Tensor
    held_out: Tensor
    names: tuple[str, ...]
    masks: Tensor | None = None
    depths: Tensor | None = None

    def __post_init__(self) -> None:
        check_shape("Clip", "images", self.images, ("T", "H", "W", 3))
        if self.images.dtype != torch.uint8:
            raise ShapeError(f"Clip: images are {self.images.dtype}, expected uint8.")
        count, height, width = self.images.shape[:3]
        check_shape("Clip", "times", self.times, (count,))
        check_shape("Clip", "held_out", self.held_out, (count,))
        if len(self.names) != count:
            raise ShapeError(f"Clip: {len(self.names)} names for {count} images, expected one each.")
        for name in ("masks", "depths"):
            if getattr(self, name) is not None:
                check_shape("Clip", name, getattr(self, name), (count, height, width))

    def __len__(self) -> int:
        return self.images.shape[0]

    def select(self, keep: Tensor) -> Clip:
        """The frames `keep`, a [T] bool or an index tensor."""
        index = torch.nonzero(keep).squeeze(-1) if keep.dtype == torch.bool else keep
        return Clip(
            images=self.images[index],
            times=self.times[index],
            held_out=self.held_out[index],
            names=tuple(self.names[i] for i in index.tolist()),
            masks=None if self.masks is None else self.masks[index],
            depths=None if self.depths is None else self.depths[index],
        )


@dataclass(frozen=True)
class PosedClip:
    """A clip whose cameras are known.

    Attributes:
        clip: the T frames that were placed.
        cameras: one Camera a frame, size equal to the images'.
        points: [M, 3] triangulated points, m once `scale` is known.
        colors: [M, 3] uint8 sRGB.
        tracks: [K, 2] int64 pairs (point index, frame index): which frame saw which point.
        unplaced: names of the keyframes that could not be placed; a held-out frame among them scores 0.
        unplaced_held_out: how many of those were held out.
        notes: plain sentences on how the capture went, for the quality report.
        metrics: named figures (registered share, reprojection error in px, ...).
        scale: how metric lengths are, and who says so.
        gravity: [3] m/s^2 in the frame of the capture; zero while up is unknown.
    """

    clip: Clip
    cameras: tuple[Camera, ...]
    points: Tensor
    colors: Tensor
    tracks: Tensor
    unplaced: tuple[str, ...] = ()
    unplaced_held_out: int = 0
    notes: tuple[str, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
    scale: Scale = field(default_factory=Scale)
    gravity: Tensor = field(default_factory=lambda: torch.zeros(3, dtype=torch.float64))

    def __post_init__(self) -> None:
        if len(self.cameras) != len(self.clip):
            raise ShapeError(f"PosedClip: {len(self.cameras)} cameras for {len(self.clip)} frames, expected one each.")
        height, width = self.clip.images.shape[1:3]
        for camera, name in zip(self.cameras, self.clip.names, strict=True):
            if camera.size != (width, height):
                raise ShapeError(f"PosedClip: camera of {name} is {camera.size}, its image {(width, height)} px.")
        check_shape("PosedClip", "points", self.points, ("M", 3))
        check_shape("PosedClip", "colors", self.colors, (self.points.shape[0], 3))
        check_shape("PosedClip", "tracks", self.tracks, ("K", 2))
        check_shape("PosedClip", "gravity", self.gravity, (3,))
        check_finite("PosedClip", "gravity", self.gravity)

    def moved(self, similarity: Similarity) -> PosedClip:
        """The same capture in another frame of reference; `scale` says what its lengths are, which stays to be set.

        Depth maps keep their unit, which is metres.
        """
        return replace(
            self,
            cameras=tuple(similarity.camera(camera) for camera in self.cameras),
            points=similarity.points(self.points),
            gravity=pose.rotate(similarity.quat, self.gravity),
        )
