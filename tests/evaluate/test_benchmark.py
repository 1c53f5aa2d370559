"""What the kernels are measured against is right itself, and the suite has its rows."""

import math
from dataclasses import replace

import pytest
import torch

from splatworld import native
from splatworld.evaluate import benchmark, growth, parity, scenes
from splatworld.evaluate.growth import Cost, Point
from splatworld.evaluate.stages import STAGES, TimedKernels, Times, View
from splatworld.render import ops
from tests.render import builders


@pytest.fixture
def module():
    try:
        return native.load_benchmark()
    except native.NativeMissing as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("seed", [0, 3])
def test_the_baseline_agrees_with_the_oracle(module, seed):
    times = Times()
    with native.replaced(TimedKernels(times, module)):
        found = parity.compare(ops.rasterize, scenes.random_scene(seed))
    assert list(times.stages) == list(dict.fromkeys(STAGES.values()))
    assert found.forward <= 1e-4
    assert found.median == 0
    assert min(found.cosines.values()) >= 0.9999
    assert max(found.distances.values()) <= 1e-3


def test_the_baseline_is_not_the_kernels(module):
    """The two round differently; equal bits would mean that one was measured twice."""
    view = View(scenes.room(2000, (96, 54)))
    view.run(threads=1)
    drawn = view.image
    view.run(threads=1, instead=module)
    assert not torch.equal(view.image, drawn)
    assert torch.allclose(view.image, drawn, atol=1e-4)


def test_what_stands_in_is_gone_afterwards(module):
    kernels = native.load()
    with native.replaced(module):
        assert native.load() is module
    assert native.load() is kernels


def test_pairs_are_counted(module):
    """One splat whose alpha at its centre is 0.5 falls to 1/255 at sqrt(2 ln 127.5) = 3.114 deviations."""
    camera = builders.camera(48, 48, focal=40.0)
    one = builders.splats([[0.0, 0.0, 4.0]], scale=0.5, opacity=0.5)
    scene = scenes.Scene(splats=one, frames=builders.still(), camera=camera)
    scene = replace(scene, **_in_float32(scene))
    deviation = math.sqrt((40.0 * 0.5 / 4.0) ** 2 + 0.3)
    counted = View(scene).count()
    assert counted.pixels == pytest.approx(math.pi * (3.114 * deviation) ** 2, rel=0.02)
    assert counted.pixels / module.LANES <= counted.blocks <= counted.pixels


def test_finished_pixels_are_not_counted():
    camera = builders.camera(9, 7)
    wall = builders.splats([[0.0, 0.0, 1.0 + 0.1 * k] for k in range(6)], scale=10.0, opacity=0.995)
    scene = scenes.Scene(splats=wall, frames=builders.still(), camera=camera)
    scene = replace(scene, **_in_float32(scene))
    # 5e-3 is left, then 2.5e-5, below the stop of 1e-4: the second splat ends the pixel unblended.
    assert View(scene).count().pixels == 9 * 7


def test_the_peak_is_plausible(module):
    one = module.arithmetic_peak(1, 0.02)
    assert 0.5 < one < 1000
    assert module.arithmetic_peak(2, 0.02) > 0.5 * one
    assert 0 < module.BLEND_FLOPS < module.BACKWARD_FLOPS


def test_every_row_of_the_table_is_there(module):
    rows = {row.name: row for row in benchmark.lines(rounds=1, quick=True, say=lambda _: None)}
    room = benchmark.ROOMS[0].name
    for what in (
        "forward, against the plain baseline",
        "forward and backward, against the plain baseline",
        "forward, share of peak",
        "backward, share of peak",
        "forward, pairs a second",
        "forward and backward, 2 threads against 1",
        *(f"stage {stage}" for stage in STAGES.values()),
    ):
        assert rows[f"{room}, {what}"].value > 0, what
    assert all(row.met is not False for row in rows.values())


def test_a_point_is_measured_in_its_own_process():
    cost = growth.measure_apart(Point(splats=500, width=64, height=36, frames=20, weights=2))
    assert cost.forward > 0
    assert cost.backward > 0
    assert cost.pairs > 500
    assert 50 < cost.scene_memory <= cost.peak_memory < 2000


def test_growth_finds_the_steepest_stretch_and_draws(tmp_path):
    points = [Point(splats=count) for count in (10, 100, 1000)]
    costs = {
        point: Cost(1.0, milliseconds - 1.0, {"blend": 1.0, "backward": 2.0}, 5, 300.0, 200.0)
        for point, milliseconds in zip(points, (10.0, 30.0, 600.0), strict=True)
    }
    assert growth.steepest("splats", points, costs) == pytest.approx(math.log10(20))
    pytest.importorskip("matplotlib")
    growth.draw({"splats": points, "pixels": points[:1]}, costs, tmp_path / "made" / "growth.png")
    assert (tmp_path / "made" / "growth.png").read_bytes().startswith(b"\x89PNG")


def _in_float32(scene):
    camera = scene.camera
    return {
        "splats": replace(
            scene.splats, **{name: getattr(scene.splats, name).float() for name in ops.RasterPass.PARAMETERS}
        ),
        "frames": scene.frames.float(),
        "camera": replace(
            camera, **{name: getattr(camera, name).float() for name in ("focal", "center", "world_from_camera")}
        ),
    }
