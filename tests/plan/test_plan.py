import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from splatworld.core.checks import InputError
from splatworld.core.plan import Plan
from splatworld.core.state import State
from splatworld.plan.clock import Clock
from splatworld.plan.config import PlanConfig
from splatworld.plan.cost import BodyToPose, BodyToRegion, KeepStill, Reach
from splatworld.plan.goals import Goal
from splatworld.plan.plan import Planner, plan
from splatworld.robot.place import add_robot, metric_world
from splatworld.robot.tools import cylinder_pusher
from tests.dynamics.scenes import at, blocks
from tests.plan.pushing import BLOCK, block_world, plain

FEW = PlanConfig(candidates=48)


def to(x, y, **options):
    return Goal((BodyToPose(BLOCK, at(x, y, 0.025), radius=0.0, **options),))


def test_a_plan_pushes_the_body_towards_its_goal():
    world, state = block_world()
    found = plan(world, state, to(0.08, 0.05), dynamics=plain, config=FEW)
    again = plain(world, state, found.actions)
    # The tool's way to the push is not predicted, but is as it would be.
    assert torch.allclose(again.states.world_from_body, found.prediction.states.world_from_body, atol=1e-9)
    end = found.prediction.states[-1].world_from_body[BLOCK, :2]
    assert (end - torch.tensor([0.08, 0.05])).norm() < 0.03
    assert found.infeasible is None
    assert 0 < found.candidates <= 48
    assert torch.allclose(found.prediction.states.time, 0.1 * torch.arange(len(found) + 1).double())


def test_what_moves_goes_on_while_the_tool_is_on_its_way():
    def sliding(world, state, actions):
        """As `plain`, but the block goes on for an action, then rests."""
        rollout = plain(world, state, actions)
        poses, twists = rollout.states.world_from_body.clone(), rollout.states.twists.clone()
        poses[..., 1:, BLOCK, :3] += 0.1 * twists[..., :1, BLOCK, :3]
        twists[..., 1:, BLOCK, :] = 0
        return replace(rollout, states=replace(rollout.states, world_from_body=poses, twists=twists))

    world, state = block_world()
    twists = state.twists.clone()
    twists[BLOCK, 1] = 0.3
    found = plan(world, replace(state, twists=twists), to(0.08, 0.08), dynamics=sliding, config=FEW)
    places, speeds = found.prediction.states.world_from_body[:, BLOCK, :2], found.prediction.states.twists[:, BLOCK]
    assert torch.allclose(places[:2], torch.tensor([[0.0, 0.0], [0.0, 0.03]]).double())
    assert not speeds[1:].any()
    assert (places[-1] - torch.tensor([0.08, 0.08])).norm() < 0.03


def test_a_way_leads_around_what_shall_not_be_touched():
    world, state = block_world(at(-0.11, 0.0, 0.025))
    goal = Goal((BodyToPose(BLOCK, at(0.06, 0.0, 0.025), radius=0.0),), (KeepStill((2,)),))
    found = plan(world, state, goal, dynamics=plain, config=replace(FEW, lift=False))
    moved = plain(world, state, found.actions).states.world_from_body[:, 2, :2] - state.world_from_body[2, :2]
    assert moved.norm(dim=-1).max() < 1e-9
    assert found.prediction.states[-1].world_from_body[BLOCK, 0] > 0.01


def test_the_same_seed_gives_the_same_plan_and_beliefs_are_averaged():
    world, state = block_world()
    one, other = (plan(world, state, to(0.1, 0.0), dynamics=plain, config=FEW) for _ in range(2))
    assert torch.equal(one.actions, other.actions)
    poses = state.world_from_body.expand(3, -1, -1).clone()
    poses[:, BLOCK, 0] += torch.tensor([0.0, 0.01, -0.01])
    several = {name: value.expand(3, *value.shape) for name, value in vars(state).items()}
    beliefs = State(**{**several, "world_from_body": poses})
    found = plan(world, beliefs, to(0.1, 0.0), dynamics=plain, config=FEW)
    ends = torch.stack([plain(world, beliefs[k], found.actions).states[-1].world_from_body[BLOCK] for k in range(3)])
    costs = (ends[:, :2] - torch.tensor([0.1, 0.0])).norm(dim=-1)
    assert found.spread == pytest.approx(float(costs.std(unbiased=False)), abs=1e-6)
    assert found.cost == pytest.approx(float(costs.mean()), abs=0.01)


@pytest.mark.parametrize("method", ["mppi", "cem"])
def test_sequences_alone_reach_with_the_tool(method):
    world, state = block_world()
    target = torch.tensor([-0.1, 0.15, 0.065], dtype=torch.float64)
    config = PlanConfig(method=method, candidates=30, noise=0.002)
    found = plan(world, state, Goal((Reach(world.robot.tool, target),)), dynamics=plain, config=config)
    assert (found.prediction.states[-1].world_from_body[world.robot.tool, :3] - target).norm() < 0.01


