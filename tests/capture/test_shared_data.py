"""Real captures, where the shared data folder is present."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from splatworld.capture.config import CaptureConfig
from splatworld.capture.load import load_capture
from splatworld.core.checks import InputError

DATA = Path(os.environ.get("SPLATWORLD_SHARED_DATA", Path(__file__).parents[2].parent / "shared" / "data"))

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the shared data folder is not there")


@needs_data
@pytest.mark.parametrize("video", ["box_by_hand/box.mp4", "pusht_robot/videos/220422302296.mp4"])
def test_fixed_cameras_are_refused_at_once(video: str) -> None:
    begin = time.process_time()
    with pytest.raises(InputError, match="the camera stands still"):
        load_capture(DATA / video)
    assert time.process_time() - begin < 10


@needs_data
@pytest.mark.slow
@pytest.mark.skipif("SPLATWORLD_LONG" not in os.environ, reason="takes minutes; set SPLATWORLD_LONG to run it")
def test_desk_phone_and_fox() -> None:
    desk = load_capture(DATA / "desk_phone" / "video.mp4")
    assert desk.metrics["registered_share"] >= 0.95
    assert desk.clip.held_out.sum() == 9
    fox = load_capture(DATA / "fox", CaptureConfig(max_side=480))
    assert len(fox.clip) == 50
    assert fox.metrics["missing_images"] == 17
    assert fox.metrics["reprojection_error_px"] < 1
