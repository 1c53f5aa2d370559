import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from splatworld.core import pose
from splatworld.core.camera import Camera
from splatworld.core.checks import FormatError, InputError
from splatworld.core.rollout import Rollout
from splatworld.core.world import rest_state
from splatworld.plan.commands import expanded
from splatworld.plan.cost import BodyToPose, BodyToRegion, KeepStill, Reach, Smoothness, Uncertainty, total
from splatworld.plan.goals import goal_of_document, goal_of_state, pose_aim, read_goal
from splatworld.simulate.episodes.fixtures import draw_fixture, fixture_world
from tests.dynamics.scenes import at, push
from tests.plan.pushing import BLOCK, block_world, plain

WORLD, STATE = block_world(at(0.2, 0.0, 0.025))


def rolled(*pushes):
    return plain(WORLD, STATE, torch.cat(pushes))


def test_tipping_counts_and_turning_does_not():
    document = {"aims": [{"body": "block 0", "position": [0, 0.2]}], "keep": [{"upright": "block 0"}]}
    upright = goal_of_document(WORLD, STATE, document).keeps[0]
    for twist, tipped in (((0, 0, 1.0), 0.0), ((0.3, 0, 0), 0.3)):
        turned = STATE.world_from_body.clone()
        turned[BLOCK, 3:] = pose.exp(torch.tensor([0, 0, 0, *twist]).double())[3:]
        now = replace(STATE, world_from_body=turned)
        assert float(upright.tipped(now)) == pytest.approx(tipped, abs=1e-6)
        rollout = Rollout(torch.zeros(0, 6), expanded(now, 1), "")
        assert float(upright(rollout)) == pytest.approx(0.05 * tipped, abs=1e-6)


def test_costs_are_what_is_missing():
    still = rolled(push(0.0, steps=2))
    assert float(BodyToPose(BLOCK, at(0.03, 0.04, 0.025))(still)) == pytest.approx(0.05)
    turned = BodyToPose(BLOCK, at(0.0, 0.0, 0.025, yaw=0.5), radius=0.1)
    assert float(turned(still)) == pytest.approx(0.05)
    region = BodyToRegion(BLOCK, torch.tensor([0.03, -1, 0]), torch.tensor([0.1, 1, 1]))
    assert float(region(still)) == pytest.approx(0.03)
    reach = Reach(WORLD.robot.tool, STATE.world_from_body[-1, :3] + torch.tensor([0.0, 0.0, 0.1]))
    assert float(reach(still)) == pytest.approx(0.1)
    assert not bool(reach.reached(STATE))
    moved = rolled(push(0.03, steps=7))
    assert float(KeepStill((2,))(moved)) == 0
    assert float(KeepStill((BLOCK,))(moved)) > 0.05
    assert float(Smoothness(1.0)(rolled(push(0.01), push(0.03)))) == pytest.approx(0.0004)
    sure = Rollout(moved.actions, moved.states, "", torch.zeros(8, 4, 6))
    doubt = replace(sure, std=torch.full((8, 4, 6), 0.01))
    both = total(Uncertainty(1.0), region)
    assert float(both(doubt) - both(sure)) == pytest.approx(4 * 0.01 * math.sqrt(3), rel=1e-5)


def test_a_document_says_where_bodies_shall_be():
    goal = goal_of_document(
        WORLD,
        STATE,
        {
            "aims": [
                {"body": "block 0", "position": [0.1, 0.2], "yaw": 90},
                {"body": "block 1", "low": [0, 0, 0], "high": [1, 1, 1]},
                {"tool": [0.1, 0.2, 0.3]},
            ],
            "keep": [{"still": ["background"]}, {"clear": "block 1", "distance": 0.03}],
            "tolerance": {"position": 0.01, "angle": 10},
        },
    )
    aim, region, reach = goal.aims
    assert torch.allclose(aim.pose, at(0.1, 0.2, 0.025, yaw=math.pi / 2), atol=1e-6)
    assert (aim.position, aim.angle) == (0.01, pytest.approx(math.radians(10)))
    assert isinstance(region, BodyToRegion)
    assert isinstance(reach, Reach)
    assert goal.bodies == (BLOCK, 2)
    assert bool(region.reached(STATE))
    assert not bool(goal.reached(STATE))
    rollout = rolled(push(0.03, steps=8))
    assert torch.isfinite(goal(rollout))
    # The first block is pushed to within 3 cm of the second.
    assert float(goal.keeps[1](rolled(push(0.03, steps=10)))) > float(goal.keeps[1](rolled(push(0.0))))


def test_what_hides_a_body_costs():
    eye, middle = torch.tensor([-0.4, 0.0, 0.03]).double(), torch.tensor([0.2, 0.0, 0.03]).double()
    where = pose.look_at(eye, middle, torch.tensor([0.0, 0.0, 1.0]).double())
    camera = Camera(torch.full((2,), 60.0).double(), torch.tensor([32.0, 24.0]).double(), (64, 48), where)
    world = replace(WORLD, cameras={"front": camera})
    document = {"aims": [{"body": "block 0", "position": [0, 0.2]}], "keep": [{"visible": "block 1"}]}
    hidden = goal_of_document(world, STATE, document).keeps[0]
    away = replace(STATE, world_from_body=STATE.world_from_body.clone())
    away.world_from_body[BLOCK, 1] = away.world_from_body[-1, 1] = 0.3
    costs = [float(hidden(plain(world, state, push(0.0, steps=1)))) for state in (STATE, away)]
    assert costs[0] > 0.09
    assert costs[1] < 0.05


