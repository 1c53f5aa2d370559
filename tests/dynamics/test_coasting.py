"""What bodies do by themselves: what mechanics says of cases that are simple enough."""

from pathlib import Path

import pytest
import torch

from splatworld.core.world import World, rest_state
from splatworld.dynamics.coasting import FRICTION, Coasting, coast
from splatworld.dynamics.library import load_library, stretches
from splatworld.dynamics.losses import follow, start
from splatworld.dynamics.model import DynamicsModel
from splatworld.dynamics.scene import world_scene
from splatworld.dynamics.step import act
from splatworld.dynamics.touch import find_touches, moved
from splatworld.episodes import SUBSTATES
from tests.dynamics.scenes import at, blocks

HALF, FRONT = 0.025, -0.04
RADIUS = 0.01
EPISODES = Path(__file__).parent / "episodes"


def coasted(
    world: World,
    *,
    twists: list[float] | None = None,
    way: tuple[float, ...] = (0, 0, 0, 0, 0, 0),
    latents: list[float] | None = None,
) -> Coasting:
    """Of all blocks; the first has `twists` and `latents`, and the rod goes a `way`."""
    scene, state = world_scene(world), rest_state(world)
    poses, speeds = state.world_from_body[None], state.twists[None].clone()
    if twists is not None:
        speeds[0, 1] = torch.tensor(twists)
    ends = torch.where(scene.tool[..., None], moved(poses, torch.tensor(way).double().expand_as(speeds)), poses)
    touch = find_touches(scene, poses, ends, scene.free)
    known = state.latents[None].clone()
    if latents is not None:
        known[0, 1, : len(latents)] = torch.tensor(latents)
    return coast(scene, touch, poses, speeds, known, ends, 0.1)


def test_what_lies_stays():
    found = coasted(blocks(at(0, 0, HALF), at(0.01, 0.005, 3 * HALF), at(0.2, 0, HALF, yaw=0.5)))
    assert float(found.motion.abs().max()) < 5e-3  # the upper one's corners are a little round
    assert float(found.motion[2].abs().max()) < 1e-5
    assert float(found.twist.abs().max()) < 0.05


def test_what_flies_falls_and_passes_gradients_on():
    world = blocks(at(0, 0, 0.5))
    scene, state = world_scene(world), rest_state(world)
    twists = torch.tensor([0.3, -0.2, 0.1, 0.5, 1.0, -2.0]).double().expand(1, 2, 6).clone().requires_grad_()
    poses = state.world_from_body[None]
    touch = find_touches(scene, poses, poses, scene.free)
    found = coast(scene, touch, poses, twists, state.latents[None], poses, 0.1)
    way = torch.tensor([0.03, -0.02, 0.01 - 9.81 / 2 * 0.01, 0.05, 0.1, -0.2])
    torch.testing.assert_close(found.motion[0].detach(), way, atol=1e-6, rtol=0)
    slopes = torch.autograd.grad(found.motion.sum() + found.twist.sum(), twists)[0][0]
    torch.testing.assert_close(slopes, torch.tensor([0.0, 1.1]).double()[:, None].expand(2, 6))


def test_what_slides_is_stopped_by_friction():
    speed = 0.6
    found = coasted(blocks(at(0, 0, HALF)), twists=[speed, 0, 0, 0, 0, 0])
    assert float(found.twist[0, 0]) == pytest.approx(speed - FRICTION * 0.981, abs=0.04)
    middle = 0.1 * speed - FRICTION * 9.81 / 2 * 0.01
    assert middle - 0.01 < float(found.motion[0, 0]) < middle
    assert float(found.motion[0, 1:].abs().max()) < 2e-3
    again = coasted(blocks(at(0, 0, HALF)), twists=[0.3, 0.1, 0, 0, 0, 2.0])
    assert float(again.twist.abs().max()) < 0.01


