"""The CUDA kernels without a GPU: compiled by nvcc, and run by a host that plays the device, under sanitizers."""

import shutil
import subprocess

import pytest
import torch

from splatworld import native
from tests.native.gpu_program import check_gradients, check_pictures, cpu_passes, relative, run_program, scene_inputs
from tests.native.host_device import ROOT

SOURCES = sorted((ROOT / "cuda" / "gpu").glob("*.cu"))


@pytest.fixture(scope="module")
def inputs():
    return scene_inputs(0)


@pytest.fixture(scope="module")
def found(program, inputs, tmp_path_factory):
    return run_program(program, tmp_path_factory.mktemp("run"), inputs)


@pytest.fixture(scope="module")
def passes(inputs):
    return cpu_passes(inputs)


def test_pictures_are_those_of_the_cpu(found, passes):
    check_pictures(found, passes)


def test_gradients_of_all_views_are_those_of_the_cpu(found, passes, inputs):
    check_gradients(found, passes, inputs)


def test_loss_and_its_gradient_are_those_of_the_cpu(found):
    kernels, image = native.load(), found["image"][0].contiguous()
    height, width, _ = image.shape
    target = (255 * image.reshape(-1).roll(-3)).clamp(0, 255).to(torch.uint8).reshape(image.shape)
    mask = (torch.arange(height * width) % 7 != 0).to(torch.uint8).reshape(height, width)
    gradient = torch.empty_like(image)
    planes = torch.empty(kernels.LOSS_PLANES, height, width)
    sums = torch.empty(height, kernels.LOSS_SUMS).double()
    gain = torch.tensor([1.1, 0.9, 1.0])
    l1, ssim, by_log_gain = kernels.l1_ssim(image, gain, target, mask, 0.2, planes, sums, gradient)
    torch.testing.assert_close(found["loss"], torch.tensor([l1, ssim, *by_log_gain]).double(), atol=1e-6, rtol=1e-4)
    assert relative(found["loss_gradient"], gradient) < 1e-4


def test_a_step_of_adam_is_that_of_the_cpu(found, inputs, passes):
    value, gradient = inputs.values["means"].clone(), found["means"].clone()
    first, second = torch.zeros_like(value), torch.zeros_like(value)
    rates = torch.tensor([0.1, 0.2, 0.3])
    native.load().adam(
        value, gradient, first, second, passes[0].counts, rates, 0.01, 0.02, 0.9, 0.999, 1e-8, 1
    )  # fmt: skip
    torch.testing.assert_close(found["stepped"], value, atol=1e-6, rtol=1e-5)


def test_splats_wander_as_on_the_cpu(found, inputs):
    means = inputs.values["means"].clone()
    parameters = (inputs.values[name] for name in ("log_scales", "quats"))
    native.load().wander(means, inputs.values["opacity_logits"] - 6.0, *parameters, 3.0, 0.0, (1 << 40) + 5, 7)
    moved = (means - inputs.values["means"]).norm(dim=1)
    assert (moved > 1e-3).sum() > 20
    assert (moved == 0).sum() > 5
    torch.testing.assert_close(found["wandered"], means, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_every_file_compiles(source, tmp_path):
    compiler = shutil.which("nvcc")
    if compiler is None:
        pytest.skip("nvcc is not installed")
    flags = ["-std=c++17", "-arch=sm_75", "-Werror", "all-warnings", f"-I{ROOT / 'cuda'}"]
    subprocess.run([compiler, *flags, "-c", source, "-o", tmp_path / "kernel.o"], check=True)
