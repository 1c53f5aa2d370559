import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from splatworld import store
from splatworld.capture.keep import keep_capture
from splatworld.core.checks import InputError
from splatworld.core.clip import PosedClip
from splatworld.reconstruct.score import psnr
from splatworld.render.render import render
from splatworld.render.rendering import to_bytes
from tests.viewer.desk import HELD_OUT, make_desk

compare = pytest.importorskip("splatworld.viewer.compare", reason="the viewer is not installed; make install")
exact = pytest.importorskip("splatworld.viewer.exact")
source_module = pytest.importorskip("splatworld.viewer.source")
NAME = f"frame_{HELD_OUT[0]:04}.png"


@pytest.fixture(scope="module")
def posed() -> PosedClip:
    return make_desk()[1]


def test_held_out_frames_are_those_of_the_capture(desk):
    source = source_module.load_source(desk)
    assert source.held_out == tuple(f"frame_{i:04}.png" for i in HELD_OUT)
    assert source.unit == "capture units"


def test_truth_is_the_frame_as_captured(desk, posed):
    truth = source_module.load_source(desk).truth(NAME)
    assert truth.full_size
    assert truth.mask.all()
    np.testing.assert_array_equal(truth.image, posed.clip.images[HELD_OUT[0]].numpy())


def test_render_and_score_are_those_of_the_fit(desk, posed):
    source = source_module.load_source(desk)
    found = compare.compare(source, NAME)
    image = render(source.world, None, source.world.cameras[NAME]).image * torch.tensor(source.gain(NAME))
    np.testing.assert_array_equal(found.rendering, to_bytes(image))
    assert found.psnr == pytest.approx(psnr(image, posed.clip.images[HELD_OUT[0]]), abs=1e-9)


def test_the_error_is_bright_where_the_world_is_wrong(desk):
    error = compare.compare(source_module.load_source(desk), NAME).error.mean(axis=2)
    patch = error[25:35, 45:60].mean()
    assert patch > 5 * np.delete(error, slice(15, 45), axis=0).mean()


def test_masked_pixels_do_not_count(desk, posed, tmp_path):
    masks = torch.ones(posed.clip.images.shape[:3], dtype=torch.bool)
    masks[:, 15:45] = False
    masked = replace(posed, clip=replace(posed.clip, masks=masks))
    world = store.load_world(desk)
    store.save_world(world, tmp_path / "w", capture=lambda folder: keep_capture(masked, folder))
    found = compare.compare(source_module.load_source(tmp_path / "w"), NAME)
    assert found.psnr > compare.compare(source_module.load_source(desk), NAME).psnr + 3
    assert not found.truth[15:45].any()


def test_a_thumbnail_stands_in_for_a_frame_that_is_not_kept(desk, tmp_path):
    source = source_module.load_source(desk)
    shutil.copytree(desk, tmp_path / "w")
    shutil.rmtree(tmp_path / "w" / "capture" / "held_out")
    bare = replace(source, folder=tmp_path / "w")
    found = compare.compare(bare, NAME)
    assert not found.full_size
    assert found.rendering.shape == found.truth.shape == (192, 256, 3)
    shutil.rmtree(tmp_path / "w" / "capture")
    with pytest.raises(InputError, match="no picture of frame_0002"):
        compare.compare(bare, NAME)


def test_the_exact_picture_is_the_rasterizers(desk):
    world = store.load_world(desk)
    camera = world.cameras[NAME]
    rendering = render(world, None, camera)
    picture, _ = exact.exact_picture(world, None, camera, "Colour", "m")
    np.testing.assert_array_equal(picture, to_bytes(rendering.image))
    for kind in exact.KINDS[1:]:
        picture, legend = exact.exact_picture(world, None, camera, kind, "capture units")
        assert picture.shape == (240, 320, 3)
        assert picture.dtype == np.uint8
        assert picture.std() > 5
        assert ("capture units" in legend) == ("depth" in kind.lower())
    bodies, legend = exact.exact_picture(world, None, camera, "Bodies", "m")
    assert "red box" in legend
    assert len(np.unique(bodies.reshape(-1, 3), axis=0)) == 5
    assert (bodies[rendering.body_ids.numpy() == -1] == 0).all()


def test_a_view_of_nothing_is_of_one_colour(desk):
    world = store.load_world(desk)
    camera = replace(world.cameras[NAME], world_from_camera=torch.tensor([0, 0, 50, 1, 0, 0, 0]).double())
    for kind in exact.KINDS:
        picture, _ = exact.exact_picture(world, None, camera, kind, "m")
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) == 1
