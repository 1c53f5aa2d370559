"""End to end on a rendered room with known cameras: video, image folder, transforms.json and COLMAP model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from splatworld.capture.colmap import load_colmap, write_colmap
from splatworld.capture.config import CaptureConfig
from splatworld.capture.load import load_capture
from splatworld.core import pose
from splatworld.core.camera import project
from splatworld.core.checks import FormatError, InputError
from splatworld.core.clip import PosedClip
from tests.capture.room import camera, pattern, render, trajectory_error, walk, write_video

QUICK = CaptureConfig(min_keyframes=12, max_features=350)


def save_images(folder: Path, frames: list[np.ndarray]) -> None:
    folder.mkdir(parents=True)
    for index, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{index:04d}.jpg"), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [1, 97])


def write_transforms(folder: Path, *, missing: tuple[int, ...] = (), noise: float = 0.0) -> Path:
    """Every fifth frame of the walk, with OpenGL camera axes, as instant-ngp writes them."""
    cameras = walk(72)[::5]
    save_images(folder / "images", [render(c) for c in cameras])
    rng = np.random.default_rng(0)
    frames = []
    for index, view in enumerate(cameras):
        turn = pose.exp(torch.from_numpy(np.concatenate([rng.normal(0, noise, 3), rng.normal(0, noise, 3)])))
        matrix = pose.to_matrix(pose.compose(view.world_from_camera, turn)).numpy()
        matrix[:, 1:3] *= -1
        frames.append({"file_path": f"images/{index:04d}.jpg", "transform_matrix": matrix.tolist()})
        if index in missing:
            (folder / "images" / f"{index:04d}.jpg").unlink()
    data = {"fl_x": 280.0, "fl_y": 280.0, "cx": 160.0, "cy": 120.0, "w": 320, "h": 240, "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(data))
    return folder


def reprojection(posed: PosedClip) -> float:
    """Share of observed points that lie inside the image that saw them."""
    inside = []
    for frame, view in enumerate(posed.cameras):
        pixels, depth = project(view, posed.points[posed.tracks[posed.tracks[:, 1] == frame, 0]])
        limit = torch.tensor(view.size) + 1
        inside.append(((pixels > -1).all(-1) & (pixels < limit).all(-1) & (depth > 0)).float())
    return float(torch.cat(inside).mean())


@pytest.fixture(scope="module")
def from_video(walk_video: Path) -> PosedClip:
    return load_capture(walk_video, replace(QUICK, deterministic=True))


def test_video_end_to_end(from_video: PosedClip) -> None:
    posed = from_video
    assert posed.metrics["registered_share"] == 1
    assert posed.unplaced == ()
    assert posed.metrics["reprojection_error_px"] < 0.8
    truth = walk(72)
    indices = [int(name.removeprefix("frame_")) for name in posed.clip.names]
    assert trajectory_error(list(posed.cameras), [truth[i] for i in indices]) < 0.02  # of a 1 m walk
    assert abs(float(posed.cameras[0].focal[0]) / 280 - 1) < 0.05
    assert len(posed.points) > 150
    assert reprojection(posed) > 0.99
    assert posed.clip.held_out.sum() == 2
    assert posed.points.dtype == torch.float32


def test_world_is_upright_and_centred(from_video: PosedClip) -> None:
    """The walk had z up: a camera's down axis must point down again."""
    down = torch.stack([pose.quat_to_matrix(c.world_from_camera[3:])[:, 1] for c in from_video.cameras]).mean(dim=0)
    assert down[2] < -0.9
    centers = torch.stack([c.world_from_camera[:3] for c in from_video.cameras])
    assert float(centers.norm(dim=-1).median()) == pytest.approx(1, abs=0.2)


def test_same_seed_same_bytes(from_video: PosedClip, walk_video: Path) -> None:
    again = load_capture(walk_video, replace(QUICK, deterministic=True))
    assert torch.equal(again.points, from_video.points)
    assert torch.equal(again.tracks, from_video.tracks)
    for a, b in zip(again.cameras, from_video.cameras, strict=True):
        assert torch.equal(a.world_from_camera, b.world_from_camera)


