import math
from dataclasses import replace

import pytest
import torch

from splatworld.core import pose
from splatworld.core.checks import InputError, ShapeError
from splatworld.core.world import rest_state
from splatworld.dynamics.predict import predict, stream
from tests.dynamics.scenes import at, blocks, lively_model, push, turned
from tests.worlds import assert_equal

HALF = 0.025


@pytest.fixture(scope="module")
def model():
    return lively_model()


@pytest.fixture(scope="module")
def world():
    """Two blocks in a row, a third on the second, and one far away; a rod 5 mm before the first."""
    places = (at(0, 0, HALF), at(0.085, 0.01, HALF, yaw=0.2), at(0.09, 0, 3 * HALF), at(0.4, 0.3, HALF))
    return blocks(*places, tool=at(-0.056, 0.005, 0.005))


def test_a_resting_world_stays_bit_by_bit(world, model):
    start = rest_state(world)
    rollout = predict(world, start, push(0, steps=4), model=model)
    for t in range(1, 5):
        after = rollout.states[t]
        assert_equal(replace(after, time=start.time, awake=start.awake), start)
    assert float(rollout.blocked.abs().max()) == 0
    assert float(rollout.std.max()) == 0


def test_what_is_far_from_a_push_is_copied(world, model):
    rollout = predict(world, rest_state(world), push(0.03, steps=4), model=model)
    last = rollout.states[4]
    assert torch.equal(last.world_from_body[4], world.bodies[4].rest_pose)
    assert not bool(last.awake[4])
    assert not torch.equal(last.world_from_body[1], world.bodies[1].rest_pose)
    assert bool(rollout.states.awake[1, 1])
    assert float(rollout.std[-1, 1].min()) > 0
    assert bool(torch.isfinite(rollout.states.world_from_body).all())


def test_without_contact_a_body_flies(model):
    world = blocks(at(0, 0, 0.5))
    start = rest_state(world)
    twists = start.twists.clone()
    twists[1] = torch.tensor([0.3, -0.2, 0.1, 0.5, 1.0, -2.0])
    rollout = predict(world, replace(start, twists=twists), torch.zeros(2, 0), model=model)
    place = torch.tensor([0.06, -0.04, 0.5 + 0.1 * 0.2 - 9.81 / 2 * 0.04])
    torch.testing.assert_close(rollout.states.world_from_body[2, 1, :3].float(), place, atol=2e-6, rtol=0)
    speed = torch.tensor([0.3, -0.2, 0.1 - 9.81 * 0.2, 0.5, 1.0, -2.0])
    torch.testing.assert_close(rollout.states.twists[2, 1].float(), speed, atol=2e-6, rtol=0)


def test_a_body_left_in_the_air_falls(model):
    world = blocks(at(0, 0, 0.2))
    after = predict(world, rest_state(world), torch.zeros(1, 0), model=model).states[1]
    assert float(after.world_from_body[1, 2]) == pytest.approx(0.2 - 9.81 / 2 * 0.01, abs=1e-6)


@pytest.mark.parametrize("angle", [0.7, 2.5, math.pi])
def test_turning_the_world_turns_what_happens(world, model, angle):
    start = rest_state(world)
    motion = at(0.3, -0.2, 0, yaw=angle)
    actions = push(0.03, 0.004, steps=2)
    moved_actions = torch.cat([pose.rotate(motion[3:], actions[:, :3]), actions[:, 3:]], dim=-1)
    one = predict(world, start, actions, model=model)
    other = predict(world, turned(start, motion), moved_actions, model=model)
    expected = turned(one.states, motion)
    # The third action is left out: blocks collide in it, and nudges of 10 nm move them by 2 mm there.
    torch.testing.assert_close(other.states.world_from_body, expected.world_from_body, atol=1e-5, rtol=0)
    torch.testing.assert_close(other.states.twists, expected.twists, atol=1e-4, rtol=0)
    torch.testing.assert_close(other.std.amax(-1), one.std.amax(-1), atol=5e-3, rtol=0.5)


