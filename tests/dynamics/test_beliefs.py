import math
from dataclasses import replace

import pytest
import torch

from splatworld.core.checks import InputError, ShapeError
from splatworld.core.latents import FRICTION, MASS, SUPPORT_FRICTION
from splatworld.core.world import rest_state
from splatworld.dynamics.beliefs import Belief, Prior, drawn, from_prior
from splatworld.dynamics.predict import predict, spread, stream
from splatworld.dynamics.watching import WatchConfig, infer_latents
from tests.dynamics.scenes import at, blocks, lively_model, push

HALF, FRONT, RADIUS = 0.025, -0.04, 0.01
QUICK = WatchConfig(particles=32, rounds=4, actions=1, trust=0.5)


@pytest.fixture(scope="module")
def model():
    return lively_model()


@pytest.fixture(scope="module")
def world():
    """A block that slides, one far away, and a rod that touches neither."""
    return blocks(at(0, 0, HALF), at(0.3, 0.3, HALF), tool=at(-0.3, 0, 0.005))


def slid(world, model, friction):
    """What becomes of a block at 0.8 m/s that has this friction with the table."""
    start = rest_state(world)
    twists, latents = start.twists.clone(), start.latents.clone()
    twists[1, 0] = 0.8
    latents[1, SUPPORT_FRICTION] = math.log(friction / FRICTION)
    moving = replace(start, twists=twists, latents=latents)
    return predict(world, moving, push(0, steps=3), model=model)


def test_the_prior_keeps_to_its_ranges():
    typical = torch.tensor([0.02, 0.3, 5.0])
    belief = from_prior(typical, 4000)
    friction, mass = belief.support_friction, belief.mass
    assert float(friction.low[0]) == pytest.approx(0.23, abs=0.02)
    assert float(friction.high[0]) == pytest.approx(0.77, abs=0.02)
    masses = typical * belief.particles[..., MASS].exp()
    assert 0.0499 < float(masses.min()) <= float(masses.max()) < 1.001
    assert float(masses[:, 0].max()) < 0.02 / 400 * 8000 + 1e-3
    assert float(mass.mean[1]) == pytest.approx(0.95 / math.log(20), rel=0.1)
    with pytest.raises(InputError, match="friction is 0 to 1"):
        Prior(friction=(0, 1))


def test_intervals_and_draws_go_by_weights():
    particles = torch.zeros(5, 1, 8)
    particles[:, 0, SUPPORT_FRICTION] = torch.log(torch.tensor([0.2, 0.3, 0.4, 0.5, 0.6]) / FRICTION)
    weights = torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0])[:, None]
    one = Belief(particles, weights, torch.ones(1))
    assert float(one.support_friction.mean) == pytest.approx(0.4)
    assert float(one.support_friction.low) == pytest.approx(0.4)
    assert torch.equal(one.draw(3), particles[2].expand(3, 1, 8))
    two = replace(one, weights=torch.tensor([0.5, 0.0, 0.0, 0.0, 0.5])[:, None])
    assert int((two.draw(100)[:, 0, 0] < 0).sum()) == 50
    torch.testing.assert_close(two.latents[0, 0], particles[[0, 4], 0, 0].mean())


@pytest.mark.parametrize("friction", [0.25, 0.7])
def test_friction_is_seen_from_how_a_body_slides(world, model, friction):
    watched = slid(world, model, friction)
    belief = infer_latents(world, watched, model=model, config=QUICK)
    found = belief.support_friction
    assert float(found.mean[1]) == pytest.approx(friction, abs=0.07)
    assert float(found.low[1]) <= friction <= float(found.high[1])
    assert float(found.high[1] - found.low[1]) < 0.3
    # Nothing was seen of the other.
    assert float(found.high[2] - found.low[2]) > 0.35
    assert float(belief.tool_friction.high[1] - belief.tool_friction.low[1]) > 0.3
    # The belief predicts better than nothing does.
    begin = watched.states[0]
    ends = [
        predict(world, replace(begin, latents=latents.to(begin.latents)), push(0, steps=3), model=model)
        for latents in (belief.latents, torch.zeros_like(belief.latents))
    ]
    off, off_blind = (float((e.states.world_from_body - watched.states.world_from_body)[-1, 1].norm()) for e in ends)
    assert off < 0.5 * off_blind


def test_a_batch_is_judged_one_by_one_and_the_same_again(world, model):
    one, other = slid(world, model, 0.3), slid(world, model, 0.7)
    states = type(one.states)(**{k: torch.stack([v, vars(other.states)[k]]) for k, v in vars(one.states).items()})
    both = replace(one, actions=torch.stack([one.actions] * 2), states=states, std=None, blocked=None, stopped=None)
    belief = infer_latents(world, both, model=model, config=QUICK)
    assert belief.particles.shape == (2, 128, 4, 8)
    assert float(belief.support_friction.mean[0, 1]) < 0.4 < 0.6 < float(belief.support_friction.mean[1, 1])
    again = infer_latents(world, both, model=model, config=QUICK)
    assert torch.equal(belief.weights, again.weights)
    torch.testing.assert_close(belief.weights.sum(1), torch.ones(2, 4))


def test_what_cannot_be_judged_is_refused(world, model):
    watched = slid(world, model, 0.5)
    start = replace(watched, actions=watched.actions[:0], states=watched.states[:1])
    with pytest.raises(InputError, match="no action was observed"):
        infer_latents(world, start, model=model)
    with pytest.raises(ShapeError, match="the rollout has 4 bodies, expected 2"):
        infer_latents(blocks(at(0, 0, HALF)), watched, model=model)
    broken = watched.states.world_from_body.clone()
    broken[1, 1, 0] = torch.nan
    with pytest.raises(InputError, match="world_from_body"):
        infer_latents(world, replace(watched, states=replace(watched.states, world_from_body=broken)), model=model)
    with pytest.raises(InputError, match="trust is 0"):
        WatchConfig(trust=0)
    with pytest.raises(InputError, match="expected counts of 1 or more"):
        WatchConfig(particles=0)


def test_what_is_unknown_shows_as_spread(model):
    world = blocks(at(0, 0, HALF), at(0.3, 0.3, HALF), tool=at(FRONT - RADIUS - 0.002, 0.015, 0.005))
    state, actions = rest_state(world), push(0.03, steps=3)
    rollout = predict(world, state, actions, model=model, samples=6)
    assert rollout.states.batch == (6, 4)
    assert float(rollout.states.latents[:, 0, 1].std(0).max()) > 0.05
    wide = spread(rollout)
    assert float(wide[-1, 1, :2].max()) > 1e-4
    assert float(wide[:, 2].max()) == 0
    assert float(wide[0].max()) == 0
    known = Belief(torch.zeros(1, 4, 8), torch.ones(1, 4), torch.ones(4))
    sure = predict(world, state, actions, model=model, samples=2, belief=known)
    assert float(spread(sure).max()) == 0
    running = stream(world, state, model=model, samples=6)
    for action in actions:
        running.step(action)
    assert torch.equal(running.state.world_from_body, rollout.states.world_from_body[:, -1])


def test_draws_put_a_batch_first(world):
    state = rest_state(world)
    belief = from_prior(torch.ones(4), 8)
    assert drawn(state, belief, 5).batch == (5,)
    with pytest.raises(InputError, match="samples is 0"):
        drawn(state, belief, 0)
    with pytest.raises(ShapeError, match="about 3 bodies, the state has 4"):
        drawn(state, from_prior(torch.ones(3), 2), 2)
