"""Which frames are picked, and videos that no amount of matching can place."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from splatworld.capture.config import CaptureConfig
from splatworld.capture.keyframes import choose_keyframes, held_out_rows
from splatworld.capture.load import load_capture, load_video
from splatworld.capture.motion import Motion, measure_motion
from splatworld.capture.video import open_video
from splatworld.core.checks import InputError
from tests.capture.room import write_video


def motion(path: np.ndarray, sharpness: np.ndarray | None = None, fps: float = 30.0) -> Motion:
    count = len(path)
    ones = np.ones(count)
    return Motion(
        index=np.arange(count), time=np.arange(count) / fps, sharpness=100 * ones if sharpness is None else sharpness,
        path=path, speed=np.abs(np.gradient(path)) * fps, brightness=120 * ones, highlight=200 * ones, fixed=0 * ones,
        corners=100 * ones,
    )  # fmt: skip


def test_held_out_frames_are_nearest_to_their_times() -> None:
    times = np.array([0.0, 1.0, 2.6, 2.7, 5.2, 5.5, 8.0, 8.5])
    assert held_out_rows(times, 8).tolist() == [0, 3, 4, 6]
    assert held_out_rows(times, 0).tolist() == []


def test_held_out_frames_do_not_depend_on_sharpness() -> None:
    path = np.linspace(0, 3, 600)
    rng = np.random.default_rng(0)
    picked = [choose_keyframes(motion(path, rng.uniform(1, 100, 600)), CaptureConfig(), name="v") for _ in range(2)]
    held = [choice.index[choice.held_out].tolist() for choice in picked]
    assert held[0] == held[1] == [round(80 * k) for k in range(8)]


def test_spacing_follows_motion_not_time() -> None:
    """5 s of standing, then 5 s of walking: the standing part gets its held-out frames and no more."""
    path = np.concatenate([np.zeros(150), np.linspace(0, 2, 150)])
    choice = choose_keyframes(motion(path), CaptureConfig(), name="v")
    keyframes = choice.index[~choice.held_out]
    assert (keyframes >= 148).all()
    assert len(keyframes) >= 25
    gaps = np.diff(path[keyframes])
    assert gaps.max() < 4 * np.median(gaps)
    assert choice.held_out.sum() == 4


def test_sharp_frames_are_preferred() -> None:
    path = np.linspace(0, 3, 600)
    sharpness = np.where(np.arange(600) % 3 == 0, 120.0, 40.0)
    choice = choose_keyframes(motion(path, sharpness), CaptureConfig(), name="v")
    keyframes = choice.index[~choice.held_out]
    assert (sharpness[keyframes] > 100).mean() > 0.95


def test_count_is_bounded() -> None:
    choice = choose_keyframes(motion(np.linspace(0, 500, 9000)), CaptureConfig(max_keyframes=50), name="v")
    assert (~choice.held_out).sum() <= 50
    assert choice.held_out.sum() == 113


@pytest.mark.parametrize(
    ("kind", "words"),
    [("black", "black"), ("still", "stands still"), ("plain", "uniform"), ("short", "at least 8"),
     ("hand", "stands still")],
)  # fmt: skip
def test_hopeless_videos_are_refused_at_once(
    tmp_path: Path, walk_frames: list[np.ndarray], kind: str, words: str
) -> None:
    rng = np.random.default_rng(1)
    room = cv2.resize(walk_frames[0], (320, 240))

    def noisy(picture: np.ndarray) -> np.ndarray:
        return np.clip(picture + rng.normal(0, 2, picture.shape), 0, 255).astype(np.uint8)

    def with_hand(step: int) -> np.ndarray:
        """A patterned box carried over a third of the picture before a fixed camera."""
        picture = room.copy()
        left = 20 + 2 * step
        picture[60:180, left : left + 110] = walk_frames[40][60:180, 100:210]
        return picture

    frames = {
        "black": [noisy(np.full((240, 320, 3), 3, np.uint8)) for _ in range(72)],
        "still": [noisy(room) for _ in range(72)],
        "plain": [np.full((240, 320, 3), 90, np.uint8)] * 72,
        "short": walk_frames[:4],
        "hand": [noisy(with_hand(i)) for i in range(90)],
    }[kind]
    path = write_video(tmp_path / f"{kind}.mp4", frames)
    begin = time.monotonic()
    with pytest.raises(InputError, match=words) as error:
        load_capture(path)
    assert time.monotonic() - begin < 5
    assert "film" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_real_walk(walk_video: Path) -> None:
    measured = measure_motion(open_video(walk_video), CaptureConfig())
    assert len(measured) == 72
    assert 0.05 < measured.path[-1] < 1
    assert (np.diff(measured.path) >= 0).all()
    clip = load_video(walk_video, CaptureConfig(min_keyframes=20))
    assert 15 <= len(clip) <= 24
    assert clip.times[clip.held_out].tolist() == pytest.approx([0, 8 / 3], abs=0.03)
    assert (clip.times.diff() > 0).all()