def test_the_order_of_bodies_does_not_matter(model):
    places = [at(0, 0, HALF), at(0.085, 0.01, HALF, yaw=0.2), at(0.09, 0, 3 * HALF)]
    tool = at(-0.056, 0.005, 0.005)
    order = [2, 0, 1]
    one, other = blocks(*places, tool=tool), blocks(*[places[i] for i in order], tool=tool)
    a, b = (predict(w, rest_state(w), push(0.03), model=model).states[1] for w in (one, other))
    for new, old in enumerate(order):
        torch.testing.assert_close(b.world_from_body[1 + new], a.world_from_body[1 + old], atol=1e-5, rtol=0)


def test_a_batch_is_its_single_states(world, model):
    actions = torch.stack([push(0.03, steps=3), push(0, 0.02, steps=3), push(0, steps=3)])
    together = predict(world, rest_state(world), actions[None], model=model)
    assert together.states.batch == (1, 3, 4)
    for i in range(3):
        alone = predict(world, rest_state(world), actions[i], model=model)
        whole = together.states.world_from_body[0, i]
        torch.testing.assert_close(whole, alone.states.world_from_body, atol=1e-6, rtol=0)
        torch.testing.assert_close(together.std[0, i], alone.std, atol=1e-5, rtol=1e-3)


def test_a_stream_is_a_rollout(world, model):
    actions = push(0.03, steps=3)
    rollout = predict(world, rest_state(world), actions, model=model)
    running = stream(world, rest_state(world), model=model)
    for action in actions:
        running.step(action)
    assert_equal(running.state, rollout.states[3])
    assert int(running.stopped) == 3


def test_a_tool_stops_at_the_table(model):
    world = blocks(at(0.4, 0, HALF), tool=at(0, 0, 0.02))
    down = torch.tensor([[0.01, 0, -0.04, 0, 0, 0]], dtype=torch.float64)
    rollout = predict(world, rest_state(world), down, model=model)
    assert float(rollout.blocked[0]) == pytest.approx(0.5, abs=0.05)
    tip = rollout.states.world_from_body[1, 2, :3] - world.bodies[2].rest_pose[:3]
    torch.testing.assert_close(tip, torch.tensor([0.005, 0, -0.02]).double(), atol=1e-3, rtol=0)


def test_bad_input_is_named_and_changes_nothing(world, model):
    start = rest_state(world)
    running = stream(world, start, model=model)
    for action, what in (
        (push(float("nan"))[0], "finite"),
        (torch.zeros(5), r"expected \[..., 6\]"),
        (push(0.2)[0], "expected -0.05 to 0.05"),
    ):
        with pytest.raises(InputError, match=what):
            running.step(action)
    assert_equal(running.state, start)
    with pytest.raises(ShapeError, match=r"expected \[..., T, A\]"):
        predict(world, start, torch.zeros(6), model=model)
    with pytest.raises(InputError, match="twists"):
        predict(world, replace(start, twists=start.twists + torch.inf), push(0), model=model)
    with pytest.raises(ShapeError, match="no robot"):
        predict(blocks(at(0, 0, HALF)), rest_state(blocks(at(0, 0, HALF))), push(0), model=model)


def test_output_that_is_not_finite_stops_its_rollout_alone(world):
    model = lively_model()
    with torch.no_grad():
        model.mean.bias.fill_(float("nan"))
    actions = torch.stack([push(0.03, steps=3), push(0, steps=3)])
    actions[0, 0] = 0
    with pytest.warns(RuntimeWarning, match="1 of 2 rollouts stopped"):
        rollout = predict(world, rest_state(world), actions, model=model)
    assert rollout.stopped.tolist() == [1, 3]
    assert torch.equal(rollout.states.world_from_body[0, 3], rollout.states.world_from_body[0, 1])
    assert bool(torch.isfinite(rollout.states.world_from_body).all())


@pytest.mark.parametrize("speed", [0.0, -0.01], ids=["while the tool rests", "while the tool moves elsewhere"])
def test_what_creeps_comes_to_rest(world, model, speed):
    state = rest_state(world)
    twists = state.twists.clone()
    twists[1] = torch.tensor([0.003, 0.0, 0.0, 0.0, 0.0, 0.05])
    running = stream(world, replace(state, twists=twists), model=model)
    for _ in range(8):
        running.step(push(speed)[0])
    settled = running.state
    assert not settled.twists[1].any()
    assert torch.equal(running.step(push(speed)[0]).world_from_body[1], settled.world_from_body[1])
