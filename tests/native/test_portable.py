"""The same source on another processor: compiled for aarch64, run under emulation, compared with this machine."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from splatworld import native
from splatworld.evaluate.scenes import random_scene
from splatworld.render.ops import RasterPass, camera_rows

ROOT = Path(__file__).parents[2]
COMPILER, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"
SOURCES = ("threads", "tiles", "project", "intersect", "rasterize")
FLAGS = ("-std=c++17", "-O2", "-fno-math-errno", "-fno-trapping-math", "-Wall", "-Wextra", "-Wno-psabi", "-Werror")


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    for tool in (COMPILER, EMULATOR):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    target = tmp_path_factory.mktemp("aarch64") / "pipeline"
    sources = [Path(__file__).with_name("pipeline.cpp"), *(ROOT / "cuda" / "cpu" / f"{name}.cpp" for name in SOURCES)]
    subprocess.run(
        [
            COMPILER,
            *FLAGS,
            "-static",
            "-DSPLATWORLD_LEVEL=base",
            f"-I{ROOT / 'cuda'}",
            *map(str, sources),
            "-o",
            target,
        ],
        check=True,
    )
    return target


@pytest.mark.slow
def test_aarch64_renders_the_same_picture_and_gradients(program, tmp_path):
    try:
        native.load()
    except native.NativeMissing as missing:
        pytest.skip(str(missing))
    scene = random_scene(0, count=200)
    splats, camera = scene.splats, scene.camera
    width, height = camera.size
    values = {name: getattr(splats, name).float().contiguous() for name in RasterPass.PARAMETERS}
    table, row = scene.frames.float().reshape(-1, 7), camera_rows(camera).float().reshape(-1, 24)[0].contiguous()
    body_ids = splats.body_ids.int() % len(table)
    by_image = torch.randn(height, width, 3, generator=torch.Generator().manual_seed(0))

    here = RasterPass(values, body_ids, table, row, (width, height), torch.tensor([0.1, 0.2, 0.3]), color_only=True)
    names = ("means", "log_scales", "sh")
    gradients = {name: torch.zeros_like(values[name]) for name in names}
    here.backward(gradients, by_image)

    head = torch.tensor([len(splats), values["sh"].shape[1], len(table), width, height], dtype=torch.int32)
    content = [head, row, *values.values(), table, body_ids, by_image]
    (tmp_path / "scene").write_bytes(b"".join(tensor.contiguous().numpy().tobytes() for tensor in content))
    subprocess.run([EMULATOR, program, tmp_path / "scene", tmp_path / "outcome"], check=True)
    there = torch.from_numpy(np.fromfile(tmp_path / "outcome", dtype=np.float32))

    expected = [here.image, *(gradients[name] for name in names)]
    for wanted, given in zip(expected, there.split([tensor.numel() for tensor in expected]), strict=True):
        assert float(wanted.abs().max()) > 0
        assert float((given.view_as(wanted) - wanted).norm() / wanted.norm()) < 1e-5