def test_a_state_that_shall_become_true_is_a_goal():
    poses = STATE.world_from_body.clone()
    poses[2] = at(0.3, 0.1, 0.025, yaw=0.3)
    poses[-1, 0] += 0.1  # of the robot nothing is wanted
    goal = goal_of_state(WORLD, STATE, replace(STATE, world_from_body=poses), position=0.005)
    assert goal.bodies == (2,)
    assert goal.aims[0].position == 0.005
    assert bool(goal.reached(replace(STATE, world_from_body=poses)))
    with pytest.raises(InputError, match="every body stands where"):
        goal_of_state(WORLD, STATE, STATE)
    poses[0, 0] = 1.0
    with pytest.raises(InputError, match="is static"):
        goal_of_state(WORLD, STATE, replace(STATE, world_from_body=poses))


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "expected an object with 'aims'"),
        ({"aims": []}, "expected an object with 'aims'"),
        ({"aims": [{"body": "mug", "position": [0, 0]}]}, "no body 'mug', expected one of"),
        ({"aims": [{"body": "background", "position": [0, 0]}]}, "static and stays"),
        ({"aims": [{"body": "block 0"}]}, "lacks 'position'"),
        ({"aims": [{"body": "block 0", "position": [0]}]}, "expected 2 or 3 numbers"),
        ({"aims": [{"body": "block 0", "position": [0, float("nan")]}]}, "finite"),
        ({"aims": [{"body": "block 0", "pose": [0, 0, 0, 2, 0, 0, 0]}]}, "unit one"),
        ({"aims": [{"body": "block 0", "low": [1, 0, 0], "high": [0, 1, 1]}]}, "empty"),
        ({"aims": [{"body": "block 0", "position": [0, 0], "colour": 1}]}, "no entry 'colour'"),
        ({"aims": 2 * [{"body": "block 0", "position": [0, 0]}]}, "two aims"),
        ({"aims": [{"body": "block 0", "position": [0, 0]}], "keep": [{"still": ["block 0"]}]}, "stay where it is"),
        ({"aims": [{"body": "block 0", "position": [0, 0]}], "tolerance": {"position": 0}}, "above 0"),
        ({"aims": [{"tool": [0, 0]}]}, "expected 3 numbers"),
        ({"aims": [{"body": "block 0", "position": [0, 0]}], "keep": [{"visible": "block 1"}]}, "has no camera"),
    ],
)
def test_what_is_no_goal_is_refused(document, message):
    with pytest.raises(InputError, match=message):
        goal_of_document(WORLD, STATE, document)


def test_files(tmp_path):
    file = tmp_path / "goal.json"
    with pytest.raises(InputError, match="no such file"):
        read_goal(WORLD, STATE, file)
    file.write_text("{")
    with pytest.raises(FormatError, match="not JSON"):
        read_goal(WORLD, STATE, file)
    file.write_text(json.dumps({"aims": [{"body": "block 0", "position": [0.1, 0]}]}))
    assert read_goal(WORLD, STATE, file).bodies == (BLOCK,)


def test_a_body_without_a_mesh_turns_as_if_it_were_small():
    assert pose_aim(WORLD, 0, at(0, 0, 0)).radius == 0.02


def test_a_drawer_shall_be_open_by_so_much():
    world = fixture_world(draw_fixture("drawer", "test_known", np.random.default_rng(4)))
    state = rest_state(world)
    goal = goal_of_document(world, state, {"aims": [{"body": "leaf", "joint": 0.1}]})
    (aim,) = goal.aims
    assert aim.lever == 1
    assert float(aim(Rollout(torch.zeros(0, 6), expanded(state, 1), ""))) == pytest.approx(
        abs(float(state.joints[0]) - 0.1)
    )
    moved = aim.target(state) - state.world_from_body[aim.body, :3]
    assert torch.allclose(moved, torch.tensor([float(state.joints[0]) - 0.1, 0.0, 0.0]).double(), atol=1e-9)
    assert bool(goal.reached(replace(state, joints=state.joints * 0 + 0.095)))
    with pytest.raises(InputError, match="goes from 0 to"):
        goal_of_document(world, state, {"aims": [{"body": "leaf", "joint": 3}]})
    with pytest.raises(InputError, match="'block 0' hangs on no joint"):
        goal_of_document(WORLD, STATE, {"aims": [{"body": "block 0", "joint": 0.1}]})


def test_a_door_counts_degrees():
    world = fixture_world(draw_fixture("door", "test_known", np.random.default_rng(4)))
    (aim,) = goal_of_document(world, rest_state(world), {"aims": [{"body": "leaf", "joint": 45}]}).aims
    assert aim.value == pytest.approx(math.pi / 4)
    assert 0.05 < aim.lever < 0.4
