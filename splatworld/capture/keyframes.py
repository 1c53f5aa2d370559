"""Choose frames of a video: held-out ones at fixed times, keyframes by how far the picture moved and its sharpness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splatworld.capture.config import CaptureConfig
from splatworld.capture.motion import Motion
from splatworld.core.checks import InputError

_MIN_STEP = 0.004  # image widths; keyframes closer than this show the same picture
_MAX_STEP = 0.10  # beyond, neighbours share too little to be matched reliably
_EXTRA = 1.5  # a fast video may have this many times more keyframes than its length asks for
_LEAST_PATH = 0.04  # image widths over the whole video; below, nothing can be triangulated
_STILL_SPEED = 0.05  # image widths a second at which the middle of the flow moves; hand-held video has 0.1 to 0.5

FILM_BETTER = (
    "film again: walk slowly around the scene for 20 to 40 s, keep it in view, and let the phone travel sideways "
    "rather than turn on the spot"
)


@dataclass(frozen=True)
class Choice:
    """Frames picked, in time order.

    Attributes:
        index: [T] int, frame numbers in the video.
        time: [T] s.
        held_out: [T] bool.
    """

    index: np.ndarray
    time: np.ndarray
    held_out: np.ndarray


def choose_keyframes(motion: Motion, config: CaptureConfig, *, name: str) -> Choice:
    """Pick held-out frames, then keyframes evenly along the picture's path, the sharpest near each spot.

    Args:
        motion: the measured video.
        config: counts and the held-out rule.
        name: the video, for messages.

    Raises:
        InputError: black, one frame, a camera that stands still, or no texture: with how to film it better.
    """
    check_watchable(motion, name=name)
    held = held_out_rows(motion.time, config.held_out_every)
    taken = _keyframe_rows(motion, held, config)
    rows = np.array(sorted({*held.tolist(), *taken}))
    return Choice(index=motion.index[rows], time=motion.time[rows], held_out=np.isin(rows, held))


def held_out_rows(times: np.ndarray, every: int) -> np.ndarray:
    """Rows whose time is nearest to k * every / 3 s, for each k within the video."""
    if every == 0 or len(times) == 0:
        return np.zeros(0, int)
    wanted = np.arange(0, times[-1] + 1e-9, every / 3)
    return np.unique(np.abs(times[None] - wanted[:, None]).argmin(axis=1))


def check_watchable(motion: Motion, *, name: str) -> None:
    """Refuse at once what no amount of matching can place.

    Raises:
        InputError: see `choose_keyframes`.
    """
    if len(motion) < 8:
        raise InputError(f"{name}: has {len(motion)} frames, at least 8 are needed; {FILM_BETTER}.")
    if np.median(motion.highlight) < 24:
        raise InputError(
            f"{name}: the picture is black (its brightest parts have a median of {np.median(motion.highlight):.0f} of "
            "255); uncover the lens or switch on a light, and film again."
        )
    if np.median(motion.corners) < 8:
        raise InputError(
            f"{name}: the picture is nearly uniform, nothing in it can be followed from frame to frame; film something "
            "with texture, in good light and in focus."
        )
    fixed = motion.fixed[np.isfinite(motion.fixed)]
    stays = len(fixed) > 0 and np.median(fixed) > 0.12 and np.quantile(fixed, 0.1) > 0.03
    # A gripper or an overlay stays in place as well; behind it the rest of the picture moves.
    slow = np.median(motion.speed) < _STILL_SPEED
    if motion.path[-1] < _LEAST_PATH or (stays and slow):
        raise InputError(
            f"{name}: the camera stands still (the background does not move over {motion.time[-1]:.1f} s), so nothing "
            f"can be measured in depth; {FILM_BETTER}."
        )


def _keyframe_rows(motion: Motion, held: np.ndarray, config: CaptureConfig) -> list[int]:
    budget = max(config.min_keyframes, round(config.keyframes_per_second * motion.time[-1])) - len(held)
    budget = int(np.clip(budget, 8, config.max_keyframes))
    path = motion.path
    step = path[-1] / budget
    if step > _MAX_STEP:
        step = path[-1] / min(_EXTRA * budget, path[-1] / _MAX_STEP, config.max_keyframes)
    step = max(step, _MIN_STEP)
    quality = _quality(motion)
    quality[held] = -np.inf
    taken: list[int] = []
    for target in np.arange(0.5 * step, path[-1], step):
        near = np.abs(path - target) <= 0.35 * step
        # A keyframe right beside a held-out frame would show its picture and flatter the score.
        beside = (np.abs(path[:, None] - path[held][None]) < 0.25 * step).any(axis=1) if len(held) else near & False
        allowed = near & ~beside & np.isfinite(quality)
        if not allowed.any():
            allowed = near & np.isfinite(quality)
        if not allowed.any():
            nearest = int(np.abs(path - target).argmin())
            allowed = np.arange(len(path)) == nearest
        best = int(np.where(allowed, quality, -np.inf).argmax())
        if np.isfinite(quality[best]) and best not in taken:
            taken.append(best)
    return taken


def _quality(motion: Motion) -> np.ndarray:
    """[N] log sharpness against the neighbourhood (so that plain walls are not punished), less a term for speed."""
    half = max(3, round(len(motion) / max(motion.time[-1], 1e-3) * 0.75))
    padded = np.pad(motion.sharpness, half, mode="reflect" if len(motion) > half else "edge")
    around = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1), axis=1)
    sharp = np.log((motion.sharpness + 1e-3) / (around + 1e-3))
    # Fast frames are smeared by exposure and bent by the rolling shutter.
    usual = np.median(motion.speed) + 1e-6
    return sharp - 0.1 * np.minimum(motion.speed / usual, 5)
