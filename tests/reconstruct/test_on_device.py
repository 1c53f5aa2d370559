"""Loss and optimiser on a device, which the host plays, against the CPU's."""

import pytest
import torch

from splatworld import native
from splatworld.core.splats import from_points
from splatworld.reconstruct.config import FitConfig
from splatworld.reconstruct.losses import PictureLoss
from splatworld.reconstruct.parameters import Parameters
from splatworld.reconstruct.views import Target


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
