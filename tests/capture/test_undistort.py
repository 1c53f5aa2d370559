"""Undistortion against the camera model, orientation, and words for bad captures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from splatworld.capture.config import CaptureConfig
from splatworld.capture.diagnose import Evidence, check_parallax, check_placed, nothing_placed
from splatworld.capture.orient import guess_up, normalize
from splatworld.capture.resample import resize_posed
from splatworld.capture.undistort import undistort
from splatworld.core import pose
from splatworld.core.camera import Camera, distort, project
from splatworld.core.checks import InputError
from splatworld.core.clip import Clip, PosedClip
from tests.capture.room import FOCAL, SIZE, camera, render, walk


def posed_clip(cameras: list[Camera], images: np.ndarray) -> PosedClip:
    count = len(cameras)
    points = torch.rand(40, 3, generator=torch.Generator().manual_seed(0)) + torch.tensor([1.0, 1.0, 0.0])
    return PosedClip(
        clip=Clip(
            images=torch.from_numpy(images), times=torch.arange(count).double(),
            held_out=torch.zeros(count, dtype=torch.bool), names=tuple(str(i) for i in range(count)),
        ),
        cameras=tuple(cameras), points=points, colors=torch.zeros(40, 3, dtype=torch.uint8),
        tracks=torch.zeros(0, 2, dtype=torch.int64),
    )  # fmt: skip


def smooth_image(camera: Camera) -> np.ndarray:
    """What a distorted camera sees of the pattern sin(6 x), sin(6 y) at z = 1; its true image at every pixel."""
    width, height = camera.size
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    target = (torch.from_numpy(np.stack([columns, rows], -1)) - camera.center) / camera.focal
    ideal = target.clone()
    for _ in range(30):  # invert the distortion by fixed-point steps
        ideal = ideal + (target - distort(camera, ideal))
    x, y = ideal.unbind(-1)
    return (torch.stack([torch.sin(6 * x), torch.sin(6 * y), torch.cos(4 * x * y)], -1) * 100 + 128).byte().numpy()


def test_undistorted_image_matches_the_ideal_camera() -> None:
    ideal = camera(np.zeros(3), np.array([1.0, 1.0, 0.0]))
    ideal = replace(ideal, center=ideal.center + torch.tensor([7.0, -5.0]))
    bent = replace(ideal, distortion=torch.tensor([0.06, -0.08, 0.002, -0.001], dtype=torch.float64))
    result = undistort(posed_clip([bent], smooth_image(bent)[None]))
    assert result.cameras[0].distortion is None
    mask = torch.ones(SIZE[::-1], dtype=torch.bool) if result.clip.masks is None else result.clip.masks[0]
    error = (result.clip.images[0].int() - torch.from_numpy(smooth_image(ideal)).int()).abs()[mask]
    assert float(error.float().mean()) < 0.6
    assert int(error.max()) <= 3
    assert float(mask.float().mean()) > 0.9


def test_undistort_shrinks_with_its_camera() -> None:
    bent = replace(walk(3)[1], distortion=torch.tensor([-0.2, 0.03, 0.0, 0.0], dtype=torch.float64))
    image = smooth_image(bent)[None]
    result = undistort(posed_clip([bent], image), (160, 120))
    assert result.clip.images.shape == (1, 120, 160, 3)
    assert result.cameras[0].size == (160, 120)
    torch.testing.assert_close(result.cameras[0].focal, torch.full((2,), FOCAL / 2, dtype=torch.float64))
    # Pincushion the other way leaves pixels that no source pixel shows.
    spread = replace(bent, distortion=torch.tensor([0.2, 0.0, 0.0, 0.0], dtype=torch.float64))
    masks = undistort(posed_clip([spread], image)).clip.masks
    assert masks is not None
    assert not masks[0, 0, 0]
    assert masks[0, 120, 160]


def test_an_ideal_camera_passes_through() -> None:
    views = walk(2)
    images = np.stack([render(view) for view in views])
    result = undistort(posed_clip(views, images))
    assert result.clip.masks is None
    assert torch.equal(result.clip.images, torch.from_numpy(images))


def test_resize_keeps_the_projection() -> None:
    posed = posed_clip(walk(2), np.zeros((2, 240, 320, 3), np.uint8))
    small = resize_posed(posed, (107, 80))
    points = posed.points.double()
    before, _ = project(posed.cameras[0], points)
    after, _ = project(small.cameras[0], points)
    torch.testing.assert_close(after, before * torch.tensor([107 / 320, 80 / 240], dtype=torch.float64))


@pytest.mark.parametrize("seed", range(4))
def test_normalize_undoes_any_similarity(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    posed = posed_clip(walk(9), np.zeros((9, 240, 320, 3), np.uint8))
    turn = pose.normalize_quat(torch.randn(4, generator=generator, dtype=torch.float64))
    shift = torch.randn(3, generator=generator, dtype=torch.float64)

    def moved(view: Camera) -> Camera:
        position = 3.7 * pose.rotate(turn, view.world_from_camera[:3]) + shift
        quat = pose.multiply_quats(turn, view.world_from_camera[3:])
        return replace(view, world_from_camera=torch.cat([position, quat]))

    other = replace(
        posed, cameras=tuple(moved(c) for c in posed.cameras),
        points=3.7 * pose.rotate(turn, posed.points.double()) + shift,
    )  # fmt: skip
    a, b = normalize(posed), normalize(other)
    torch.testing.assert_close(a.points.double(), b.points, atol=1e-5, rtol=1e-5)
    for before, after in zip(a.cameras, b.cameras, strict=True):
        torch.testing.assert_close(before.world_from_camera, after.world_from_camera, atol=1e-5, rtol=1e-5)
    up = guess_up(torch.stack([c.world_from_camera for c in a.cameras]))
    assert float(up[2]) > 0.99


GOOD = Evidence(features=1500, matches=300, linked=1, kept=0.9, turning=0.05, blur=0.05, brightness=120, flicker=0.02)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"features": 90}, "too few features"),
        ({"blur": 0.001}, "blurred"),
        ({"brightness": 20}, "too dark"),
        ({"brightness": 240}, "overexposed"),
        ({"flicker": 0.5}, "exposure jumps"),
        ({"kept": 0.2}, "moves by itself"),
        ({"linked": 0.4}, "overlap"),
        ({}, "share too little"),
    ],
)
def test_a_failure_names_its_cause_and_what_to_do(change: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=rf"only 0 of 60 frames \(0 %\) could be placed.*{words}.*film again: "):
        raise nothing_placed(replace(GOOD, **change), 60, name="desk.mp4")


def test_a_poor_model_is_refused() -> None:
    def posed(placed: int, points: int, angle: float) -> PosedClip:
        made = posed_clip(walk(placed), np.zeros((placed, 240, 320, 3), np.uint8))
        cloud = torch.zeros(points, 3)
        metrics = {"triangulation_angle_deg": angle}
        return replace(made, points=cloud, colors=cloud.byte(), metrics=metrics)

    config = CaptureConfig()
    check_placed(posed(6, 100, 5.0), GOOD, 10, config, name="v")
    for case, words in (((5, 100, 5.0), "only 5 of 10"), ((9, 20, 5.0), "only 20 points"), ((9, 99, 1.0), "1.0 deg")):
        with pytest.raises(InputError, match=words):
            check_placed(posed(*case), GOOD, 10, config, name="v")


def test_turning_is_refused_and_good_evidence_is_silent() -> None:
    with pytest.raises(InputError, match="no parallax"):
        check_parallax(replace(GOOD, turning=0.9), name="pan.mp4")
    check_parallax(GOOD, name="desk.mp4")
    assert GOOD.warnings() == ()
    assert len(replace(GOOD, brightness=20).warnings()) == 1
