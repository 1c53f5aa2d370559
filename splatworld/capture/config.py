"""Options of the capture stage, with the reason for each default."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from splatworld.core.checks import InputError, check_choice

Progress = Callable[[str, int, int], None]
"""`progress(stage, done, total)`: told how far a stage has come; `done == total` closes it."""


@dataclass(frozen=True)
class CaptureConfig:
    """How frames are chosen and cameras are found.

    Attributes:
        keyframes_per_second: keyframes to aim at for each second of video; motion decides where they lie.
        min_keyframes: a short video gets at least this many, as far as it moves enough.
        max_keyframes: upper limit on the frames picked besides the held-out ones, which are never dropped.
        held_out_every: one frame in this many is kept for scoring; in a video, the one nearest to
            t = k * held_out_every / 3 s, fixed before keyframes are chosen. 0 keeps none.
        max_side: longest side, px, of the images and cameras returned; None keeps the capture's own. With more, a fit
            of the default length sees each pixel too seldom, and the frames of a ten-minute video fill the memory.
        size: exact (width, height) px of the images returned; overrides `max_side`.
        sfm_max_side: longest side, px, at which features are found; more costs time and finds little.
        max_features: features kept in one frame.
        total_features: of many frames each keeps fewer, so that there are not many more than this in all, but at least
            `min_features`; matching and mapping a video of ten minutes would take most of an hour.
        min_features: see `total_features`.
        peak_threshold: contrast below which a feature is dropped; 0.6 of COLMAP's, because small video frames
            have few strong ones.
        all_pairs_limit: up to this many frames every pair is matched; beyond, neighbours and likely returns.
        overlap: neighbours matched on each side when not all pairs are.
        returns: further partners of each frame, the likeliest by a comparison of a few coarse features.
        min_registered: share of frames that must be placed; below, the capture is refused with the reason.
        good_registered: share below which the other mapper and further seeds are tried.
        seed_retries: extra seeds tried.
        refine_poses: bundle-adjust poses that came with the capture (transforms.json), then align the result to the
            given ones; kept only where it lowers the reprojection error. None decides by the error: above
            1 px at `sfm_max_side` it refines.
        normalize: after structure from motion, turn Z up, recentre and scale to a median camera distance of 1. Poses
            that came with the capture are kept as given.
        deterministic: match and map on one thread, so that the same frames and seed give the same bytes.
        seed: seed of every random choice.
        threads: 0 uses every core this process may run on.
    """

    keyframes_per_second: float = 3.0
    min_keyframes: int = 40
    max_keyframes: int = 300
    held_out_every: int = 8
    max_side: int | None = 1280
    size: tuple[int, int] | None = None
    sfm_max_side: int = 1280
    max_features: int = 3000
    total_features: int = 450_000
    min_features: int = 1000
    peak_threshold: float = 0.004
    all_pairs_limit: int = 40
    overlap: int = 7
    returns: int = 8
    min_registered: float = 0.6
    good_registered: float = 0.95
    seed_retries: int = 1
    refine_poses: bool | None = None
    normalize: bool = True
    deterministic: bool = False
    seed: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        for name in ("keyframes_per_second", "min_keyframes", "max_keyframes", "sfm_max_side", "max_features"):
            if getattr(self, name) <= 0:
                raise InputError(f"CaptureConfig: {name} is {getattr(self, name)}, expected more than 0.")
        if self.max_side is not None and self.max_side < 16:
            raise InputError(f"CaptureConfig: max_side is {self.max_side}, expected at least 16 px, or None.")
        if self.size is not None and (len(self.size) != 2 or min(self.size) < 16):
            raise InputError(f"CaptureConfig: size is {self.size}, expected (width, height) of at least 16 px.")
        if self.held_out_every < 0 or self.held_out_every == 1:
            raise InputError(f"CaptureConfig: held_out_every is {self.held_out_every}, expected 0 or at least 2.")

    def features(self, frames: int) -> int:
        """Features kept in each of so many frames."""
        return min(self.max_features, max(self.min_features, self.total_features // max(frames, 1)))

    @classmethod
    def preset(cls, name: str, **changes: Any) -> CaptureConfig:
        """The options of a preset, see `PRESETS`, with `changes` on top.

        Raises:
            InputError: no such preset; lists those there are.
        """
        check_choice("CaptureConfig.preset", "name", name, tuple(PRESETS))
        return cls(**{**PRESETS[name], **changes})

    @property
    def worker_threads(self) -> int:
        """Threads to use where the result does not depend on them."""
        return self.threads or len(os.sched_getaffinity(0))

    @property
    def mapping_threads(self) -> int:
        """Threads for matching and mapping."""
        return 1 if self.deterministic else self.worker_threads

    def working_side(self) -> int | None:
        """Longest side, px, at which frames are held while cameras are found; None keeps the capture's own."""
        wanted = max(self.size) if self.size is not None else self.max_side
        return None if wanted is None else max(wanted, self.sfm_max_side)

    def output_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(width, height) px of the returned images for frames of `size`."""
        return self.size if self.size is not None else fit_side(size, self.max_side)


PRESETS: dict[str, dict[str, Any]] = {
    "fast": {"max_side": 640, "sfm_max_side": 960, "max_features": 2000, "keyframes_per_second": 2.0},
    "default": {},
    "high": {"max_side": 1600},
}
"""Trade of time for quality -> what differs from the defaults; `reconstruct.config.PRESETS` has the fit's part."""


def fit_side(size: tuple[int, int], longest: int | None) -> tuple[int, int]:
    """(width, height) px scaled down, never up, until no side exceeds `longest`."""
    factor = 1.0 if longest is None else min(1.0, longest / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def silent(stage: str, done: int, total: int) -> None:
    """A `Progress` that says nothing."""
