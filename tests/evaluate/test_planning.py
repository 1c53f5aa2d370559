import importlib.util
import json

import numpy as np
import pytest
import torch

from splatworld.evaluate import planning_fixture, planning_runs, planning_speed
from splatworld.evaluate.planning_imagination import POLICIES, Imagined, agreement, bootstrap, follow
from splatworld.evaluate.planning_models import model_of, still
from splatworld.evaluate.planning_oracle import FIRST, OracleEnv
from splatworld.evaluate.planning_runs import Run, run_all, wilson
from splatworld.evaluate.planning_tasks import draw_task, missing
from splatworld.geometry.shapes import pack_shapes
from splatworld.plan.commands import expanded
from splatworld.plan.config import PlanConfig
from splatworld.plan.goals import Goal, joint_aim
from splatworld.plan.site import look
from splatworld.robot.actions import place_tool
from splatworld.simulate.episodes.footprint import footprint, separation
from splatworld.simulate.episodes.shapes import shape


def test_tasks_are_the_same_every_time_and_have_room():
    task, again = draw_task("rearrange", 3), draw_task("rearrange", 3)
    assert task.scene.shapes == again.scene.shapes
    assert np.array_equal(task.targets, again.targets)
    assert len(task.scene) == 4
    assert len(task.targets) == 3
    shadows = [footprint(shape(n), p) for n, p in zip(task.scene.shapes, task.targets, strict=False)]
    shadows.append(footprint(shape(task.scene.shapes[3]), task.scene.poses[3]))
    assert min(separation(a, b) for k, a in enumerate(shadows) for b in shadows[:k]) > 0.03


@pytest.fixture(scope="module")
def env():
    found = OracleEnv(draw_task("push", 0).scene)
    found.reset()
    return found


def test_the_oracle_is_an_environment_of_its_world(env):
    first = env.state
    right = np.array([0.02, 0, 0, 0, 0, 0])
    moved = [env.step(right) and env.state for _ in range(3)][-1]
    assert float(moved.world_from_body[-1, 0] - first.world_from_body[-1, 0]) == pytest.approx(0.06, abs=2e-3)
    assert float(moved.time) == pytest.approx(0.3)
    env.reset()
    assert torch.equal(env.state.world_from_body, first.world_from_body)
    task = draw_task("push", 0)
    goal = task.goal(env.world)
    assert not task.succeeded(env, first, goal)
    assert missing(goal, first)[0] > 0.02


def test_models_say_where_the_tool_goes(env):
    env.reset()
    state, task = env.state, draw_task("push", 0)
    actions = torch.tensor([0.02, 0, 0, 0, 0, 0], dtype=torch.float64).expand(2, 3, 6)
    both = {name: value.expand(2, *value.shape) for name, value in vars(state).items()}
    states = type(state)(**both)
    for rollout in (still(env.world, states, actions), model_of("mujoco", task.scene)(env.world, states, actions)):
        assert rollout.states.world_from_body.shape == (2, 4, len(env.world.bodies), 7)
        assert torch.allclose(rollout.states.world_from_body[0], rollout.states.world_from_body[1])
        way = rollout.states.world_from_body[0, -1, -1, :3] - state.world_from_body[-1, :3]
        assert torch.allclose(way, torch.tensor([0.06, 0, 0]).double(), atol=2e-3)
        gone = rollout.states.world_from_body[0, -1, FIRST, :3] - state.world_from_body[FIRST, :3]
        assert gone.norm() < 1e-3


def test_a_scripted_policy_gains_more_the_better_it_aims(env):
    env.reset()
    task = draw_task("push", 0)
    goal = task.goal(env.world)
    gained = [follow(Imagined(env.world, env.state), env.world, task, goal, beside) for beside in (0.0, np.pi)]
    assert gained[0] > 0.5 > 0 > gained[1]


def test_plans_are_timed_only_where_something_is_left_to_do(monkeypatch):
    monkeypatch.setattr(planning_speed, "SCENES", 1)
    tasks = planning_speed.Tasks()
    (first,) = tasks.begun
    tasks.plan()
    assert tasks.begun == [first]
    assert first.left == 600 - planning_speed.HELD
    monkeypatch.setattr(first.planner, "is_done", lambda state: True)
    tasks.plan()
    assert tasks.begun[0].env is not first.env


def test_how_long_plans_take_does_not_make_episodes_stale():
    assert "splatworld/evaluate/planning_oracle.py" in planning_runs.SOURCES
    assert "splatworld/evaluate/planning_speed.py" not in planning_runs.SOURCES


