import numpy as np
import pytest
import torch

from splatworld.core import pose
from splatworld.core.checks import InputError, ShapeError
from splatworld.core.splats import SH_CONSTANT
from splatworld.render import sh

DEGREES = range(4)


def directions(count: int = 50) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return pose.normalize_quat(torch.randn(count, 3, generator=generator, dtype=torch.float64))


def test_basis_is_the_real_part_of_scipys_complex_harmonics():
    special = pytest.importorskip("scipy.special")
    d = directions()
    polar, azimuth = np.arccos(d[:, 2].numpy()), np.arctan2(d[:, 1].numpy(), d[:, 0].numpy())
    expected = []
    for degree in DEGREES:
        for m in range(-degree, degree + 1):
            value = special.sph_harm_y(degree, abs(m), polar, azimuth)  # includes Condon-Shortley's (-1)^m
            factor = 1.0 if m == 0 else np.sqrt(2)
            expected.append(factor * (value.imag if m < 0 else value.real))
    np.testing.assert_allclose(sh.basis(d, 3).numpy(), np.stack(expected, axis=-1), atol=1e-14)


def test_constant_is_the_one_of_splats():
    assert pytest.approx(SH_CONSTANT, abs=1e-16) == sh.C0


def test_coefficients_of_splat_files():
    """The constants every viewer of splat files has, written out."""
    x, y, z = 0.48, -0.6, 0.64
    value = sh.basis(torch.tensor([x, y, z], dtype=torch.float64), 3)
    expected = [
        0.28209479177387814, -0.4886025119029199 * y, 0.4886025119029199 * z, -0.4886025119029199 * x,
        1.0925484305920792 * x * y, -1.0925484305920792 * y * z, 0.31539156525252005 * (2 * z * z - x * x - y * y),
        -1.0925484305920792 * x * z, 0.5462742152960396 * (x * x - y * y),
        -0.5900435899266435 * y * (3 * x * x - y * y), 2.890611442640554 * x * y * z,
        -0.4570457994644658 * y * (4 * z * z - x * x - y * y),
        0.3731763325901154 * z * (2 * z * z - 3 * x * x - 3 * y * y),
        -0.4570457994644658 * x * (4 * z * z - x * x - y * y), 1.445305721320277 * z * (x * x - y * y),
        -0.5900435899266435 * x * (x * x - 3 * y * y),
    ]  # fmt: skip
    torch.testing.assert_close(value, torch.tensor(expected, dtype=torch.float64), atol=1e-15, rtol=0)


@pytest.mark.parametrize("degree", DEGREES)
def test_rotation_of_coefficients_is_rotation_of_the_function(degree):
    generator = torch.Generator().manual_seed(degree)
    d = directions()
    quats = pose.normalize_quat(torch.randn(50, 4, generator=generator, dtype=torch.float64))
    coefficients = torch.randn(50, (degree + 1) ** 2, 3, generator=generator, dtype=torch.float64)
    turned = sh.evaluate(sh.rotate(coefficients, quats), pose.rotate(quats, d))
    torch.testing.assert_close(turned, sh.evaluate(coefficients, d), atol=1e-12, rtol=0)


def test_rotations_compose():
    generator = torch.Generator().manual_seed(7)
    a, b = pose.normalize_quat(torch.randn(2, 20, 4, generator=generator, dtype=torch.float64))
    coefficients = torch.randn(20, 16, 3, generator=generator, dtype=torch.float64)
    twice = sh.rotate(sh.rotate(coefficients, b), a)
    torch.testing.assert_close(twice, sh.rotate(coefficients, pose.multiply_quats(a, b)), atol=1e-12, rtol=0)


def test_rotation_broadcasts_and_has_no_gradient():
    coefficients = torch.randn(16, 3, dtype=torch.float64, requires_grad=True)
    turned = sh.rotate(coefficients, pose.normalize_quat(torch.randn(5, 4, dtype=torch.float64)))
    assert turned.shape == (5, 16, 3)
    assert not turned.requires_grad
    assert sh.rotate(torch.zeros(0, 9, 3), torch.zeros(0, 4)).shape == (0, 9, 3)


def test_evaluate_stops_at_the_degree():
    coefficients = torch.randn(10, 16, 3, dtype=torch.float64)
    d = directions(10)
    for degree, count in enumerate(sh.COUNTS):
        assert torch.equal(sh.evaluate(coefficients, d, degree), sh.evaluate(coefficients[:, :count], d))
    assert torch.equal(sh.evaluate(coefficients, d, 7), sh.evaluate(coefficients, d))


def test_evaluate_has_the_right_derivative():
    inputs = (torch.randn(4, 16, 2, dtype=torch.float64), directions(4))
    assert torch.autograd.gradcheck(sh.evaluate, [value.requires_grad_() for value in inputs])


def test_errors_name_what_is_wrong():
    with pytest.raises(ShapeError, match="7 coefficients"):
        sh.evaluate(torch.zeros(7, 3), torch.zeros(3))
    with pytest.raises(InputError, match="degree is -1"):
        sh.evaluate(torch.zeros(4, 3), torch.zeros(3), -1)
    with pytest.raises(InputError, match="degree is 4"):
        sh.basis(torch.zeros(3), 4)
