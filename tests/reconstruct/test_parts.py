"""The fit's parts, each against an independent statement of what it does."""

import kornia
import numpy as np
import pytest
import torch

from splatworld import native
from splatworld.core import pose
from splatworld.core.splats import from_points
from splatworld.reconstruct import densify
from splatworld.reconstruct.config import FitConfig
from splatworld.reconstruct.exposure import Exposures, interpolate_gains
from splatworld.reconstruct.losses import PictureLoss
from splatworld.reconstruct.parameters import Parameters
from splatworld.reconstruct.score import psnr, ssim
from splatworld.reconstruct.views import Target
from splatworld.render import ops
from tests.reconstruct.clips import ring


def loss(image, target, mask, weight, gain=None):
    kernels, (height, width) = native.load(), image.shape[:2]
    planes, sums = torch.empty(kernels.LOSS_PLANES, height, width), torch.empty(height, kernels.LOSS_SUMS).double()
    gradient = torch.empty_like(image)
    l1, similar, by_log_gain = kernels.l1_ssim(image, gain, target, mask, weight, planes, sums, gradient)
    return l1, similar, gradient, torch.tensor(by_log_gain)


def plain_loss(image, target, mask, weight):
    """The same in float64 torch, with the window of the paper written out."""
    used = torch.ones(image.shape[:2]).double() if mask is None else mask.double()
    x = (image * used[..., None]).permute(2, 0, 1)[None]
    y = (target.double() / 255 * used[..., None]).permute(2, 0, 1)[None]
    tap = torch.exp(-((torch.arange(11) - 5.0).double() ** 2) / 4.5)
    window = (tap[:, None] * tap / tap.sum() ** 2).expand(3, 1, 11, 11)

    def blur(a):
        return torch.nn.functional.conv2d(a, window, padding=5, groups=3)

    mx, my = blur(x), blur(y)
    vx, vy, vxy = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    similar = (2 * mx * my + 1e-4) * (2 * vxy + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
    share = used / (3 * used.sum())
    l1 = ((x - y).abs() * share).sum()
    similar = (similar * share).sum()
    return l1, similar, (1 - weight) * l1 + weight * (1 - similar)


@pytest.mark.parametrize("size", [(40, 30), (7, 5), (1, 1), (33, 17)])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("gain", [None, (0.8, 1.1, 1.3)])
def test_loss_and_its_gradients(size, masked, gain):
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(size[1], size[0], 3, generator=generator)
    target = (torch.rand(size[1], size[0], 3, generator=generator) * 255).to(torch.uint8)
    mask = (torch.rand(size[1], size[0], generator=generator) > 0.3).to(torch.uint8) if masked else None
    if masked:
        mask[0, 0] = 1
    gain = None if gain is None else torch.tensor(gain)
    l1, similar, gradient, by_log_gain = loss(image, target, mask, 0.2, gain)
    exact, log_gain = image.double().requires_grad_(), torch.zeros(3).double() if gain is None else gain.double().log()
    true_l1, true_similar, total = plain_loss(exact * log_gain.requires_grad_().exp(), target, mask, 0.2)
    total.backward()
    assert l1 == pytest.approx(float(true_l1.detach()), abs=1e-6)
    assert similar == pytest.approx(float(true_similar.detach()), abs=1e-5)
    assert float((gradient - exact.grad).norm() / exact.grad.norm()) < 1e-4
    assert float((by_log_gain - log_gain.grad).norm() / log_gain.grad.norm()) < 1e-4


def test_loss_with_everything_masked():
    image = torch.rand(6, 6, 3)
    l1, similar, gradient, _ = loss(
        image, torch.zeros(6, 6, 3, dtype=torch.uint8), torch.zeros(6, 6, dtype=torch.uint8), 0.2
    )
    assert (l1, similar) == (0, 0)
    assert not gradient.any()


def test_ssim_agrees_with_kornia():
    """On a black frame, where its mirrored border and our zero one are the same."""
    generator = torch.Generator().manual_seed(0)
    image, target = torch.zeros(60, 50, 3), torch.zeros(60, 50, 3, dtype=torch.uint8)
    image[12:-12, 12:-12] = torch.rand(36, 26, 3, generator=generator)
    target[12:-12, 12:-12] = (image[12:-12, 12:-12] * 200).to(torch.uint8)
    values = kornia.metrics.ssim(image.permute(2, 0, 1)[None], target.permute(2, 0, 1)[None] / 255.0, 11)
    assert ssim(image, target) == pytest.approx(float(values.mean()), abs=1e-5)


def test_memory_kept_between_pictures_changes_nothing():
    kept, gain = PictureLoss(0.2), torch.tensor([0.9, 1.0, 1.2])
    for width, height in ((12, 9), (12, 9), (9, 12), (30, 20), (12, 9)):
        generator = torch.Generator().manual_seed(width)
        image = torch.rand(height, width, 3, generator=generator)
        shown = (torch.rand(height, width, 3, generator=generator) * 255).to(torch.uint8)
        target = Target(image=shown, mask=None, depth=None, size=(width, height))
        for found, wanted in zip(
            kept.gradients(image, gain, target), PictureLoss(0.2).gradients(image, gain, target), strict=True
        ):
            assert torch.equal(found, wanted)
            assert found.any()


def test_psnr():
    target = torch.full((4, 4, 3), 100, dtype=torch.uint8)
    assert psnr(target / 255.0, target) == float("inf")
    assert psnr((target + 10) / 255.0, target) == pytest.approx(20 * np.log10(255 / 10))
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask[0] = True
    worse = target.clone()
    worse[1:] = 0
    assert psnr(worse / 255.0, target, mask) == float("inf")


def blob(count=60, opacity=0.6):
    generator = torch.Generator().manual_seed(3)
    place = torch.randn(count, 3, generator=generator) * 0.3
    color = (torch.rand(count, 3, generator=generator) * 255).to(torch.uint8)
    return from_points(place, color, scale=torch.full((count,), 0.05), opacity=opacity, degree=0)


def picture(parameters):
    return ops.rasterize(parameters.splats(), pose.identity(1), ring(1)[0]).image


def test_growing_hardly_changes_the_picture():
    config = FitConfig(splats=90)
    parameters = Parameters(blob(), config)
    before = picture(parameters)
    densify.grow(parameters, 90, config, step=0)
    assert len(parameters) == 90
    assert float((picture(parameters) - before).abs().mean()) < 0.02


def test_dead_splats_move_to_live_ones():
    config = FitConfig()
    splats = blob()
    splats.opacity_logits[:20] = -9.0
    parameters = Parameters(splats, config)
    before = picture(parameters)
    densify.relocate(parameters, config, step=0)
    assert float(parameters.values["opacity_logits"].sigmoid().min()) > config.dead_opacity
    assert float((picture(parameters) - before).abs().mean()) < 0.02


def test_only_transparent_splats_wander():
    splats = blob()
    splats.opacity_logits[:30] = -7.0
    parameters = Parameters(splats, FitConfig())
    before = parameters.values["means"].clone()
    densify.wander(parameters, 1e-4, FitConfig(), step=0)
    moved = (parameters.values["means"] != before).any(dim=-1)
    assert bool(moved[:30].all())
    assert not bool(moved[30:].any())


def test_exposures_cannot_tint_the_world():
    exposures = Exposures(4, rate=0.01)
    for step in range(40):
        exposures.step(step % 4, torch.tensor([1.0, -0.5, 0.2]) * (1 + step % 4))
    assert torch.allclose(exposures.log_gains.mean(dim=0), torch.zeros(3), atol=1e-6)


def test_held_out_gains_lie_between_their_neighbours():
    gains = torch.tensor([[0.0] * 3, [0.2] * 3, [0.6] * 3])
    times = torch.tensor([0.0, 1.0, 3.0])
    found = interpolate_gains(gains, times, torch.tensor([-1.0, 0.5, 2.0, 9.0])).log()
    assert torch.allclose(found[:, 0], torch.tensor([0.0, 0.1, 0.4, 0.6]), atol=1e-6)
    assert interpolate_gains(gains[:1], times[:1], torch.tensor([5.0])).tolist() == [[1.0, 1.0, 1.0]]
