"""A gripper plans: grasps that are possible, the way of the hand, on from where a body is held, and letting go."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from splatworld.core.world import rest_state
from splatworld.dynamics.predict import predict
from splatworld.geometry.shapes import pack_shapes
from splatworld.plan.config import PlanConfig
from splatworld.plan.cost import BodyToPose
from splatworld.plan.goals import Goal
from splatworld.plan.grasping import POINT
from splatworld.plan.grasps import ABOVE, TIGHT, sample_grasps
from splatworld.plan.guard import Guard
from splatworld.plan.hands import find_hand, held, placed, surrounds
from splatworld.plan.plan import Planner, plan
from splatworld.plan.shadows import find_obstacles
from tests.dynamics.scenes import at, lively_model
from tests.dynamics.test_grasping import BLOCK, OPENING, OTHER, SIZE, go, gripped

FEW = PlanConfig(candidates=16)


@pytest.fixture(scope="module")
def dynamics():
    return partial(predict, model=lively_model())


def to(*place, **options):
    return Goal((BodyToPose(BLOCK, at(*place), radius=0.0, **options),))


def grasps_of(world, body=BLOCK):
    shapes, state = pack_shapes(world), rest_state(world)
    obstacles = find_obstacles(world, shapes, state, POINT, -1.0)
    hand = find_hand(world, shapes, state)
    return hand, sample_grasps(hand, shapes, state, obstacles, body, np.random.default_rng(0))


def test_a_hand_is_as_it_is_built():
    hand, _ = grasps_of(gripped(height=0.1))
    assert hand.at[2] + hand.tips == pytest.approx(0.1, abs=1e-6)
    assert hand.width == pytest.approx(OPENING)
    assert (hand.deep, *hand.pad) == pytest.approx((0.045, 0.008, 0.01), abs=1e-6)


def test_fingers_have_room_and_the_body_is_between_them():
    hand, found = grasps_of(gripped(height=0.15, yaw=0.4))
    assert len(found) > 50
    tips = found.at[:, 2] + hand.tips
    assert (tips >= ABOVE - 1e-9).all()
    assert (tips < SIZE[2]).all()
    # On the axes of the block.
    feet = placed(hand, hand.feet(found.width), found.at)
    c, s = np.cos(0.4), np.sin(0.4)
    away = np.abs(feet @ np.array([[c, -s], [s, c]])) - np.array(SIZE[:2]) / 2
    assert away.max(axis=2).min() > TIGHT - 1e-4
    best = found[:5]
    squarely = (best.at[:, 3] - 0.4) / (np.pi / 2)
    assert np.abs(squarely - np.round(squarely)).max() < 0.12
    assert np.abs(best.thick - np.where(np.round(squarely) % 2, SIZE[1], SIZE[0])).max() < 0.006


def test_no_finger_goes_where_another_body_stands():
    # 8 mm beside its long side: only its ends are left.
    _, found = grasps_of(gripped(height=0.15, other=(0.0, 0.048)))
    assert len(found) > 0
    assert np.abs(np.sin(found.at[:, 3])).max() < 0.8


def test_a_plan_puts_a_block_onto_another_and_leaves(dynamics):
    world = gripped(height=0.16, other=(0.15, 0.1))
    state, goal = rest_state(world), to(0.15, 0.1, 0.09)
    planner = Planner(world, goal, dynamics=dynamics, config=FEW)
    found = planner.plan(state)
    assert found.infeasible is None
    end = found.prediction.states[-1]
    assert bool(goal.reached(end))
    assert planner.is_done(end)
    assert (end.world_from_body[OTHER, :3] - state.world_from_body[OTHER, :3]).norm() < 1e-3
    again = dynamics(world, state, found.actions)
    assert torch.allclose(again.states.world_from_body[-1, BLOCK], end.world_from_body[BLOCK], atol=2e-3)
    # In mid-air it carries on, and does not count as done at the goal before it lets go.
    shapes, hands = pack_shapes(world), [find_hand(world, pack_shapes(world), s) for s in found.prediction.states]
    grips = [held(h, shapes, s, (BLOCK,)) for h, s in zip(hands, found.prediction.states, strict=True)]
    carried = [k for k, grip in enumerate(grips) if grip is not None]
    assert carried == list(range(carried[0], carried[-1] + 1))
    middle, last = (found.prediction.states[k] for k in (carried[len(carried) // 2], carried[-1]))
    assert bool(goal.reached(last))
    assert not planner.is_done(last)
    onward = planner.plan(middle)
    assert len(onward) < len(found) - carried[len(carried) // 2] + 8
    assert planner.is_done(onward.prediction.states[-1])
    moved = onward.prediction.states.world_from_body[:5, BLOCK, :3] - middle.world_from_body[BLOCK, :3]
    hand = onward.prediction.states.world_from_body[:5, world.robot.tool, :3]
    assert torch.allclose(moved, hand - middle.world_from_body[world.robot.tool, :3], atol=2e-3)


def test_open_fingers_about_a_body_that_is_there_go_up(dynamics):
    world = gripped(height=0.01)
    state, goal = rest_state(world), to(0.0, 0.0, 0.03)
    shapes = pack_shapes(world)
    assert surrounds(find_hand(world, shapes, state), shapes, state, BLOCK)
    found = plan(world, state, goal, dynamics=dynamics, config=FEW)
    assert 0 < len(found) < 10
    assert (found.prediction.states.world_from_body[-1, BLOCK] - state.world_from_body[BLOCK]).abs().max() < 1e-3
    hand = find_hand(world, shapes, found.prediction.states[-1])
    assert hand.at[2] + hand.tips > SIZE[2]


def test_what_is_too_wide_is_pushed(dynamics):
    world = gripped(height=0.16)
    wide = replace(world.bodies[BLOCK], mesh=replace(world.bodies[BLOCK].mesh,
                   vertices=world.bodies[BLOCK].mesh.vertices * torch.tensor([2.0, 2.5, 1.0])), grid=None)  # fmt: skip
    world = replace(world, bodies=(world.bodies[0], wide, *world.bodies[2:]))
    assert not len(grasps_of(world)[1])
    found = plan(world, rest_state(world), to(0.06, 0.0, 0.03), dynamics=dynamics, config=FEW)
    poses = found.prediction.states.world_from_body[:, BLOCK]
    assert poses[-1, 0] > 0.01
    assert (poses[:, 2] - 0.03).abs().max() < 2e-3


def test_fingers_may_meet():
    world = gripped(height=0.2)
    assert Guard(world).refusal(rest_state(world), go((1, 0, 0, 0, 0.0))[0]) is None
