"""The sample's true scene as a reality: a world in a frame of its own sees it rest, and go where a rod pushes it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from splatworld.core import pose
from splatworld.core.body import Body, background
from splatworld.core.camera import Camera
from splatworld.core.similarity import Similarity
from splatworld.core.world import World, rest_state
from splatworld.evaluate.bodies_sample import Match
from splatworld.evaluate.demo_scene import rearranged, with_tool
from splatworld.evaluate.reconstruction import SAMPLE
from splatworld.evaluate.sample_truth import read_truth
from splatworld.geometry.mesh import read_mesh
from splatworld.robot.place import metric_world

pytest.importorskip("mujoco", reason="needs the extra 'sim'")
FOUND = ("tin", "mug", "book")


@pytest.fixture(scope="module")
def truth():
    return read_truth(SAMPLE)


@pytest.fixture(scope="module")
def world(truth) -> World:
    """Three of the true bodies, turned and shifted as a capture's own frame is, with the poses of its cameras."""
    turn = pose.exp(torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, 0.7], dtype=torch.float64))[3:]
    there = Similarity(1.0, turn, torch.tensor([0.3, -0.2, 0.0], dtype=torch.float64))
    entries = [next(body for body in truth["bodies"] if body["name"] == name) for name in FOUND]
    bodies = [
        Body(body["name"], "rigid", there.poses(torch.tensor(body["world_from_body"]).double()),
             mesh=read_mesh(SAMPLE / body["mesh"]))
        for body in entries
    ]  # fmt: skip
    focal, center = torch.tensor([900.0, 900.0]).double(), torch.tensor([640.0, 360.0]).double()
    cameras = {
        f"frame_{k:06d}": there.camera(
            Camera(focal, center, (1280, 720), torch.tensor(truth["world_from_camera"][k]).double())
        )
        for k in range(0, 300, 60)
    }
    return replace(metric_world(), bodies=(background(), *bodies), cameras=cameras)


@pytest.fixture(scope="module")
def found(truth):
    labels = {body["name"]: body["id"] for body in truth["bodies"]}
    return Match({}, {labels[name]: index for index, name in enumerate(FOUND, 1)})


def test_it_rests_as_filmed_and_what_is_pushed_goes_the_way_of_the_rod(world, truth, found):
    from splatworld.evaluate.demo_sample import LEGS, SampleEnv

    armed = with_tool(world)
    env = SampleEnv(armed.world, truth, found, furnished=False)
    rest = rest_state(armed.world)
    torch.testing.assert_close(env.state.world_from_body, rest.world_from_body, atol=1e-5, rtol=0)
    assert torch.equal(env.state.world_from_body[1:4], rest.world_from_body[1:4])
    for action in armed.actions:
        env.step(action.numpy())
    assert len(env.filmed) == LEGS * len(armed.actions) + 1
    went = env.state.world_from_body[:, :3] - rest.world_from_body[:, :3]
    way = armed.actions[:, :3].sum(0)
    assert float(went[armed.body] @ way / way.norm()) > 0.08
    assert float(went[armed.world.robot.tool].sub(way).norm()) < 0.005
    others = [index for index in (1, 2, 3) if index != armed.body]
    assert float(went[others].norm(dim=-1).max()) < 1e-3
    env.reset()
    assert torch.equal(env.state.world_from_body[1:4], rest.world_from_body[1:4])


def test_a_rod_that_is_stopped_is_not_told_to_go_on_for_ever(world, truth, found):
    """The servos are told at most a centimetre more than where the rod is; else it would leap once it is free."""
    from splatworld.evaluate.demo_sample import LEASH, SampleEnv

    armed = with_tool(world)
    env = SampleEnv(armed.world, truth, found, furnished=False)
    for _ in range(10):  # into the table
        env.step(np.array([0.0, 0.0, -0.02, 0, 0, 0]))
    low = float(env.state.world_from_body[-1, 2])
    env.step(np.array([0.0, 0.0, 0.03, 0, 0, 0]))
    assert float(env.state.world_from_body[-1, 2]) - low > 0.03 - LEASH - 0.005


def test_two_bodies_get_new_places(world):
    _, targets = rearranged(with_tool(world).world)
    assert len(targets) == 2
