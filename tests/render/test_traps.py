"""Mistakes that other rasterizers shipped."""

import pytest
import torch

from splatworld.evaluate.parity import call, parameters
from splatworld.evaluate.scenes import Scene
from splatworld.render import reference
from tests.render import builders


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found.double() - expected).norm() / expected.norm())


def gradients(rasterize, scene: Scene, weights: torch.Tensor) -> dict[str, torch.Tensor]:
    inputs = parameters(scene)
    drawn = call(rasterize, scene, inputs)
    (drawn.image.double() * weights).sum().backward()
    return {name: value.grad for name, value in inputs.items()}


@pytest.mark.parametrize("place", [[2.2, 0.2, 1.0], [-2.0, -1.9, 1.0], [0.3, 1.6, 0.8]])
def test_the_jacobians_clamp_has_its_true_derivative(backend, place):
    """Against central differences of the oracle, for splats whose centre lies beyond the widened frustum.

    Many codes differentiate as if the clamped tangent were the true one.
    """
    splats = builders.splats([place], scale=[0.5, 0.7, 0.6], opacity=0.9, quats=[[1.0, 0.2, -0.3, 0.1]])
    view = builders.camera(15, 11, focal=9.0, center=(8.0, 5.0))
    scene = Scene(splats, builders.still(), view)
    edge = (torch.tensor([15, 11]) - view.center) / view.focal + 0.15 * torch.tensor([15, 11]) / view.focal
    assert bool((torch.tensor(place[:2]).abs() > edge * place[2]).any())
    weights = torch.rand(11, 15, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn, flags, _ = reference.rasterize_flagged(splats, scene.frames, view)
    # Pixels whose alpha is near its gate would jump under differences.
    weights *= (~flags & (drawn.alpha > 1.1 / 255))[..., None]
    assert float((weights * drawn.image).sum()) > 1

    found = gradients(backend.rasterize, scene, weights)
    step = 1e-6
    for name in ("means", "log_scales", "world_from_camera", "focal", "center"):
        inputs = {key: value.detach() for key, value in parameters(scene).items()}
        expected = torch.zeros_like(inputs[name])
        for index in range(expected.numel()):
            values = []
            for sign in (1, -1):
                moved = inputs[name].clone()
                moved.view(-1)[index] += sign * step
                values.append((call(reference.rasterize, scene, inputs | {name: moved}).image * weights).sum())
            expected.view(-1)[index] = (values[0] - values[1]) / (2 * step)
        assert relative(found[name], expected) < (1e-6 if backend.name == "reference" else 1e-3), name


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("thin", [1e-3, 1e-2])
def test_needles_and_plates(backend, thin, antialias):
    """Covariances whose axes differ a million times: a determinant by plain subtraction is wrong by orders."""
    shapes = [[0.3 / thin * 1e-3, 0.3 * thin, 0.3 * thin], [0.3, 0.3, 0.3 * thin], [1e3 * thin, 1e-3, thin]]
    turns = [[1.0, 0.4, 0.1, 0.9], [0.3, 0.9, -0.4, 0.2], [0.8, -0.1, 0.3, 0.4]]
    places = [[-0.4, 0.1, 2.0], [0.3, -0.2, 2.5], [0.1, 0.2, 3.0]]
    splats = builders.splats(places, scale=shapes, opacity=[0.8, 0.6, 0.9], quats=turns, color=[[1.0], [0.3], [0.7]])
    view = builders.camera(61, 43, focal=50.0)
    scene = Scene(splats, builders.still(), view, antialias=antialias)
    expected, flags, _ = reference.rasterize_flagged(splats, scene.frames, view, antialias=antialias)
    drawn = backend.rasterize(splats, scene.frames, view, antialias=antialias)
    builders.assert_finite(drawn)
    for name in ("image", "alpha"):
        error = (getattr(drawn, name) - getattr(expected, name)).abs()[~flags]
        assert float(error.max()) <= 1e-4, name
    weights = torch.rand(43, 61, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights *= ~flags[..., None]
    truth = gradients(reference.rasterize, scene, weights)
    for name, found in gradients(backend.rasterize, scene, weights).items():
        if float(truth[name].norm()) > 0:
            assert relative(found, truth[name]) < 1e-3, name


@pytest.mark.parametrize("size", [(160, 33), (33, 160), (17, 16), (16, 17), (100, 20)])
def test_every_tile_of_an_oblong_image_is_in_its_place(backend, size):
    """Tile ids computed with width and height exchanged go unnoticed on squares."""
    width, height = size
    view = builders.camera(width, height, focal=100.0)
    for column in range(4, width, 16):
        for row in range(4, height, 16):
            place = [(column + 0.5 - width / 2) / 100, (row + 0.5 - height / 2) / 100, 1.0]
            drawn = backend.rasterize(builders.splats([place], scale=0.005), builders.still(), view)
            assert divmod(int(drawn.alpha.argmax()), width) == (row, column)
            assert float(drawn.alpha.max()) == pytest.approx(0.5, abs=1e-5)


def test_a_splat_over_many_tiles_has_no_seams(backend):
    view = builders.camera(130, 70, focal=60.0)
    splats = builders.splats([[0.3, -0.1, 1.0]], scale=[1.5, 0.05, 0.3], quats=[[1.0, 0, 0, 0.35]], opacity=0.8)
    drawn = backend.rasterize(splats, builders.still(), view)
    expected, flags, _ = reference.rasterize_flagged(splats, builders.still(), view)
    assert torch.equal((drawn.alpha > 0)[~flags], (expected.alpha > 0)[~flags])
    assert float((drawn.alpha - expected.alpha).abs()[~flags].max()) <= 1e-4


def test_signs_of_blended_quaternions_do_not_matter(backend):
    """q and -q are one rotation: blending them must not cancel."""
    splats = builders.splats([[0.1, 0.2, 1.0]], scale=[0.3, 0.1, 0.05])
    frames = builders.still(2)
    frames[1, 3:] *= -1
    skin = reference.Skin(torch.tensor([[0, 1]], dtype=torch.int32), torch.tensor([[0.5, 0.5]], dtype=torch.float64))
    drawn = backend.rasterize(splats, frames, builders.camera(), skin=skin)
    expected = backend.rasterize(splats, builders.still(), builders.camera())
    torch.testing.assert_close(drawn.image, expected.image, atol=1e-6, rtol=0)


def test_quaternions_need_not_be_unit(backend):
    splats = builders.splats([[0.1, 0.2, 1.0]], scale=[0.3, 0.1, 0.05], quats=[[1.0, 0.3, -0.2, 0.5]])
    frames, view = builders.still(), builders.camera()
    expected = backend.rasterize(splats, frames, view)
    splats.quats.mul_(-40)
    frames[:, 3:] *= 3
    view.world_from_camera[3:] *= 0.2
    torch.testing.assert_close(backend.rasterize(splats, frames, view).image, expected.image, atol=1e-6, rtol=0)
