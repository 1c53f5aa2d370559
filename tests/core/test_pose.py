"""Poses are a group: laws at uniform, tangent and near-identity samples."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from splatworld.core import pose

number = st.floats(-1, 1, allow_nan=False)
SPREADS = {"uniform": 3.0, "tangent": 1e-2, "near identity": 1e-7, "tiny": 1e-12, "identity": 0.0}


@st.composite
def twists(draw: st.DrawFn) -> torch.Tensor:
    """Twists over every size that has its own branch or rounding."""
    spread = draw(st.sampled_from(sorted(SPREADS.values())))
    values = [draw(number) for _ in range(6)]
    return torch.tensor(values, dtype=torch.float64) * spread


poses = twists().map(pose.exp)


def close(a: torch.Tensor, b: torch.Tensor, tolerance: float = 1e-12) -> bool:
    """The same motion: quaternions of opposite sign are one rotation."""
    sign = torch.where((a[..., 3:] * b[..., 3:]).sum(-1, keepdim=True) < 0, -1.0, 1.0)
    return torch.allclose(torch.cat([a[..., :3], a[..., 3:] * sign], -1), b, atol=tolerance, rtol=tolerance)


@settings(max_examples=60, deadline=None)
@given(poses, poses, poses)
def test_group_laws(a, b, c):
    one = pose.identity(dtype=torch.float64)
    assert close(pose.compose(pose.compose(a, b), c), pose.compose(a, pose.compose(b, c)))
    assert close(pose.compose(a, one), a)
    assert close(pose.compose(one, a), a)
    assert close(pose.compose(a, pose.inverse(a)), one)
    assert close(pose.inverse(pose.compose(a, b)), pose.compose(pose.inverse(b), pose.inverse(a)))


@settings(max_examples=60, deadline=None)
@given(poses, poses, st.lists(number, min_size=3, max_size=3))
def test_acts_on_points_as_its_matrix_does(a, b, values):
    point = torch.tensor(values, dtype=torch.float64)
    matrix = pose.to_matrix(a)
    assert torch.allclose(pose.transform(a, point), matrix[:3, :3] @ point + matrix[:3, 3], atol=1e-12)
    assert torch.allclose(pose.transform(pose.compose(a, b), point), pose.transform(a, pose.transform(b, point)))
    assert torch.allclose(pose.to_matrix(pose.compose(a, b)), matrix @ pose.to_matrix(b), atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(twists())
def test_matrices_and_logarithms_go_both_ways(twist):
    a = pose.exp(twist)
    assert close(pose.from_matrix(pose.to_matrix(a)), a, 1e-9)
    assert abs(a[3:].norm().item() - 1) < 1e-12
    if twist[3:].norm() < math.pi - 1e-3:
        assert torch.allclose(pose.log(a), twist, atol=1e-9, rtol=1e-6)
    else:
        assert pose.log(a)[3:].norm() <= math.pi + 1e-9
        assert close(pose.exp(pose.log(a)), a, 1e-9)


@pytest.mark.parametrize("axis", range(3))
def test_half_turns(axis):
    turn = torch.zeros(6, dtype=torch.float64)
    turn[3 + axis] = math.pi
    a = pose.exp(turn)
    assert close(pose.from_matrix(pose.to_matrix(a)), a)
    assert torch.allclose(pose.log(a).abs(), turn, atol=1e-9)


@pytest.mark.parametrize("size", [0.0, 1e-9, 1e-4, 1.0, 3.0])
def test_gradients_are_finite_and_right(size):
    twist = torch.tensor([0.3, -0.2, 0.1, 0.5, -0.4, 0.7], dtype=torch.float64) * size
    assert torch.autograd.gradcheck(pose.exp, twist.requires_grad_(), eps=1e-7, atol=1e-5)


def test_zero_quaternions_stay_zero():
    assert torch.equal(pose.normalize_quat(torch.zeros(2, 4)), torch.zeros(2, 4))


def test_look_at_sees_its_target_ahead():
    eye, target = torch.tensor([1.0, -2, 3]).double(), torch.tensor([0.5, 0.5, 0]).double()
    camera = pose.look_at(eye, target, torch.tensor([0.0, 0, 1]).double())
    seen = pose.transform(pose.inverse(camera), target)
    assert torch.allclose(seen[:2], torch.zeros(2).double(), atol=1e-12)
    assert torch.allclose(seen[2], (target - eye).norm())
    above = pose.transform(pose.inverse(camera), target + torch.tensor([0.0, 0, 0.1]).double())
    assert above[1] < 0  # up in the world is up in the picture


def test_batches_broadcast():
    a = pose.exp(torch.randn(4, 1, 6, dtype=torch.float64))
    b = pose.exp(torch.randn(3, 6, dtype=torch.float64))
    assert pose.compose(a, b).shape == (4, 3, 7)
    assert close(pose.compose(a, b)[2, 1], pose.compose(a[2, 0], b[1]))
    assert pose.transform(a, torch.randn(5, 3, dtype=torch.float64)).shape == (4, 5, 3)
