"""One part of the fit changed at a time."""

from dataclasses import replace

from splatworld.capture.config import CaptureConfig
from splatworld.evaluate import ablation
from splatworld.reconstruct.config import FitConfig
from tests.reconstruct.clips import filmed


def test_every_change_is_one_line_beside_the_unchanged_fit(monkeypatch, tmp_path):
    monkeypatch.setattr(ablation, "load_capture", lambda path, capture: filmed(frames=5))
    monkeypatch.setattr(ablation, "BRIEF", FitConfig(iterations=12, splats=500))
    said: list[str] = []
    lines = ablation.ablate("toy 48x40", tmp_path, CaptureConfig(), progress=said.append)
    assert [line.name for line in lines] == [f"toy 48x40, {name}: held-out PSNR" for name in ablation.CHANGES]
    assert len(said) == len(lines)
    assert lines[0].baseline is None
    assert all(line.baseline and line.baseline.startswith("as it is ") for line in lines[1:])
    assert len({line.value for line in lines}) > 3


def test_a_clean_score_takes_the_place_of_the_frames(monkeypatch, tmp_path):
    monkeypatch.setattr(ablation, "load_capture", lambda path, capture: filmed(frames=5))
    monkeypatch.setattr(ablation, "BRIEF", FitConfig(iterations=2, splats=500))
    asked: list[bool] = []

    def clean(world, raw, antialias):
        asked.append(antialias)
        return replace(world, metrics={"psnr_mean": 7.0})

    lines = ablation.ablate("toy", tmp_path, CaptureConfig(), clean=clean)
    assert {line.value for line in lines} == {7.0}
    assert asked == [bool(values.get("antialias")) for values in ablation.CHANGES.values()]


def test_a_capture_that_is_not_here_is_said_to_be_missing(tmp_path):
    (line,) = ablation.ablate("far", tmp_path / "no", CaptureConfig())
    assert line.value is None
    assert "not on this machine" in line.name
