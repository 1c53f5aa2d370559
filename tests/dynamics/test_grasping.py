"""Fingers stop at what is between them; what they hold goes with them, slips, and is let go."""

from dataclasses import replace

import pytest
import torch

from splatworld.core.body import Body, background
from splatworld.core.latents import CENTER, MASS, TOOL_FRICTION
from splatworld.core.world import rest_state
from splatworld.dynamics.grasping import bearing
from splatworld.dynamics.gripper import Pinch
from splatworld.dynamics.predict import predict, stream
from splatworld.geometry.distance import distance_grid
from splatworld.robot.place import add_robot, metric_world
from splatworld.robot.tools import parallel_gripper
from tests.dynamics.scenes import at, lively_model
from tests.geometry.solids import box

SIZE = (0.05, 0.04, 0.06)
MESH = box(SIZE)
BLOCK, OTHER = 1, 2
OPENING = 0.08


def gripped(*, y=0.0, height=0.03, yaw=0.0, other=(0.5, 0.0), force=20.0, x=0.0):
    """A block at the origin, another one, and an open gripper that stands about the first, its tips at `height`."""
    blocks = [
        Body(name, "rigid", at(*place, 0.03, yaw=turn), mesh=MESH, grid=distance_grid(MESH, 0.003))
        for name, place, turn in (("block", (x, y), yaw), ("other", other, 0.0))
    ]
    world = replace(metric_world(), bodies=(background(), *blocks))
    return add_robot(world, parallel_gripper(OPENING), base_pose=at(0, 0, height), splats=20,
                     home={"left_finger_joint": OPENING / 2}, grip_force=force)  # fmt: skip


def go(*parts):
    """Actions of (count, dx, dy, dz, width)."""
    rows = [torch.tensor([[x, y, z, 0, 0, 0, width]]).double().expand(n, 7) for n, x, y, z, width in parts]
    return torch.cat(rows)


CLOSE = (4, 0, 0, 0, 0.0)
LIFT = (5, 0, 0, 0.02, 0.0)


def told(state, index, value):
    latents = state.latents.clone()
    latents[..., BLOCK, index] = value
    return replace(state, latents=latents)


def rolled(world, actions, state=None):
    return predict(world, rest_state(world) if state is None else state, actions, model=lively_model())


def test_fingers_stop_at_the_block_and_carry_it():
    world = gripped()
    found = rolled(world, go(CLOSE, LIFT, (4, 0.03, 0.01, 0, 0.0)))
    poses = found.states.world_from_body
    assert 2 * float(found.states.joints[4, 0]) == pytest.approx(SIZE[1], abs=2e-3)
    assert poses[4, BLOCK, :3].tolist() == pytest.approx([0, 0, 0.03], abs=1e-3)
    assert poses[9, BLOCK, 2] - poses[4, BLOCK, 2] == pytest.approx(0.1, abs=2e-3)
    gone = poses[-1, BLOCK, :3] - poses[9, BLOCK, :3]
    assert gone.tolist() == pytest.approx([0.12, 0.04, 0], abs=2e-3)
    assert float(found.blocked.max()) == 0
    assert (poses[:, OTHER] == poses[0, OTHER]).all()
    assert found.states.twists[7, BLOCK, 2] == pytest.approx(0.2, rel=0.05)


def test_one_that_stands_aside_is_brought_to_the_middle_and_turned():
    world = gripped(y=0.012, yaw=0.15)
    found = rolled(world, go(CLOSE))
    block = found.states.world_from_body[-1, BLOCK]
    assert abs(float(block[1])) < 0.004
    assert abs(2 * float(torch.atan2(block[6], block[3]))) < 0.1


def test_open_fingers_let_it_go_and_it_falls():
    world = gripped()
    found = rolled(world, go(CLOSE, LIFT, (6, 0, 0, 0, OPENING), (3, 0, 0, 0.03, OPENING)))
    heights = found.states.world_from_body[:, BLOCK, 2]
    assert heights[9] > 0.12
    assert heights[-1] == pytest.approx(0.03, abs=5e-3)


@pytest.mark.parametrize(("index", "value"), [(TOOL_FRICTION, -4.0), (MASS, 4.5)])
def test_too_little_friction_and_too_much_mass_leave_it_behind(index, value):
    world = gripped()
    state = rest_state(world)
    for latent, held in ((0.0, True), (value, False)):
        found = rolled(world, go(CLOSE, LIFT), told(state, index, latent))
        assert (found.states.world_from_body[-1, BLOCK, 2] > 0.1) == held


