from dataclasses import replace

import pytest
import torch

from splatworld.core import pose
from splatworld.core.body import Body, background
from splatworld.core.camera import Camera
from splatworld.core.checks import InputError
from splatworld.core.splats import Splats
from splatworld.core.world import World
from splatworld.geometry.background import background_shape
from splatworld.geometry.distance import is_known, signed_distance
from splatworld.geometry.shapes import pack_shapes


def room() -> World:
    """A wall of splats at x = 0.2 on a table at z = 0, seen from the side x < 0 only; a body of one splat."""
    y, z = (axis.flatten() for axis in torch.meshgrid(*[torch.arange(-0.2, 0.21, 0.01)] * 2, indexing="ij"))
    wall = torch.stack([torch.full_like(y, 0.2), y, z + 0.2], dim=-1)
    means = torch.cat([wall, torch.tensor([[0.0, 0.0, 0.05]])])
    count = len(means)
    splats = Splats(
        means=means,
        log_scales=torch.tensor([0.0005, 0.008, 0.008]).log().expand(count, 3),
        quats=torch.tensor([1.0, 0, 0, 0]).expand(count, 4),
        opacity_logits=torch.full((count,), 4.0),
        sh=torch.zeros(count, 1, 3),
        body_ids=torch.tensor([0] * len(wall) + [1], dtype=torch.int32),
        provenance=torch.zeros(count, dtype=torch.uint8),
    )
    up = torch.tensor([0.0, 0, 1]).double()
    eye, target = torch.tensor([-0.5, 0.0, 0.2]).double(), torch.tensor([0.2, 0.0, 0.2]).double()
    camera = Camera(
        torch.tensor([200.0, 200.0]).double(),
        torch.tensor([120.0, 90.0]).double(),
        (240, 180),
        pose.look_at(eye, target, up),
    )
    bodies = (background(), Body("thing", "rigid", pose.identity(dtype=torch.float64)))
    return World(splats=splats, bodies=bodies, cameras={"a": camera})


@pytest.fixture(scope="module")
def body() -> Body:
    return background_shape(room())


def test_what_was_seen_is_known_and_what_is_behind_is_not(body):
    assert body.grid is not None
    at = torch.tensor([[0.1, 0.0, 0.2], [0.2, 0.0, 0.2], [0.3, 0.0, 0.2], [-0.3, 0.3, 0.3]]).double()
    assert is_known(body.grid, at).tolist() == [True, True, False, False]
    distance, gradient = signed_distance(body.grid, at[:2])
    assert float(distance[0]) == pytest.approx(0.1 - 0.01, abs=0.012)
    torch.testing.assert_close(gradient[0], torch.tensor([-1.0, 0, 0]).double(), atol=0.15, rtol=0)
    assert float(distance[1]) < 0
    # The support is a plane, exactly, and endless within the grid.
    low = torch.tensor([[-0.2, 0.1, 0.013], [0.05, -0.2, -0.07]]).double()
    torch.testing.assert_close(signed_distance(body.grid, low)[0], low[:, 2], atol=1e-6, rtol=0)
    assert not bool(is_known(body.grid, torch.tensor([9.0, 0, 0])))


def test_it_is_packed_with_its_mask(body):
    world = room()
    world = replace(world, bodies=(body, *world.bodies[1:]))
    shapes = pack_shapes(world)
    assert len(shapes.grid_values) == world.bodies[0].grid.values.numel()
    assert 0 < int(shapes.grid_known.sum()) < len(shapes.grid_known)


def test_nothing_to_see_is_named():
    world = room()
    with pytest.raises(InputError, match="no splats"):
        background_shape(replace(world, splats=world.splats.select(torch.zeros(len(world.splats), dtype=torch.bool))))
    with pytest.raises(InputError, match="larger spacing"):
        background_shape(world, spacing=1e-4)
    faint = replace(world.splats, opacity_logits=torch.full((len(world.splats),), -5.0))
    with pytest.raises(InputError, match="no opaque splat"):
        background_shape(replace(world, splats=faint), support_height=None)
