"""Splats, worlds and states: what is refused, and what never moves."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from splatworld.core import pose
from splatworld.core.body import Body, background
from splatworld.core.checks import InputError, ShapeError
from splatworld.core.splats import from_points
from splatworld.core.world import Skin, World, frames, rest_state
from tests.worlds import make_splats, make_world


@pytest.mark.parametrize("field", ["means", "log_scales", "quats", "opacity_logits", "sh"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_check_names_the_first_bad_number(field, value):
    splats = make_splats(6)
    getattr(splats, field)[4] = value
    with pytest.raises(InputError, match=rf"{field}\[4"):
        splats.check()


def test_check_names_the_first_zero_quaternion():
    splats = make_splats(6)
    splats.quats[3] = 0
    with pytest.raises(InputError, match=r"quats\[3\] is zero"):
        splats.check()
    make_splats(0).check()


def test_shapes_are_checked():
    splats = make_splats(6)
    with pytest.raises(ShapeError, match="log_scales"):
        replace(splats, log_scales=splats.log_scales[:5])
    with pytest.raises(InputError, match="1, 4, 9 or 16"):
        replace(splats, sh=splats.sh[:, :5])


def test_select_keeps_order():
    splats = make_splats(6)
    keep = torch.tensor([True, False, True, False, False, True])
    assert torch.equal(splats.select(keep).means, splats.means[[0, 2, 5]])
    assert torch.equal(splats.select(torch.tensor([5, 0])).sh, splats.sh[[5, 0]])


def test_from_points_shows_the_points_colours():
    colors = torch.tensor([[0, 128, 255]], dtype=torch.uint8)
    splats = from_points(torch.ones(1, 3), colors, scale=torch.full((1,), 0.02), opacity=0.1)
    splats.check()
    assert torch.allclose(0.5 + splats.sh[0, 0] * 0.28209479177387814, colors[0] / 255)
    assert torch.allclose(splats.scales, torch.full((1, 3), 0.02))
    assert torch.allclose(splats.opacities, torch.tensor([0.1]))


def test_worlds_refuse_strangers():
    with pytest.raises(InputError, match="expected 0 to 0"):
        World(splats=make_splats(6))  # bodies 1 and 2 are missing
    plain = make_splats(0)
    with pytest.raises(InputError, match="repeat"):
        World(splats=plain, bodies=(background(), background()))
    with pytest.raises(InputError, match="no bodies"):
        World(splats=plain, bodies=())
    with pytest.raises(ShapeError, match="skin for 3"):
        World(splats=plain, skin=Skin(torch.zeros(3, 1, dtype=torch.int32), torch.ones(3, 1)))
    with pytest.raises(InputError, match="rigid"):
        Body("mug", "solid", pose.identity())


def test_frames_at_rest_are_exactly_the_identity():
    world = make_world()
    table = frames(world, rest_state(world))
    assert table.shape == (10, 7)
    assert torch.equal(table, pose.identity(10))


def test_only_what_moved_moves():
    world = make_world()
    state = rest_state(world)
    moved = state.world_from_body.clone()
    moved[1, 0] += 1e-9
    table = frames(world, replace(state, world_from_body=moved))
    assert torch.equal(table[[0, 2, 3, 4, 5, 6, 7, 8, 9]], pose.identity(9))
    far = moved.clone()
    far[1] = pose.compose(pose.exp(torch.tensor([0.1, 0, 0, 0, 0, 1.0]).double()), moved[1])
    table = frames(world, replace(state, world_from_body=far))
    origin = pose.transform(table[1].double(), moved[1, :3])
    assert torch.allclose(origin, far[1, :3], atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-2, 2), min_size=6, max_size=6))
def test_frames_carry_the_rest_pose_to_the_pose(values):
    world = make_world()
    state = rest_state(world)
    there = pose.compose(pose.exp(torch.tensor(values, dtype=torch.float64)), state.world_from_body)
    table = frames(world, replace(state, world_from_body=there)).double()
    points = torch.randn(4, 3, dtype=torch.float64)
    now = pose.transform(there[1], points)
    rest = pose.transform(state.world_from_body[1], points)
    assert torch.allclose(pose.transform(table[1], rest), now, atol=1e-5)


def test_states_index_their_batch():
    world = make_world()
    state = rest_state(world)
    both = type(state)(**{name: torch.stack([value, value]) for name, value in vars(state).items()})
    assert both.batch == (2,)
    assert frames(world, both).shape == (2, 10, 7)
    assert torch.equal(both[1].world_from_body, state.world_from_body)
    with pytest.raises(ShapeError, match="twists"):
        replace(state, twists=state.twists[:1])
    with pytest.raises(ShapeError, match="expected 6 as in the world"):
        frames(world, rest_state(World(splats=make_splats(0))))
