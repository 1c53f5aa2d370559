from dataclasses import replace

import pytest
import torch

from splatworld.core import pose
from splatworld.core.body import Body, Joint, background
from splatworld.core.checks import InputError, ShapeError
from splatworld.core.world import World, frames, rest_state
from splatworld.robot.actions import driven_joints
from splatworld.robot.kinematics import forward_kinematics, inverse_kinematics, pose_error
from splatworld.robot.place import metric_world


def random_joints(world, *batch, seed=0):
    rng = torch.Generator().manual_seed(seed)
    state = rest_state(world)
    values = torch.rand(*batch, len(state.joints), generator=rng, dtype=torch.float64) * 2 - 1
    limits = [world.bodies[i].joint.limits for i in world.joint_bodies]
    low, high = (torch.tensor([limit[side] for limit in limits]) for side in (0, 1))
    values = low + (values + 1) / 2 * (high - low)
    return expand(state, batch, values)


def expand(state, batch, joints):
    fields = {name: value.expand((*batch, *value.shape)) for name, value in vars(state).items()}
    return replace(state, **(fields | {"joints": joints}))


def test_rest_is_rest_to_the_last_bit(arm):
    state = forward_kinematics(arm, rest_state(arm))
    assert torch.equal(state.world_from_body, rest_state(arm).world_from_body)
    still = pose.identity(len(arm.bodies))
    assert torch.equal(frames(arm, state), still)


def test_agrees_with_mujoco(arm, arm_file):
    mujoco = pytest.importorskip("mujoco")
    model = mujoco.MjModel.from_xml_path(str(arm_file))
    state = forward_kinematics(arm, random_joints(arm, 5))
    for sample in range(5):
        data = mujoco.MjData(model)
        for column, body in enumerate(arm.joint_bodies):
            joint = model.joint("joint" + arm.bodies[body].name[-1]) if "link" in arm.bodies[body].name else None
            name = {"left": "grip", "right": "follow"}.get(arm.bodies[body].name) if joint is None else joint.name
            data.joint(name).qpos[0] = state.joints[sample, column]
        mujoco.mj_kinematics(model, data)
        for body in driven_joints(arm):
            expected = torch.from_numpy(data.body(arm.bodies[body].name).xpos.copy())
            assert torch.allclose(state.world_from_body[sample, body, :3], expected, atol=1e-9)


def test_mimics_follow_and_batches_agree(arm):
    state = forward_kinematics(arm, random_joints(arm, 2, 3))
    assert torch.equal(state.joints[..., -1], state.joints[..., -2])
    one = forward_kinematics(arm, random_joints(arm, 2, 3)[1, 2])
    assert torch.allclose(state.world_from_body[1, 2], one.world_from_body, atol=1e-12)


def test_gradients(arm):
    start = random_joints(arm)

    def poses(joints):
        return forward_kinematics(arm, replace(start, joints=joints)).world_from_body

    assert torch.autograd.gradcheck(poses, start.joints.clone().requires_grad_())
    resting = rest_state(arm).joints.clone().requires_grad_()
    forward_kinematics(arm, replace(rest_state(arm), joints=resting)).world_from_body.square().sum().backward()
    assert bool((resting.grad != 0).any())


def test_twists_are_the_rates_of_poses(arm):
    state = random_joints(arm)
    state = replace(state, joint_velocities=torch.linspace(-1, 1, len(state.joints)).double())
    state = replace(state, joint_velocities=forward_kinematics(arm, state).joint_velocities)
    step = 1e-6
    now = forward_kinematics(arm, state)
    later = forward_kinematics(arm, replace(state, joints=now.joints + step * state.joint_velocities))
    measured = pose_error(later.world_from_body, now.world_from_body) / step
    assert torch.allclose(measured, now.twists, atol=1e-5)


def test_a_drawer_that_rests_half_open():
    slide = Joint("slide", pose.identity(dtype=torch.float64), torch.tensor([1.0, 0, 0]).double(), (0.0, 0.3), 0.1)
    rest = torch.tensor([0.4, 0, 0.2, 1, 0, 0, 0]).double()
    drawer = Body("drawer", "articulated", rest, parent=0, joint=slide)
    world = World(splats=metric_world().splats, bodies=(background(), drawer))
    state = rest_state(world)
    assert state.joints.tolist() == [0.1]
    shut = forward_kinematics(world, replace(state, joints=torch.zeros(1).double()))
    assert torch.allclose(shut.world_from_body[1, :3], torch.tensor([0.3, 0, 0.2]).double())


def test_inverse_kinematics_reaches_what_can_be_reached(arm):
    tool, joints = arm.robot.tool, driven_joints(arm)[:6]
    goal = forward_kinematics(arm, random_joints(arm, 12)).world_from_body[:, tool]
    start = expand(rest_state(arm), (12,), rest_state(arm).joints.expand(12, -1))
    found = inverse_kinematics(arm, start, tool, goal, joints, iterations=100)
    errors = pose_error(goal, found.world_from_body[:, tool]).norm(dim=-1)
    assert float((errors < 1e-4).double().mean()) >= 0.6  # others stop at limits
    limits = torch.tensor([arm.bodies[i].joint.limits for i in joints]).double()
    assert bool((found.joints[:, :6] >= limits[:, 0] - 1e-12).all())
    assert bool((found.joints[:, :6] <= limits[:, 1] + 1e-12).all())


def test_wrong_states_are_told(arm):
    state = rest_state(arm)
    short = replace(state, joints=state.joints[1:], joint_velocities=state.joint_velocities[1:])
    with pytest.raises(ShapeError, match="expected 8 as in the world"):
        forward_kinematics(arm, short)
    hinge = Joint("hinge", pose.identity(dtype=torch.float64), torch.tensor([1.0, 0, 0]).double(), (0.0, 1.0))
    loop = [
        Body(name, "articulated", pose.identity(dtype=torch.float64), 3 - i, hinge) for i, name in ((1, "a"), (2, "b"))
    ]
    world = World(splats=metric_world().splats, bodies=(background(), *loop))
    with pytest.raises(InputError, match="their own ancestors"):
        forward_kinematics(world, rest_state(world))
