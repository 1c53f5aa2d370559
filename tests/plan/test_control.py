from dataclasses import replace

import numpy as np
import pytest
import torch

from splatworld.core.checks import InputError
from splatworld.plan.config import PlanConfig
from splatworld.plan.control import ControlConfig, control
from splatworld.plan.cost import BodyToPose
from splatworld.plan.goals import Goal
from splatworld.plan.guard import Guard
from splatworld.recordings import load_rollout
from splatworld.robot.place import add_robot
from splatworld.robot.tools import parallel_gripper
from tests.dynamics.scenes import at, blocks
from tests.plan.pushing import BLOCK, PlainEnv, block_world, plain

FEW = PlanConfig(candidates=24)
GOAL = Goal((BodyToPose(BLOCK, at(0.1, 0.06, 0.025), radius=0.0, position=0.01),))


@pytest.mark.parametrize("latency", [0, 2])
def test_a_body_gets_where_it_shall_be_and_the_log_replays(tmp_path, latency):
    world, state = block_world()
    config = ControlConfig(plan=FEW, hold=6, latency=latency, most=120)
    outcome = control(PlainEnv(world, state), world, GOAL, dynamics=plain, config=config, log=tmp_path / "log")
    assert outcome.reached, outcome.reason
    assert outcome.reason == "reached"
    log = load_rollout(tmp_path / "log")
    assert log.actions.shape == (outcome.actions, 6)
    again = plain(world, state, log.actions)
    assert torch.allclose(again.states.world_from_body, log.states.world_from_body)
    assert bool(GOAL.reached(log.states[-1]))


def test_an_emergency_stop_stands_still_and_keeps_the_log(tmp_path):
    world, state = block_world()
    config = ControlConfig(plan=FEW)
    outcome = control(
        PlainEnv(world, state),
        world,
        GOAL,
        dynamics=plain,
        config=config,
        stop=lambda state: float(state.time) > 0.25,
        log=tmp_path / "log",
    )
    assert (outcome.reached, outcome.reason, outcome.actions) == (False, "emergency stop", 4)
    log = load_rollout(tmp_path / "log")
    assert torch.equal(log.states.world_from_body[-1], log.states.world_from_body[-2])


class Slippery(PlainEnv):
    """One in which the block slides on for some actions after the tool has let go of it."""

    left = 3

    def step(self, action):
        found = super().step(action)
        if bool(GOAL.reached(self.state)):
            self.left -= 1
            twists = self.state.twists.clone()
            twists[BLOCK, 0] = 0.05 * (self.left > 0)
            self.state = replace(self.state, twists=twists)
        return found


def test_it_does_not_end_while_a_body_only_passes_where_it_shall_be():
    world, state = block_world()
    env = Slippery(world, state)
    outcome = control(env, world, GOAL, dynamics=plain, config=ControlConfig(plan=FEW, hold=6, most=120))
    assert outcome.reached
    assert env.left == 0
    assert not outcome.state.twists[BLOCK].any()


def test_it_ends_when_time_is_up_or_it_cannot_be(tmp_path):
    world, state = block_world()
    short = control(PlainEnv(world, state), world, GOAL, dynamics=plain, config=ControlConfig(plan=FEW, most=3))
    assert short.reason == "not reached within 3 actions"
    high = Goal((BodyToPose(BLOCK, at(0.1, 0.0, 0.2)),))
    never = control(PlainEnv(world, state), world, high, dynamics=plain)
    assert never.reason.startswith("infeasible: ")
    assert never.actions == 0


def test_the_guard_keeps_the_tool_in_its_workspace_and_links_apart():
    world, state = block_world()
    guard = Guard(world, ((-0.21, -0.1, 0.0), (0.1, 0.1, 0.3)))
    out = torch.tensor([-0.03, 0, 0, 0, 0, 0], dtype=torch.float64)
    assert "20 mm out of its workspace" in guard.refusal(state, out)
    assert guard.refusal(state, -out) is None
    poses = state.world_from_body.clone()
    poses[-1, 0] = -0.3
    assert guard.refusal(replace(state, world_from_body=poses), -out) is None
    hand = add_robot(blocks(at(0.0, 0.0, 0.025)), parallel_gripper(), base_pose=at(0.0, 0.0, 0.3), splats=20)
    from splatworld.core.world import rest_state

    open_, shut = (torch.tensor([0, 0, 0, 0, 0, 0, width], dtype=torch.float64) for width in (0.08, 0.0))
    fingers = Guard(hand)
    start = replace(rest_state(hand), joints=torch.full((2,), 0.04, dtype=torch.float64))
    assert fingers.refusal(start, open_) is None
    assert len(fingers._pairs) in (0, 1)
    assert fingers.refusal(start, shut) is None or "touch" in fingers.refusal(start, shut)


def test_a_reality_that_keeps_running_into_the_guard_is_stopped():
    world, state = block_world()
    box = replace(FEW, workspace=((-0.19, -0.3, 0.0), (0.3, 0.3, 0.3)))

    class Drifting(PlainEnv):
        def step(self, action):
            poses = self.state.world_from_body.clone()
            poses[-1, 0] -= 0.2
            self.state = replace(self.state, world_from_body=poses)
            return None, 0.0, False, False, {}

    config = ControlConfig(plan=box, refusals=2, most=20)
    outcome = control(Drifting(world, state), world, GOAL, dynamics=plain, config=config)
    assert not outcome.reached


def test_what_makes_no_sense_is_refused(tmp_path):
    world, state = block_world()
    with pytest.raises(InputError, match="latency < hold"):
        ControlConfig(hold=2, latency=2)

    class Mute(PlainEnv):
        state = None

        def reset(self, **_):
            return np.zeros(3), {}

    with pytest.raises(InputError, match="has no 'state'"):
        control(Mute(world, state), world, GOAL, dynamics=plain)
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="no rollout"):
        control(PlainEnv(world, state), world, GOAL, dynamics=plain, log=tmp_path / "log")
    assert (tmp_path / "log" / "mine.txt").read_text() == "keep"
