"""The fit, its loss and optimiser on a device, which the host plays, against the CPU's."""

import sys

import pytest
import torch

from splatworld import native
from splatworld.core.checks import InputError
from splatworld.core.splats import from_points
from splatworld.reconstruct.config import FitConfig
from splatworld.reconstruct.fit import _Fit
from splatworld.reconstruct.losses import PictureLoss
from splatworld.reconstruct.parameters import Parameters
from splatworld.reconstruct.views import Target
from splatworld.render.device import choose_device
from tests.native.elsewhere import elsewhere
from tests.reconstruct.clips import filmed


def compared(host_device, outcome):
    """What `outcome` gives on the CPU and on the device that the host plays."""
    expected = outcome()
    with native.replaced_cuda(host_device):
        return expected, outcome()


@pytest.mark.parametrize("masked", [False, True])
def test_the_loss_and_its_gradients_are_those_of_the_cpu(host_device, masked):
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(18, 33, 3, generator=generator)
    target = (255 * torch.rand(18, 33, 3, generator=generator)).to(torch.uint8)
    mask = (torch.rand(18, 33, generator=generator) > 0.3).to(torch.uint8) if masked else None

    def outcome():
        seen = Target(target, mask, None, (33, 18))
        return PictureLoss(0.2).gradients(image, torch.tensor([1.1, 0.9, 1.0]), seen)

    (by_image, by_gain), (device_by_image, device_by_gain) = compared(host_device, outcome)
    torch.testing.assert_close(device_by_image, by_image, atol=1e-8, rtol=1e-4)
    torch.testing.assert_close(device_by_gain, by_gain, atol=1e-6, rtol=1e-4)


def test_steps_of_the_optimiser_are_those_of_the_cpu(host_device):
    def outcome():
        generator = torch.Generator().manual_seed(0)
        points, colors = torch.randn(40, 3, generator=generator), torch.full((40, 3), 99, dtype=torch.uint8)
        parameters = Parameters(from_points(points, colors, scale=torch.full((40,), 0.1)), FitConfig())
        for step in range(3):
            for gradient in parameters.gradients.values():
                gradient.copy_(torch.randn(gradient.shape, generator=generator))
            parameters.step(0.01, (torch.arange(40) % (step + 2)).int())
        return parameters.state()

    expected, found = compared(host_device, outcome)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=1e-6, rtol=1e-5, msg=name)


def test_a_fit_ends_with_the_world_that_the_cpu_fits(host_device):
    """Growing, moving splats, correcting poses; saved half way, which takes nothing but the CPU's memory."""
    clip = filmed(frames=4, points=60, with_depth=True)
    config = FitConfig(
        iterations=6, splats=90, sh_degree=1, relocate_every=2, grow_from=0.0, poses_rate=1e-3, threads=1, seed=3
    )
    saved = []

    def outcome():
        fitting = _Fit(clip, config)
        for step in range(config.iterations):
            fitting.advance(step)
        saved.append(fitting.state())
        return fitting.world(None)

    expected, found = compared(host_device, outcome)
    assert len(expected.splats) == len(found.splats) > 60
    for name in ("means", "log_scales", "opacity_logits", "sh"):
        torch.testing.assert_close(getattr(found.splats, name), getattr(expected.splats, name), atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(
        saved[1]["cameras"]["corrections"], saved[0]["cameras"]["corrections"], atol=1e-5, rtol=0
    )
    assert found.metrics["psnr_mean"] == pytest.approx(expected.metrics["psnr_mean"], abs=0.02)


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    assert choose_device("fit", "cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("fit", "auto") == torch.device("cpu")
    with pytest.raises(InputError, match=r"fit: device is 'cuda', but torch sees no GPU; use 'cpu' or 'auto'\."):
        choose_device("fit", "cuda")
    with pytest.raises(InputError, match="expected one of auto, cpu, cuda"):
        FitConfig(device="tpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setitem(sys.modules, "splatworld._native_cuda", None)
    with native.replaced_cuda(None):
        assert choose_device("fit", "auto") == torch.device("cpu")
        with pytest.raises(native.NativeMissing, match="SPLATWORLD_CUDA=native"):
            choose_device("fit", "cuda")


def test_a_fit_leaves_its_world_on_the_cpu(host_device):
    """Every tensor is where its kernel is, and none meets one from the other side."""
    with elsewhere(host_device):
        clip = filmed(frames=3, points=40, with_depth=True)
        config = FitConfig(
            iterations=3, splats=60, sh_degree=1, relocate_every=2, grow_from=0.0, poses_rate=1e-3, poses_from=0.0
        )
        fitting = _Fit(clip, config)
        assert fitting.parameters.values["means"].device.type == "cuda"
        for step in range(config.iterations):
            fitting.advance(step)
        saved = fitting.state()
        assert {value.device.type for part in saved.values() for value in part.values()} == {"cpu"}
        fitting.restore(saved)
        world = fitting.world(None)
        assert len(world.splats) == 60
        assert world.splats.means.device.type == "cpu"
        assert world.metrics["psnr_mean"] > 10
