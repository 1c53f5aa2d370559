from dataclasses import replace

import pytest
import torch

from splatworld.bodies.complete import complete
from splatworld.bodies.edit import move
from splatworld.bodies.remove import uncovered, without
from splatworld.bodies.segment import with_labels
from splatworld.core.splats import from_points, joined
from splatworld.render.render import render
from tests.bodies.tabletop import SPACING, square, tabletop
from tests.bodies.test_shadows import shaded

TABLE, RIM, BODY = (0.7, 0.55, 0.35), (0.15, 0.1, 0.1), (0.8, 0.2, 0.2)


def sunk(centers):
    """Red plates that came out lower than the table, a dark rim around each and dark leftovers of the fit below."""
    table = square(0.6, (0, 0, 0))
    away = torch.stack([(table[:, :2] - torch.tensor(center)).abs().amax(dim=1) for center in centers]).amin(dim=0)
    plates = [square(0.1, (*center, -0.008)) for center in centers]
    deep = [square(0.1, (*center, -0.05)) for center in centers]
    parts = [table[away > 0.062], table[(away > 0.05) & (away <= 0.062)], torch.cat(deep), *plates]
    colors = [TABLE, RIM, RIM, *[BODY] * len(plates)]
    rows = [(255 * torch.tensor([color])).repeat(len(part), 1) for part, color in zip(parts, colors, strict=True)]
    points = torch.cat(parts)
    scale = torch.full((len(points),), SPACING / 2)
    splats = from_points(points, torch.cat(rows).byte(), scale=scale, opacity=0.9, degree=0)
    labels = torch.cat([torch.full((len(part),), max(0, index - 2)) for index, part in enumerate(parts)])
    return complete(with_labels(replace(tabletop()[0], splats=splats), labels))


def dark(world):
    """Share of the middle of the pictures that is darker than table and plates."""
    shares = []
    for camera in world.cameras.values():
        image = render(world, None, camera).image[30:90, 40:120]
        shares.append((image.amax(dim=-1) < 0.45).float().mean())
    return float(torch.stack(shares).mean())


def test_no_leftovers_below_a_sunk_body_show_when_it_goes():
    world = sunk([(0.0, 0.0)])
    bare = without(world, ["body 1"])
    assert dark(bare) < 0.002 < dark(world)
    image = render(bare, None, next(iter(bare.cameras.values()))).image
    assert torch.allclose(image[55:65, 75:85].mean(dim=(0, 1)), torch.tensor(TABLE), atol=0.08)


@pytest.mark.parametrize("told", [True, False])
def test_bodies_moved_one_after_the_other_leave_no_rims(told):
    """Moved onto the rim of the next, a body is taken to hide it unless its move is told."""
    world = sunk([(-0.06, 0.0), (0.06, 0.0)])
    for index, step in ((1, (0.2, 0.0, 0.05)), (2, (0.0, 0.2, 0.1))):
        world = uncovered(world, [index], moved=(1,) if told and index > 1 else ())
        target = world.bodies[index].rest_pose.clone()
        target[:3] += torch.tensor(step)
        world = move(world, world.bodies[index].name, target)
    world = replace(world, splats=world.splats.select(world.splats.body_ids == 0))
    assert (dark(world) < 0.003) == told


def test_what_stands_in_a_shadow_keeps_its_colour():
    """A small plate of background 2 cm above the shaded part of the table; the table below it gets lighter."""
    world = shaded(0.55)
    plate = square(0.03, (0.0, 0.06, 0.02))
    scale = torch.full((len(plate),), SPACING / 2)
    grey = from_points(plate, torch.full((len(plate), 3), 100).byte(), scale=scale, opacity=0.9, degree=0)
    world = replace(world, splats=joined([world.splats, grey]))
    bare = without(world, [world.bodies[1].name])
    colors = [(each.splats.means, each.splats.sh[:, 0]) for each in (world, bare)]
    (high, table), (high_bare, table_bare) = (
        tuple(sh[near(means, (0.0, 0.06), 0.012, z)].mean() for z in (0.02, 0.0)) for means, sh in colors
    )
    assert torch.allclose(high, high_bare, atol=1e-5)
    assert float(table_bare) > float(table) + 0.1


def near(means, center, radius, height):
    beside = (means[:, :2] - torch.tensor(center)).norm(dim=1) < radius
    return beside & ((means[:, 2] - height).abs() < 0.004)
