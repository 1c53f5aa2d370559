"""Ropes, cloths and soft bodies without a simulator at hand: what must hold however they are made."""

from dataclasses import replace

import pytest
import torch

from splatworld import native
from splatworld.core import pose
from splatworld.core.body import Body, background
from splatworld.core.checks import InputError, ShapeError
from splatworld.core.shape import Capsules
from splatworld.core.world import rest_state
from splatworld.dynamics import nets
from splatworld.dynamics.predict import predict
from splatworld.geometry.node_rotations import follow_rotations
from splatworld.robot.place import add_robot, metric_world
from splatworld.robot.tools import cylinder_pusher
from tests.dynamics.scenes import at, lively_model, push

RADIUS = 0.005


def rope(count=13, spacing=0.02, height=RADIUS):
    index = torch.arange(count - 1)
    places = torch.stack([spacing * torch.arange(count), torch.zeros(count), torch.full((count,), height)], dim=1)
    return places.double(), torch.stack([index, index + 1], dim=1)


def grid(size, spacing=0.03):
    """Places, and all pairs within one and a half spacings, as of a body that was made deformable."""
    places = spacing * torch.cartesian_prod(*(torch.arange(n) for n in size)).double() + torch.tensor([0, 0, RADIUS])
    near = torch.cdist(places, places) < 1.5 * spacing
    return places, torch.triu(near, diagonal=1).nonzero()


def world_of(*bodies, tool=None):
    """A world of deformable bodies, each of places and edges, and a rod that flies."""
    world, parts, nodes = metric_world(), [background()], []
    for places, edges in bodies:
        first = sum(len(each) for each in nodes)
        poses = pose.identity(len(places), dtype=torch.float64)
        poses[:, :3] = places
        nodes.append(poses)
        capsules = Capsules(edges + first, torch.full((len(edges),), RADIUS).double())
        span = (first, first + len(places))
        parts.append(Body(f"thing {first}", "deformable", poses[0], node_range=span, capsules=capsules))
    world = replace(world, bodies=tuple(parts), rest_nodes=torch.cat(nodes))
    return world if tool is None else add_robot(world, cylinder_pusher(), base_pose=tool, splats=50)


@pytest.fixture(scope="module")
def model():
    return lively_model()


def stretch(states, net):
    a, b = net.edges.long().unbind(-1)
    return (states.nodes[..., a, :3] - states.nodes[..., b, :3]).norm(dim=-1) / net.length


def test_bodies_are_told_apart_by_their_nets():
    for (places, edges), dimension in (
        (rope(), nets.ROPE),
        (grid((5, 5, 1)), nets.CLOTH),
        (grid((3, 3, 3)), nets.SOFT),
    ):
        net = nets.world_net(world_of((places, edges)))
        assert net.dimension.unique().tolist() == [dimension]
        assert bool((net.softness > 0).all()) == (dimension == nets.SOFT)
    assert len(nets.world_net(world_of(rope())).bends) == 11
    both = nets.world_net(world_of(rope(), grid((4, 4, 1))))
    assert both.body.unique().tolist() == [1, 2]
    assert both.node_start.tolist() == [0, 29]
    twice = both.expand(2)
    assert torch.equal(twice.edges[len(both.edges) :], both.edges + 29)
    with pytest.raises(ShapeError):
        nets.world_net(world_of((rope()[0], torch.zeros(1, 3).long())))


def test_what_lies_still_is_copied(model):
    world = world_of(rope(), tool=at(0.5, 0.5, 0.005))
    start = rest_state(world)
    found = predict(world, start, push(0.01, steps=3), model=model)
    assert torch.equal(found.states.nodes, start.nodes.expand(4, -1, -1))
    assert not bool(found.states.awake[1:, 1].any())


def test_a_rope_falls_onto_the_table_and_stays_there(model):
    world = world_of(rope(height=0.1))
    found = predict(world, rest_state(world), torch.zeros(20, 0), model=model)
    z = found.states.nodes[..., 2]
    assert float(z[1].mean()) == pytest.approx(0.1 - 0.5 * 9.81 * 0.1**2, abs=0.003)
    assert float((z[-1] - RADIUS).abs().max()) < 1e-3
    assert torch.equal(found.states.nodes[-1], found.states.nodes[-2])
    assert not bool(found.states.awake[-1, 1])


