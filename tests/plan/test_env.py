import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

import splatworld.plan.env
from splatworld.core import pose
from splatworld.core.camera import Camera
from splatworld.core.checks import InputError
from splatworld.plan.cost import BodyToPose
from splatworld.plan.goals import Goal
from tests.dynamics.scenes import at
from tests.plan.pushing import BLOCK, block_world, plain

WORLD, STATE = block_world(tool=(-0.06, 0.0))
GOAL = Goal((BodyToPose(BLOCK, at(0.05, 0.0, 0.025), radius=0.0),))
AHEAD = np.array([0.03, 0, 0, 0, 0, 0])


class Plain:
    """As `plain`, without end."""

    def __init__(self, world, state):
        self.world, self.state = world, state

    def step(self, action):
        states = plain(self.world, self.state, action[..., None, :]).states
        self.state = states[1] if len(states.batch) == 1 else states[:, 1]
        return self.state


def camera():
    eye, target = torch.tensor([0.3, 0.3, 0.4]).double(), torch.zeros(3).double()
    where = pose.look_at(eye, target, torch.tensor([0.0, 0.0, 1.0]).double())
    return Camera(torch.full((2,), 60.0).double(), torch.tensor([32.0, 24.0]).double(), (64, 48), where)


def made(**options):
    return gymnasium.make(splatworld.plan.env.NAME, world=WORLD, goal=GOAL, stream=Plain, **options)


@pytest.mark.filterwarnings("ignore:.*Box observation space.*infinity")
def test_gymnasium_finds_nothing_wrong():
    env = made(render_mode="rgb_array", camera=camera())
    env.reset(seed=1)
    assert env.render().shape == (48, 64, 3)
    check_env(env.unwrapped, skip_render_check=True)


def test_an_episode_ends_at_the_goal_or_when_time_is_up():
    env = made(most=4)
    observation, _ = env.reset()
    assert env.observation_space.contains(observation)
    assert torch.equal(env.unwrapped.state.world_from_body, STATE.world_from_body)
    rewards, ended = [], False
    while not ended and len(rewards) < 9:
        _, reward, ended, cut, _ = env.step(AHEAD)
        rewards.append(reward)
    assert len(rewards) == 2
    assert not cut
    assert rewards[-1] == pytest.approx(-0.015, abs=1e-6)
    env.reset()
    assert env.unwrapped.state.world_from_body[BLOCK, 0] == 0
    assert [env.step(0 * AHEAD)[3] for _ in range(4)] == [False, False, False, True]


def test_without_a_camera_nothing_is_rendered():
    with pytest.raises(InputError, match="no camera"):
        made(render_mode="rgb_array")
    with pytest.raises(InputError, match="reset first"):
        made().unwrapped.step(AHEAD)


def test_many_are_as_one_by_one():
    many = gymnasium.make_vec(splatworld.plan.env.NAME, num_envs=3, world=WORLD, goal=GOAL, stream=Plain)
    first, _ = many.reset()
    assert first.shape == many.observation_space.shape
    actions = np.stack([AHEAD, 0 * AHEAD, -AHEAD])
    seen, rewards, *_ = many.step(actions)
    for row in range(3):
        env = made()
        env.reset()
        alone, reward, *_ = env.step(actions[row])
        assert np.array_equal(alone, seen[row])
        assert reward == pytest.approx(rewards[row])


@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
def test_what_happens_when_one_ends_is_said(mode):
    many = splatworld.plan.env.WorldVectorEnv(2, WORLD, GOAL, Plain, autoreset=mode)
    assert many.metadata["autoreset_mode"].value == mode
    first, _ = many.reset()
    for _ in range(2):
        seen, _, terminated, _, info = many.step(np.stack([AHEAD, 0 * AHEAD]))
    assert terminated.tolist() == [True, False]
    if mode == "SameStep":
        assert np.array_equal(seen[0], first[0])
        assert info["_final_obs"].tolist() == [True, False]
        assert not np.array_equal(info["final_obs"][0], first[0])
    if mode == "NextStep":
        assert not np.array_equal(seen[0], first[0])
        seen, rewards, terminated, _, _ = many.step(np.stack([AHEAD, 0 * AHEAD]))
        assert np.array_equal(seen[0], first[0])
        assert rewards[0] == 0
        assert not terminated.any()
    if mode == "Disabled":
        with pytest.raises(InputError, match="reset_mask"):
            many.step(np.stack([AHEAD, AHEAD]))
        seen, _ = many.reset(options={"reset_mask": np.array([True, False])})
        assert np.array_equal(seen[0], first[0])
        many.step(np.stack([AHEAD, AHEAD]))
    with pytest.raises(InputError, match="expected at least 1"):
        splatworld.plan.env.WorldVectorEnv(0, WORLD, GOAL, Plain)
