from dataclasses import replace

import pytest
import torch

from splatworld.bodies.area import Area
from splatworld.bodies.config import SegmentConfig
from splatworld.bodies.consensus import Looks
from splatworld.bodies.heights import Ground
from splatworld.bodies.weigh import Scene
from tests.bodies.tabletop import tabletop

SMOOTH, ROUGH = 0.001, 0.02


def scene(groups, surrounded, *, rough=0.006, uneven=SMOOTH):
    """Box and ball on the table, with a print (all of the splats at its height); groups as they are given."""
    world = tabletop()[0]
    splats, cameras = world.splats, list(world.cameras.values())
    groups = groups(splats)
    level = splats.means[splats.means[:, 2].abs() < 0.003]
    looks = Looks(groups, torch.tensor([0.0, *surrounded]), (groups > 0).double())
    weights = torch.full((len(splats),), 0.5 / len(splats))
    ground = Ground(rough, uneven, Area.of(level, 0.01))
    return Scene(splats, weights, torch.ones(len(splats), dtype=torch.bool), ground, looks, SegmentConfig(), cameras)


def a_print(splats):
    return (splats.means[:, 2] == 0.0004).long()


def the_box(splats):
    return (splats.means[:, 0] < -0.06) & (splats.means[:, 2] > 0.003) & (splats.means[:, 1].abs() < 0.04)


def test_heights_alone_tell_on_a_smooth_support():
    labels = scene(lambda splats: torch.zeros(len(splats), dtype=torch.int64), []).bodies()
    assert int(labels.max()) == 2


@pytest.mark.parametrize(("uneven", "bodies"), [(SMOOTH, 2), (0.0055, 2), (0.0065, 3), (ROUGH, 3)])
def test_a_print_is_a_body_only_where_the_support_could_hide_one(uneven, bodies):
    it = scene(a_print, [1.0], uneven=uneven)
    labels = it.bodies()
    assert int(labels.max()) == bodies
    assert bool((labels[it.looks.groups == 1] > 0).all()) == (bodies == 3)


def test_a_print_that_no_support_surrounds_is_no_body():
    assert int(scene(a_print, [0.1], uneven=ROUGH).bodies().max()) == 2


def test_what_heights_and_looks_tell_of_one_thing_is_one_body():
    it = scene(lambda splats: the_box(splats).long(), [1.0], rough=0.03, uneven=ROUGH)
    labels = it.bodies()
    box = labels[the_box(it.splats) & (it.splats.means[:, 2] > 0.016)]
    assert int(box.min()) == int(box.max()) > 0


def test_a_shadow_in_the_group_of_a_body_stays_static():
    def with_shadow(splats):
        beside = ((splats.means - torch.tensor([-0.1, 0.0, 0.0])).norm(dim=1) < 0.06) & (splats.means[:, 2] < 0.003)
        return (the_box(splats) | beside).long()

    it = scene(with_shadow, [1.0])
    labels = it.bodies()
    assert int(labels.max()) == 2
    away = (it.splats.means[:, :2] - torch.tensor([-0.1, 0.0])).abs().amax(dim=1)
    shadow = (it.looks.groups == 1) & (it.splats.means[:, 2] < 0.001) & (away > 0.035)
    assert bool(shadow.any())
    assert not bool(labels[shadow].any())


@pytest.mark.parametrize(("uneven", "bodies"), [(SMOOTH, 2), (ROUGH, 3)])
def test_looks_part_what_touches_where_heights_are_unsure(uneven, bodies):
    # A third of the box looks like a thing of its own.
    it = scene(lambda splats: (the_box(splats) & (splats.means[:, 0] < -0.115)).long(), [0.6], uneven=uneven)
    rest = the_box(it.splats) & (it.looks.groups == 0)
    it = replace(it, looks=replace(it.looks, groups=it.looks.groups + 2 * rest, surrounded=torch.tensor([0, 0.6, 0.6])))
    labels = it.bodies()
    assert int(labels.max()) == bodies


@pytest.mark.parametrize(("share", "bodies"), [(0.02, 1), (0.008, 0)])
def test_what_covers_a_hundredth_of_the_pictures_is_no_roughness(share, bodies):
    it = scene(lambda splats: the_box(splats).long(), [1.0], rough=0.09, uneven=0.05)
    box = the_box(it.splats)
    weights = torch.where(box, share / int(box.sum()), it.weights)
    assert int(replace(it, weights=weights).bodies().max()) == bodies


def test_a_part_in_contact_with_one_body_alone_joins_it_and_what_is_too_small_to_tell_of_does_not_hinder():
    def parts(splats):
        high = the_box(splats) & (splats.means[:, 2] > 0.03)
        window = high & ((splats.means[:, :2] - torch.tensor([-0.1, 0.0])).abs().amax(dim=1) < 0.012)
        return (the_box(splats).long() + high.long() + window.long()).long()

    it = scene(parts, [1.0, 0.0, 0.0], rough=0.09, uneven=ROUGH)
    group = it.looks.groups
    share = torch.tensor([0.0, 0.03, 0.03, 0.001])[group] / torch.bincount(group)[group]
    labels = replace(it, weights=torch.where(group > 0, share, it.weights)).bodies()
    assert int(labels.max()) == 1
    assert bool((labels[group > 0] == 1).all())
