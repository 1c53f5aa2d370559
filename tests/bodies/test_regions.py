from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from splatworld.bodies.consensus import consensus
from splatworld.bodies.lift import views
from splatworld.bodies.regions import regions
from splatworld.core import pose
from splatworld.render.ops import rasterize
from tests.bodies.tabletop import tabletop

HEIGHT, WIDTH = 120, 160
ALL = np.ones((HEIGHT, WIDTH), dtype=bool)


def desk():
    """A pale surface, lit from the left."""
    return np.repeat(np.linspace(0.85, 0.75, WIDTH, dtype=np.float32)[None, :, None], HEIGHT, 0).repeat(3, 2)


def disk(center, radius):
    return cv2.circle(np.zeros((HEIGHT, WIDTH), np.uint8), center, radius, 1, -1) > 0


def test_a_thing_in_the_supports_own_colour_is_a_region():
    picture, thing = desk(), disk((80, 60), 20)
    picture[thing] += 0.04
    found = regions(picture, ALL, thin=6)
    own = found == found[60, 80]
    assert found[60, 80] > 0
    assert (own & thing).sum() / (own | thing).sum() > 0.85


def test_soft_shadows_and_cables_are_no_regions():
    picture = desk()
    picture -= 0.2 * cv2.GaussianBlur(disk((50, 50), 20).astype(np.float32), (0, 0), 12)[..., None]
    cv2.line(picture, (90, 10), (130, 110), (0.4, 0.4, 0.4), 3)
    assert not regions(picture, ALL, thin=8).any()


def test_texture_is_one_region():
    picture = desk()
    keys = np.indices((40, 60)).sum(axis=0) // 4 % 2
    picture[40:80, 50:110] -= 0.15 * keys[..., None]
    found = regions(picture, ALL, thin=8)
    inner = found[48:72, 58:102]
    assert inner.min() == inner.max() > 0


def test_a_picture_without_support_tells_nothing():
    assert regions(desk(), ~ALL, thin=6) is None


@pytest.mark.parametrize("numbers", [(1, 2), (2, 1)])
def test_numbers_of_regions_mean_nothing(numbers):
    world, labels = tabletop()
    pictures = []
    for view, camera in enumerate(views(world)):
        seen = torch.zeros(camera.height, camera.width, dtype=torch.int64)
        shown = _labels(world, labels, camera)
        for label, number in zip((1, 2), numbers if view % 2 else (1, 2), strict=True):
            seen[shown == label] = number
        pictures.append((camera, seen))
    looks = consensus(world.splats, pictures, least=1.0, reach=0.05)
    groups, surrounded = looks.groups, looks.surrounded
    assert int(groups.max()) == 2
    for label in (1, 2):
        raised = world.splats.means[:, 2] > 0.003
        own = groups[raised & (labels == label)].mode().values
        assert float(((groups == own) == (labels == label))[raised].float().mean()) > 0.98
        assert float(surrounded[own]) > 0.9


def _labels(world, labels, camera):
    return rasterize(replace(world.splats, body_ids=labels.int()), pose.identity(3), camera).body_ids
