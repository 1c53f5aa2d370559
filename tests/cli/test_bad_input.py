"""Input that cannot be used: exit code 2, one clear sentence, within 5 seconds, nothing half-written."""

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from splatworld import ply, store
from splatworld.cli import main as command
from splatworld.pictures import encode_video
from tests.worlds import make_splats, make_world


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def refuses(capsys: pytest.CaptureFixture, folder: Path, *arguments: object) -> str:
    """Run a command line that must be refused; returns its sentence."""
    before, begin = contents(folder), time.perf_counter()
    code = command.main([str(argument) for argument in arguments])
    seconds = time.perf_counter() - begin
    out, err = capsys.readouterr()
    sentences = [line for line in err.splitlines() if line.startswith("splatworld:")]
    assert code == 2, err
    assert out == ""
    assert len(sentences) == 1, err
    assert "Traceback" not in err
    assert seconds < 5
    assert contents(folder) == before
    return sentences[0]


def texture(seed: int = 0) -> np.ndarray:
    return cv2.resize(np.random.default_rng(seed).integers(0, 255, (20, 30, 3), np.uint8), (320, 240))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("this is not a video\n" * 50)


def truncated(path: Path) -> None:
    content = encode_video(texture(i) for i in range(40))
    path.write_bytes(content[: len(content) // 2])


def black(path: Path) -> None:
    path.write_bytes(encode_video(np.zeros((240, 320, 3), np.uint8) for _ in range(90)))


def still(path: Path) -> None:
    path.write_bytes(encode_video(texture() for _ in range(90)))


@pytest.mark.parametrize("make", [empty, text, truncated, black, still], ids=lambda f: f.__name__)
def test_videos(tmp_path, capsys, make: Callable[[Path], None]):
    make(tmp_path / "video.mp4")
    sentence = refuses(capsys, tmp_path, "reconstruct", tmp_path / "video.mp4", "-o", tmp_path / "w")
    assert "video.mp4" in sentence
    assert not (tmp_path / "w").exists()


def test_one_image(tmp_path, capsys):
    (tmp_path / "folder").mkdir()
    cv2.imwrite(str(tmp_path / "folder" / "a.png"), texture())
    for capture in ("folder", "folder/a.png"):
        refuses(capsys, tmp_path, "reconstruct", tmp_path / capture, "-o", tmp_path / "w")


def test_missing_and_empty_folders(tmp_path, capsys):
    assert "missing" in refuses(capsys, tmp_path, "reconstruct", tmp_path / "missing", "-o", tmp_path / "w")
    (tmp_path / "empty").mkdir()
    refuses(capsys, tmp_path, "reconstruct", tmp_path / "empty", "-o", tmp_path / "w")
    for verb in ("info", "export", "render"):
        options = [] if verb == "info" else ["-o", tmp_path / "out"]
        assert "missing" in refuses(capsys, tmp_path, verb, tmp_path / "missing", *options)


def test_a_capture_is_not_looked_at_while_the_output_is_wrong(tmp_path, capsys):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("years of work")
    (tmp_path / "file").write_text("a file")
    store.save_world(make_world(), tmp_path / "w")
    for place, words in (("thesis", "not a world"), ("file", "a file is there"), ("w", "--overwrite")):
        sentence = refuses(capsys, tmp_path, "reconstruct", tmp_path / "missing.mp4", "-o", tmp_path / place)
        assert words in sentence
    sentence = refuses(
        capsys, tmp_path, "reconstruct", tmp_path / "missing.mp4", "-o", tmp_path / "thesis", "--overwrite"
    )
    assert "not a world" in sentence


def test_a_bad_capture_never_costs_the_world_that_was_there(tmp_path, capsys):
    store.save_world(make_world(), tmp_path / "w")
    text(tmp_path / "video.mp4")
    refuses(capsys, tmp_path, "reconstruct", tmp_path / "video.mp4", "-o", tmp_path / "w", "--overwrite")


def spoil(path: Path, how: str) -> None:
    """A PLY with one defect."""
    content = bytes(ply.to_bytes(make_splats(50, degree=0)))
    header, _, body = content.partition(b"end_header\n")
    rows = np.frombuffer(body, np.uint8).reshape(50, -1).copy()
    floats = rows[:, : 4 * 17].view("<f4")
    if how == "count":
        header = header.replace(b"vertex 50", b"vertex 51")
    elif how == "nan":
        floats[7, 0] = np.nan
    elif how == "inf":
        floats[7, 9] = np.inf
    else:
        floats[7, 13:17] = 0
    path.write_bytes(header + b"end_header\n" + rows.tobytes())


@pytest.mark.parametrize(
    ("how", "words"),
    [("count", "cut short"), ("nan", "means[7, 0] is nan"), ("inf", "is inf"), ("quaternion", "quats[7] is zero")],
)
def test_splats_of_other_tools(tmp_path, capsys, how, words):
    spoil(tmp_path / "a.ply", how)
    for arguments in (("import", tmp_path / "a.ply", "-o", tmp_path / "w"), ("info", tmp_path / "a.ply")):
        sentence = refuses(capsys, tmp_path, *arguments)
        assert words in sentence
        assert "a.ply" in sentence


def test_worlds_from_the_future_and_damaged_ones(tmp_path, capsys):
    store.save_world(make_world(), tmp_path / "w")
    document = tmp_path / "w" / "world.json"
    good = document.read_text()
    document.write_text(good.replace('"schema": 1', '"schema": 2'))
    for verb in ("info", "export", "render"):
        options = [] if verb == "info" else ["-o", tmp_path / "out"]
        assert "schema 2" in refuses(capsys, tmp_path, verb, tmp_path / "w", *options)
    document.write_text(good)
    (tmp_path / "w" / "splats.ply").write_bytes(b"ply")
    assert "splats.ply: damaged" in refuses(capsys, tmp_path, "info", tmp_path / "w")


def test_a_full_disk(tmp_path, capsys, monkeypatch):
    ply.write_splats(tmp_path / "a.ply", make_splats())
    store.save_world(make_world(), tmp_path / "w")

    def full(path, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(store, "write_through", full)
    sentence = refuses(capsys, tmp_path, "import", tmp_path / "a.ply", "-o", tmp_path / "w", "--overwrite")
    assert "the disk is full" in sentence


@pytest.mark.parametrize("verb", list(command.VERBS))
def test_unknown_options(tmp_path, capsys, verb):
    assert f"{verb}: no option '--bogus'" in refuses(capsys, tmp_path, verb, "--bogus")


def test_cameras_that_are_not_there(tmp_path, capsys):
    store.save_world(make_world(), tmp_path / "w")
    sentence = refuses(capsys, tmp_path, "render", tmp_path / "w", "-o", tmp_path / "out", "--camera", "frame 3")
    assert "expected one of frame 2, frame 10, frame 1" in sentence
    ply.write_splats(tmp_path / "a.ply", make_splats())
    assert command.main(["import", str(tmp_path / "a.ply"), "-o", str(tmp_path / "plain")]) == 0
    capsys.readouterr()
    assert "no cameras" in refuses(capsys, tmp_path, "render", tmp_path / "plain", "-o", tmp_path / "out")
