"""Metres for a finished world."""

import math
from dataclasses import replace
from pathlib import Path

import pycolmap
import pytest
import torch

from splatworld import store
from splatworld.bodies.place import place
from splatworld.bodies.rescale import points_at, rescale_saved, scale_from_held_out, scale_from_pixels, to_scale
from splatworld.capture.keep import keep_capture
from splatworld.core import pose
from splatworld.core.camera import project
from splatworld.core.checks import InputError
from splatworld.core.similarity import Similarity
from splatworld.core.splats import from_points
from splatworld.core.world import Scale, World
from tests.capture.table import SIDE, around, posed

SCALE = 0.7


@pytest.fixture(scope="module")
def clip():
    moved = pose.exp(torch.tensor([0.3, -1.0, 0.4, 0.4, -0.3, 0.6], dtype=torch.float64))
    clip = posed(around(5), {7: (0.05, -0.04, SIDE)})
    held = torch.tensor([True, False, True, False, True])
    return replace(clip, clip=replace(clip.clip, held_out=held)).moved(Similarity(1 / SCALE, moved[3:], moved[:3]))


@pytest.fixture(scope="module")
def world(clip) -> World:
    """A table top and a box in a unit and frame of their own."""
    side = torch.linspace(-0.3, 0.3, 60, dtype=torch.float64)
    table = torch.cartesian_prod(side, side, torch.zeros(1, dtype=torch.float64))
    box = torch.cartesian_prod(side[::4] / 4, side[::4] / 4, torch.tensor([0.1], dtype=torch.float64))
    places = torch.cat([table, box])
    colors = torch.full((len(places), 3), 150, dtype=torch.uint8)
    flat = from_points(places, colors, scale=torch.full((len(places),), 0.008), opacity=0.97)
    flat = replace(flat, log_scales=flat.log_scales - torch.tensor([0.0, 0, 3]))
    upright = World(flat, cameras=dict(zip(clip.clip.names, around(5), strict=True)))
    moved = pose.exp(torch.tensor([0.3, -1.0, 0.4, 0.4, -0.3, 0.6], dtype=torch.float64))
    return place(upright, Similarity(1 / SCALE, moved[3:], moved[:3]))


@pytest.fixture
def folder(world, clip, tmp_path) -> Path:
    store.save_world(world, tmp_path / "w", capture=lambda new: keep_capture(clip, new))
    return tmp_path / "w"


def corner_pixels(world: World, name: str) -> torch.Tensor:
    """Pixels of two places on the table that lie 0.25 m apart."""
    camera = around(5)[list(world.cameras).index(name)]
    return project(camera, torch.tensor([[-0.1, 0.2, 0], [0.15, 0.2, 0]], dtype=torch.float64))[0]


def test_a_length_between_two_pixels(world):
    name = "frame_000002"
    scale = scale_from_pixels(world, world.cameras[name], corner_pixels(world, name), 0.25)
    assert scale.value == pytest.approx(SCALE, rel=0.03)
    assert scale.std < 0.03
    found = points_at(world, world.cameras[name], corner_pixels(world, name))
    assert float((found[1] - found[0]).norm()) * SCALE == pytest.approx(0.25, rel=0.02)


def test_the_world_becomes_metric_and_upright(world):
    guessed = replace(world, metrics={"warnings": ["Quality: nothing in view tells the scale, so.", "Too dark."]})
    metric, change, notes = to_scale(guessed, Scale(SCALE, "known_length", 0.01))
    assert notes == ()
    assert metric.metrics["warnings"] == ["Too dark."]
    assert metric.scale == Scale(SCALE, "known_length", 0.01)
    assert metric.gravity.tolist() == [0, 0, -9.81]
    table = metric.splats.means[:3600]
    assert float(table[:, 2].abs().max()) < 2e-3
    assert float(metric.splats.means[3600:, 2].mean()) == pytest.approx(0.1, abs=2e-3)
    assert change.scale == SCALE
    again, change, notes = to_scale(metric, Scale(1.3, "known_length", 0.01))
    assert again.scale.value == pytest.approx(1.3 * SCALE)
    assert "known_length, as the world had it, says -23 %" in notes[0]
    torch.testing.assert_close(change.quat, torch.tensor([1.0, 0, 0, 0]).double())


def test_a_saved_world_is_rescaled_with_its_capture(folder, world):
    kept = {p.relative_to(folder) for p in folder.rglob("*") if p.is_file()}
    metric, _ = rescale_saved(folder, Scale(SCALE, "known_length", 0.01))
    loaded = store.load_world(folder)
    torch.testing.assert_close(loaded.splats.means, metric.splats.means)
    assert {p.relative_to(folder) for p in folder.rglob("*") if p.is_file()} == kept
    model = pycolmap.Reconstruction(str(folder / "capture" / "sparse" / "0"))
    centers = {image.name: image.projection_center() for image in model.images.values()}
    for name, camera in loaded.cameras.items():
        assert centers[name] == pytest.approx(camera.world_from_camera[:3].tolist(), abs=1e-5)


def test_held_out_pictures_may_show_a_marker(folder, world):
    scale = scale_from_held_out(world, folder, SIDE)
    assert scale.value == pytest.approx(SCALE, rel=2 * scale.std)
    with pytest.raises(InputError, match="no frame shows one"):
        scale_from_held_out(world, folder, SIDE, marker_id=3)
    with pytest.raises(InputError, match="keeps no pictures"):
        scale_from_held_out(world, folder / "nowhere", SIDE)


def test_what_cannot_be_measured_is_refused_and_nothing_changes(folder, world):
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    camera = world.cameras["frame_000002"]
    for pixels, said in (
        ([[-1.0, 3], [4, 5]], "outside of the picture"),
        ([[math.nan, 3], [4, 5]], "outside of the picture"),
        ([[240.0, 2], [250, 2]], "shows no surface"),
        ([[240.0, 180], [240, 180]], "the two points are the same"),
    ):
        with pytest.raises(InputError, match=said):
            scale_from_pixels(world, camera, torch.tensor(pixels, dtype=torch.float64), 0.1)
    with pytest.raises(InputError, match="positive number of metres"):
        scale_from_pixels(world, camera, corner_pixels(world, "frame_000002"), 0.0)
    with pytest.raises(InputError, match="scale is nan"):
        rescale_saved(folder, Scale(math.nan, "known_length", 0.01))
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before
