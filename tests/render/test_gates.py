"""Both sides of every comparison that decides whether a splat is seen."""

from dataclasses import replace

import pytest
import torch

from splatworld.render.rendering import ALPHA_MAX, ALPHA_MIN, NEAR, TRANSMITTANCE_STOP
from tests.render import builders

ONE = [[0.0, 0.0, 1.0]]
VIEW = builders.camera(9, 7)
MIDDLE = (3, 4)
"""Row and column of the pixel whose centre the axis meets."""


def draw(backend, splats, view=VIEW, **options):
    return backend.rasterize(splats, builders.still(16), view, **options)


@pytest.mark.parametrize("share", [0.99, 1.01])
def test_alpha_below_one_of_255_is_skipped(backend, share):
    drawn = draw(backend, builders.splats(ONE, opacity=ALPHA_MIN * share))
    expected = ALPHA_MIN * share if share > 1 else 0.0
    assert float(drawn.alpha[MIDDLE]) == pytest.approx(expected, abs=1e-6)
    assert float(drawn.alpha.sum()) == pytest.approx(expected, abs=1e-6)


def test_the_footprint_ends_where_alpha_does(backend):
    """Along a row, exactly the pixels whose Gaussian reaches 1/255 are touched, on both sides alike."""
    splat = builders.splats([[0, 0, 1.0]], scale=0.8, opacity=0.9)
    drawn = draw(backend, splat, builders.camera(65, 65))
    xs = torch.arange(65, dtype=torch.float64) - 32
    squares = xs[None] ** 2 + xs[:, None] ** 2
    exact = 0.9 * torch.exp(-0.5 * squares / (8.0**2 + 0.3))
    assert torch.equal(drawn.alpha > 0, exact >= ALPHA_MIN)
    torch.testing.assert_close(drawn.alpha.double(), torch.where(exact >= ALPHA_MIN, exact, 0.0), atol=1e-6, rtol=0)


@pytest.mark.parametrize("opacity", [0.9985, 0.9995])
def test_the_alpha_clamp_gates_its_gradient(backend, opacity):
    splats = builders.leaves(builders.splats([[0.02, 0.01, 1.0]], scale=3.0, opacity=opacity))
    drawn = draw(backend, splats)
    alpha = drawn.alpha[MIDDLE]
    assert float(alpha.detach()) == pytest.approx(min(opacity, ALPHA_MAX), abs=1e-4)
    (alpha + drawn.image[MIDDLE].sum()).backward()
    clamped = opacity > ALPHA_MAX
    for name in ("means", "log_scales", "opacity_logits"):
        assert bool((getattr(splats, name).grad == 0).all()) is clamped, name
    assert float(splats.sh.grad.abs().sum()) > 0
    if not clamped:
        expected = 4 * opacity * (1 - opacity)
        assert float(splats.opacity_logits.grad) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("share", [0.9, 1.1])
def test_transmittance_stop(backend, share):
    """The splat that would take transmittance to 1e-4 is not blended, and nothing behind it is."""
    second = 1 - 1e2 * TRANSMITTANCE_STOP * share
    splats = builders.leaves(
        builders.splats(
            [[0, 0, 1], [0, 0, 2], [0, 0, 3.0]], scale=3.0, opacity=[0.99, second, 0.05], color=[[1.0], [2], [3]]
        )
    )
    drawn = draw(backend, splats)
    left = 1e-2
    expected = 0.99
    if share > 1:
        expected += left * second * 2 + left * (1 - second) * 0.05 * 3
        left *= (1 - second) * 0.95
    assert float(drawn.image.detach()[(*MIDDLE, 0)]) == pytest.approx(expected, abs=1e-5)
    assert float(1 - drawn.alpha.detach()[MIDDLE]) == pytest.approx(left, abs=1e-6)
    drawn.image[MIDDLE].sum().backward()
    blended = (splats.sh.grad[:, 0, 0] != 0).tolist()
    assert blended == [True, share > 1, share > 1]


@pytest.mark.parametrize("share", [0.99, 1.01])
def test_near_plane(backend, share):
    splats = builders.leaves(builders.splats([[0, 0, NEAR * share]], scale=0.001))
    drawn = draw(backend, splats)
    assert bool(drawn.alpha.any()) is (share > 1)
    (drawn.image.sum() + drawn.depth.sum()).backward()
    for name in builders.FLOATS:
        assert torch.isfinite(getattr(splats, name).grad).all(), name
        if share < 1:
            assert not getattr(splats, name).grad.any(), name


@pytest.mark.parametrize("raw", [-0.01, 0.01])
def test_colours_stop_at_zero(backend, raw):
    splats = builders.leaves(builders.splats(ONE, color=[raw, 0.5, raw]))
    drawn = draw(backend, splats)
    assert float(drawn.image.detach()[(*MIDDLE, 0)]) == pytest.approx(0.5 * max(raw, 0), abs=1e-6)
    drawn.image.sum().backward()
    assert bool(splats.sh.grad[0, 0, 0] != 0) is (raw > 0)
    assert float(splats.sh.grad[0, 0, 1]) > 0


@pytest.mark.parametrize("opacity", [0.49, 0.51])
def test_median_is_where_half_is_covered(backend, opacity):
    drawn = draw(backend, builders.splats([[0, 0, 1.5]], opacity=opacity, body_ids=[7]))
    seen = opacity > 0.5
    assert int(drawn.body_ids[MIDDLE]) == (7 if seen else -1)
    assert float(drawn.median_depth[MIDDLE]) == pytest.approx(1.5 if seen else 0.0)
    assert not drawn.median_depth.requires_grad


def test_median_splat_is_the_first_to_pass_half(backend):
    splats = builders.splats(
        [[0, 0, 3], [0, 0, 1], [0, 0, 2.0]], scale=1.0, opacity=[0.9, 0.3, 0.4], body_ids=[3, 1, 2]
    )
    drawn = draw(backend, splats)
    assert int(drawn.body_ids[MIDDLE]) == 2
    assert float(drawn.median_depth[MIDDLE]) == pytest.approx(2.0)
    weights = torch.tensor([0.7 * 0.6 * 0.9, 0.3, 0.7 * 0.4])
    expected = float((weights * torch.tensor([3.0, 1, 2])).sum() / weights.sum())
    assert float(drawn.depth[MIDDLE]) == pytest.approx(expected, rel=1e-5)


def test_equal_depths_are_drawn_in_order_of_index(backend):
    for first, second in ((1.0, 0.2), (0.2, 1.0)):
        drawn = draw(backend, builders.splats([*ONE, *ONE], opacity=0.5, color=[[first], [second]]))
        expected = 0.5 * first + 0.25 * second
        assert float(drawn.image[(*MIDDLE, 0)]) == pytest.approx(expected, abs=1e-6)


def test_degree_is_limited(backend):
    splats = builders.splats(ONE)
    sh = torch.zeros(1, 16, 3, dtype=torch.float64)
    sh[:, 0], sh[:, 2] = splats.sh[:, 0], 0.3
    splats = replace(splats, sh=sh)
    flat, full = draw(backend, splats, sh_degree=0), draw(backend, splats)
    assert float(flat.image[(*MIDDLE, 0)]) == pytest.approx(0.5, abs=1e-6)
    assert float(full.image[(*MIDDLE, 0)]) == pytest.approx(0.5 + 0.5 * 0.3 * 0.4886025, abs=1e-6)
