"""Frames between the states of a rollout."""

import math
from dataclasses import replace

import pytest
import torch

from splatworld.core import pose
from splatworld.core.camera import Camera
from splatworld.core.world import rest_state
from splatworld.render.film import AT_ONCE, film, frames_between
from splatworld.render.render import render
from splatworld.render.rendering import to_bytes
from tests.worlds import make_world


@pytest.fixture(scope="module")
def world():
    return make_world(count=60)


def camera():
    return Camera(
        focal=torch.full((2,), 60.0),
        center=torch.tensor([32.0, 24.0]),
        size=(64, 48),
        world_from_camera=pose.look_at(torch.tensor([-3.0, -2.0, 3.0]), torch.zeros(3), torch.tensor([0.0, 0.0, 1.0])),
    )


def states(world, steps):
    """Body 1 moves 1 cm and turns 0.2 rad about z in each step."""
    one = rest_state(world)
    many = type(one)(**{key: value.expand(steps + 1, *value.shape).clone() for key, value in vars(one).items()})
    for t in range(steps + 1):
        twist = torch.tensor([0.01 * t, 0, 0, 0, 0, 0], dtype=torch.float64)
        many.world_from_body[t, 1, :3] += twist[:3]
        turn = torch.tensor([math.cos(0.1 * t), 0, 0, math.sin(0.1 * t)], dtype=torch.float64)
        many.world_from_body[t, 1, 3:] = pose.multiply_quats(turn, one.world_from_body[1, 3:].double())
    return many


def test_recorded_states_stay_and_between_them_it_is_even(world):
    given = states(world, 2)
    found = frames_between(given, 3)
    assert found.batch == (7,)
    assert torch.equal(found.world_from_body[::3], given.world_from_body)
    steps = found.world_from_body[:, 1, 0].diff()
    assert steps.tolist() == pytest.approx([0.01 / 3] * 6, abs=1e-9)
    turns = (found.world_from_body[1:, 1, 3:] * found.world_from_body[:-1, 1, 3:]).sum(-1).clamp(max=1).acos() * 2
    assert turns.tolist() == pytest.approx([0.2 / 3] * 6, abs=1e-3)
    others = [i for i in range(given.world_from_body.shape[1]) if i != 1]
    assert torch.equal(found.world_from_body[:, others], given.world_from_body[:1, others].expand(7, -1, -1))


def test_the_sign_of_a_quaternion_means_nothing(world):
    given = states(world, 1)
    flipped = given.world_from_body.clone()
    flipped[1, :, 3:] *= -1
    one = frames_between(given, 4).world_from_body[1:4]
    other = frames_between(replace(given, world_from_body=flipped), 4).world_from_body[1:4]
    torch.testing.assert_close(one, other)


def test_frames_are_bit_for_bit_the_single_renderings(world):
    given, seen = states(world, AT_ONCE + 1), camera()
    pictures = list(film(world, given, seen))
    assert len(pictures) == AT_ONCE + 2
    for t in (0, AT_ONCE, AT_ONCE + 1):
        assert (pictures[t] == to_bytes(render(world, given[t], seen).image)).all()
    assert (pictures[0] != pictures[-1]).any()
