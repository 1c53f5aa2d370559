from dataclasses import replace

import pytest
import torch

from splatworld import native
from splatworld.core.checks import InputError
from splatworld.evaluate.robustness import fingerprint
from splatworld.reconstruct.fit import FitConfig, fit
from tests.reconstruct.clips import filmed

QUICK = FitConfig(iterations=120, splats=900, relocate_every=20, sh_degree=1)


@pytest.fixture(scope="module")
def clip():
    return filmed()


@pytest.fixture(scope="module")
def world(clip):
    return fit(clip, QUICK)


def test_the_world_shows_frames_it_never_saw(world):
    assert world.metrics["psnr_mean"] > 24
    assert world.metrics["psnr_worst"] <= world.metrics["psnr_median"]
    assert len(world.metrics["held_out"]) == 3
    world.splats.check()


def test_more_steps_make_it_better(clip, world):
    brief = fit(clip, replace(QUICK, iterations=20))
    assert brief.metrics["psnr_mean"] < world.metrics["psnr_mean"] - 1


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_same_bytes_for_any_number_of_threads(clip, world, threads):
    assert fingerprint(fit(clip, replace(QUICK, threads=threads))) == fingerprint(world)
    assert native.get_threads() >= 1


def test_another_seed_gives_another_world(clip, world):
    assert fingerprint(fit(clip, replace(QUICK, seed=1))) != fingerprint(world)


def test_nothing_of_the_held_out_frames_enters_the_fit(clip, world):
    spoiled = clip.clip.images.clone()
    spoiled[clip.clip.held_out] = 255 - spoiled[clip.clip.held_out]
    other = fit(replace(clip, clip=replace(clip.clip, images=spoiled)), QUICK)
    for name in ("means", "log_scales", "quats", "opacity_logits", "sh"):
        assert torch.equal(getattr(other.splats, name), getattr(world.splats, name)), name
    assert other.metrics["psnr_mean"] < world.metrics["psnr_mean"] - 5


def test_masked_pixels_enter_neither_loss_nor_score(clip):
    masks = torch.ones(clip.clip.images.shape[:3], dtype=torch.bool)
    masks[:, 10:20, 15:30] = False
    images = clip.clip.images.clone()
    images[~masks] = 255 - images[~masks]
    config = replace(QUICK, iterations=40, seed_share=0.0)
    one = fit(replace(clip, clip=replace(clip.clip, masks=masks)), config)
    other = fit(replace(clip, clip=replace(clip.clip, masks=masks, images=images)), config)
    assert fingerprint(one) == fingerprint(other)


def test_a_frame_that_could_not_be_placed_scores_zero(clip, world):
    lost = fit(replace(clip, unplaced=("frame_000099",), unplaced_held_out=1), QUICK)
    assert lost.metrics["psnr_worst"] == 0
    assert lost.metrics["psnr_mean"] == pytest.approx(world.metrics["psnr_mean"] * 3 / 4)


def test_stopping_early_leaves_a_world(clip):
    asked = iter([False] * 7 + [True] * 100)
    world = fit(clip, QUICK, stop=lambda: next(asked))
    world.splats.check()
    assert world.metrics["iterations"] == 7


def test_the_budget_is_kept(world):
    assert len(world.splats) + world.metrics["floaters_dropped"] == QUICK.splats


def test_no_training_frames(clip):
    held = torch.ones(len(clip.clip), dtype=torch.bool)
    with pytest.raises(InputError, match="every frame is held out"):
        fit(replace(clip, clip=replace(clip.clip, held_out=held)), QUICK)


def test_too_few_points(clip):
    with pytest.raises(InputError, match="points were seen by two training frames"):
        fit(replace(clip, tracks=clip.tracks[:10]), QUICK)


def test_distorted_cameras_are_refused(clip):
    bent = tuple(replace(camera, distortion=torch.tensor([0.1, 0, 0, 0])) for camera in clip.cameras)
    with pytest.raises(InputError, match="undistort"):
        fit(replace(clip, cameras=bent), QUICK)
