"""The soaks in their shortest form: they run, and what they watch holds."""

import av
import pytest

from splatworld import native
from splatworld.evaluate import robustness
from tests.capture.room import render, walk, write_video
from tests.reconstruct.clips import SIZE, filmed


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(robustness, "SMALL", SIZE)
    monkeypatch.setattr(robustness, "BRIEF", {"iterations": 60, "splats": 900})
    monkeypatch.setattr(robustness, "KILLS", 1)


def test_a_killed_run():
    row = robustness.killed_line(filmed(), lambda text: None)
    assert row.value == 100
    assert row.met


def test_threads_and_instruction_sets():
    lines = robustness.same_lines(filmed(), lambda text: None)
    assert lines[0].met
    assert (lines[1].value is None) == (native.level() != "v4")
    assert lines[1].value is None or lines[1].value < 1


def test_the_long_video_plays_forth_and_back(tmp_path, monkeypatch):
    monkeypatch.setattr(robustness, "SIZE", (320, 240))
    source = write_video(tmp_path / "short.mp4", [render(camera) for camera in walk(8)])
    robustness.write_long_video(source, tmp_path / "long.mp4", seconds=2)
    with av.open(str(tmp_path / "long.mp4")) as container:
        shown = [frame.to_ndarray(format="gray").astype(int) for frame in container.decode(video=0)]
    assert len(shown) == 60
    assert abs(shown[14] - shown[28]).mean() < 0.3 * abs(shown[14] - shown[21]).mean()
