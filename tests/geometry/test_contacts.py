from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from splatworld import native
from splatworld.core import pose
from splatworld.core.body import Body, background
from splatworld.core.checks import InputError, ShapeError
from splatworld.core.shape import Capsules
from splatworld.core.world import World
from splatworld.geometry.capsules import capsule_distance
from splatworld.geometry.contact_points import contact_points
from splatworld.geometry.contacts import contacts, near_pairs
from splatworld.geometry.distance import distance_grid, signed_distance
from splatworld.geometry.mesh import surface_points
from splatworld.geometry.shapes import Shapes, pack_shapes
from tests.geometry.solids import SOLIDS, box
from tests.worlds import make_splats


def at(*place: float) -> torch.Tensor:
    return torch.tensor([*place, 1, 0, 0, 0], dtype=torch.float64)


@pytest.fixture(scope="module")
def world() -> World:
    """A box on the table, a ball beside it 1 mm away, a torus in the air."""
    splats = make_splats(1)
    bodies = (
        background(),
        Body("box", "rigid", at(0, 0, 0.03), mesh=box()),
        Body("ball", "rigid", at(0.151, 0, 0.05), mesh=SOLIDS["sphere"][0]),
        Body("ring", "rigid", at(0, 0, 0.5), mesh=SOLIDS["torus"][0]),
    )
    return World(splats=replace(splats, body_ids=torch.zeros(1, dtype=torch.int32)), bodies=bodies)


@pytest.fixture(scope="module")
def shapes(world):
    return pack_shapes(world)


def rest(world) -> torch.Tensor:
    return torch.stack([body.rest_pose for body in world.bodies])


def test_a_box_on_the_table_touches_at_its_corners(world, shapes):
    found = contacts(shapes, rest(world))
    row = found.pairs.tolist().index([0, 0, 1])
    arms = found.arm_b[row, : int(found.count[row])]
    for x in (-0.1, 0.1):
        for y in (-0.05, 0.05):
            corner = torch.tensor([x, y, -0.03])
            nearest = (arms - corner).norm(dim=-1).argmin()
            assert float((arms[nearest] - corner).norm()) < 1e-5
            assert abs(float(found.distance[row, nearest])) < 1e-5
            torch.testing.assert_close(found.normal[row, nearest], torch.tensor([0.0, 0.0, -1.0]))
    assert [0, 0, 3] not in found.pairs.tolist()


def test_two_bodies_side_by_side(world, shapes):
    found = contacts(shapes, rest(world))
    row = found.pairs.tolist().index([0, 1, 2])
    assert float(found.distance[row, 0]) == pytest.approx(0.001, abs=5e-4)
    torch.testing.assert_close(found.normal[row, 0], torch.tensor([-1.0, 0, 0]), atol=0.2, rtol=0)
    assert float(found.point[row, 0, 0]) == pytest.approx(0.1005, abs=1e-3)
    both = found.arm_a[row] + rest(world)[1, :3] - found.arm_b[row] - rest(world)[2, :3]
    assert float(both[: int(found.count[row])].abs().max()) < 1e-6


def least(poses: torch.Tensor, one: int, other: int, points: torch.Tensor, grids: dict) -> float:
    """The least distance of points of one body from another; body 0 is the table."""
    there = pose.transform(poses[one], points)
    if other == 0:
        return float(there[:, 2].min())
    return float(signed_distance(grids[other], pose.transform(pose.inverse(poses[other]), there))[0].min())


