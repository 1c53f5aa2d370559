"""A gripper in the oracle as an environment, and a task from beginning to end."""

import numpy as np
import pytest
import torch

from splatworld.core.state import State
from splatworld.evaluate.planning_grasp import BODY, GraspEnv, MujocoGrasp, draw_task, play
from splatworld.simulate.episodes.grasp_scenes import OPENING, draw_grasp, good_grasp
from splatworld.simulate.episodes.grasps import simulate

NUMBER = 1004


@pytest.fixture(scope="module")
def task():
    return draw_task(NUMBER)


def test_tasks_are_the_same_every_time_and_can_be_held(task):
    scene, place = task
    again, there = draw_task(NUMBER)
    assert scene.shape == again.shape
    assert np.array_equal(scene.pose, again.pose)
    assert np.array_equal(place, there)
    rng = np.random.default_rng(0)
    tried = [good_grasp(scene.shape, scene.pose, scene.parameters, rng) for _ in range(6)]
    assert any(each and simulate(each).held for each in tried)


def test_the_gripper_is_an_environment_of_its_world(task):
    env = GraspEnv(task[0], splats=20)
    first, robot = env.state, env.world.robot
    assert 2 * float(first.joints[0]) == pytest.approx(OPENING, abs=1e-4)
    for _ in range(3):
        env.step(np.array([0.03, 0, -0.01, 0, 0, 0.1, 0.05]))
    now = env.state
    moved = now.world_from_body[robot.tool, :3] - first.world_from_body[robot.tool, :3]
    assert torch.allclose(moved, torch.tensor([0.09, 0, -0.03]).double(), atol=2e-3)
    assert 2 * float(now.joints[0]) == pytest.approx(0.05, abs=1e-3)
    assert float(now.time) == pytest.approx(0.3)
    assert env.highest < 1e-3
    env.reset()
    assert torch.equal(env.state.world_from_body, first.world_from_body)


@pytest.fixture(scope="module")
def holding():
    return next(s for s in (draw_grasp("test_heldout", np.random.default_rng([7, n])) for n in range(30))
                if s.aim == "good" and s.force == 20 and simulate(s).held)  # fmt: skip


def test_mujoco_says_what_becomes_of_a_grasp_from_anywhere_in_it(holding):
    env = GraspEnv(holding, splats=20)
    model, first = MujocoGrasp(holding), env.state
    turn, none = holding.way[:, 3:4], np.zeros((len(holding.way), 2))
    way = torch.from_numpy(np.concatenate([holding.way[:, :3], none, turn, holding.way[:, 4:]], axis=1))
    both = State(**{name: torch.stack([value, value]) for name, value in vars(first).items()})
    found = model(env.world, both, way.expand(2, -1, -1))
    assert torch.allclose(found.states.joints[0, 0], first.joints, atol=1e-6)
    assert torch.allclose(found.states.world_from_body[:, 0], both.world_from_body, atol=1e-6)
    heights = found.states.world_from_body[:, :, BODY, 2]
    assert torch.allclose(heights[0], heights[1], atol=1e-4)
    assert heights[0, 16] > heights[0, 0] + 0.04
    lifted = State(**{name: value[0, 16][None] for name, value in vars(found.states).items()})
    again = model(env.world, lifted, way[None, 16:26]).states.world_from_body[0, -1, BODY]
    assert torch.allclose(again[:3], found.states.world_from_body[0, 26, BODY, :3], atol=0.01)


def test_fingers_that_are_told_to_stay_as_they_are_go_on_pressing(holding):
    scene, env = holding, GraspEnv(holding, splats=20)
    for dx, dy, dz, yaw, width in scene.way[:16]:
        env.step(np.array([dx, dy, dz, 0, 0, yaw, width]))
    lifted = float(env.state.world_from_body[BODY, 2])
    assert env.highest > 0.04
    for _ in range(5):
        env.step(np.array([0, 0, 0, 0, 0, 0, 2 * float(env.state.joints[0])]))
    assert float(env.state.world_from_body[BODY, 2]) == pytest.approx(lifted, abs=3e-3)


def test_a_body_is_taken_up_and_put_where_it_shall_be():
    found = play("network", NUMBER)
    assert found["success"], found
    assert found["away_mm"] < 20
    assert found["lifted_mm"] > 25
    assert found["actions"] < 100