def test_nothing_is_left_behind(tmp_path: Path, walk_video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    load_capture(walk_video, replace(QUICK, min_keyframes=8, max_side=160))
    assert list(tmp_path.iterdir()) == []


def test_colmap_round_trip(tmp_path: Path, from_video: PosedClip) -> None:
    write_colmap(from_video, tmp_path / "capture")
    again = load_capture(tmp_path / "capture")
    assert torch.equal(again.clip.images, from_video.clip.images)
    assert torch.equal(again.clip.held_out, from_video.clip.held_out)
    torch.testing.assert_close(again.clip.times, from_video.clip.times)
    for a, b in zip(again.cameras, from_video.cameras, strict=True):
        torch.testing.assert_close(a.world_from_camera, b.world_from_camera, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(a.focal, b.focal)
        torch.testing.assert_close(a.distortion, b.distortion)
    assert abs(len(again.points) - len(from_video.points)) <= 0.02 * len(from_video.points)
    (tmp_path / "capture" / "sparse" / "0" / "images.bin").write_bytes(b"\x05")
    with pytest.raises(FormatError, match="damaged"):
        load_colmap(tmp_path / "capture", CaptureConfig())


def test_image_folder(tmp_path: Path) -> None:
    save_images(tmp_path / "photos", [render(c) for c in walk(72)[::6]])
    posed = load_capture(tmp_path / "photos", replace(QUICK, max_side=160))
    assert posed.metrics["registered_share"] == 1
    assert posed.clip.held_out.nonzero().squeeze(-1).tolist() == [0, 8]
    assert tuple(posed.clip.images.shape[1:3]) == (120, 160)
    assert posed.cameras[0].size == (160, 120)


def test_transforms_json(tmp_path: Path) -> None:
    folder = write_transforms(tmp_path / "scene", missing=(1, 9))
    posed = load_capture(folder, QUICK)
    truth = [c for i, c in enumerate(walk(72)[::5]) if i not in (1, 9)]
    assert len(posed.clip) == 13
    assert posed.clip.held_out.nonzero().squeeze(-1).tolist() == [0, 8]
    assert posed.metrics["missing_images"] == 2
    assert "2 of 15 listed images do not exist" in posed.notes[0]
    for found, given in zip(posed.cameras, truth, strict=True):
        # Given poses stay bit for bit, up to float32 and the quaternion's sign.
        expected = pose.to_matrix(given.world_from_camera).float()
        torch.testing.assert_close(pose.to_matrix(found.world_from_camera), expected, atol=1e-5, rtol=1e-5)
    assert posed.metrics["reprojection_error_px"] < 0.8
    # The room's walls: every point lies on one of them.
    gap = (posed.points.abs() - torch.tensor([2.0, 2.0, 1.2])).abs().min(dim=-1).values
    assert float(gap.median()) < 0.02
    assert len(posed.points) > 200


def test_poor_given_poses_are_refined(tmp_path: Path) -> None:
    folder = write_transforms(tmp_path / "scene", noise=0.004)
    truth = walk(72)[::5]
    kept = load_capture(folder, replace(QUICK, refine_poses=False))
    better = load_capture(folder, replace(QUICK, refine_poses=True))
    assert better.metrics["refined"] == 1
    assert better.metrics["reprojection_error_px"] < kept.metrics["reprojection_error_px"]
    assert trajectory_error(list(better.cameras), truth) < trajectory_error(list(kept.cameras), truth)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"frames": []}, "no list of frames"),
        ({"camera_model": "OPENCV_FISHEYE", "frames": [{}]}, "OPENCV_FISHEYE is not supported"),
        ({"frames": [{"file_path": "images/none.png", "transform_matrix": np.eye(4).tolist()}]}, "none of the 1"),
        ({"frames": [{"file_path": "images/0000.jpg", "transform_matrix": [[1.0]]}]}, "transform_matrix"),
        ({"frames": [{"file_path": "images/0000.jpg"}]}, "transform_matrix"),
    ],
)
def test_bad_transforms(tmp_path: Path, change: dict, words: str) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "0000.jpg").write_bytes(b"x")
    data = {"fl_x": 280.0, "w": 320, "h": 240, "frames": [], **change}
    (tmp_path / "transforms.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match=words):
        load_capture(tmp_path)


@pytest.mark.parametrize("kind", ["empty", "one", "damaged", "model without images", "not json"])
def test_bad_folders(tmp_path: Path, kind: str, walk_frames: list[np.ndarray]) -> None:
    folder = tmp_path / "photos"
    save_images(folder, walk_frames[: {"empty": 0, "one": 1}.get(kind, 5)])
    words = {"empty": "no images", "one": "at least 3", "damaged": r"0002\.jpg: not a readable image",
             "model without images": "damaged or incomplete", "not json": "not a readable JSON"}[kind]  # fmt: skip
    if kind == "damaged":
        (folder / "0002.jpg").write_bytes(b"\xff\xd8\xff")
    if kind == "model without images":
        (folder / "cameras.bin").write_bytes(b"\x01")
    if kind == "not json":
        (folder / "transforms.json").write_text("{")
    with pytest.raises(InputError, match=words):
        load_capture(folder)


def test_turning_on_the_spot_is_refused_with_the_reason(tmp_path: Path) -> None:
    views = [camera(np.zeros(3), np.array([np.sin(a), np.cos(a), -0.1])) for a in np.linspace(-0.5, 0.5, 60)]
    path = write_video(tmp_path / "pan.mp4", [render(view) for view in views], fps=20)
    with pytest.raises(InputError, match="no parallax") as error:
        load_capture(path, replace(QUICK, seed_retries=0))
    assert "film again" in str(error.value)


def test_unrelated_images_are_refused(tmp_path: Path) -> None:
    save_images(tmp_path / "mix", [pattern(100 + i, 256) for i in range(6)])
    with pytest.raises(InputError, match=r"only \d of 6 frames .* because .*; film again"):
        load_capture(tmp_path / "mix", replace(QUICK, seed_retries=0))


def test_a_gripper_in_view_does_not_hold_the_cameras(tmp_path: Path) -> None:
    frames = [render(c) for c in walk(72)[::5]]
    for frame in frames:
        frame[:90, :80] = pattern(50, 256)[:90, :80]
        frame[:90, -80:] = pattern(51, 256)[:90, :80]
    save_images(tmp_path / "wrist", frames)
    posed = load_capture(tmp_path / "wrist", QUICK)
    assert posed.metrics["registered_share"] == 1
    assert trajectory_error(list(posed.cameras), walk(72)[::5]) < 0.03


def test_many_frames_keep_fewer_features_each():
    config = CaptureConfig()
    assert [config.features(frames) for frames in (2, 150, 200, 525)] == [3000, 3000, 2250, 1000]
    assert CaptureConfig(max_features=500).features(525) == 500