def test_friction_is_that_which_is_believed():
    speed, rough = 0.6, torch.tensor(1.5).log().item()
    found = coasted(blocks(at(0, 0, HALF)), twists=[speed, 0, 0, 0, 0, 0], latents=[rough])
    assert float(found.twist[0, 0]) == pytest.approx(max(speed - 1.5 * FRICTION * 0.981, 0), abs=0.04)
    smooth = coasted(blocks(at(0, 0, HALF)), twists=[speed, 0, 0, 0, 0, 0], latents=[-rough])
    assert float(smooth.twist[0, 0]) == pytest.approx(speed - FRICTION / 1.5 * 0.981, abs=0.04)


def test_a_rod_drags_more_where_friction_with_it_is_believed_to_be_high():
    world, way = blocks(at(0, 0, HALF), tool=at(FRONT - RADIUS, -0.01, 0.005)), (0.002, 0.02, 0, 0, 0, 0)
    low, middle, high = (float(coasted(world, way=way, latents=[0, 0, k]).motion[0, 5]) for k in (-1.5, 0, 0.5))
    assert abs(low - middle) > 1e-3
    assert abs(high - middle) > 1e-4


def test_the_light_give_way_to_the_heavy():
    world = blocks(at(0, 0, HALF), at(0.081, 0, HALF))
    equal, heavy, light = (
        coasted(world, twists=[0.6, 0, 0, 0, 0, 0], latents=[0, k]).motion[1, 0] for k in (0.0, 1.5, -1.5)
    )
    assert float(heavy) > float(equal) + 2e-3 > float(light) + 4e-3


def test_a_push_turns_what_has_its_weight_elsewhere():
    world = blocks(at(0, 0, HALF), tool=at(FRONT - RADIUS - 0.002, 0, 0.005))
    aside = [0.0, 0.0, 0.0, 0.0, 0.4, 0.0]
    found = coasted(world, way=(0.03, 0, 0, 0, 0, 0), latents=aside)
    assert float(found.motion[0, 5]) > 0.04
    other = coasted(world, way=(0.03, 0, 0, 0, 0, 0), latents=[-value for value in aside])
    assert float(other.motion[0, 5]) < -0.04
    still = coasted(blocks(at(0, 0, HALF)), latents=[0.5, 1.0, -0.5, 0.5, -0.5, 0.5])
    assert float(still.motion.abs().max()) < 1e-4


def test_what_stands_over_an_edge_tips_by_where_its_weight_is():
    """The middle of the upper one is 5 mm within the edge of the lower."""
    world = blocks(at(0.035, 0, 3 * HALF), at(0, 0, HALF))
    root = (0.08**2 / 12) ** 0.5
    stands, tips = (coasted(world, latents=[0, 0, 0, x / root]) for x in (-0.01, 0.015))
    assert float(tips.twist[0, 4]) > 0.2 > abs(float(stands.twist[0, 4]))


def test_what_is_pushed_goes_before_the_rod():
    found = coasted(blocks(at(0, 0, HALF), tool=at(FRONT - RADIUS - 0.005, 0, 0.005)), way=(0.03, 0, 0, 0, 0, 0))
    assert float(found.motion[0, 0]) == pytest.approx(0.025, abs=1.5e-3)
    assert float(found.twist[0, 0]) == pytest.approx(0.3, abs=0.02)
    assert float(found.motion[0, 1:5].abs().max()) < 2e-3
    assert float(found.motion[0, 5].abs()) < 0.03


def test_what_is_pushed_beside_its_middle_turns_and_so_does_its_mirror_image():
    one, other = (
        coasted(blocks(at(0, 0, HALF), tool=at(FRONT - RADIUS - 0.002, side, 0.005)), way=(0.03, 0, 0, 0, 0, 0))
        for side in (0.02, -0.02)
    )
    assert float(one.motion[0, 5]) < -0.2
    assert float(one.motion[0, 0]) > 0.01
    plane, signs = [0, 1, 5], torch.tensor([1.0, -1, -1])
    torch.testing.assert_close(other.motion[:, plane], one.motion[:, plane] * signs, atol=1e-3, rtol=0.1)
    # It tilts by a little: samples of the rod are no mirror images.
    assert max(float(each.motion[0, 2:5].abs().max()) for each in (one, other)) < 3e-3


