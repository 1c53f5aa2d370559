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
    return SimpleNamespace(position=view.position, wxyz=view.wxyz, fov=view.fov, image_width=width, image_height=height)


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
    assert np.allclose(flight.between(start, goal, 0).wxyz, start.wxyz)
    end = flight.between(start, goal, 1)
    assert np.allclose(np.abs(end.wxyz @ goal.wxyz), 1)
    middle = flight.between(start, goal, 0.5)
    assert np.allclose(np.abs(middle.wxyz), [math.cos(0.3), 0, 0, math.sin(0.3)])
    assert np.allclose(middle.position, 0.5)
    assert middle.distance == pytest.approx(2.0)
    assert middle.fov == pytest.approx(0.75)
    still = flight.between(start, start, 0.3)
    assert np.array_equal(still.wxyz, start.wxyz)
