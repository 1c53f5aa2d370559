from dataclasses import replace

import numpy as np

from splatworld.bodies.segment import with_labels
from splatworld.core.pose import look_at
from splatworld.evaluate.bodies_picture import best_view, draw_bodies
from tests.bodies.tabletop import tabletop


def test_bodies_have_colours_of_their_own_and_are_gone_beside_them():
    world, labels = tabletop()
    world = with_labels(world, labels, ["box", "ball"])
    camera = best_view(world, list(world.cameras.values()))
    drawn = draw_bodies(world, camera)
    left, right = drawn[:, : camera.width], drawn[:, -camera.width :]
    assert drawn.shape[1] > 2 * camera.width
    assert np.abs(left.astype(int) - right).max(axis=2).astype(bool).mean() > 0.02
    red = (right[..., 0] > 150) & (right[..., 1] < 80)  # the box
    assert red.mean() < 0.001


def test_the_view_that_shows_most_bodies_is_taken():
    world, labels = tabletop()
    world = with_labels(world, labels)
    cameras = list(world.cameras.values())
    here = cameras[0].world_from_camera[:3]
    away = replace(cameras[0], world_from_camera=look_at(here, 2 * here, here.new_tensor([0.0, 0.0, 1.0])))
    assert best_view(world, [away, cameras[3]]) is cameras[3]
