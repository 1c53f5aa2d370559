"""The CUDA kernels without a GPU: compiled by nvcc, and run by a host that plays the device, under sanitizers."""

import shutil
import subprocess
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from splatworld import native
from splatworld.evaluate.scenes import random_scene
from splatworld.render.ops import camera_rows
from splatworld.render.passes import RasterPass
from tests.native.host_device import ROOT, SHIM, kernel_sources

SOURCES = sorted((ROOT / "cuda" / "gpu").glob("*.cu"))
SANITIZERS = "-fsanitize=address,undefined,float-cast-overflow"
VIEWS = 2


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    target = tmp_path_factory.mktemp("host") / "gpu_pipeline"
    kernels = [word for source in kernel_sources() for word in ("-x", "c++", str(source))]
    flags = [
        "-std=c++20",
        "-O1",
        "-g",
        "-Wall",
        "-Wextra",
        "-Wno-psabi",
        "-Werror",
        SANITIZERS,
        "-fno-sanitize-recover=all",
    ]
    subprocess.run(
        [
            "g++",
            *flags,
            "-DSPLATWORLD_HOST_SHIM",
            f"-I{ROOT / 'cuda'}",
            f"-I{SHIM}",
            *kernels,
            str(SHIM / "host_sort.cpp"),
            str(SHIM.parent / "gpu_pipeline.cpp"),
            "-pthread",
            "-o",
            target,
        ],
        check=True,
    )
    return target


@dataclass
class Inputs:
    values: dict[str, torch.Tensor]
    body_ids: torch.Tensor
    tables: torch.Tensor
    row: torch.Tensor
    size: tuple[int, int]
    gradients: tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@pytest.fixture(scope="module")
def inputs():
    """Two states of a scene, and gradients of their pictures."""
    scene = random_scene(0, count=150)
    values = {name: getattr(scene.splats, name).float().contiguous() for name in RasterPass.PARAMETERS}
    table = scene.frames.float().reshape(-1, *scene.frames.shape[-2:])[0]
    tables = torch.stack([table] * VIEWS)
    tables[1, :, :3] += 0.05
    row = camera_rows(scene.camera).float().reshape(-1, 24)[0].contiguous()
    width, height = scene.camera.size
    rng = torch.Generator().manual_seed(0)
    shape = (VIEWS, height, width)
    gradients = tuple(torch.randn(*shape, *more, generator=rng) for more in ((3,), (), ()))
    return Inputs(values, scene.splats.body_ids.int() % table.shape[0], tables, row, (width, height), gradients)


@pytest.fixture(scope="module")
def found(program, inputs, tmp_path_factory):
    """What the program makes of them, by name."""
    folder = tmp_path_factory.mktemp("run")
    values, count, (width, height) = inputs.values, len(inputs.body_ids), inputs.size
    harmonics, frames = values["sh"].shape[1], inputs.tables.shape[1]
    with (folder / "in").open("wb") as file:
        np.array([VIEWS, count, harmonics, frames, width, height], np.int32).tofile(file)
        tensors = (torch.stack([inputs.row] * VIEWS), *(values[name] for name in RasterPass.PARAMETERS))
        for tensor in (*tensors, inputs.tables, inputs.body_ids, *inputs.gradients):
            tensor.contiguous().numpy().tofile(file)
    subprocess.run([program, folder / "in", folder / "out"], check=True)
    pixels = (VIEWS, height, width)
    layout = {
        "image": (*pixels, 3), "transmittance": pixels, "depth_sum": pixels, "median_depth": pixels,
        "means": (count, 3), "log_scales": (count, 3), "quats": (count, 4), "opacity_logits": (count,),
        "sh": (count, harmonics, 3), "loss_gradient": (height, width, 3), "stepped": (count, 3),
        "frames": (VIEWS, frames, 7), "camera": (VIEWS, 24), "loss": (5,),
    }  # fmt: skip
    out = {}
    with (folder / "out").open("rb") as file:
        for name, shape in layout.items():
            kind = np.float64 if name in ("frames", "camera", "loss") else np.float32
            out[name] = torch.from_numpy(np.fromfile(file, kind, int(np.prod(shape))).reshape(shape))
        assert not file.read()
    return out


@pytest.fixture(scope="module")
def passes(inputs):
    background = torch.tensor([0.1, 0.2, 0.3])
    return [
        RasterPass(inputs.values, inputs.body_ids, table, inputs.row, inputs.size, background)
        for table in inputs.tables
    ]


def relative(a, b):
    return float((a.double() - b.double()).norm() / b.double().norm())


def test_pictures_are_those_of_the_cpu(found, passes):
    for view, one in enumerate(passes):
        for name in ("image", "transmittance", "depth_sum"):
            torch.testing.assert_close(found[name][view], getattr(one, name), atol=1e-4, rtol=1e-5)
        torch.testing.assert_close(found["median_depth"][view], one.median_depth, atol=1e-5, rtol=1e-5)


def test_gradients_of_all_views_are_those_of_the_cpu(found, passes, inputs):
    count, frames = len(inputs.body_ids), inputs.tables.shape[1]
    total = {name: torch.zeros_like(value) for name, value in inputs.values.items()}
    for view, one in enumerate(passes):
        own = {"frames": torch.zeros(frames, 7).double(), "camera": torch.zeros(24).double()}
        one.backward({**total, **own}, *(gradient[view] for gradient in inputs.gradients))
        assert relative(found["frames"][view], own["frames"]) < 1e-4
        assert relative(found["camera"][view], own["camera"]) < 1e-4
    for name, value in total.items():
        assert relative(found[name], value) < 1e-4, name
    assert found["sh"].shape[0] == count


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


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_every_file_compiles(source, tmp_path):
    compiler = shutil.which("nvcc")
    if compiler is None:
        pytest.skip("nvcc is not installed")
    flags = ["-std=c++17", "-arch=sm_75", "-Werror", "all-warnings", f"-I{ROOT / 'cuda'}"]
    subprocess.run([compiler, *flags, "-c", source, "-o", tmp_path / "kernel.o"], check=True)
