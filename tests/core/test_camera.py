"""Pixels to points and back."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from splatworld.core import camera as cameras
from splatworld.core import pose
from splatworld.core.camera import Camera
from splatworld.core.checks import InputError, ShapeError


def make_camera(distortion: list[float] | None = None, size: tuple[int, int] = (640, 480)) -> Camera:
    return Camera(
        focal=torch.tensor([500.0, 510.0], dtype=torch.float64),
        center=torch.tensor([321.5, 237.25], dtype=torch.float64),
        size=size,
        world_from_camera=pose.exp(torch.tensor([1.0, -2, 0.5, 0.3, -0.8, 0.2], dtype=torch.float64)),
        distortion=None if distortion is None else torch.tensor(distortion, dtype=torch.float64),
    )


@settings(max_examples=60, deadline=None)
@given(st.floats(-200, 900), st.floats(-200, 700), st.floats(1e-3, 1e4))
def test_unproject_then_project(x, y, z):
    camera = make_camera()
    pixel, depth = torch.tensor([x, y]).double(), torch.tensor(z).double()
    back, back_depth = cameras.project(camera, cameras.unproject(camera, pixel, depth))
    assert torch.allclose(back, pixel, atol=1e-6 / min(z, 1))
    assert torch.allclose(back_depth, depth)


def test_the_centre_pixel_lies_on_the_axis():
    camera = make_camera()
    point = cameras.unproject(camera, camera.center, torch.tensor(2.0).double())
    assert torch.allclose(point, pose.transform(camera.world_from_camera, torch.tensor([0, 0, 2.0]).double()))


def test_resize_keeps_the_view():
    camera = make_camera()
    half = cameras.resize(camera, (320, 120))
    points = cameras.unproject(camera, torch.rand(9, 2).double() * 400, torch.rand(9).double() + 1)
    full_pixels, small_pixels = cameras.project(camera, points)[0], cameras.project(half, points)[0]
    assert torch.allclose(small_pixels * torch.tensor([2.0, 4.0]).double(), full_pixels)
    back = cameras.resize(half, camera.size)
    assert torch.allclose(back.focal, camera.focal)
    assert back.size == camera.size


def test_distortion_is_opencvs():
    cv2 = pytest.importorskip("cv2")
    camera = make_camera([0.1, -0.05, 0.002, -0.001])
    local = torch.randn(20, 3).double() * 0.3 + torch.tensor([0, 0, 2.0]).double()
    matrix = [[500.0, 0, 321.5], [0, 510.0, 237.25], [0, 0, 1]]
    import numpy as np

    expected, _ = cv2.projectPoints(
        local.numpy(), np.zeros(3), np.zeros(3), np.array(matrix), camera.distortion.numpy()
    )
    pixels, _ = cameras.project(camera, pose.transform(camera.world_from_camera, local))
    assert torch.allclose(pixels, torch.from_numpy(expected[:, 0]), atol=1e-9)
    assert camera.is_distorted
    assert not make_camera([0, 0, 0, 0]).is_distorted


def test_errors_name_what_is_wrong():
    with pytest.raises(InputError, match="undistort"):
        cameras.unproject(make_camera([0.1, 0, 0, 0]), torch.zeros(2).double(), torch.ones(()).double())
    with pytest.raises(ShapeError, match="depth is"):
        cameras.unproject(make_camera(), torch.zeros(5, 2).double(), torch.ones(5, 1).double())
    with pytest.raises(ShapeError, match="at least 1 px"):
        make_camera(size=(0, 4))
    bad = make_camera()
    bad.focal[0] = -1
    with pytest.raises(InputError, match="positive"):
        bad.check()


def test_stack():
    both = cameras.stack([make_camera(), make_camera([0.1, 0, 0, 0])])
    assert both.focal.shape == (2, 2)
    assert both.distortion is not None
    assert both.motion is None
    assert torch.equal(both.distortion[0], torch.zeros(4).double())
    with pytest.raises(ShapeError, match="resize them first"):
        cameras.stack([make_camera(), make_camera(size=(2, 2))])


def test_motion_is_stacked_checked_and_kept_by_resize():
    camera = make_camera()
    moving = replace(camera, motion=torch.arange(6).double(), shutter=torch.tensor([0.02, 0.01]).double())
    both = cameras.stack([camera, moving])
    assert both.motion is not None
    assert torch.equal(both.motion, torch.stack([torch.zeros(6), torch.arange(6)]).double())
    assert torch.equal(cameras.resize(moving, (64, 48)).shutter, moving.shutter)
    with pytest.raises(ShapeError, match="motion"):
        replace(camera, motion=torch.zeros(3))
    with pytest.raises(InputError, match="shutter"):
        replace(moving, shutter=torch.tensor([float("nan"), 0.0])).check()
