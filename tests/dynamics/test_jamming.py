"""Fingers stop on a body that stands below them, unless it can tip or there is nothing."""

from dataclasses import replace

import pytest
import torch

from splatworld.core.body import Body, background
from splatworld.core.world import rest_state
from splatworld.dynamics.gripper import find_gripper
from splatworld.dynamics.jamming import jam
from splatworld.dynamics.predict import predict
from splatworld.dynamics.scene import world_scene
from splatworld.geometry.distance import distance_grid
from splatworld.robot.actions import apply_action
from splatworld.robot.place import add_robot, metric_world
from splatworld.robot.tools import parallel_gripper
from tests.dynamics.scenes import at, lively_model
from tests.geometry.solids import box

TOP, OPENING, BLOCK = 0.04, 0.08, 1


def under(*, y=0.04, size=(0.08, 0.06, TOP), tips=TOP + 0.01):
    """A block on the support below the left finger of an open gripper, whose tips are at a height."""
    mesh = box(size)
    block = Body("block", "rigid", at(0, y, size[2] / 2), mesh=mesh, grid=distance_grid(mesh, 0.003))
    world = replace(metric_world(), bodies=(background(), block))
    return add_robot(world, parallel_gripper(OPENING), base_pose=at(0, 0, tips), splats=20,
                     home={"left_finger_joint": OPENING / 2})  # fmt: skip


def jammed(world, *, down=0.02, aside=0.0):
    scene, before = world_scene(world), rest_state(world)
    batch = before[None]
    action = torch.tensor([[aside, 0, -down, 0, 0, 0, OPENING]], dtype=torch.float64)
    commanded = apply_action(world, batch, action)
    after, share = jam(world, scene, find_gripper(world, scene), batch, commanded)
    return commanded, after, float(share)


def test_fingers_stop_on_its_top_and_it_stays():
    world = under()
    found = predict(world, rest_state(world), torch.tensor([[0, 0, -0.008, 0, 0, 0, OPENING]] * 4).double(),
                    model=lively_model())  # fmt: skip
    hand = next(i for i, body in enumerate(world.bodies) if body.name == "hand")
    gone = found.states.world_from_body[0, hand, 2] - found.states.world_from_body[-1, hand, 2]
    assert gone == pytest.approx(0.01, abs=1.5e-3)
    assert float(found.blocked[-1]) > 0.8
    shift = found.states.world_from_body[-1, BLOCK, :3] - found.states.world_from_body[0, BLOCK, :3]
    assert float(shift.norm()) < 1e-3


@pytest.mark.parametrize(("down", "share"), [(0.02, 0.5), (0.005, 1.0), (-0.02, 1.0)])
def test_they_get_as_far_as_its_top(down, share):
    assert jammed(under(), down=down)[2] == pytest.approx(share, abs=0.11)


def test_nothing_stops_them_beside_it():
    commanded, after, share = jammed(under(y=0.2), aside=0.01)
    assert share == 1
    assert (after.world_from_body == commanded.world_from_body).all()


def test_one_that_can_tip_does_not_stop_them():
    """Its foot is narrow, and the finger comes down on what juts out over it."""
    foot, top = box((0.02, 0.02, 0.03)), box((0.08, 0.12, 0.01))
    shares = []
    for y in (0.04, 0.085):
        world = under(y=y)
        parts = (moved(foot, -0.005), moved(top, 0.015))
        block = replace(world.bodies[BLOCK], mesh=None, parts=parts, grid=distance_grid(parts, 0.003))
        shares.append(jammed(replace(world, bodies=(world.bodies[0], block, *world.bodies[2:])))[2])
    assert shares[0] < 0.7
    assert shares[1] == 1


def moved(mesh, z):
    return replace(mesh, vertices=mesh.vertices + torch.tensor([0, 0, z], dtype=mesh.vertices.dtype))