def test_each_contact_is_a_near_point_and_none_is_missed(world, shapes):
    rng = torch.Generator().manual_seed(1)
    poses = rest(world).repeat(40, 1, 1)
    shift = torch.randn(40, 3, 6, generator=rng, dtype=torch.float64) * torch.tensor([0.03, 0.03, 0.02, 1, 1, 1])
    poses[:, 1:] = pose.compose(poses[:, 1:], pose.exp(shift))
    poses[:, 3, 2] -= 0.42
    found = contacts(shapes, poses)
    rows = {tuple(pair): i for i, pair in enumerate(found.pairs.tolist())}
    meshes = {i: body.mesh for i, body in enumerate(world.bodies) if body.mesh is not None}
    points = {i: contact_points(mesh)[0].double() for i, mesh in meshes.items()}
    dense = {i: surface_points(mesh, 5000, 0)[0].double() for i, mesh in meshes.items()}
    grids = {i: distance_grid(mesh) for i, mesh in meshes.items()}
    touched = 0
    for state in range(40):
        for a, b in shapes.pairs.tolist():
            deepest, truly = (
                min(
                    least(poses[state], one, other, from_points[one], grids)
                    for one, other in ((a, b), (b, a))
                    if one in points
                )
                for from_points in (points, dense)
            )
            row = rows.get((state, a, b))
            if deepest < 0.0198:
                touched += 1
                assert row is not None
                assert min(truly, deepest) - 2e-3 < float(found.distance[row, 0]) < deepest + 1.1e-4
            if deepest > 0.0202:
                assert row is None
    assert touched > 60


@pytest.fixture(scope="module")
def stack() -> tuple[World, Shapes]:
    """A box on a box."""
    splats = make_splats(1)
    bodies = (
        background(),
        Body("box", "rigid", at(0, 0, 0.03), mesh=box()),
        Body("other", "rigid", at(0.02, 0.01, 0.0905), mesh=box((0.1, 0.1, 0.06))),
    )
    world = World(splats=replace(splats, body_ids=torch.zeros(1, dtype=torch.int32)), bodies=bodies)
    return world, pack_shapes(world, support_height=None)


@given(st.lists(st.floats(-3, 3), min_size=6, max_size=6))
@settings(max_examples=20, deadline=None)
def test_bodies_that_move_together_keep_their_contacts(stack, twist):
    world, shapes = stack
    moved_by = pose.exp(torch.tensor(twist, dtype=torch.float64))
    before, after = contacts(shapes, rest(world)), contacts(shapes, pose.compose(moved_by, rest(world)))
    assert torch.equal(before.count, after.count)
    torch.testing.assert_close(after.distance, before.distance, atol=1e-6, rtol=0)
    turned = pose.rotate(moved_by[3:], before.normal.double())
    torch.testing.assert_close(after.normal.double(), turned, atol=1e-5, rtol=0)
    place = pose.transform(moved_by, before.point.double())
    torch.testing.assert_close(after.point.double(), place, atol=1e-5, rtol=0)


def test_results_do_not_depend_on_threads_or_batch(world, shapes):
    poses = rest(world).repeat(3, 5, 1, 1)
    poses[..., 1, 0] += torch.linspace(0, 0.03, 15, dtype=torch.float64).reshape(3, 5)
    before = native.get_threads()
    try:
        native.set_threads(1)
        one = contacts(shapes, poses)
        native.set_threads(3)
        three = contacts(shapes, poses)
    finally:
        native.set_threads(before)
    for name in vars(one):
        assert torch.equal(getattr(one, name), getattr(three, name)), name
    alone = contacts(shapes, poses[1, 2])
    rows = one.pairs[:, 0] == 7
    assert torch.equal(alone.point, one.point[rows])


def test_near_pairs_miss_none(world, shapes):
    pairs = near_pairs(shapes, rest(world)).tolist()
    assert pairs == [[0, 0, 1], [0, 0, 2], [0, 1, 2]]
    assert near_pairs(shapes, rest(world)[None][:0]).shape == (0, 3)
    assert len(contacts(shapes, rest(world)[None][:0]).count) == 0


def test_what_cannot_touch_is_left_out():
    hand = [Body(f"link {i}", "robot", at(0, 0, 0.05), mesh=box()) for i in range(2)]
    splats = replace(make_splats(1), body_ids=torch.zeros(1, dtype=torch.int32))
    rope = Capsules(torch.tensor([[0, 1]]), torch.tensor([0.01], dtype=torch.float64))
    bodies = (
        background(),
        *hand,
        Body("bare", "rigid", at(0, 0, 0.05)),
        Body("rope", "deformable", at(0, 0, 0), node_range=(0, 2), capsules=rope),
    )
    world = World(splats=splats, bodies=bodies, rest_nodes=torch.stack([at(0, 0, 0), at(0, 0, 1)]))
    shapes = pack_shapes(world, support_height=None)
    assert [1, 2] not in shapes.pairs.tolist()
    assert len(contacts(shapes, torch.stack([body.rest_pose for body in bodies])).count) == 0
    assert shapes.capsule_bodies.tolist() == [4]
    assert float(shapes.spheres[3, 3]) == -1


