from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.capture.room import render, walk, write_video


@pytest.fixture(scope="session")
def walk_frames() -> list[np.ndarray]:
    return [render(camera) for camera in walk(72)]


@pytest.fixture(scope="session")
def walk_video(tmp_path_factory: pytest.TempPathFactory, walk_frames: list[np.ndarray]) -> Path:
    """3 s, 320x240, an arc through the patterned room."""
    return write_video(tmp_path_factory.mktemp("video") / "walk.mp4", walk_frames)