def test_a_pushed_rope_keeps_its_length_and_stays_outside_the_tool(model):
    world = world_of(rope(), tool=at(0.12, -0.03, 0.005))
    found = predict(world, rest_state(world), push(0.0, 0.02, steps=8), model=model)
    net = nets.world_net(world)
    assert 0.98 < float(stretch(found.states, net).min()) < float(stretch(found.states, net).max()) < 1.02
    away = found.states.nodes[-1, :, :2] - found.states.world_from_body[-1, -1, :2]
    assert float(away.norm(dim=-1).min()) > 0.008
    moved = (found.states.nodes[-1] - found.states.nodes[0])[:, :3].norm(dim=-1)
    assert float(moved[6]) > 0.09
    assert float(moved[0]) < float(moved[6])


def test_what_a_tool_encloses_goes_with_it(model):
    world = world_of(grid((5, 5, 1)), tool=at(0.0, 0.0, RADIUS - 0.01))
    found = predict(world, rest_state(world), torch.tensor([0, 0, 0.02, 0, 0, 0]).double().expand(6, 6), model=model)
    corner = found.states.nodes[:, 0, :3] - found.states.world_from_body[:, -1, :3]
    assert float((corner - corner[0]).abs().max()) < 1e-6
    assert float(found.states.nodes[-1, :, 2].max()) == pytest.approx(0.12 + RADIUS, abs=1e-6)
    assert float(found.states.nodes[-1, 24, 2]) < 0.02
    assert float(stretch(found.states, nets.world_net(world)).max()) < 1.025


def test_a_soft_body_lands_and_keeps_its_shape(model):
    places, edges = grid((3, 3, 3))
    world = world_of((places + torch.tensor([0, 0, 0.05]), edges))
    found = predict(world, rest_state(world), torch.zeros(15, 0), model=model)
    assert float(found.states.nodes[-1, :, 2].min()) > RADIUS - 1e-3
    assert float((found.states.nodes[-1, :, :3] - places).norm(dim=-1).max()) < 0.01


def test_batches_and_threads_change_no_bit(model):
    world = world_of(rope(), tool=at(0.12, -0.03, 0.005))
    ways = torch.stack([push(0.0, y, steps=3) for y in (0.02, 0.01, 0.0)])
    together = predict(world, rest_state(world), ways, model=model).states.nodes
    threads = native.get_threads()
    native.set_threads(1)
    alone = [predict(world, rest_state(world), way, model=model).states.nodes for way in ways]
    native.set_threads(threads)
    assert torch.equal(together, torch.stack(alone))


def test_a_world_turned_as_a_whole_is_predicted_turned(model):
    places, edges = rope()
    turn = at(0.1, -0.2, 0.0, yaw=0.7)
    world = world_of((places, edges), tool=at(0.12, -0.03, 0.005))
    around = world_of((pose.transform(turn, places), edges), tool=pose.compose(turn, at(0.12, -0.03, 0.005)))
    way = push(0.0, 0.02, steps=5)
    turned_way = torch.cat([pose.rotate(turn[3:], way[:, :3]), way[:, 3:]], dim=-1)
    one = predict(world, rest_state(world), way, model=model).states.nodes[-1, :, :3]
    other = predict(around, rest_state(around), turned_way, model=model).states.nodes[-1, :, :3]
    assert float((pose.transform(turn, one) - other).norm(dim=-1).max()) < 2e-4


def test_broken_input_is_named(model):
    world = world_of(rope())
    start = rest_state(world)
    with pytest.raises(InputError, match="nodes"):
        predict(world, replace(start, nodes=start.nodes * torch.nan), torch.zeros(1, 0), model=model)
    few = replace(start, nodes=start.nodes[:5], node_velocities=start.node_velocities[:5])
    with pytest.raises(ShapeError, match="5 nodes, expected 13"):
        predict(world, few, torch.zeros(1, 0), model=model)


def test_turns_follow_from_neighbours():
    places, edges = grid((3, 3, 2))
    still = pose.identity(len(places), dtype=torch.float64)[:, 3:]
    turn = at(0.1, 0.2, 0.3, yaw=2.0)
    found = follow_rotations(places, edges, pose.transform(turn, places), still)
    torch.testing.assert_close(found, turn[3:].expand_as(found), atol=1e-6, rtol=0)
    assert torch.equal(follow_rotations(places, edges[:0], places, still), still)
    # A rope that is bent by a quarter turn goes on in another direction, untwisted.
    places, edges = rope(5)
    bent = places.clone()
    bent[3:] = torch.stack([bent[2] + torch.tensor([0, 0.02 * k, 0]) for k in (1, 2)])
    found = follow_rotations(places, edges, bent, still[:5])
    torch.testing.assert_close(found[0], still[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(found[4], at(0, 0, 0, yaw=torch.pi / 2)[3:], atol=2e-3, rtol=0)
    torch.testing.assert_close(found[2], at(0, 0, 0, yaw=torch.pi / 4)[3:], atol=2e-3, rtol=0)