def test_the_rod_drags_along_what_it_rubs_on():
    """It goes along the front, and presses a little."""
    way = (0.002, 0.02, 0, 0, 0, 0)
    found = coasted(blocks(at(0, 0, HALF), tool=at(FRONT - RADIUS, -0.01, 0.005)), way=way)
    assert float(found.motion[0, 1]) > 1e-4


def test_bodies_push_and_carry_each_other():
    places = [at(0, 0, HALF), at(0.082, 0, HALF), at(0, 0, 3 * HALF), at(0.3, 0, HALF)]
    found = coasted(blocks(*places, tool=at(FRONT - RADIUS - 0.001, 0, 0.005)), way=(0.02, 0, 0, 0, 0, 0))
    assert float(found.motion[0, 0]) == pytest.approx(0.019, abs=1.5e-3)
    assert float(found.motion[1, 0]) == pytest.approx(0.017, abs=2e-3)
    assert float(found.motion[2, 0]) > 0.01
    assert float(found.motion[3].abs().max()) < 1e-4


def test_a_block_over_the_edge_of_another_tips():
    found = coasted(blocks(at(0, 0, HALF), at(0.07, 0, 3 * HALF)))
    assert float(found.twist[1, 4]) > 0.5
    assert float(found.motion[1, 2]) < -1e-3


def test_states_that_make_no_sense_harm_no_others():
    world = blocks(at(0, 0, HALF), at(0.082, 0, HALF))
    scene = world_scene(world).expand(3)
    poses = rest_state(world).world_from_body.expand(3, -1, -1).clone()
    twists = torch.full((3, 3, 6), 0.1).double()
    touch = find_touches(scene, poses, poses, scene.free)
    fine = coast(scene, touch, poses, twists, torch.zeros(3, 3, 8), poses, 0.1)
    poses[0, 1], poses[1, 2, 0], twists[0, 2] = torch.nan, torch.inf, torch.nan
    found = coast(scene, touch, poses, twists, torch.zeros(3, 3, 8), poses, 0.1)
    assert torch.equal(found.motion[4:], fine.motion[4:])
    assert bool(fine.motion.isfinite().all())


def test_an_untrained_network_knows_how_things_are_pushed():
    library = load_library([EPISODES])
    rows = torch.arange(len(library.episodes[0]))
    batch = stretches(library, torch.stack([0 * rows, rows, 0 * rows], dim=-1), 10)
    model = DynamicsModel().requires_grad_(False)
    model.mean.weight.zero_()
    *_, last = follow(model, batch, start(batch.scene, batch.poses[:, 0], batch.twists[:, 0]))
    truth = batch.poses[:, 10 * SUBSTATES]
    way = (truth - batch.poses[:, 0])[..., :3].norm(dim=-1)
    which = batch.scene.free & (way > 0.01)
    error = (last.poses - truth)[..., :3].norm(dim=-1)
    assert float(error[which].median()) < 0.3 * float(way[which].median())


def test_piles_that_are_nudged_stand():
    world = blocks(*[at(0.004 * (-1) ** k, 0, (2 * k + 1) * HALF, yaw=0.4 * k) for k in range(4)])
    scene = world_scene(world).expand(6)
    poses = rest_state(world).world_from_body.expand(6, -1, -1).clone()
    twists = torch.randn(6, 5, 6, generator=torch.Generator().manual_seed(0)).double()
    twists *= torch.tensor([0.02] * 3 + [0.2] * 3)
    twists[:, 0] = 0
    model = DynamicsModel().requires_grad_(False)
    model.mean.weight.zero_()
    now = start(scene, poses, twists)
    for _ in range(30):
        now = act(model, scene, now, now.poses).moving
    assert float((now.poses - poses)[..., :3].norm(dim=-1).max()) < 0.01
    assert not bool(now.awake.any())
