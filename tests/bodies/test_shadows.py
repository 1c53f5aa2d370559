from dataclasses import fields, replace

import torch

from splatworld.bodies.complete import complete
from splatworld.bodies.segment import with_labels
from splatworld.bodies.shadows import moving_shadows
from splatworld.core.camera import project
from splatworld.core.splats import from_points
from splatworld.core.state import State
from splatworld.core.world import rest_state
from splatworld.render.render import render
from tests.bodies.tabletop import SPACING, box, square, tabletop

TABLE = (0.7, 0.55, 0.35)
FOOT, SHADOW, ELSEWHERE = (0.0, 0.0, 0.03), (0.0, 0.06, 0.0), (0.0, -0.14, 0.0)
"""A box, the middle of the shadow beside it, and where that comes when the box moves by 20 cm along -y."""


def shaded(depth: float):
    """A box on a table whose shadow lets through `depth` of the light."""
    table = square(0.6, (0, 0, 0))
    dark = (table[:, 0].abs() < 0.035) & (table[:, 1] > 0.02) & (table[:, 1] < 0.1)
    colors = torch.tensor([TABLE]) * torch.where(dark, depth, 1.0)[:, None]
    cube = box(0.06, FOOT)
    points, colors = torch.cat([table, cube]), torch.cat([colors, torch.tensor([[0.8, 0.2, 0.2]]).repeat(len(cube), 1)])
    scale = torch.full((len(points),), SPACING / 2)
    splats = from_points(points, (255 * colors).byte(), scale=scale, opacity=0.9, degree=0)
    labels = torch.cat([torch.zeros(len(table)), torch.ones(len(cube))]).long()
    return complete(with_labels(replace(tabletop()[0], splats=splats), labels))


def moved(world):
    state = rest_state(world)
    poses = state.world_from_body.clone()
    poses[1, 1] -= 0.2
    return replace(state, world_from_body=poses)


def brightness(world, state, point):
    """Of the table at a point, in the views that see it and not the box."""
    values = []
    for camera in world.cameras.values():
        shown = render(world, state, camera)
        pixel = project(camera, torch.tensor([point], dtype=torch.float64))[0][0].round().long()
        if 0 <= pixel[0] < camera.size[0] and 0 <= pixel[1] < camera.size[1]:
            color = shown.image[pixel[1], pixel[0]]
            if color[1] > 0.4 * color[0]:
                values.append(float(color.mean()))
    return sum(values) / len(values)


def test_a_shadow_goes_along_with_its_body():
    world = shaded(0.55)
    moving = moving_shadows(world, [1])
    state = moving.state(moved(world))
    lit = sum(TABLE) / 3
    assert moving.casters == (1,)
    assert brightness(world, None, SHADOW) < 0.7 * lit
    assert brightness(moving.world, state, SHADOW) > 0.85 * lit
    assert 0.4 * lit < brightness(moving.world, state, ELSEWHERE) < 0.75 * lit
    assert brightness(moving.world, moving.state(rest_state(world)), SHADOW) < 0.75 * lit


def test_nothing_is_cast_where_there_was_no_shadow():
    world = shaded(1.0)
    moving = moving_shadows(world, [1])
    assert moving.casters == ()
    assert len(moving.world.bodies) == len(world.bodies)
    assert moving.state(moved(world)).world_from_body.shape == (len(world.bodies), 7)


def test_states_of_any_batch():
    world = shaded(0.55)
    moving, state = moving_shadows(world, [1]), moved(world)
    several = State(**{f.name: torch.stack([getattr(each, f.name) for each in (rest_state(world), state)])
                       for f in fields(State)})  # fmt: skip
    posed = moving.state(several)
    assert posed.world_from_body.shape == (2, len(moving.world.bodies), 7)
    assert torch.equal(posed.world_from_body[1], moving.state(state).world_from_body)
    assert posed.awake.shape == (2, len(moving.world.bodies))