def test_cem_pushes_what_it_touches():
    world, state = block_world(tool=(-0.06, 0.0))
    config = PlanConfig(method="cem", candidates=90, noise=0.01)
    found = plan(world, state, to(0.08, 0.0), dynamics=plain, config=config)
    assert found.prediction.states[-1].world_from_body[BLOCK, 0] > 0.02


def test_nothing_is_done_where_the_goal_is_reached():
    world, state = block_world()
    found = plan(world, state, to(0.001, 0.0), dynamics=plain)
    assert len(found) == 0
    assert found.infeasible is None


def test_a_plan_begins_around_what_was_best_before():
    world, state = block_world()
    planner = Planner(world, to(0.1, 0.02), dynamics=plain, config=PlanConfig(candidates=12))
    costs = [planner.plan(state).cost for _ in range(5)]
    assert costs[-1] < costs[0]


def test_a_deadline_is_kept_by_trying_less(monkeypatch):
    world, state = block_world()
    now = [0.0]  # time goes by in predictions alone, whatever else the machine does
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def slow(world, state, actions):
        now[0] += 0.004 + 0.0005 * len(actions)
        return plain(world, state, actions)

    planner = Planner(world, to(0.1, 0.02), dynamics=slow, config=PlanConfig(candidates=2000))
    found = [planner.plan(state, deadline=200) for _ in range(4)]
    assert min(each.candidates for each in found) > 100
    assert max(each.seconds for each in found) <= 0.2


def test_a_clock_counts_what_fits():
    clock = Clock()
    clock.start(time.perf_counter(), None)
    assert clock.fits() == float("inf")
    clock.took(0.022, 10)
    clock.start(time.perf_counter(), 1.0)
    assert 700 < clock.fits() < 1400
    clock.start(time.perf_counter() - 2, 1.0)
    assert clock.fits() < 0


def test_what_cannot_be_is_told():
    world, state = block_world(at(0.2, 0.0, 0.025))
    high = Goal((BodyToPose(BLOCK, at(0.0, 0.1, 0.125)),))
    assert "lifts nothing" in plan(world, state, high, dynamics=plain).infeasible
    side = at(0.0, 0.1, 0.025)
    side[3:] = torch.tensor([0.7071068, 0.7071068, 0.0, 0.0])
    assert "another side" in plan(world, state, Goal((BodyToPose(BLOCK, side),)), dynamics=plain).infeasible
    both = Goal((BodyToPose(BLOCK, at(0.1, 0.1, 0.025)), BodyToPose(2, at(0.11, 0.1, 0.025))))
    assert "inside of" in plan(world, state, both, dynamics=plain).infeasible
    box = PlanConfig(workspace=((-0.3, -0.3, 0.0), (0.05, 0.3, 0.3)))
    found = plan(world, state, to(0.1, 0.0), dynamics=plain, config=box)
    assert "workspace" in found.infeasible
    assert len(found) == 0
    sunk = Goal((BodyToPose(BLOCK, at(0.1, 0.0, 0.01)),))
    assert "background" in plan(world, state, sunk, dynamics=plain).infeasible
    region = Goal((BodyToRegion(BLOCK, torch.tensor([0.1, 0, 0]), torch.tensor([0.2, 0.1, 0.1])),))
    assert plan(world, state, region, dynamics=plain, config=FEW).infeasible is None


def test_what_makes_no_sense_is_refused():
    world, state = block_world()
    with pytest.raises(InputError, match="no robot"):
        plan(metric_world(), state, to(0, 0), dynamics=plain)
    with pytest.raises(InputError, match="deadline is -1"):
        plan(world, state, to(0.1, 0), dynamics=plain, deadline=-1)
    with pytest.raises(InputError, match="horizon is 0"):
        PlanConfig(horizon=0)
    with pytest.raises(InputError, match="method"):
        PlanConfig(method="hope")
    broken = replace(state, twists=state.twists * float("nan"))
    with pytest.raises(InputError, match="finite"):
        plan(world, broken, to(0.1, 0), dynamics=plain)
    with pytest.raises(InputError, match="nothing to reach"):
        Goal(())


def test_a_tool_that_hangs_in_the_air_comes_down_first():
    _, state = block_world()
    hung = add_robot(blocks(at(0.0, 0.0, 0.025)), cylinder_pusher(), base_pose=at(0.0, 0.0, 0.3), splats=20)
    poses = state.world_from_body.clone()
    poses[-1, :3] = hung.bodies[-1].rest_pose[:3]
    found = plan(hung, replace(state, world_from_body=poses), to(0.08, 0.0), dynamics=plain, config=FEW)
    heights = found.prediction.states.world_from_body[:, -1, 2]
    assert heights[-1] == pytest.approx(0.065, abs=1e-6)
    down = int((heights > 0.066).sum())
    beside = found.prediction.states.world_from_body[2:down, -1, :2].norm(dim=-1)
    assert (heights.diff()[: down - 1] <= 1e-9).all()
    assert (beside > 0.035).all()
    assert isinstance(found, Plan)
    assert np.isfinite(found.cost)
