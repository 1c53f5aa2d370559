from dataclasses import replace

import torch

from splatworld.bodies.complete import complete
from splatworld.bodies.segment import with_labels
from splatworld.core import pose
from splatworld.core.splats import from_points
from splatworld.render.render import render
from tests.bodies.tabletop import SPACING, box, square, tabletop


def test_shade_below_what_bulges_stays_in_the_pictures():
    """A plate on a stem hides its dark foot from above; low cameras see it."""
    parts = [square(0.6, (0, 0, 0)), square(0.11, (0, 0, 0.0004)), square(0.12, (0, 0, 0.06)), box(0.03, (0, 0, 0.045))]
    colors = [(180, 140, 90), (20, 15, 10), (200, 40, 40), (200, 40, 40)]
    rows = [torch.tensor([color]).repeat(len(part), 1) for part, color in zip(parts, colors, strict=True)]
    points = torch.cat(parts)
    scale = torch.full((len(points),), SPACING / 2)
    splats = from_points(points, torch.cat(rows).byte(), scale=scale, opacity=0.9, degree=0)
    world, up = tabletop()[0], torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    low = {
        name: replace(
            camera,
            world_from_camera=pose.look_at(camera.world_from_camera[:3] * torch.tensor([1.0, 1.0, 0.25]), 0 * up, up),
        )
        for name, camera in world.cameras.items()
    }
    body = torch.cat([torch.full((len(part),), int(index > 1)) for index, part in enumerate(parts)])
    world = with_labels(replace(world, splats=splats, cameras=low), body)
    done = complete(world)
    for camera in low.values():
        before, after = (render(one, None, camera).image for one in (world, done))
        assert float((before - after).abs().amax(dim=-1).gt(0.1).float().mean()) < 0.004


def test_the_filled_support_covers_no_body_of_its_own_colour():
    """A flat thing came out a little lower than the table around it."""
    table = square(0.6, (0, 0, 0))
    table = table[table[:, :2].abs().amax(dim=1) > 0.05]
    parts = [table, square(0.1, (0, 0, -0.003))]
    points = torch.cat(parts)
    white = torch.full((len(points), 3), 220).byte()
    splats = from_points(points, white, scale=torch.full((len(points),), SPACING / 2), opacity=0.95, degree=0)
    body = torch.cat([torch.full((len(part),), index) for index, part in enumerate(parts)])
    world = with_labels(replace(tabletop()[0], splats=splats), body)
    done = complete(world)
    assert len(done.splats) > len(splats)
    for camera in world.cameras.values():
        before, after = (render(one, None, camera).body_ids for one in (world, done))
        assert float((after != before)[before == 1].float().mean()) < 0.02
