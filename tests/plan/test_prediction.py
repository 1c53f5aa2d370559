"""Queries beside distances: rays, visibility, contacts, poses, what is known, pictures."""

from dataclasses import replace

import pytest
import torch

from splatworld.core.checks import InputError, ShapeError
from splatworld.core.latents import MASS
from splatworld.core.world import rest_state
from splatworld.dynamics.predict import predict
from splatworld.evaluate.tabletop import TOOL_HEIGHT, camera, index
from splatworld.plan.prediction import Prediction
from tests.plan.scenes import as_rollout, predicted, rolled, world

PUSHED = index(world(), "pushed")


def vector(*values: float) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float64)


def test_rays_meet_bodies_where_they_are_predicted():
    told = predicted({"pushed": (0.2, 0.0, 0.0, 0.0, 0.0, 0.0)})
    origin = vector(-0.5, 0.0, 0.03).requires_grad_()
    hits = told.raycast(origin, vector(2.0, 0.0, 0.0), torch.tensor([0.0, 0.2, 0.4]))
    assert torch.allclose(hits.value[0, :, 0], torch.tensor([0.47, 0.57, 0.67]).double(), atol=1e-3)
    assert hits.body.unique().tolist() == [PUSHED]
    assert torch.allclose(hits.normal, torch.tensor([-1.0, 0, 0]).double().expand_as(hits.normal), atol=0.05)
    assert torch.allclose(hits.point, origin + hits.value[..., None] * vector(1.0, 0.0, 0.0))
    hits.value.sum().backward()
    assert torch.allclose(origin.grad, vector(-3.0, 0.0, 0.0), atol=0.05)
    missed = told.raycast(vector(-0.5, 0.0, 0.03), vector(0.0, 0.0, 1.0), 0.0)
    assert missed.value.isinf().all()
    assert missed.body.flatten().tolist() == [-1]
    assert missed.known.all()
    inside = told.raycast(vector(0.0, 0.0, 0.025), vector(0.0, 0.0, 1.0), 0.0)
    assert float(inside.value) == 0


def test_a_body_behind_another_is_seen_in_part():
    view = camera((-0.4, 0.0, 0.025), (0.0, 0.0, 0.025))
    told = predicted({"far": (-0.2, -0.6, 0.0, 0.0, 0.0, 0.0)})
    fraction = told.visible_fraction("pushed", view, torch.tensor([0.0, 0.4]))
    assert float(fraction.value[0, 0]) == pytest.approx(1, abs=0.02)
    assert float(fraction.value[0, 1]) < 0.05  # the other is 8 cm wide and 6 cm high, and before it
    half = predicted({"far": (-0.2, -0.635, 0.0, 0.0, 0.0, 0.0)})
    part = half.visible_fraction("pushed", view, 0.4)
    assert 0.1 < float(part.value) < 0.9
    unsure = Prediction(world(), rolled({"far": (-0.2, -0.635, 0.0, 0, 0, 0)}, std=0.02))
    assert float(unsure.visible_fraction("pushed", view, 0.4).std) > float(part.std)
    away = camera((-0.4, 0.0, 0.025), (-2.0, 0.0, 0.025))
    assert float(told.visible_fraction("pushed", away, 0.0).value) == 0


def test_what_rests_is_carried_and_presses_by_its_weight():
    told = predicted({"pushed": (0.0, 0.0, 0.1, 0.0, 0.0, 0.0)})
    assert told.supported_by("top").value[0, :, index(world(), "stand")].all()
    held = told.supported_by("pushed").value[0]
    assert held[0].sum() > 0
    assert not held[1:].any()
    found = Prediction(world(), rest_state(world())).contacts()
    mass = {name: float(told.weights[0][index(world(), name)]) for name in ("top", "stand")}
    on_stand = (found.bodies == torch.tensor([index(world(), "stand"), index(world(), "top")])).all(-1)
    assert on_stand.sum() >= 4
    assert float(found.impulse[on_stand].sum()) == pytest.approx(mass["top"] * 9.81 * 0.1, rel=0.05)
    below = (found.bodies[:, 1] == index(world(), "stand")) & (found.bodies[:, 0] < 2)
    both = (mass["top"] + mass["stand"]) * 9.81 * 0.1
    assert float(found.impulse[below].sum()) == pytest.approx(both, rel=0.05)
    assert (found.normal[on_stand][:, 2] < -0.9).all()  # from the upper, second body towards the first


def test_what_is_believed_to_be_heavy_presses_harder():
    rest = rest_state(world())
    latents, top = rest.latents.clone(), index(world(), "top")
    latents[top, MASS] = torch.tensor(3.0).log()
    on_stand = torch.tensor([index(world(), "stand"), top])
    light, heavy = (
        float(found.impulse[(found.bodies == on_stand).all(-1)].sum())
        for found in (Prediction(world(), state).contacts() for state in (rest, replace(rest, latents=latents)))
    )
    assert heavy == pytest.approx(3 * light, rel=0.02)


