"""Numbers nobody should send: the picture stays finite, or a named error says what is wrong."""

import math
from dataclasses import replace

import pytest
import torch

from splatworld.core.checks import InputError, ShapeError, SplatworldError
from splatworld.core.world import Skin
from tests.render import builders

VIEW = builders.camera(21, 13)


def good():
    return builders.splats([[0.2, 0.1, 1.5], [-0.3, 0.1, 2.0], [0, 0, 3.0]], scale=0.3, color=[[0.9], [0.4], [0.6]])


def with_bad(name: str, value: float):
    """Splat 1 of four is bad; the others are those of `good`."""
    splats = builders.joined(good().select(torch.tensor([0, 0])), good().select(torch.tensor([1, 2])))
    row = getattr(splats, name)[1]
    row.view(-1)[-1] = value
    return builders.leaves(splats)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", builders.FLOATS)
def test_a_splat_that_is_not_finite_is_not_drawn_and_gets_no_gradient(backend, name, value):
    splats, clean = with_bad(name, value), builders.leaves(good())
    drawn = backend.rasterize(splats, builders.still(), VIEW, antialias=True)
    expected = backend.rasterize(clean, builders.still(), VIEW, antialias=True)
    builders.assert_same(drawn, expected)
    for given in (drawn, expected):
        (given.image.sum() + given.depth.sum()).backward()
    others = torch.tensor([0, 2, 3])
    for key in builders.FLOATS:
        gradient = getattr(splats, key).grad
        assert not gradient[1].any(), key
        torch.testing.assert_close(gradient[others], getattr(clean, key).grad, atol=1e-9, rtol=1e-6)


@pytest.mark.parametrize("size", [0.0, 1e-13])
def test_a_quaternion_of_no_length_is_no_splat(backend, size):
    splats = with_bad("quats", 0.0)
    with torch.no_grad():
        splats.quats[1] = torch.tensor([size, 0, 0, 0])
    drawn = backend.rasterize(splats, builders.still(), VIEW)
    builders.assert_same(drawn, backend.rasterize(good(), builders.still(), VIEW))
    drawn.image.sum().backward()
    assert torch.isfinite(splats.quats.grad).all()
    assert not splats.quats.grad[1].any()


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize(
    ("name", "value"),
    [("log_scales", math.log(1e6)), ("log_scales", -200.0), ("log_scales", 80.0), ("means", 1e6), ("means", 1e30),
     ("opacity_logits", 500.0), ("opacity_logits", -500.0), ("sh", 1e6), ("quats", 1e10), ("quats", 1e30)],
)  # fmt: skip
def test_extreme_numbers_stay_finite(backend, name, value, antialias):
    splats = with_bad(name, value)
    drawn = backend.rasterize(splats, builders.still(), VIEW, antialias=antialias)
    builders.assert_finite(drawn)
    (drawn.image.sum() + drawn.depth.sum() + drawn.alpha.sum()).backward()
    for key in builders.FLOATS:
        assert torch.isfinite(getattr(splats, key).grad).all(), key


def test_splats_at_the_camera_and_at_its_plane_stay_finite(backend):
    places = [[0, 0, 0.0], [1, 0, 0], [0.5, 0.5, 0.01], [5.0, -3.0, 0.010001], [0, 0, 1e-30]]
    splats = builders.leaves(builders.splats(places, scale=[1.0, 0.01, 1e-4]))
    drawn = backend.rasterize(splats, builders.still(), VIEW, antialias=True)
    builders.assert_finite(drawn)
    (drawn.image.sum() + drawn.depth.sum()).backward()
    for key in builders.FLOATS:
        assert torch.isfinite(getattr(splats, key).grad).all(), key


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0])
def test_a_frame_that_is_no_pose_hides_its_splats_or_is_refused(backend, value):
    splats = good()
    splats.body_ids[1] = 1
    frames = builders.still(2)
    frames[1, 3:] = value
    frames.requires_grad_()
    try:
        drawn = backend.rasterize(splats, frames, VIEW)
    except SplatworldError:
        return
    builders.assert_same(drawn, backend.rasterize(splats.select(torch.tensor([0, 2])), builders.still(), VIEW))
    drawn.image.sum().backward()
    assert torch.isfinite(frames.grad).all()
    assert not frames.grad[1].any()


@pytest.mark.parametrize("name", ["focal", "center", "world_from_camera"])
def test_a_camera_that_is_not_finite_draws_nothing_or_is_refused(backend, name):
    broken = getattr(VIEW, name).clone()
    broken[-1] = math.nan
    try:
        drawn = backend.rasterize(good(), builders.still(), replace(VIEW, **{name: broken}))
    except SplatworldError:
        return
    builders.assert_finite(drawn)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (15, 17), (16, 16), (31, 33)])
def test_images_of_every_size(backend, size):
    view = builders.camera(*size)
    drawn = backend.rasterize(good(), builders.still(), view)
    assert drawn.image.shape == (size[1], size[0], 3)
    builders.assert_finite(drawn)
    assert float(drawn.alpha.max()) > 0.3


@pytest.mark.parametrize("batch", [(), (2,)])
def test_no_splats_show_the_background(backend, batch):
    splats = builders.leaves(builders.splats([]))
    background = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64, requires_grad=True)
    drawn = backend.rasterize(splats, builders.still().expand(*batch, 1, 7), VIEW, background=background)
    assert drawn.image.shape == (*batch, 13, 21, 3)
    torch.testing.assert_close(drawn.image, background.expand_as(drawn.image), check_dtype=False, atol=1e-7, rtol=0)
    assert not drawn.alpha.any()
    assert not drawn.depth.any()
    assert bool((drawn.body_ids == -1).all())
    drawn.image.sum().backward()
    assert float(background.grad.sum()) == pytest.approx(3 * drawn.alpha.numel())


def test_wrong_frames_are_refused_by_name(backend):
    splats, frames = good(), builders.still()
    with pytest.raises(ShapeError, match="frames"):
        backend.rasterize(splats, frames[:, :6], VIEW)
    for ids in ([0, 1, 0], [0, -1, 0]):
        with pytest.raises(InputError, match="frame"):
            backend.rasterize(replace(splats, body_ids=torch.tensor(ids, dtype=torch.int32)), frames, VIEW)
    skin = Skin(torch.zeros(2, 1, dtype=torch.int32), torch.ones(2, 1, dtype=torch.float64))
    with pytest.raises(ShapeError, match="skin"):
        backend.rasterize(splats, frames, VIEW, skin=skin)


def test_distorted_cameras_are_refused(backend):
    with pytest.raises(InputError, match="distortion"):
        backend.rasterize(good(), builders.still(), replace(VIEW, distortion=torch.full((4,), 0.1)))


def test_a_background_of_another_shape_is_refused(backend):
    with pytest.raises(ShapeError, match="background"):
        backend.rasterize(good(), builders.still(), VIEW, background=torch.zeros(4, dtype=torch.float64))


def test_a_negative_degree_is_refused(backend):
    with pytest.raises(InputError, match="degree"):
        backend.rasterize(good(), builders.still(), VIEW, sh_degree=-1)