def test_hostile_poses_are_named(world, shapes):
    with pytest.raises(ShapeError, match="expected"):
        contacts(shapes, rest(world)[:2])
    bad = rest(world)
    bad[1, 0] = float("nan")
    with pytest.raises(InputError, match=r"world_from_body\[1, 0\]"):
        contacts(shapes, bad)
    with pytest.raises(InputError, match="reach is -1"):
        near_pairs(shapes, rest(world), reach=-1)
    for row in ([1, 0, 1], [0, 0, 4], [0, -1, 1]):
        with pytest.raises(InputError, match="not among 1 states of 4 bodies"):
            contacts(shapes, rest(world), candidates=torch.tensor([row]))


def test_distance_to_capsules():
    capsules = Capsules(torch.tensor([[0, 1], [1, 2], [3, 3]]), torch.tensor([0.01, 0.02, 0.05]).double())
    nodes = torch.stack([at(0, 0, 0), at(0.1, 0, 0), at(0.1, 0.1, 0), at(0, 0, 0.5)]).requires_grad_()
    points = torch.tensor([[0.05, 0.03, 0.0], [0.1, 0.05, 0.05], [0.0, 0.0, 0.4], [0.05, 0, 0]]).double()
    points.requires_grad_()
    distance, gradient = capsule_distance(capsules, nodes, points)
    torch.testing.assert_close(distance.detach(), torch.tensor([0.02, 0.03, 0.05, -0.01]).double())
    torch.testing.assert_close(gradient[:3], torch.tensor([[0, 1, 0], [0, 0, 1], [0, 0, -1.0]]).double())
    distance[:3].sum().backward()
    torch.testing.assert_close(points.grad[:3], gradient[:3])
    assert bool(torch.isfinite(nodes.grad).all())


def test_crossed_edges_are_found_between_samples():
    """Two bars on their edges, one across the other, 2 mm apart wherever they cross."""
    bar = box((0.16, 0.04, 0.04))
    world = World(
        splats=replace(make_splats(1), body_ids=torch.zeros(1, dtype=torch.int32)),
        bodies=(background(), Body("a", "rigid", at(0, 0, 0), mesh=bar), Body("b", "rigid", at(0, 0, 0), mesh=bar)),
    )
    eighth = torch.tensor([0, 0, 0, torch.pi / 4, 0, 0], dtype=torch.float64)
    quarter = torch.tensor([0, 0, 0, 0, 0, torch.pi / 2], dtype=torch.float64)
    places = torch.rand(50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 0.1 - 0.05
    high = torch.full((50, 1), 2 * 0.02 * 2**0.5 + 0.002, dtype=torch.float64)
    shift = torch.cat([places, high, torch.tensor([[1.0, 0, 0, 0]]).double().expand(50, 4)], dim=-1)
    one = pose.exp(eighth)
    poses = torch.stack([one.expand(50, 7), pose.compose(shift, pose.compose(pose.exp(quarter), one).expand(50, 7))], 1)
    poses = torch.cat([at(0, 0, -1).expand(50, 1, 7), poses], dim=1)
    found = contacts(pack_shapes(world), poses)
    assert len(found.pairs) == 50
    # A grid of 1.5 mm rounds each edge by half of that at most.
    assert float((found.distance[:, 0] - 0.002).abs().max()) < 0.0012
    crossing = torch.stack([places[:, 0], torch.zeros(50).double()], dim=-1)
    assert float((found.point[:, 0, :2] - crossing).norm(dim=-1).max()) < 0.0025
    assert float(found.normal[:, 0, 2].max()) < -0.85