def test_intervals_and_ranks():
    low, high = wilson(19, 20)
    assert (low, high) == (pytest.approx(0.764, abs=1e-3), pytest.approx(0.991, abs=1e-3))
    assert wilson(0, 0) == (0.0, 1.0)
    same = [{name: [v, v] for name, v in zip(POLICIES, (0.9, 0.7, 0.4, 0.1, -1.0), strict=True)}]
    assert agreement(same) == (pytest.approx(1.0), 0.0)
    swapped = [{name: [v, w] for name, v, w in zip(POLICIES, (4, 3, 2, 1, 0), (3, 4, 2, 1, 0), strict=True)}]
    pearson, violation = agreement(swapped)
    assert pearson == pytest.approx(0.9)
    assert violation == pytest.approx(0.4)
    assert bootstrap(same, 10)[1] == (0.0, 0.0)


def test_episodes_that_are_over_are_not_run_again(tmp_path, monkeypatch):
    asked = []

    def runner(run):
        asked.append(run.number)
        return {"success": run.number > 0}

    monkeypatch.setitem(planning_runs.RUNNERS, "oracle", runner)
    monkeypatch.setattr(planning_runs, "sources_hash", lambda *_: "abc")
    runs = [Run("oracle", "push", "network", number) for number in range(3)]
    assert [each["success"] for each in run_all(runs[:2], print, folder=tmp_path, workers=1)] == [False, True]
    (tmp_path / f"{runs[1].name}.json").write_text(json.dumps({"success": True, "sources": "older"}))
    assert [each["success"] for each in run_all(runs, print, folder=tmp_path, workers=1)] == [False, True, True]
    assert asked == [0, 1, 1, 2]


@pytest.mark.skipif(importlib.util.find_spec("gym_pusht") is None, reason="gym-pusht is not installed")
def test_pusht_has_the_poses_of_its_world():
    from splatworld.evaluate.planning_pusht import BLOCK, METRES, PushtEnv, PymunkModel, goal_of, pixel_pose, world_pose

    place, angle = pixel_pose(world_pose(np.array([200.0, 300.0]), 0.7))
    assert np.allclose(place, [200, 300])
    assert angle == pytest.approx(0.7)
    env = PushtEnv()
    env.reset(seed=1)
    state = env.state
    # Corners of the T as the world has them are those of gym-pusht.
    from splatworld.core import pose

    corners = pose.transform(state.world_from_body[BLOCK], env.world.bodies[BLOCK].mesh.vertices)[:, :2] / METRES
    theirs = env._env.get_keypoints(env._env._block_shapes) * [1, -1]
    gaps = np.linalg.norm(corners.numpy()[:, None] - theirs[None], axis=-1).min(axis=0)
    assert gaps.max() < 0.05
    env.put(state)
    assert torch.allclose(env.state.world_from_body, state.world_from_body, atol=1e-9)
    right = np.array([0.01, 0, 0, 0, 0, 0])
    for _ in range(3):
        env.step(right)
    assert float(env.state.world_from_body[-1, 0] - state.world_from_body[-1, 0]) == pytest.approx(0.03, abs=1e-3)
    assert not bool(goal_of(env).reached(state))
    actions = torch.from_numpy(right).expand(1, 3, 6)
    one = type(state)(**{name: value[None] for name, value in vars(state).items()})
    rollout = PymunkModel()(env.world, one, actions)
    assert torch.allclose(rollout.states.world_from_body[0, -1], env.state.world_from_body, atol=1e-4)


def test_a_drawer_is_pulled_by_its_handle():
    found = planning_fixture.play("drawer", "network", 0)
    assert found["success"]
    assert abs(found["ended"] - found["wanted"]) <= 0.01 < abs(found["start"] - found["wanted"])


def test_a_tool_on_its_way_down_goes_on_down():
    fixture, value = planning_fixture.draw_task("drawer", 3)
    env = planning_fixture.FixtureEnv(fixture)
    goal = Goal((joint_aim(env.world, env.state, env.world.joint_bodies[0], value),))
    high = place_tool(env.world, expanded(env.state, 1), torch.tensor([[-0.45, 0.0, 0.15, 1, 0, 0, 0]]).double())[0]
    site = look(env.world, pack_shapes(env.world), high, goal, PlanConfig())
    assert site.over > 0.2
    way = site.way(np.array([-0.46, 0.01]), np.inf)
    assert way[:, 2].max() == pytest.approx(0.15)
    assert way[-1, 2] == pytest.approx(site.height)
    behind = site.way(np.array([0.3, 0.0]), np.inf)
    assert behind[:, 2].max() == pytest.approx(site.over)
