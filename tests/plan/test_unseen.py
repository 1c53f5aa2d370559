"""What nobody has seen is said to be unknown, and follows the body that hides it."""

from dataclasses import replace

import torch

from splatworld.core.shape import DistanceGrid
from splatworld.core.splats import Provenance
from splatworld.core.world import rest_state
from splatworld.evaluate.tabletop import index
from splatworld.geometry.seen import unseen_space
from splatworld.plan.prediction import Prediction
from tests.plan.scenes import rolled, world

SPACING, LOW = 0.02, (-0.4, -0.4, -0.02)


def half_seen():
    """Seen is what lies at x < 0.09 outside of bodies and above the table."""
    origin = torch.tensor(LOW, dtype=torch.float64)
    axes = [origin[k] + SPACING * torch.arange(n).double() for k, n in enumerate((41, 41, 22))]
    x, y, z = torch.meshgrid(*axes, indexing="ij")
    hidden = (x.abs() < 0.03) & (y.abs() < 0.025) & (z < 0.05)  # in `pushed`
    grid = DistanceGrid(origin, SPACING, z.float().contiguous(), (x < 0.09) & (z > -0.01) & ~hidden)
    bodies = (replace(world().bodies[0], grid=grid), *world().bodies[1:])
    return replace(world(), bodies=bodies)


def test_points_in_unseen_space_are_unknown_and_others_are_not():
    told = Prediction(half_seen(), rest_state(world()))
    draw = torch.rand(20_000, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.78, 0.78, 0.38])
    points = draw + torch.tensor([-0.39, -0.39, 0.001])
    found = told.signed_distance(points)
    unseen = points[:, 0] > 0.09
    assert not found.known[unseen].any()
    assert found.known[(points[:, 0] < 0.079) & (points[:, :2] > -0.379).all(-1) & (points[:, 2] < 0.37)].all()
    gap = 0.08 - points[:, 0]  # the last sample before the first that was not seen
    near = ~unseen & (points[:, 2] > gap) & (gap > 0) & (points[:, 1].abs() < 0.2) & (points[:, 2] < 0.2) & (gap < 0.1)
    assert float((found.unseen - gap)[near].abs().max()) < 0.5 * SPACING
    outside = told.signed_distance(torch.tensor([[0.0, 0.0, 2.0], [-3.0, 0.0, 0.1]]))
    assert not outside.known.any()
    assert (outside.unseen < 0).all()


def test_a_ball_is_known_to_be_free_only_where_all_of_it_was_seen():
    told = Prediction(half_seen(), rest_state(world()))
    balls = torch.tensor([[0.05, 0.2, 0.2, 0.02], [0.05, 0.2, 0.2, 0.06], [0.02, 0.2, 0.01, 0.05]])
    assert told.signed_distance(balls).known.tolist() == [True, False, True]  # the last touches the table for certain
    way = torch.tensor([[0.0, 0.2, 0.2, 0.02], [0.2, 0.2, 0.2, 0.02]])[:, None]
    assert told.swept_clearance(way).known[:, 0].tolist() == [True, False]
    rays = told.raycast(torch.tensor([[0.0, 0.2, 0.2]]).expand(2, 3), torch.tensor([[1.0, 0, 0], [-0.2, 0.0, -1.0]]))
    assert rays.known.tolist() == [False, True]
    assert abs(float(rays.unseen[0]) - 0.08) < 0.005


def test_where_a_body_stood_there_is_nothing_left():
    inside = torch.tensor([[0.0, 0.0, 0.02]])
    gone = Prediction(half_seen(), rolled({"pushed": (-0.2, 0.0, 0.0, 0.0, 0.0, 0.0)}))
    found = gone.signed_distance(inside)
    assert found.known[0, :, 0].tolist() == [True] * 5
    assert float(found.value[0, 0, 0]) < 0 < float(found.value[0, -1, 0])


def test_a_surface_that_was_completed_is_unknown_wherever_the_body_goes():
    splats = world().splats
    pushed = index(world(), "pushed")
    guessed = (splats.body_ids == pushed) & (splats.means[:, 0] > 0.01)
    provenance = torch.where(guessed, int(Provenance.COMPLETED), splats.provenance.long()).to(torch.uint8)
    partly = replace(world(), splats=replace(splats, provenance=provenance))
    told = Prediction(partly, rolled({"pushed": (0.1, 0.0, 0.0, 0.0, 0.0, 3.14159265)}))
    points = torch.tensor([[0.04, 0.0, 0.025], [-0.04, 0.0, 0.025]])
    assert told.signed_distance(points, 0.0).known[0].tolist() == [False, True]
    turned = points + torch.tensor([0.1, 0.0, 0.0])
    assert told.signed_distance(turned, 0.4).known[0].tolist() == [True, False]
    placed = {each.name: each for each in told.mesh(0.0, plan=(0,))}["pushed"]
    assert (placed.known == (placed.mesh.vertices[:, 0] < 0)).all()
    cloud = told.point_cloud(0.0, plan=(0,))
    assert not cloud.known[(cloud.body == pushed) & (cloud.points[:, 0] > 0.011)].any()


def test_without_a_mask_all_is_known():
    assert unseen_space(world()) is None
    assert Prediction(world(), rest_state(world())).signed_distance(torch.tensor([[5.0, 5.0, 5.0]])).known.all()
