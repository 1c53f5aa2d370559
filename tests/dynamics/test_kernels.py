"""The kernels of dynamics against plain torch."""

from dataclasses import replace

import pytest
import torch

from splatworld import native
from splatworld.core.checks import InputError, ShapeError
from splatworld.core.world import rest_state
from splatworld.dynamics.islands import find_islands
from splatworld.dynamics.model import DynamicsModel, ModelConfig
from splatworld.dynamics.predict import predict
from splatworld.dynamics.projection import project
from splatworld.dynamics.scene import Scene, world_scene
from splatworld.dynamics.step import Moving, predict_motion, sweep_tools
from splatworld.dynamics.touch import find_touches, moved, travelled
from tests.dynamics import reference
from tests.dynamics.scenes import at, blocks, lively_model, push

HALF = 0.025
STATES = 24


@pytest.fixture(scope="module")
def world():
    """Three blocks in a row, a fourth on the second, and a rod before the first."""
    places = (at(0, 0, HALF), at(0.085, 0.01, HALF, yaw=0.2), at(0.17, 0, HALF), at(0.09, 0, 3 * HALF))
    return blocks(*places, tool=at(-0.056, 0.005, 0.005))


@pytest.fixture(scope="module")
def drawn(world) -> tuple[Scene, Moving, torch.Tensor]:
    """States of that world in disorder: some overlap, some fly; and where the rod ends."""
    generator = torch.Generator().manual_seed(0)
    scene = world_scene(world).expand(STATES)
    poses = rest_state(world).world_from_body.expand(STATES, -1, -1).clone()
    scale = torch.tensor([0.004, 0.004, 0.002, 0.02, 0.02, 0.1]).double()
    motion = torch.randn(STATES, len(world.bodies), 6, generator=generator).double() * scale
    poses = moved(poses, torch.where(scene.free[..., None], motion, 0.0))
    twists = torch.randn(STATES, len(world.bodies), 6, generator=generator).double() * 0.1
    twists = torch.where(torch.rand(STATES, len(world.bodies), 1, generator=generator) < 0.3, twists, 0.0)
    latents = torch.randn(STATES, len(world.bodies), 8, generator=generator)
    ends = poses.clone()
    way = torch.tensor([0.02, 0, 0, 0, 0, 0.1]).double().expand(STATES // 2, 6)
    ends[::2, -1] = moved(ends[::2, -1], way)
    awake = torch.rand(STATES, len(world.bodies), generator=generator) < 0.5
    return scene, Moving(poses, twists, latents, torch.zeros_like(twists), awake), ends


def unlike_rounding(outcome, poses: torch.Tensor, most: float) -> torch.Tensor:
    """[S] bool: states whose outcome nudges of 1 nm change little; where they do not, rounding decides on a contact."""
    first, steady = outcome(poses), torch.ones(len(poses), dtype=torch.bool)
    generator = torch.Generator().manual_seed(3)
    for _ in range(4):
        nudge = 1e-9 * torch.randn(*poses.shape[:2], 3, generator=generator, dtype=torch.float64)
        nudged = poses + torch.cat([nudge, torch.zeros_like(poses[..., 3:])], dim=-1)
        steady &= (outcome(nudged) - first).abs().amax((1, 2)) < most
    assert int(steady.sum()) > 0.8 * len(steady)
    return steady


def test_contacts_are_chosen_as_by_the_reference(drawn):
    scene, before, ends = drawn
    wanted = scene.free & before.awake
    rows = reference.find_rows(scene, before.poses, ends, reference.KINDS, wanted)
    one, other = find_touches(scene, before.poses, ends, wanted), reference.touches(scene, rows, wanted)
    assert bool((one.weight > 0).sum(-1).eq(8).any())
    for name, value in vars(one).items():
        torch.testing.assert_close(value, getattr(other, name), atol=1e-6, rtol=1e-6, msg=name)


def test_islands_are_those_of_the_reference(drawn):
    scene, before, ends = drawn
    args = (scene, before.poses, before.twists, ends, 0.1)
    one, other = (find(*args, unsure=before.awake) for find in (find_islands, reference.find_islands))
    assert 0 < int(one.fine.sum()) < int(one.awake.sum()) < int(scene.free.sum())
    assert torch.equal(one.awake, other.awake)
    assert torch.equal(one.fine, other.fine)
    assert 0 < int(one.driven.sum()) < int(one.awake.sum())
    assert torch.equal(one.driven, other.driven)


def test_overlaps_are_solved_as_by_the_reference(drawn):
    scene, before, ends = drawn
    poses = torch.where(scene.tool[..., None], ends, before.poses)
    # A block between a wall that does not move and the rod.
    kinds = scene.kinds.clone()
    kinds[:6, 2] = 0
    scene = replace(scene, kinds=kinds)
    poses[:6, 5, 0] += 0.02
    way = travelled(before.poses, ends)
    way[:6, 5, 0] += 0.02
    one, squeezed = project(scene, poses, scene.free, way=way)
    other, rows = reference.project(scene, poses, scene.free)
    assert float((one - poses).abs().max()) > 2e-3
    steady = unlike_rounding(lambda at: project(scene, at, scene.free)[0], poses, 1e-5)
    torch.testing.assert_close(one[steady], other[steady], atol=1e-5, rtol=0)
    expected = reference.squeezed(scene, rows, way)
    torch.testing.assert_close(squeezed[steady], expected[steady], atol=1e-4, rtol=0)
    assert float(squeezed[steady].max()) > 0


def test_gradients_through_overlaps_are_those_of_the_reference(drawn):
    scene, before, ends = drawn
    poses = torch.where(scene.tool[..., None], ends, before.poses).requires_grad_()
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(poses.shape, generator=generator, dtype=torch.float64)
    generator.manual_seed(2)
    motion = torch.randn(*poses.shape[:2], 6, generator=generator, dtype=torch.float64) * 2e-3
    motion = torch.where(scene.free[..., None], motion, 0.0).requires_grad_()

    def slopes(at: torch.Tensor) -> torch.Tensor:
        after, _ = project(scene, at, scene.free, motion=motion)
        return torch.cat(torch.autograd.grad((after * weights).sum(), (poses, motion)), dim=-1)

    one, _ = project(scene, poses, scene.free, motion=motion)
    other, _ = reference.project(scene, moved(poses, motion), scene.free)
    found = slopes(poses)
    steady = unlike_rounding(slopes, poses, 1e-3)
    torch.testing.assert_close(one[steady], other[steady], atol=1e-5, rtol=0)
    expected = torch.cat(torch.autograd.grad((other * weights).sum(), (poses, motion)), dim=-1)
    assert float((expected[..., :7] - weights).abs().max()) > 0.5
    torch.testing.assert_close(found[steady], expected[steady], atol=2e-4, rtol=2e-3)


@pytest.mark.parametrize("number", range(6))
def test_gradients_through_overlaps_are_differences(number):
    """A block sunk into the table: the same corners touch however it is nudged a little."""
    world = blocks(at(0, 0, HALF - 0.002))
    scene, poses = world_scene(world), rest_state(world).world_from_body[None]

    def outcome(amount: torch.Tensor) -> torch.Tensor:
        motion = torch.zeros(1, 2, 6).double()
        motion[0, 1, number] = 1.0
        return travelled(poses, project(scene, moved(poses, motion * amount), scene.free)[0])[0, 1]

    amount = torch.full((), 1e-9, dtype=torch.float64, requires_grad=True)
    slopes = [torch.autograd.grad(value, amount, retain_graph=True)[0] for value in outcome(amount)]
    step = 1e-5 if number < 3 else 1e-4
    with torch.no_grad():
        differences = (outcome(torch.tensor(step)) - outcome(torch.tensor(-step))) / (2 * step)
    torch.testing.assert_close(torch.stack(slopes), differences, atol=0.06, rtol=0)
    expected = 1.0 if number in (0, 1, 5) else 0.0  # the table decides the rest
    assert float(slopes[number]) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("config", [ModelConfig(), ModelConfig(members=2, contact=(20,), trunk=(33, 18), rounds=3)])
def test_the_network_says_what_it_says_in_torch(drawn, config):
    scene, before, ends = drawn
    torch.manual_seed(3)
    model = DynamicsModel(config)
    for each in (model.mean, model.spread):
        torch.nn.init.normal_(each.weight, std=0.3)
    wanted = scene.free & before.awake
    slow = predict_motion(model, scene, before, ends, wanted, 0.02)
    assert slow.motion.requires_grad
    with torch.no_grad():
        fast = predict_motion(model, scene, before, ends, wanted, 0.02)
        for name in ("motion", "twist", "variance", "members", "log_variance", "heading"):
            torch.testing.assert_close(getattr(fast, name), getattr(slow, name), atol=1e-5, rtol=1e-4, msg=name)
        model.mean.bias += 1.0  # what was packed is noticed to be old
        assert float((predict_motion(model, scene, before, ends, wanted, 0.02).twist - fast.twist).abs().max()) > 0.05


def test_neither_threads_nor_the_batch_change_a_bit(world):
    model, start = lively_model(), rest_state(world)
    actions = torch.stack([push(0.03, y, steps=3) for y in torch.linspace(-0.02, 0.02, 9).tolist()])
    before, results = native.get_threads(), []
    try:
        for threads in (1, 2, 3):
            native.set_threads(threads)
            results.append(predict(world, start, actions, model=model))
    finally:
        native.set_threads(before)
    alone = predict(world, start, actions[4], model=model)
    for other in results[1:]:
        assert torch.equal(other.states.world_from_body, results[0].states.world_from_body)
        assert torch.equal(other.std, results[0].std)
    assert torch.equal(alone.states.world_from_body, results[0].states.world_from_body[4])
    assert torch.equal(alone.states.twists, results[0].states.twists[4])


def test_a_tool_gets_as_far_as_the_table(drawn):
    scene, before, _ = drawn
    ends = before.poses.clone()
    ends[:, -1, 2] -= torch.linspace(0, 0.05, STATES).double()
    done, way, reached = sweep_tools(scene, before.poses, ends)
    assert done[0] == 1
    assert torch.equal(reached[done == 1], ends[done == 1])
    assert torch.equal(reached[:, :-1], before.poses[:, :-1])
    torch.testing.assert_close(travelled(before.poses, reached), way, atol=1e-12, rtol=0)
    torch.testing.assert_close(way, done[:, None, None] * travelled(before.poses, ends), atol=1e-9, rtol=1e-6)
    reached = reached[:, -1, 2]
    lowest = reached.amin()
    torch.testing.assert_close(reached[-6:], lowest.expand(6), atol=1e-4, rtol=0)
    assert float(done[-1]) < 0.5


def test_bad_input_is_named(world, drawn):
    scene, before, ends = drawn
    with pytest.raises(ShapeError, match=r"expected \[24, 6, 7\]"):
        project(scene, before.poses[:, :4], scene.free[:, :4])
    with pytest.raises(ShapeError, match=r"expected \[24, 6, 7\]"):
        find_touches(scene, before.poses[:3], ends, scene.free)
    wrong = replace(scene, shape_ids=scene.shape_ids + 1)
    with pytest.raises(InputError, match="shape_ids span 1 to 6, expected 0 to 5"):
        find_islands(wrong, before.poses, before.twists, ends, 0.1, unsure=scene.free)
    wrong = replace(scene, pairs=scene.pairs + 5)
    with pytest.raises(InputError, match="pairs span"):
        sweep_tools(wrong, before.poses, ends)


def test_nothing_and_nonsense_stay_as_they_are(drawn):
    scene, before, ends = drawn
    none = torch.zeros_like(scene.free)
    assert len(find_touches(scene, before.poses, ends, none).state) == 0
    assert torch.equal(project(scene, before.poses, none)[0], before.poses)
    lost = before.poses.clone()
    lost[0, 1], lost[1, 2, 0], lost[2, 3, 3:] = torch.nan, torch.inf, 0
    after, squeezed = project(scene, lost, scene.free)
    assert torch.equal(after[0, 1].isnan(), lost[0, 1].isnan())
    assert torch.equal(after[3:], project(scene, before.poses, scene.free)[0][3:])
    assert bool(squeezed.isfinite().all())
