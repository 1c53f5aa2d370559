"""Masks and depth maps that come with a capture."""

from dataclasses import replace

import pytest
import torch

from splatworld.core import pose
from splatworld.core.camera import project
from splatworld.core.checks import InputError
from splatworld.reconstruct.config import FitConfig
from splatworld.reconstruct.depth import depth_gradients, depth_unit
from splatworld.reconstruct.fit import fit
from splatworld.reconstruct.seed import seed_splats
from splatworld.reconstruct.views import View
from splatworld.render.ops import RasterPass, camera_rows, rasterize
from splatworld.render.render import render
from tests.reconstruct.clips import filmed, ring

QUICK = FitConfig(iterations=120, splats=900, relocate_every=20, sh_degree=1)


@pytest.fixture(scope="module")
def clip():
    return filmed(with_depth=True)


def without_depth(clip):
    return replace(clip, clip=replace(clip.clip, depths=None))


def depth_error(world, clip):
    """Median relative error over held-out frames where there is a surface."""
    errors = []
    for frame in torch.nonzero(clip.clip.held_out).squeeze(-1).tolist():
        shown, true = render(world, None, clip.cameras[frame]).median_depth, clip.clip.depths[frame]
        seen = (shown > 0) & (true > 0)
        errors.append(((shown - true).abs() / true)[seen])
    return float(torch.cat(errors).median())


def test_depth_maps_bring_the_surface_closer_to_the_truth(clip):
    plain, told = fit(without_depth(clip), QUICK), fit(clip, QUICK)
    seeded = fit(clip, replace(QUICK, depth_weight=0))
    errors = [depth_error(world, clip) for world in (plain, seeded, told)]
    assert errors[1] < 0.6 * errors[0]
    assert errors[2] < 0.96 * errors[1]
    assert told.metrics["psnr_mean"] > plain.metrics["psnr_mean"]


def test_depth_maps_in_another_unit_say_the_same(clip):
    front = [c.world_from_camera[:3] for c in clip.cameras]
    tracks = torch.stack([torch.arange(len(clip.points)).repeat(9), torch.arange(9).repeat_interleave(400)], dim=-1)
    depths = torch.full_like(clip.clip.depths, float(torch.stack(front).norm(dim=-1).mean())) * 1000
    told = replace(clip, tracks=tracks, clip=replace(clip.clip, depths=depths))
    assert depth_unit(told) == pytest.approx(1000, rel=0.1)
    assert depth_unit(without_depth(clip)) == 1
    few = replace(told, tracks=tracks[:5])
    assert depth_unit(few) == 1
    at = View(told, 1, depth_unit=1000).at(2)
    assert at.depth.shape == at.image.shape[:2]
    assert float(at.depth.median()) == pytest.approx(float(depths.median()) / 1000)


def test_depth_maps_stand_in_for_points(clip):
    with pytest.raises(InputError, match="points were seen"):
        fit(replace(without_depth(clip), tracks=clip.tracks[:4]), QUICK)
    assert fit(replace(clip, tracks=clip.tracks[:4]), QUICK).metrics["psnr_mean"] > 18


def test_the_depth_gradient_is_that_of_the_loss(clip):
    splats, camera = fit(clip, replace(QUICK, iterations=30)).splats, ring(9)[1]
    target = View(clip, 1).at(1)
    given = target.depth * 1.1
    values = {name: getattr(splats, name).clone() for name in RasterPass.PARAMETERS}
    one = RasterPass(
        values, torch.zeros(len(splats), dtype=torch.int32), pose.identity(1), camera_rows(camera), target.size,
        torch.zeros(3),
    )  # fmt: skip
    found = torch.zeros_like(splats.means)
    one.backward({"means": found}, torch.zeros_like(one.image), *depth_gradients(one, given, 0.5))
    leaf = splats.means.clone().requires_grad_()
    shown = rasterize(replace(splats, means=leaf), pose.identity(1), camera)
    used = (given > 0) & (shown.alpha > 0.5)
    (0.5 * ((shown.depth[used] - given[used]).abs() / given[used]).mean()).backward()
    assert float((found - leaf.grad).norm() / leaf.grad.norm()) < 1e-3


def test_what_a_mask_hides_leaves_nothing_in_the_world():
    """A green bar fixed before the camera, masked: no seed and no splat takes its colour."""
    clip = filmed()
    images, masks = clip.clip.images.clone(), torch.ones(clip.clip.images.shape[:3], dtype=torch.bool)
    images[:, 14:22] = torch.tensor([0, 255, 0], dtype=torch.uint8)
    masks[:, 14:22] = False
    colors = clip.colors.clone()
    on_bar = torch.ones(len(clip.points), dtype=torch.bool)
    for camera in clip.cameras:
        row = project(camera, clip.points)[0][:, 1]
        on_bar &= (row > 14.5) & (row < 21.5)
    colors[on_bar] = torch.tensor([0, 255, 0], dtype=torch.uint8)
    assert int(on_bar.sum()) > 20
    barred = replace(clip, colors=colors, clip=replace(clip.clip, images=images, masks=masks))
    green = (seed_splats(barred, QUICK).sh[:, 0] * 0.2821 + 0.5 - torch.tensor([0.0, 1.0, 0.0])).abs().amax(-1) < 0.02
    assert not bool(green.any())
    world = fit(barred, QUICK)
    assert world.metrics["psnr_mean"] > 22
    blind = fit(replace(barred, clip=replace(barred.clip, masks=None)), QUICK)
    hidden = clip.clip.held_out.nonzero()[1].item()
    target = clip.clip.images[hidden, 14:22].float() / 255
    error = [(render(w, None, clip.cameras[hidden]).image[14:22] - target).abs().mean() for w in (world, blind)]
    assert error[0] < 0.5 * error[1]
