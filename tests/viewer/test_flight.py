import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from splatworld.core import pose
from splatworld.core.camera import project
from tests.viewer.desk import make_desk

flight = pytest.importorskip("splatworld.viewer.flight", reason="the viewer is not installed; make install")


@pytest.fixture(scope="module")
def world():
    return make_desk(600)[0]


def window(view, width, height):
    """A browser's camera that shows `view`."""
    return SimpleNamespace(
        position=view.position,
        wxyz=view.wxyz,
        look_at=view.target,
        fov=view.fov,
        image_width=width,
        image_height=height,
    )


def test_a_window_of_the_frames_shape_has_the_frames_camera(world):
    camera = world.cameras["frame_0004.png"]
    found = flight.camera_of(window(flight.view_of(camera, world.splats.means), *camera.size))
    assert found.size == camera.size
    torch.testing.assert_close(found.focal, camera.focal)
    torch.testing.assert_close(found.center, camera.center)
    torch.testing.assert_close(found.world_from_camera, camera.world_from_camera)


@pytest.mark.parametrize("size", [(800, 300), (300, 800), (640, 480)])
def test_all_of_the_frame_is_in_the_window(world, size):
    camera = world.cameras["frame_0000.png"]
    view = flight.view_of(camera, world.splats.means, aspect=size[0] / size[1])
    corners = torch.tensor([[0.0, 0], [320, 0], [0, 240], [320, 240]], dtype=torch.float64)
    rays = torch.cat([(corners - camera.center) / camera.focal, torch.ones(4, 1)], dim=1)
    pixels, _ = project(flight.camera_of(window(view, *size)), pose.transform(camera.world_from_camera, rays.double()))
    assert (pixels >= -1e-6).all()
    assert (pixels <= torch.tensor(size).double() + 1e-6).all()


def test_pictures_of_another_size_show_the_same(world):
    view = window(flight.view_of(world.cameras["frame_0000.png"], world.splats.means), 1000, 500)
    small, large = flight.camera_of(view, 200), flight.camera_of(view)
    assert (small.size, large.size) == ((200, 100), (1000, 500))
    points = world.splats.means[:50].double()
    torch.testing.assert_close(project(small, points)[0] * 5, project(large, points)[0])


def test_axes_are_opencvs(world):
    view = flight.View(np.zeros(3), np.array([1.0, 0, 0, 0]), 2.0, 1.0)
    np.testing.assert_allclose(view.target, [0, 0, 2])
    np.testing.assert_allclose(view.up, [0, -1, 0])


def test_flights_turn_about_what_is_seen(world):
    camera = world.cameras["frame_0004.png"]
    distance = flight.depth_ahead(camera, world.splats.means)
    assert 1.2 < distance < 2.6
    none = flight.depth_ahead(camera, torch.zeros(0, 3))
    assert none == 1.0


def test_flights_start_and_end_where_they_should():
    start = flight.View(np.zeros(3), np.array([1.0, 0, 0, 0]), 1.0, 0.5)
    turned = np.array([-math.cos(0.6), 0, 0, -math.sin(0.6)])  # the same turn as with the other sign
    goal = flight.View(np.ones(3), turned, 4.0, 1.0)
    path = flight.CameraPath((start, goal), (3.0, 5.0))
    for early in (0.0, 3.0):
        assert np.allclose(path.at(early).wxyz, start.wxyz)
    assert np.allclose(np.abs(path.at(9.0).wxyz @ goal.wxyz), 1)
    middle = path.at(4.0)
    assert np.allclose(np.abs(middle.wxyz), [math.cos(0.3), 0, 0, math.sin(0.3)])
    assert np.allclose(middle.position, 0.5)
    assert middle.distance == pytest.approx(2.0)
    assert middle.fov == pytest.approx(0.75)
    still = flight.CameraPath((start, start), (0.0, 1.0)).at(0.3)
    np.testing.assert_allclose(still.wxyz, start.wxyz)


def test_paths_go_through_their_views_without_a_jerk():
    turns = (0.0, 0.5, 0.4, 1.5)
    views = tuple(
        flight.View(np.array([i, i * i, 0.0]), np.array([math.cos(a), 0, 0, math.sin(a)]), 1.0 + i, 0.8)
        for i, a in enumerate(turns)
    )
    path = flight.CameraPath(views, (0.0, 1.0, 1.5, 4.0))
    for view, time in zip(views, path.times, strict=True):
        found = path.at(time)
        np.testing.assert_allclose(found.position, view.position, atol=1e-9)
        np.testing.assert_allclose(found.wxyz, view.wxyz, atol=1e-9)
        assert found.distance == pytest.approx(view.distance)
    speeds = np.linalg.norm(np.diff([path.at(t).position for t in np.linspace(0, 4, 401)], axis=0), axis=1) / 0.01
    assert max(speeds[0], speeds[-1]) < 0.3  # from rest and to it
    assert np.abs(np.diff(speeds)).max() < 0.05 * speeds.max()
    assert flight.CameraPath(views[:1], (2.0,)).at(7.0) is views[0]
