"""What hangs on joints: along them alone, driven by the tool, within limits."""

from dataclasses import replace

import pytest
import torch

from splatworld.core import pose
from splatworld.core.body import Body
from splatworld.core.world import rest_state
from splatworld.dynamics.predict import predict
from splatworld.robot.model import Link, LinkJoint, RobotModel
from splatworld.robot.place import add_links, add_robot, metric_world
from splatworld.robot.tools import cylinder_pusher
from tests.dynamics.scenes import GRID, MESH, at, lively_model, push
from tests.geometry.solids import box

RADIUS, LIMIT = 0.01, 0.15


def hung(type="slide", *, tool=(-0.06, 0.0), beyond=None):
    """A box of 4 x 20 x 10 cm at x = 0 that slides along x, or turns about its end at y = -0.1; and a rod."""
    world = metric_world()
    if beyond is not None:
        world = replace(world, bodies=(*world.bodies, Body("block", "rigid", beyond, mesh=MESH, grid=GRID)))
    still = pose.identity(dtype=torch.float64)
    end = torch.tensor([0, -0.1, 0.06, 1, 0, 0, 0]).double()
    leaf = box((0.04, 0.2, 0.1))
    center = torch.tensor([0, 0.1, 0]).double()
    leaf = replace(leaf, vertices=leaf.vertices + center)
    axis = torch.tensor([1.0, 0, 0] if type == "slide" else [0, 0, -1.0]).double()
    links = (Link("wall", None, (), 0.0, 0 * center, None), Link("leaf", leaf, (leaf,), 0.0, center, None))
    joint = LinkJoint("leaf", type, "wall", "leaf", still, axis, (0.0, LIMIT if type == "slide" else 1.5))
    world, _ = add_links(world, RobotModel("f", links, (joint,)), end, {"leaf": 0.0}, kinds=("static", "articulated"),
                         splats=20)  # fmt: skip
    return add_robot(world, cylinder_pusher(), base_pose=at(*tool, 0.03), splats=20)


def rolled(world, actions, **changes):
    state = replace(rest_state(world), **changes)
    return predict(world, state, actions, model=lively_model())


def test_a_leaf_that_nobody_touches_stays_bit_for_bit():
    world = hung()
    found = rolled(world, push(-0.01, steps=5))
    leaf = next(i for i, body in enumerate(world.bodies) if body.name == "leaf")
    assert (found.states.world_from_body[:, leaf] == world.bodies[leaf].rest_pose).all()
    assert (found.states.joints == 0).all()


def test_it_goes_before_the_rod_along_its_joint_and_stops_soon_after():
    world = hung()
    leaf = next(i for i, body in enumerate(world.bodies) if body.name == "leaf")
    actions = torch.cat([push(0.02, steps=5), push(0.0, steps=3)])
    found = rolled(world, actions)
    expected = 0.06 - 0.02 - RADIUS
    assert float(found.states.joints[0, 0]) == 0
    assert float(found.states.joints[5, 0]) == pytest.approx(0.1 - expected, abs=2e-3)
    assert 0.1 - expected - 2e-3 < float(found.states.joints[-1, 0]) < 0.1 - expected + 0.02
    assert float(found.states.joint_velocities[-1, 0]) == 0
    way = found.states.world_from_body[-1, leaf] - world.bodies[leaf].rest_pose
    assert float(way[1:].abs().max()) < 1e-12
    assert float(found.blocked.max()) == 0


def test_its_limit_stops_the_rod():
    world = hung()
    found = rolled(world, push(0.04, steps=8))
    assert float(found.states.joints[-1, 0]) == pytest.approx(LIMIT, abs=1e-3)
    rod = found.states.world_from_body[-1, world.robot.bodies[0], 0]
    assert float(rod) < LIMIT - 0.02 - RADIUS + 0.003
    assert float(found.blocked[-1]) > 0.9


def test_a_door_turns_faster_the_nearer_to_its_hinge_it_is_pushed():
    near, far = (
        float(rolled(hung("hinge", tool=(-0.04, y)), push(0.02, steps=3)).states.joints[-1, 0]) for y in (-0.02, 0.07)
    )
    assert far == pytest.approx((0.06 - 0.01) / 0.17, rel=0.2)
    assert near > 1.5 * far


def test_what_was_pushed_goes_on_and_is_braked():
    world = hung()
    found = rolled(world, push(-0.01, steps=6), joint_velocities=torch.tensor([0.3]).double())
    joints = found.states.joints[:, 0]
    assert bool((joints.diff() >= 0).all())
    assert 0.01 < float(joints[-1]) < 0.3**2 / (2 * 2.0)
    assert float(joints[-1]) == float(joints[-2])


def test_it_pushes_what_stands_before_it():
    world = hung(beyond=at(0.09, 0, 0.025))
    found = rolled(world, push(0.03, steps=4))
    block = next(i for i, body in enumerate(world.bodies) if body.name == "block")
    front = float(found.states.joints[-1, 0]) + 0.02
    assert front > 0.08
    assert float(found.states.world_from_body[-1, block, 0]) > front + 0.03
