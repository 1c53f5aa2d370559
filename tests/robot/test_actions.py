import math

import pytest
import torch

from splatworld.core import pose
from splatworld.core.checks import InputError, ShapeError
from splatworld.core.world import rest_state
from splatworld.robot import tools
from splatworld.robot.actions import apply_action, clip_action
from splatworld.robot.kinematics import pose_error
from splatworld.robot.load import load_robot
from splatworld.robot.place import add_robot, metric_world
from tests.robot.builders import HOME
from tests.worlds import make_world


def action(**values):
    names = ("dx", "dy", "dz", "droll", "dpitch", "dyaw", "width")
    return torch.tensor([values.get(name, 0.0) for name in names], dtype=torch.float64)


def test_an_arm_moves_its_tool_by_the_increments(arm):
    state = rest_state(arm)
    moved = apply_action(arm, state, action(dx=-0.02, dz=-0.03, dyaw=0.1, width=0.05))
    tool = arm.robot.tool
    change = pose_error(moved.world_from_body[tool], state.world_from_body[tool])
    assert torch.allclose(change, action(dx=-0.02, dz=-0.03, dyaw=0.1)[:6], atol=1e-5)
    assert torch.allclose(moved.joints[-2:], torch.full((2,), 0.025).double())
    assert math.isclose(float(moved.time), 0.1)


def test_no_motion_keeps_the_world_to_the_last_bit(arm):
    state = rest_state(arm)
    moved = apply_action(arm, state, action(width=0.02))
    assert torch.equal(moved.world_from_body, state.world_from_body)
    assert not bool(moved.twists.any())


def test_out_of_reach_stops_at_the_nearest(arm):
    state = rest_state(arm)
    for _ in range(24):
        before, state = state, apply_action(arm, state, action(dx=0.05))
    tool = [each.world_from_body[arm.robot.tool, 0] for each in (before, state)]
    assert float((tool[1] - tool[0]).abs()) < 0.01  # it does not go on
    assert bool(torch.isfinite(state.world_from_body).all())
    limits = torch.tensor([arm.bodies[i].joint.limits for i in arm.joint_bodies]).double()
    assert bool((state.joints >= limits[:, 0] - 1e-9).all())
    assert bool((state.joints <= limits[:, 1] + 1e-9).all())


def test_joint_actions(arm_file):
    world = add_robot(metric_world(), load_robot(arm_file), action="joints", home=HOME, splats=50)
    assert world.robot.action.names[:2] == ("joint1", "joint2")
    assert world.robot.action.units == ("rad",) * 6 + ("m",)
    values = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.03]).double()
    moved = apply_action(world, rest_state(world), values.expand(3, 7))
    assert moved.batch == (3,)
    assert torch.allclose(moved.joints[0], torch.cat([values, values[-1:]]))
    with pytest.raises(InputError, match="joint1 is 3 rad, expected -2 to 2"):
        apply_action(world, rest_state(world), torch.full((7,), 3.0))


@pytest.mark.parametrize("make", [tools.sphere_pusher, tools.cylinder_pusher, tools.box_pusher, tools.parallel_gripper])
def test_tools_fly_and_carry_their_fingers(make):
    world = add_robot(make_world_without_robot(), make(), splats=60)
    tool = world.robot.tool
    first = world.robot.bodies[0]
    body = world.bodies[first]
    assert body.kind == "robot"
    assert body.mass > 0
    assert body.grid is not None
    assert body.parts
    assert body.mesh is not None
    assert bool((world.splats.body_ids == first).any())
    values = action(dx=0.02, dyaw=0.2, width=0.03)[: len(world.robot.action)]
    state = rest_state(world)
    moved = apply_action(world, state, values)
    assert torch.allclose(
        pose_error(moved.world_from_body[tool], state.world_from_body[tool]), action(dx=0.02, dyaw=0.2)[:6], atol=1e-12
    )
    assert torch.allclose(moved.twists[tool, :3], torch.tensor([0.2, 0, 0]).double())
    if world.robot.fingers:
        left, right = (moved.world_from_body[i, :3] for i in world.robot.fingers)
        assert math.isclose(float((left - right).norm()), 0.03 + tools.FINGER_SIZE[1], rel_tol=1e-6)
    assert torch.equal(moved.world_from_body[1], state.world_from_body[1])


def make_world_without_robot():
    from dataclasses import replace

    world = make_world()
    bodies = world.bodies[:4]
    splats = replace(world.splats, body_ids=world.splats.body_ids.clamp(max=3))
    return replace(world, bodies=bodies, robot=None, splats=splats, prior_latents=None)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (action(dx=float("nan")), InputError, "nan, expected finite"),
        (action(dx=0.2), InputError, "dx is 0.2 m, expected -0.05 to 0.05"),
        (action()[:6], ShapeError, r"given \[6\], expected \[..., 7\]: dx, dy"),
        (torch.zeros(()), ShapeError, "expected"),
        ([0.0] * 7, ShapeError, "given list"),
    ],
)
def test_bad_actions_are_told(arm, values, error, message):
    with pytest.raises(error, match=message):
        apply_action(arm, rest_state(arm), values)


def test_clipped_actions_pass(arm):
    apply_action(arm, rest_state(arm), clip_action(arm.robot.action, action(dx=9.0, width=-1.0)))


def test_without_a_robot():
    world = metric_world()
    with pytest.raises(InputError, match="no robot"):
        apply_action(world, rest_state(world), action())


def test_bad_placements_are_told(arm, arm_file):
    model = load_robot(arm_file)
    with pytest.raises(InputError, match="has a robot already"):
        add_robot(arm, model)
    with pytest.raises(InputError, match="home puts 'joint1' at 7"):
        add_robot(metric_world(), model, home={"joint1": 7.0})
    with pytest.raises(InputError, match="no joint 'elbow'"):
        add_robot(metric_world(), model, home={"elbow": 0.0})
    with pytest.raises(InputError, match="no link 'claw'"):
        add_robot(metric_world(), model, tool="claw")
    with pytest.raises(InputError, match="finite"):
        add_robot(metric_world(), model, base_pose=pose.identity() * float("nan"))