def test_a_weak_grip_does_not_hold():
    found = rolled(gripped(force=0.4), go(CLOSE, LIFT))
    assert found.states.world_from_body[-1, BLOCK, 2] == pytest.approx(0.03, abs=5e-3)


def test_fingers_beside_it_close_on_nothing():
    world = gripped(x=0.1)
    found = rolled(world, go(CLOSE, LIFT))
    assert float(found.states.joints[-1, 0]) == 0
    assert (found.states.world_from_body[:, BLOCK] == found.states.world_from_body[0, BLOCK]).all()


def test_what_is_held_pushes_others():
    world = gripped(other=(0.09, 0.0))
    found = rolled(world, go(CLOSE, (4, 0.02, 0, 0, 0.0)))
    poses = found.states.world_from_body[-1]
    assert poses[BLOCK, 0] == pytest.approx(0.08, abs=3e-3)
    assert poses[OTHER, 0] > 0.08 + SIZE[0] - 3e-3


def test_one_held_at_its_end_hangs_down():
    world = gripped(x=0.019, height=0.04, force=1.4)
    state = told(told(rest_state(world), MASS, 0.3), CENTER.start, 1.0)
    found = rolled(world, go(CLOSE, LIFT), state)
    block = found.states.world_from_body[-1, BLOCK]
    assert block[2] > 0.09
    # Its far end is on the side of +x, and lower.
    assert 0.05 < 2 * float(torch.asin(block[5])) < 1.6


def test_draws_tell_how_likely_it_is_held():
    world = gripped(force=3.0)
    found = predict(world, rest_state(world), go(CLOSE, LIFT), model=lively_model(), samples=24)
    share = float((found.states.world_from_body[:, -1, BLOCK, 2] > 0.1).double().mean())
    assert 0.1 < share < 0.9


def test_a_state_is_the_same_alone_as_in_a_batch_and_in_a_stream():
    world = gripped(y=0.01, yaw=0.1)
    actions = torch.stack([go(CLOSE, LIFT), go((4, 0, 0, 0, OPENING), LIFT), go((4, 0, 0.002, 0, 0.01), LIFT)])
    together = rolled(world, actions)
    for k, each in enumerate(actions):
        alone = rolled(world, each)
        assert (together.states.world_from_body[k] == alone.states.world_from_body).all()
        assert (together.states.joints[k] == alone.states.joints).all()
    running = stream(world, rest_state(world), model=lively_model())
    for action in actions[0]:
        state = running.step(action)
    assert (state.world_from_body == together.states.world_from_body[0, -1]).all()


def test_who_is_held_follows_from_the_state_alone():
    world, actions = gripped(), go(CLOSE, LIFT)
    whole = rolled(world, actions)
    again = rolled(world, actions[6:], whole.states[6])
    gap = (again.states.world_from_body[-1] - whole.states.world_from_body[-1]).abs().max()
    assert float(gap) < 1e-6


def pinch(*lean_degrees):
    """Fingers along y whose contacts' normals lean up by some degrees each."""
    lean = torch.deg2rad(torch.tensor(lean_degrees, dtype=torch.float64))
    ways = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    distance = torch.full((1, 2, 8), 0.02, dtype=torch.float64)
    distance[..., 0] = 0
    normal, point = torch.zeros(2, 1, 2, 8, 3, dtype=torch.float64)
    normal[0, :, 0, 1], normal[0, :, 0, 2] = ways * lean.cos(), lean.sin()
    opens = torch.zeros(1, 2, 3, dtype=torch.float64)
    opens[0, :, 1] = -ways
    return Pinch(torch.tensor([BLOCK]), distance, normal, point, opens)


@pytest.mark.parametrize(
    ("leans", "borne"), [((0, 0), 1.0), ((-10, -10), 0.595), ((10, 10), 1.483), ((-20, 20), 1.171), ((-30, -30), 0.0)]
)
def test_sides_that_lean_in_above_bear_less(leans, borne):
    down = torch.tensor([[0.0, 0.0, -1.0]], dtype=torch.float64)
    assert float(bearing(pinch(*leans), down, torch.tensor([0.5], dtype=torch.float64))) == pytest.approx(
        borne, abs=2e-3
    )
