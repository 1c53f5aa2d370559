"""How a video moves, frame by frame: sharpness, exposure and optical flow on small frames, in one streaming pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from splatworld.capture.config import CaptureConfig, Progress, silent
from splatworld.capture.video import Video, decode

FLOW_SIDE = 320  # px, longest side of the frames that are tracked
SHARP_SIDE = 640  # px, longest side at which sharpness is measured

_MAX_RATE = 31.0  # frames a second looked at; a 240 fps slow-motion video has nothing more to say
_CORNERS_PER_CELL = 3
_CELLS = 10  # the image is cut into cells so that one rich spot cannot outvote the rest
_RENEW_AT = 0.08  # share of the image width after which tracks start afresh
_LK: dict[str, Any] = {
    "winSize": (15, 15),
    "maxLevel": 4,
    "criteria": (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 0.02),
}


@dataclass(frozen=True)
class Motion:
    """One row a frame looked at.

    Attributes:
        index: [N] int, frame number in the video.
        time: [N] s since the first frame.
        sharpness: [N] variance of the Laplacian at `SHARP_SIDE`.
        path: [N] distance travelled by the picture since the first frame, in image widths, without the jitter of
            single steps; never decreases.
        speed: [N] image widths a second.
        brightness: [N] mean luma 0..255.
        highlight: [N] 99th percentile of the luma.
        fixed: [N] share of corners that lie where they lay about a second before and where they lay in the first
            frame (the smaller of the two): above zero for long only if the camera stands still.
        corners: [N] corners that could be tracked.
    """

    index: np.ndarray
    time: np.ndarray
    sharpness: np.ndarray
    path: np.ndarray
    speed: np.ndarray
    brightness: np.ndarray
    highlight: np.ndarray
    fixed: np.ndarray
    corners: np.ndarray

    def __len__(self) -> int:
        return len(self.index)


def measure_motion(video: Video, config: CaptureConfig, progress: Progress | None = None) -> Motion:
    """Decode the whole video once and measure it; holds two small frames at a time."""
    progress = progress or silent
    tracker = _Tracker()
    rows: list[tuple[float, ...]] = []
    last = -1.0
    for frame in decode(video.path, config.worker_threads):
        if frame.index % 30 == 0:
            progress("look at frames", min(frame.index, video.count - 1), video.count)
        if last >= 0 and frame.time - last < 1 / _MAX_RATE:
            continue
        last = frame.time
        gray = frame.gray(SHARP_SIDE)
        scale = FLOW_SIDE / max(gray.shape)
        small = gray if scale >= 1 else cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        path, step, fixed, corners = tracker.add(small, frame.time)
        rows.append((
            frame.index, frame.time, cv2.Laplacian(gray, cv2.CV_32F).var(), path, step,
            float(small.mean()), float(np.percentile(small, 99)), fixed, corners,
        ))  # fmt: skip
    progress("look at frames", video.count, video.count)
    table = np.array(rows, dtype=np.float64)
    elapsed = np.diff(table[:, 1], prepend=table[0, 1] - 1 / 30).clip(1e-3)
    return Motion(
        index=table[:, 0].astype(int),
        time=table[:, 1],
        sharpness=table[:, 2],
        path=np.maximum.accumulate(table[:, 3]),
        speed=table[:, 4] / elapsed,
        brightness=table[:, 5],
        highlight=table[:, 6],
        fixed=table[:, 7],
        corners=table[:, 8],
    )


class _Tracker:
    """Corners followed from a reference frame until they have moved or been lost, then found afresh."""

    def __init__(self) -> None:
        self.previous: np.ndarray | None = None
        self.start = self.now = np.zeros((0, 2), np.float32)
        self.base = self.path = 0.0
        self.started = 0.0
        self.anchor: tuple[float, np.ndarray] | None = None
        self.first: np.ndarray | None = None
        self.fixed = float("nan")

    def add(self, gray: np.ndarray, time: float) -> tuple[float, float, float, int]:
        """Path and last step (image widths), share of fixed corners, corners tracked."""
        width = float(gray.shape[1])
        step = 0.0
        if self.previous is not None and len(self.now):
            after, good = _flow(self.previous, gray, self.now)
            if good.any():
                step = float(np.median(np.linalg.norm(after - self.now, axis=1)[good])) / width
            self.start, self.now = self.start[good], after[good]
        # A camera that circles an object keeps the middle of the picture in place: the upper quartile still moves.
        moved = np.linalg.norm(self.now - self.start, axis=1)
        reach = float(np.quantile(moved, 0.75)) / width if len(moved) else 0.0
        self.path = max(self.path, self.base + reach)
        lost = len(self.now) < 0.5 * max(self.started, 1)
        if self.previous is None or reach > _RENEW_AT or lost:
            self.base = self.path
            self.start = self.now = _corners(gray)
            self.started = len(self.now)
        if self.anchor is None or time - self.anchor[0] >= 1.0:
            if self.anchor is not None and self.first is not None:
                self.fixed = min(_fixed_share(self.anchor[1], gray), _fixed_share(self.first, gray))
            self.first = gray if self.first is None else self.first
            self.anchor = (time, gray)
        self.previous = gray
        return self.path, step, self.fixed, len(self.now)


def _corners(gray: np.ndarray) -> np.ndarray:
    """[K, 2] px: up to three corners in each cell of a 10 x 10 grid."""
    found = cv2.goodFeaturesToTrack(gray, 1200, 0.005, 5)
    if found is None:
        return np.zeros((0, 2), np.float32)
    found = found.reshape(-1, 2)
    cells = np.floor(found / (np.array(gray.shape[::-1]) / _CELLS)).astype(int)
    key = cells[:, 1] * _CELLS + cells[:, 0]
    kept, seen = [], np.zeros(_CELLS * _CELLS + _CELLS + 1, int)
    for row, cell in enumerate(key):  # strongest first
        if seen[cell] < _CORNERS_PER_CELL:
            seen[cell] += 1
            kept.append(row)
    return found[kept]


def _flow(before: np.ndarray, after: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    start = points.reshape(-1, 1, 2)
    moved, status, error = cv2.calcOpticalFlowPyrLK(before, after, start, np.empty_like(start), **_LK)
    moved = moved.reshape(-1, 2)
    height, width = after.shape
    inside = (moved[:, 0] >= 0) & (moved[:, 1] >= 0) & (moved[:, 0] < width) & (moved[:, 1] < height)
    return moved, (status.ravel() == 1) & inside & (error.ravel() < 40)


def _fixed_share(before: np.ndarray, after: np.ndarray) -> float:
    """Share of `before`'s corners found within 0.4 px of their place in `after`."""
    points = _corners(before)
    if len(points) < 8:
        return float("nan")
    moved, good = _flow(before, after, points)
    return float((np.linalg.norm(moved - points, axis=1)[good] < 0.4).sum() / len(points))