def test_a_push_is_felt():
    start = rest_state(world())
    poses = start.world_from_body.expand(1, 2, -1, -1).clone()
    tool = index(world(), "cylinder_pusher")
    poses[:, :, PUSHED, 2] += 0.1
    gap = poses[0, 0, PUSHED, :3] - torch.tensor([0.03, 0.0, 0.0]).double()
    radius = float(world().bodies[tool].mesh.vertices[:, 0].max())
    poses[:, :, tool, :3] = gap - torch.tensor([radius, 0.0, 0.0]).double()
    twists = torch.zeros(1, 2, len(world().bodies), 6, dtype=torch.float64)
    twists[:, 1, PUSHED, 0], twists[:, :, tool, 0] = 0.3, 0.5
    fall = -9.81 * 0.1
    twists[:, 1, PUSHED, 2] = fall
    told = Prediction(world(), as_rollout(start, poses, twists))
    found = told.contacts(0.1)
    mine = found[(found.bodies == torch.tensor([PUSHED, tool])).all(-1)]
    assert len(mine)
    assert float(mine.impulse.sum()) == pytest.approx(0.3 * float(told.weights[0][PUSHED]), rel=0.25)  # some of it rubs
    assert float(mine.approach.max()) == pytest.approx(0.2, abs=0.02)
    assert (mine.normal[:, 0] > 0.9).all()


def test_an_unsure_prediction_says_so():
    told = predicted({}, std=0.01)
    points = vector(0.0, 0.0, 0.08)
    found = told.signed_distance(points, 0.4, bodies=["pushed"])
    assert float(found.std) == pytest.approx(0.01, rel=0.1)
    inside, outside = told.occupancy(vector(0.0, 0.0, 0.03), 0.4), told.occupancy(vector(0.0, 0.0, 0.09), 0.4)
    assert float(inside.value) > 0.97
    assert float(outside.value) < 0.01
    border = told.occupancy(vector(0.0, 0.0, 0.0505), 0.4, bodies=["pushed"])
    assert 0.3 < float(border.value) < 0.7
    broken = rolled({})
    broken = type(broken)(broken.actions, broken.states, "x", broken.std, stopped=torch.tensor([2]))
    told = Prediction(world(), broken)
    assert told.signed_distance(points).known[0, :, 0].tolist() == [True, True, True, False, False]
    assert told.pose().known[0, :, 0].tolist() == [True, True, True, False, False]
    assert float(told.occupancy(points, 0.4).value) == 0.5
    assert not told.contacts(0.4).known.any()


def test_a_rollout_without_a_batch_is_asked_at_one_time():
    told = Prediction(world(), predict(world(), rest_state(world()), torch.zeros(2, 6)))
    assert told.pose(t=0.1).value.shape == (len(world().bodies), 7)
    assert told.supported_by("top", 0.15).value.shape == (len(world().bodies),)
    assert len(told.contacts(0.1)) > 0
    assert told.signed_distance(torch.zeros(3, 3), 0.1).value.shape == (3,)


def test_poses_and_displacements_are_the_rollouts():
    told = predicted({"pushed": (0.1, 0.0, 0.0, 0.0, 0.0, 0.5)}, plans=2)
    moved = told.displacement("pushed")
    assert moved.value.shape == (2, 5, 6)
    assert torch.allclose(moved.value[1, -1], torch.tensor([0.1, 0, 0, 0, 0, 0.5]).double(), atol=1e-9)
    assert torch.equal(told.pose(PUSHED).value, told.source.states.world_from_body[:, :, PUSHED])
    assert told.pose(t=torch.tensor([[0.1, 0.2, 0.3]])).value.shape == (2, 1, 3, len(world().bodies), 7)


def test_predicted_geometry_can_be_looked_at():
    told = predicted({"pushed": (0.1, 0.0, 0.0, 0.0, 0.0, 0.0)}, plans=2)
    placed = {each.name: each for each in told.mesh(0.4, plan=(1,))}
    corner = placed["pushed"].mesh.vertices.amax(0)
    assert torch.allclose(corner, torch.tensor([0.13, 0.025, 0.05]).double(), atol=1e-6)
    assert placed["pushed"].known.all()
    cloud = told.point_cloud(0.4, plan=(1,))
    mine = cloud.points[cloud.body == PUSHED]
    assert float(mine[:, 0].double().mean()) == pytest.approx(0.1, abs=0.01)
    view = told.render(camera((-0.3, -0.4, 0.4), (0.0, 0.0, 0.0)), plan=(0,))
    assert view.known.shape == (240, 320) == view.std.shape
    assert view.known.double().mean() > 0.3


