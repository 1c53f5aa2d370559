"""A whole action of native code against the one that training takes."""

import pytest
import torch

from splatworld.core.world import rest_state
from splatworld.dynamics import step
from splatworld.dynamics.scene import world_scene
from splatworld.dynamics.step import Moving, act
from splatworld.dynamics.touch import moved
from tests.dynamics.scenes import at, blocks, lively_model

HALF = 0.025
STATES = 24


@pytest.fixture(scope="module")
def drawn():
    """Blocks beside and on each other, some thrown, some in the air; and where the rod ends."""
    places = (at(0, 0, HALF), at(0.085, 0.01, HALF, yaw=0.2), at(0.17, 0, HALF), at(0.09, 0, 3 * HALF))
    world = blocks(*places, tool=at(-0.056, 0.005, 0.005))
    generator = torch.Generator().manual_seed(4)
    scene = world_scene(world).expand(STATES)
    poses = rest_state(world).world_from_body.expand(STATES, -1, -1).clone()
    shape = (STATES, len(world.bodies), 6)
    scale = torch.tensor([0.004, 0.004, 0.002, 0.02, 0.02, 0.1]).double()
    motion = torch.randn(shape, generator=generator).double() * scale
    motion[::5, 4, 2] += 0.1
    poses = moved(poses, torch.where(scene.free[..., None], motion, 0.0))
    twists = torch.randn(shape, generator=generator).double() * torch.tensor([0.2] * 3 + [1.0] * 3)
    twists = torch.where(torch.rand(STATES, len(world.bodies), 1, generator=generator) < 0.4, twists, 0.0)
    twists = torch.where(scene.free[..., None], twists, 0.0)
    latents = 0.1 * torch.randn(STATES, len(world.bodies), 8, generator=generator)
    variance = 1e-6 * torch.rand(shape, generator=generator).double()
    ends = poses.clone()
    way = torch.tensor([0.02, 0, -0.002, 0, 0, 0.1]).double().expand(len(ends[::2]), 6)
    ends[::2, -1] = moved(ends[::2, -1], way)
    return scene, Moving(poses, twists, latents, variance, scene.free), ends


def both_ways(model, scene, before, ends, monkeypatch):
    """The outcome of native code, and that of the steps one by one, each by the same kernels."""
    learns = step._learns
    with torch.no_grad():
        whole = act(model, scene, before, ends)
        calls = []

        def only_at_first(*given):
            calls.append(given)
            return len(calls) == 1 or learns(*given)

        monkeypatch.setattr(step, "_learns", only_at_first)
        parts = act(model, scene, before, ends)
    assert len(calls) > 2  # both whole actions and short steps were taken
    return whole, parts


def test_a_whole_action_is_its_steps(drawn, monkeypatch):
    scene, before, ends = drawn
    whole, parts = both_ways(lively_model(), scene, before, ends, monkeypatch)
    assert not bool(whole.failed.any())
    assert float((whole.moving.poses - before.poses).abs().max()) > 0.01
    for name in ("poses", "twists", "variance"):
        torch.testing.assert_close(getattr(whole.moving, name), getattr(parts.moving, name), atol=1e-6, rtol=1e-5)
    assert torch.equal(whole.moving.awake, parts.moving.awake)
    torch.testing.assert_close(whole.done, parts.done)


def test_what_is_not_finite_leaves_its_state_alone(drawn, monkeypatch):
    scene, before, ends = drawn
    latents = before.latents.clone()
    latents[4] = float("nan")
    broken = Moving(before.poses, before.twists, latents, before.variance, before.awake)
    model = lively_model()
    whole, parts = both_ways(model, scene, broken, ends, monkeypatch)
    assert torch.equal(whole.failed, parts.failed)
    assert whole.failed.tolist() == [number == 4 for number in range(STATES)]
    assert torch.equal(whole.moving.poses[4], before.poses[4])
    assert torch.equal(whole.moving.twists[4], before.twists[4])
    monkeypatch.undo()
    with torch.no_grad():
        sound = act(model, scene, before, ends)
    others = ~whole.failed
    assert torch.equal(whole.moving.poses[others], sound.moving.poses[others])
