"""Scenes for gpu_pipeline.cpp, what it makes of them, and what the CPU's kernels do."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from splatworld.core.world import Skin
from splatworld.evaluate.scenes import random_scene
from splatworld.render.ops import camera_rows
from splatworld.render.passes import RasterPass

BACKGROUND = (0.1, 0.2, 0.3)


@dataclass
class Inputs:
    """B states of a scene, a camera each, and gradients of their pictures."""

    values: dict[str, Tensor]
    body_ids: Tensor
    tables: Tensor
    rows: Tensor
    size: tuple[int, int]
    gradients: tuple[Tensor, Tensor, Tensor]
    skin: Skin | None = None
    antialias: bool = False
    sh_count: int | None = None
    hidden: tuple[int, ...] = ()


def scene_inputs(seed: int, count: int = 150) -> Inputs:
    """All that is random in a scene, its splats' skin, harmonics and cameras that move among it."""
    scene = random_scene(seed, count=count)
    values = {name: getattr(scene.splats, name).float().contiguous() for name in RasterPass.PARAMETERS}
    tables = scene.frames.float().contiguous()
    rows = camera_rows(scene.camera).float().reshape(-1, 24).expand(len(tables), 24).contiguous()
    width, height = scene.camera.size
    rng = torch.Generator().manual_seed(0)
    shape = (len(tables), height, width)
    by_image = torch.randn(*shape, 3, generator=rng)
    gradients = by_image, torch.randn(shape, generator=rng), torch.randn(shape, generator=rng)
    used = None if scene.sh_degree is None else (scene.sh_degree + 1) ** 2
    bodies = scene.splats.body_ids.int() % tables.shape[1]
    return Inputs(values, bodies, tables, rows, (width, height), gradients, scene.skin, scene.antialias, used)


def run_program(
    program: Path, folder: Path, inputs: Inputs, *, seen_room: int = 0, pair_room: int = 0
) -> dict[str, Tensor]:
    """What the program makes of them, by name; `totals` alone where they do not fit the room."""
    values, count, (width, height) = inputs.values, len(inputs.body_ids), inputs.size
    views, frames = inputs.tables.shape[:2]
    harmonics = values["sh"].shape[1]
    weights = 0 if inputs.skin is None else inputs.skin.indices.shape[1]
    head = [views, count, harmonics, inputs.sh_count or harmonics, frames, width, height, weights, inputs.antialias]
    skin = () if inputs.skin is None else (inputs.skin.indices.int(), inputs.skin.weights.float())
    hidden = torch.tensor([frame in inputs.hidden for frame in range(frames)], dtype=torch.uint8)
    with (folder / "in").open("wb") as file:
        np.array([*head, seen_room, pair_room], np.int32).tofile(file)
        splats = (values[name] for name in RasterPass.PARAMETERS)
        for tensor in (inputs.rows, *splats, inputs.tables, inputs.body_ids, *skin, hidden, *inputs.gradients):
            tensor.contiguous().numpy().tofile(file)
    subprocess.run([program, folder / "in", folder / "out"], check=True)
    pixels = (views, height, width)
    layout = {
        "image": (*pixels, 3), "transmittance": pixels, "depth_sum": pixels, "median_depth": pixels,
        "means": (count, 3), "log_scales": (count, 3), "quats": (count, 4), "opacity_logits": (count,),
        "sh": (count, harmonics, 3), "loss_gradient": (height, width, 3), "stepped": (count, 3),
        "wandered": (count, 3), "frames": (views, frames, 7), "camera": (views, 24), "loss": (5,),
    }  # fmt: skip
    with (folder / "out").open("rb") as file:
        out = {"totals": torch.from_numpy(np.fromfile(file, np.int64, 4))}
        if out["totals"][2]:
            layout = {}
        for name, shape in layout.items():
            kind = np.float64 if name in ("frames", "camera", "loss") else np.float32
            out[name] = torch.from_numpy(np.fromfile(file, kind, int(np.prod(shape))).reshape(shape))
        assert not file.read()
    return out


def cpu_passes(inputs: Inputs) -> list[RasterPass]:
    """The same by the CPU's kernels, view by view."""
    hidden = torch.isin(inputs.body_ids, torch.tensor(inputs.hidden, dtype=torch.int32)).nonzero()[:, 0]
    return [
        RasterPass(
            inputs.values, inputs.body_ids, table, row, inputs.size, torch.tensor(BACKGROUND),
            skin=inputs.skin, sh_count=inputs.sh_count, antialias=inputs.antialias, hidden=hidden,
        )
        for table, row in zip(inputs.tables, inputs.rows, strict=True)
    ]  # fmt: skip


def relative(a: Tensor, b: Tensor) -> float:
    return float((a.double() - b.double()).norm() / b.double().norm())


def check_pictures(found: dict[str, Tensor], passes: list[RasterPass]) -> None:
    for view, one in enumerate(passes):
        for name in ("image", "transmittance", "depth_sum"):
            torch.testing.assert_close(found[name][view], getattr(one, name), atol=1e-4, rtol=1e-5)
        torch.testing.assert_close(found["median_depth"][view], one.median_depth, atol=1e-5, rtol=1e-5)


def check_gradients(found: dict[str, Tensor], passes: list[RasterPass], inputs: Inputs, limit: float = 1e-4) -> None:
    """Of all views."""
    total = {name: torch.zeros_like(value) for name, value in inputs.values.items()}
    for view, one in enumerate(passes):
        own = {"frames": torch.zeros(inputs.tables.shape[1], 7).double(), "camera": torch.zeros(24).double()}
        one.backward({**total, **own}, *(gradient[view] for gradient in inputs.gradients))
        assert relative(found["frames"][view], own["frames"]) < limit
        assert relative(found["camera"][view], own["camera"]) < limit
    for name, value in total.items():
        assert relative(found[name], value) < limit, name