SPHERES = torch.zeros(1, 2, 3, 4)
HOSTILE = {
    "NaN points": (lambda p: p.signed_distance(torch.full((3, 3), torch.nan)), "points.*finite"),
    "an infinite point": (lambda p: p.signed_distance(torch.full((3, 3), torch.inf)), "points.*finite"),
    "a negative radius": (lambda p: p.swept_clearance(SPHERES - 0.1), "negative radius"),
    "a late time": (lambda p: p.signed_distance(torch.zeros(3, 3), 0.5), "t is 0.5 s, expected 0 to 0.4 s"),
    "an early time": (lambda p: p.contacts(-0.1), "t is -0.1 s"),
    "a time that is none": (lambda p: p.pose(t=float("nan")), "t is nan s"),
    "flat points": (lambda p: p.signed_distance(torch.zeros(3)), r"points is \[3\]"),
    "whole numbers": (lambda p: p.signed_distance(torch.zeros(3, 3).long()), "expected floats"),
    "two coordinates": (lambda p: p.signed_distance(torch.zeros(5, 2)), r"expected \[..., P, 3\]"),
    "another batch": (lambda p: p.signed_distance(torch.zeros(7, 3, 3)), "expected a batch that fits"),
    "no points at all": (lambda p: p.signed_distance([1, 2, 3]), "is a list"),
    "a body that does not exist": (lambda p: p.pose("cup"), "there is no body 'cup', expected one of background"),
    "a number that does not exist": (lambda p: p.supported_by(99), "there is no body 99"),
    "a name for a list": (lambda p: p.signed_distance(torch.zeros(1, 3), bodies="pushed"), "expected a list"),
    "an empty horizon": (lambda p: p.swept_clearance(SPHERES[:, :0]), "horizon is empty"),
    "a longer horizon": (lambda p: p.swept_clearance(torch.zeros(1, 9, 3, 4)), "at most 5"),
    "a step of nothing": (lambda p: p.swept_clearance(SPHERES, 0.0), "dt is 0"),
    "steps beyond the end": (lambda p: p.swept_clearance(SPHERES, 1.0), "t is 0 to 1 s"),
    "flat spheres": (lambda p: p.swept_clearance(torch.zeros(3, 4)), r"expected \[..., T, S, 4\]"),
    "a direction of nothing": (lambda p: p.raycast(torch.zeros(1, 3), torch.zeros(1, 3)), "no length"),
    "rays that do not fit": (lambda p: p.raycast(torch.zeros(2, 3), torch.ones(3, 3)), "fit each other"),
    "a body without a mesh": (lambda p: p.visible_fraction(0, camera((1, 1, 1), (0, 0, 0))), "has no mesh"),
    "no plan": (lambda p: p.render(camera((1, 1, 1), (0, 0, 0))), r"plan is \(\)"),
    "a plan too many": (lambda p: p.mesh(plan=(1,)), r"an index into \[1\]"),
    "a negative reach": (lambda p: p.contacts(reach=-1.0), "reach is -1"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_bad_input_is_answered_in_a_sentence(case):
    ask, message = HOSTILE[case]
    with pytest.raises(InputError, match=message) as error:
        ask(predicted({}))
    assert "\n" not in str(error.value)


def test_bad_predictions_are_refused():
    rest, rollout = rest_state(world()), rolled({})
    with pytest.raises(InputError, match="single state; leave t out"):
        Prediction(world(), rest).signed_distance(torch.zeros(1, 3), 0.1)
    with pytest.raises(InputError, match="give a rollout"):
        Prediction(world(), rest).displacement()
    few = type(rest)(
        **{**vars(rest), **{k: getattr(rest, k)[1:] for k in ("world_from_body", "twists", "latents", "awake")}}
    )
    with pytest.raises(ShapeError, match="7 bodies and 0 nodes, expected 8"):
        Prediction(world(), few)
    empty = as_rollout(rest, rollout.states.world_from_body[:, :1], rollout.states.twists[:, :1])
    with pytest.raises(InputError, match="horizon is empty"):
        Prediction(world(), empty)
    broken = rollout.states.world_from_body.clone()
    broken[0, 2, 1, 0] = torch.nan
    with pytest.raises(InputError, match="world_from_body"):
        Prediction(world(), as_rollout(rest, broken, rollout.states.twists))
    nobody = as_rollout(rest, rollout.states.world_from_body[:0], rollout.states.twists[:0])
    with pytest.raises(InputError, match="empty"):
        Prediction(world(), nobody)


def test_a_tool_is_left_out_of_its_own_clearance():
    told = Prediction(world(), rest_state(world()))
    at = torch.tensor([[[-0.15, 0.0, TOOL_HEIGHT + 0.05, 0.01]]])
    assert float(told.swept_clearance(at).value) > 0.1
    assert float(told.signed_distance(at[0]).value) < 0


def test_no_points_are_no_answer_and_no_error():
    assert predicted({}).signed_distance(torch.zeros(0, 3)).value.shape == (1, 5, 0)
    assert predicted({}).swept_clearance(torch.zeros(1, 2, 0, 4)).value.shape == (1, 2, 0)
