"""Distances of points and balls: against exact ones, by finite differences, on their way."""

from dataclasses import replace

import pytest
import torch

from splatworld import native
from splatworld.core import pose
from splatworld.core.shape import Capsules
from splatworld.core.world import rest_state
from splatworld.evaluate.tabletop import index
from splatworld.plan.prediction import Prediction
from tests.plan.scenes import box_distance, exact, predicted, rolled, with_nodes, world

WAYS = {"pushed": (0.2, 0.05, 0.06, 0.5, 0.2, 1.0), "far": (0.0, -0.4, 0.0, 0.0, 0.0, 2.0)}
NO_ROBOT = [body.name for body in world().bodies if body.kind != "robot"]


def around(count: int, seed: int = 0) -> torch.Tensor:
    """[count, 3] around what moves."""
    draw = torch.rand(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return draw * torch.tensor([0.6, 0.9, 0.2]) - torch.tensor([0.15, 0.1, 0.01])


def test_distances_are_exact_to_two_millimetres_where_bodies_are_predicted():
    told = predicted(WAYS, plans=3)
    points = around(4000)
    found = told.signed_distance(points, bodies=NO_ROBOT)
    truth = exact(told.pose().value, points)
    assert found.value.shape == (3, 5, 4000)
    near = truth.abs() < 0.05
    assert near.sum() > 5000
    assert float((found.value - truth)[near].abs().max()) < 2e-3
    bodies = [world().bodies[int(b)].name for b in found.body[near].unique()]
    assert {"pushed", "far"} <= set(bodies)


def test_a_ball_is_nearer_by_its_radius_and_only_the_bodies_asked_for_count():
    told = predicted(WAYS)
    points = around(50).float()
    balls = torch.cat([points, torch.full((50, 1), 0.03)], dim=-1)
    one, other = told.signed_distance(points, 0.4), told.signed_distance(balls, 0.4)
    assert torch.allclose(one.value - 0.03, other.value, atol=1e-6)
    alone = told.signed_distance(points.double(), 0.4, bodies=["pushed"])
    assert set(alone.body.unique().tolist()) == {index(world(), "pushed")}
    at = told.pose("pushed", 0.4).value[:, None]
    truth = box_distance("pushed", at, points.double())
    near = truth < 0.05
    assert float((alone.value - truth)[near].abs().max()) < 2e-3
    none = told.signed_distance(points, 0.4, bodies=[])
    assert set(none.body.unique().tolist()) == {-1}
    assert float(none.value.min()) > 1e6


def test_between_two_states_bodies_are_between_them():
    told = predicted({"pushed": (0.2, 0.0, 0.0, 0.0, 0.0, 0.8)}, steps=2)
    middle = told.pose("pushed", 0.05)
    ends = told.pose("pushed", torch.tensor([0.0, 0.1])).value
    assert torch.allclose(middle.value[..., :3], ends[..., :3].mean(-2))
    turned = pose.log(middle.value)[..., 5]
    assert torch.allclose(turned, torch.full_like(turned, 0.2), atol=1e-9)
    assert torch.equal(told.pose("pushed", 0.1).value, told.pose("pushed").value[:, 1])


def moved_by(rollout, body: str, change: torch.Tensor) -> Prediction:
    """The rollout with the pose of one body changed by [7]."""
    states, at = rollout.states, index(world(), body)
    poses = states.world_from_body.clone()
    poses[:, :, at] = poses[:, :, at] + change
    return Prediction(world(), replace(rollout, states=replace(states, world_from_body=poses)))


def test_gradients_are_those_of_finite_differences():
    rollout, step = rolled(WAYS), 1e-4
    balls = torch.cat([around(4000, 3), torch.full((4000, 1), 0.01, dtype=torch.float64)], dim=-1)
    places, change = balls.clone().requires_grad_(), torch.zeros(7, dtype=torch.float64, requires_grad=True)
    value = moved_by(rollout, "pushed", change).signed_distance(places, 0.4, bodies=["pushed"]).value[0]
    near = value.detach().abs() < 0.03  # beyond its grid a distance goes on as if its surface point stayed
    assert near.sum() > 20
    value[near].sum().backward()

    def ask(balls: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
        return moved_by(rollout, "pushed", change).signed_distance(balls, 0.4, bodies=["pushed"]).value[0]

    still, axes = torch.zeros(7, dtype=torch.float64), torch.eye(7, dtype=torch.float64)
    for axis in range(4):
        numeric = (ask(balls + step * axes[axis, :4], still) - ask(balls - step * axes[axis, :4], still)) / (2 * step)
        wrong = (numeric - places.grad[:, axis])[near].abs() > 0.02
        assert float(wrong.double().mean()) < 0.1  # steps over the creases between samples
    for axis in range(7):
        numeric = (ask(balls, still + step * axes[axis]) - ask(balls, still - step * axes[axis]))[near] / (2 * step)
        assert float(numeric.sum()) == pytest.approx(float(change.grad[axis]), abs=0.02 * int(near.sum()))


def test_gradients_of_a_sweep_are_those_of_the_least_distance():
    told, balls = swept_case(4)
    balls = balls[1:, 3:].clone()
    rollout = rolled(WAYS, plans=2, steps=4)
    second = replace(
        rollout,
        actions=rollout.actions[1:, 3:],
        std=None,
        states=replace(rollout.states[1:, 3:], time=rollout.states.time[1:, 3:] - 0.3),
    )
    told = Prediction(world(), second)
    places = balls.clone().requires_grad_()
    value = told.swept_clearance(places, bodies=["pushed"]).value[0, 1]
    value.sum().backward()
    share = torch.linspace(0, 1, 401).double()
    poses = told.pose("pushed", 0.1 * share).value[0, :, None]

    def least(balls: torch.Tensor) -> torch.Tensor:
        way = balls[0, 0] + share[:, None, None] * (balls[0, 1] - balls[0, 0])
        return (box_distance("pushed", poses, way[..., :3]) - way[..., 3]).amin(0)

    near = (value.detach().abs() < 0.03) & (least(balls) > -0.01)
    assert near.sum() >= 5
    for instant in (0, 1):
        for axis in range(4):
            step = torch.zeros_like(balls)
            step[0, instant, :, axis] = 1e-5
            numeric = (least(balls + step) - least(balls - step)) / 2e-5
            gap = (numeric - places.grad[0, instant, :, axis])[near].abs()
            assert float((gap > 0.1).double().mean()) < 0.15


def test_a_rope_is_near_where_its_nodes_are():
    x = torch.linspace(-0.2, 0.2, 5).double()
    nodes = pose.identity(5, dtype=torch.float64)
    nodes[:, 0], nodes[:, 1], nodes[:, 2] = x, -0.6, 0.05
    rope = with_nodes(nodes, Capsules(torch.tensor([[0, 1], [1, 2], [2, 3], [3, 4]]), torch.full((4,), 0.01).double()))
    state = rest_state(rope)
    points = torch.tensor([[0.05, -0.6, 0.08], [0.3, -0.6, 0.05], [-0.1, -0.55, 0.05]], dtype=torch.float64)
    moved = nodes.clone()
    moved[:, 2] += 0.01
    moved.requires_grad_()
    told = Prediction(rope, type(state)(**{**vars(state), "nodes": moved}))
    found = told.signed_distance(points, bodies=["other"])
    up = torch.tensor([0.02, 0.1, 0.05]).double()
    truth = (up.square() + torch.tensor([0.0, 0.01, 0.01]).double().square()).sqrt() - 0.01
    assert torch.allclose(found.value, truth, atol=1e-5)
    found.value[0].backward()
    assert float(moved.grad[:, 2].sum()) == pytest.approx(-1, abs=1e-4)


def swept_case(seed: int):
    told = predicted(WAYS, plans=2, steps=4)
    ends = around(4 * 64, seed).reshape(2, 2, 64, 3)
    share = torch.arange(5).double()[:, None, None] / 4
    way = torch.lerp(ends[:, :1].expand(2, 5, 64, 3), ends[:, 1:].expand(2, 5, 64, 3), share)
    return told, torch.cat([way, torch.full((2, 5, 64, 1), 0.02, dtype=torch.float64)], dim=-1)


def test_a_swept_clearance_is_never_more_than_the_truth_and_hardly_less():
    told, balls = swept_case(1)
    found = told.swept_clearance(balls)
    fine = 64
    times = torch.arange(4 * fine + 1).double() / (10 * fine)
    between = torch.nn.functional.interpolate(
        balls.permute(0, 2, 3, 1).flatten(1, 2), size=4 * fine + 1, mode="linear", align_corners=True
    ).reshape(2, 64, 4, -1).permute(0, 3, 1, 2)  # fmt: skip
    truth = exact(told.pose(t=times).value, between[..., :3]) - 0.02
    least = torch.stack([truth[:, k * fine : (k + 1) * fine + 1].amin(1) for k in range(4)], dim=1)
    gap = least - found.value[:, 1:]
    near = least.abs() < 0.03
    assert near.sum() > 50
    assert float(gap.min()) > -1e-3  # the grids' own accuracy
    assert float(gap[near].max()) < 2e-3


def test_nothing_slips_through_between_two_instants():
    told = predicted({"pushed": (0.6, 0.0, 0.0, 0.0, 0.0, 0.0)}, steps=1)
    still = torch.tensor([0.3, 0.0, 0.025, 0.005]).expand(1, 2, 1, 4)  # the body passes over it
    for t in (0.0, 0.1):
        assert float(told.signed_distance(still[:, 0], t, bodies=["pushed"]).value) > 0.2
    assert float(told.swept_clearance(still, bodies=["pushed"]).value[0, 1, 0]) < -0.005
    rest = Prediction(world(), rest_state(world()))
    flight = torch.tensor([[-0.5, 0.0, 0.03, 0.004], [0.5, 0.0, 0.03, 0.004]])[:, None]
    assert float(rest.swept_clearance(flight).value[1, 0]) < -0.004


def test_instants_that_are_not_the_states_see_the_states_in_between():
    told = predicted({"pushed": (0.6, 0.0, 0.0, 0.0, 0.0, 0.0)}, steps=6)
    still = torch.tensor([0.3, 0.0, 0.025, 0.005]).expand(1, 3, 1, 4)
    found = told.swept_clearance(still, 0.25, bodies=["pushed"])
    assert found.value.shape == (1, 3, 1)
    fine = told.swept_clearance(torch.tensor([0.3, 0.0, 0.025, 0.005]).expand(1, 501, 1, 4), 0.001, bodies=["pushed"])
    assert float(found.value[0, 1]) == pytest.approx(float(fine.value[0, 1:251].min()), abs=2e-3)
    assert float(found.value[0, 2]) == pytest.approx(float(fine.value[0, 251:].min()), abs=2e-3)


def test_answers_do_not_depend_on_threads_or_on_the_rest_of_the_batch():
    told, balls = swept_case(2)
    before = native.get_threads()
    try:
        found = []
        for threads in (1, 2):
            native.set_threads(threads)
            found.append((told.swept_clearance(balls), told.signed_distance(balls)))
    finally:
        native.set_threads(before)
    for one, other in zip(*found, strict=True):
        assert torch.equal(one.value, other.value)
        assert torch.equal(one.std, other.std)
    single = predicted(WAYS, plans=2, steps=4).signed_distance(balls[:, 2], 0.2)
    assert torch.equal(single.value, found[0][1].value[:, 2])
