"""Recordings that bring metric poses and depth."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from splatworld.capture.config import CaptureConfig
from splatworld.capture.layouts import find_layout
from splatworld.capture.load import load_capture
from splatworld.capture.metric import to_metres
from splatworld.capture.recorded import rigid
from splatworld.capture.scale import scale_from_depth
from splatworld.core.checks import FormatError, InputError
from tests.capture.recordings import COUNT, WRITERS, cameras, matrix, write_image
from tests.capture.room import HALF, SIZE, depth

CONFIG = CaptureConfig(refine_poses=False, max_features=500, held_out_every=4, threads=1)


@pytest.mark.parametrize("layout", list(WRITERS))
def test_poses_and_depths_of_every_layout_agree_with_the_pictures(layout, tmp_path):
    posed = load_capture(WRITERS[layout](tmp_path / "capture"), CONFIG)
    assert len(posed.clip) == COUNT
    assert posed.clip.held_out.tolist() == [i % 4 == 0 for i in range(COUNT)]
    assert posed.metrics["given_reprojection_error_px"] < 0.6
    assert posed.scale.source == "poses"
    by_depth = scale_from_depth(posed)
    assert by_depth is not None
    assert by_depth.value == pytest.approx(1, abs=0.01)
    known = posed.clip.depths[0] > 0
    assert known.float().mean() > 0.9
    torch.testing.assert_close(posed.clip.depths[0], torch.from_numpy(depth(cameras()[0])), atol=0.06, rtol=0)
    placed = to_metres(posed)
    assert placed.gravity.tolist() == [0, 0, -9.81]
    heights = torch.stack([c.world_from_camera[2] for c in placed.cameras]).double()
    wanted = torch.stack([c.world_from_camera[2] for c in cameras()])
    torch.testing.assert_close(heights, wanted + float(HALF[2]), atol=0.02, rtol=0)


def test_frames_of_a_long_recording_are_thinned_out(tmp_path):
    folder = WRITERS["stray"](tmp_path / "capture")
    config = CaptureConfig(refine_poses=False, max_features=500, max_keyframes=4, held_out_every=0, threads=1)
    assert load_capture(folder, config).clip.names == ("frame_000000", "frame_000002", "frame_000004", "frame_000006")


def test_poses_that_are_not_rigid_are_refused(tmp_path):
    for wrong in (np.diag([1, 1, 2, 1.0]), np.diag([1, 1, -1, 1.0]), np.full((4, 4), np.nan), np.eye(3)):
        with pytest.raises(FormatError, match="the camera pose is not"):
            rigid(wrong, "here")
    folder = WRITERS["stray"](tmp_path / "stray")
    table = folder / "odometry.csv"
    rows = table.read_text().splitlines()
    words = rows[3].split(",")
    table.write_text("\n".join([*rows[:3], ",".join([*words[:5], "3.0", *words[6:]]), *rows[4:]]))
    with pytest.raises(FormatError, match="pose 2 is not rigid"):
        load_capture(folder)
    table.write_text("\n".join([*rows[:3], ",".join([*words[:5], "", *words[6:]]), *rows[4:]]))
    with pytest.raises(FormatError, match="lacks a number"):
        load_capture(folder)
    table.write_text("\n".join([*rows[:3], ",".join([*words[:2], "nan", *words[3:]]), *rows[4:]]))
    with pytest.raises(FormatError, match="not rigid"):
        load_capture(folder)


def test_damaged_recordings_say_what_is_wrong(tmp_path):
    arm = WRITERS["arm"](tmp_path / "arm")
    text = (arm / "cam.info.txt").read_text()
    (arm / "cam.info.txt").write_text(text.replace("for frame-000003", "for nothing"))
    with pytest.raises(FormatError, match="no pose for frame-000003"):
        load_capture(arm)
    (arm / "cam.info.txt").write_text(text.replace("Bin-to-world transformation matrix\n", "Bin-to-world\n5 5 5 5\n"))
    with pytest.raises(FormatError, match="bin: the camera pose is not a finite 4x4 matrix"):
        load_capture(arm)
    (arm / "cam.info.txt").write_text("# Color camera intrinsic matrix\n1 2 x\n")
    with pytest.raises(FormatError, match="not a row of numbers"):
        load_capture(arm)
    (arm / "cam.info.txt").write_text(text)
    write_image(arm / "frame-000002.depth.png", np.zeros((50, 320), np.uint16))
    with pytest.raises(FormatError, match=r"depth map of frame-000002 is 320 x 50 px, another shape"):
        load_capture(arm, CONFIG)
    (arm / "frame-000002.depth.png").write_bytes(b"nothing")
    with pytest.raises(FormatError, match="not a 16-bit depth picture"):
        load_capture(arm, CONFIG)


def test_what_is_missing_is_named(tmp_path):
    polycam = WRITERS["polycam"](tmp_path / "polycam")
    file = next((polycam / "keyframes" / "cameras").glob("*.json"))
    entry = json.loads(file.read_text())
    file.write_text(json.dumps({k: v for k, v in entry.items() if k != "t_12"}))
    with pytest.raises(FormatError, match="no number for 't_12'"):
        load_capture(polycam)
    for other in (polycam / "keyframes" / "cameras").iterdir():
        other.unlink()
    with pytest.raises(InputError, match="no images with a file of the same number"):
        load_capture(polycam)
    record = tmp_path / "record"
    record.mkdir()
    (record / "metadata").write_text("{}")
    with pytest.raises(FormatError, match="no list of poses"):
        load_capture(record)
    (record / "metadata").write_text(json.dumps({"poses": [[0, 0, 0, 1, 0, 0, 0]], "K": [1, 0, 0, 0, 1, 0, 0, 0, 1]}))
    with pytest.raises(InputError, match="no numbered pictures"):
        load_capture(record)


def test_intrinsics_of_another_picture_are_noticed(tmp_path):
    folder = WRITERS["stray"](tmp_path / "capture")
    np.savetxt(folder / "camera_matrix.csv", np.diag([1, 1, 1.0]), delimiter=",")
    with pytest.raises(FormatError, match="far from the middle of its picture of 320 x 240"):
        load_capture(folder)
    assert SIZE == (320, 240)


def test_other_folders_are_no_recordings(tmp_path):
    assert find_layout(tmp_path) is None
    assert find_layout(Path(__file__).parent) is None
    assert matrix(cameras()[0]).shape == (4, 4)
