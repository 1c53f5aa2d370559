"""Decoding: uprightness, timestamps, codecs, HDR, and files that are no videos."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import av
import numpy as np
import pytest

from splatworld.capture.config import CaptureConfig
from splatworld.capture.load import load_capture, load_video
from splatworld.capture.tonemap import HLG, PQ, is_hdr, to_srgb
from splatworld.capture.video import decode, decode_chosen, open_video
from splatworld.core.checks import FormatError, InputError
from tests.capture.room import write_video


def corner_marked(count: int = 12) -> list[np.ndarray]:
    """Dark frames, wider than high, with a red top-left corner."""
    picture = np.full((96, 160, 3), 40, np.uint8)
    picture[:32, :48] = (220, 30, 30)
    return [picture] * count


def test_frames_come_upright(tmp_path: Path) -> None:
    # The display matrix turns by 90 degrees counter-clockwise: the top-left corner comes to the bottom left.
    path = write_video(tmp_path / "a.mp4", corner_marked(), rotation=90)
    picture = next(decode_chosen(path, [3], None))
    assert picture.shape == (160, 96, 3)
    assert picture[-10, 10, 0] > 150
    assert picture[10, 10, 0] < 90
    assert next(iter(decode(path))).gray(80).shape == (80, 48)


def test_times_are_the_timestamps(tmp_path: Path) -> None:
    stamps = [0, 10, 250, 260, 900, 910, 920, 1500, 1510, 2400]
    path = write_video(tmp_path / "vfr.mp4", corner_marked(len(stamps)), stamps=stamps)
    times = [frame.time for frame in decode(path)]
    np.testing.assert_allclose(times, np.array(stamps) / 1000, atol=2e-3)
    assert open_video(path).count == len(stamps)


def test_only_wanted_frames_are_converted(walk_video: Path, walk_frames: list[np.ndarray]) -> None:
    pictures = list(decode_chosen(walk_video, [5, 40], longest=160))
    assert [p.shape for p in pictures] == [(120, 160, 3)] * 2
    full = next(decode_chosen(walk_video, [40], None))
    assert np.abs(full.astype(int) - walk_frames[40]).mean() < 12  # chroma is halved


@pytest.mark.skipif("libx265" not in av.codecs_available, reason="this PyAV has no HEVC encoder")
def test_hevc_and_hdr(tmp_path: Path) -> None:
    path = write_video(tmp_path / "hevc.mov", corner_marked(), codec="libx265")
    assert next(decode_chosen(path, [2], None))[10, 10, 0] > 180
    hdr = tmp_path / "hdr.mov"
    with av.open(str(hdr), "w") as container:
        stream = container.add_stream("libx265", rate=24)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p10le"
        stream.options = {"x265-params": "log-level=none:colorprim=bt2020:transfer=arib-std-b67:colormatrix=bt2020nc"}
        for _ in range(4):
            # HLG codes diffuse white at 75 %.
            frame = av.VideoFrame.from_ndarray(np.full((96, 160, 3), 191, np.uint8), format="rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv420p10le")))
        container.mux(stream.encode(None))
    frame = next(iter(decode(hdr)))
    assert is_hdr(frame.raw.color_trc)
    picture = frame.color()
    assert picture.dtype == np.uint8
    assert np.ptp(picture.mean(axis=(0, 1))) < 4  # grey stays grey
    assert 195 < picture.mean() < 250  # diffuse white is bright, not clipped


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_tone_curve_rises_and_ends_white(transfer: int) -> None:
    codes = np.linspace(0, 65535, 256).astype(np.uint16)
    out = to_srgb(np.repeat(codes[None, :, None], 3, axis=2), transfer)[0, :, 0].astype(int)
    assert (np.diff(out) >= 0).all()
    assert out[0] == 0
    assert out[-1] >= 253


def test_missing_file() -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        load_capture("nowhere.mp4")


@pytest.mark.parametrize("content", [b"", b"this is text, not a film\n" * 40, b"\x00" * 5000])
def test_not_a_video(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    begin = time.monotonic()
    with pytest.raises(FormatError, match=r"clip\.mp4: .*(empty|not a readable video|no video)"):
        load_capture(path)
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("front", [True, False])
def test_truncated(tmp_path: Path, walk_frames: list[np.ndarray], front: bool) -> None:
    """Cut in half, with the index before or behind the frames."""
    options = {"movflags": "faststart"} if front else {}
    whole = write_video(tmp_path / "whole.mp4", walk_frames, options=options)
    path = tmp_path / "half.mp4"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    begin = time.monotonic()
    with pytest.raises(FormatError, match=r"half\.mp4: .*(truncated|cut off)"):
        load_capture(path)
    assert time.monotonic() - begin < 5


def test_sound_only(tmp_path: Path) -> None:
    path = tmp_path / "voice.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(FormatError, match="no video track"):
        load_capture(path)


def test_other_files(tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("hello")
    with pytest.raises(InputError, match="is not a capture"):
        load_capture(note)
    image = tmp_path / "one.jpg"
    image.write_bytes(b"x")
    with pytest.raises(InputError, match="one image shows no depth"):
        load_capture(image, CaptureConfig())


def test_frames_of_a_long_video_are_held_once(walk_video: Path) -> None:
    """What a ten-minute video needs grows with its keyframes only, and those are not copied."""
    video = open_video(walk_video)
    assert video.count > 60
    tracemalloc.start()
    clip = load_video(walk_video, CaptureConfig())
    frames = clip.images.nbytes
    assert len(clip) >= 20
    assert tracemalloc.get_traced_memory()[1] < 0.5 * frames  # numpy's; the clip itself is torch's
    tracemalloc.stop()
