"""Splats that no view needs go, those that make the picture stay."""

from dataclasses import replace

import pytest
import torch

from splatworld.core import pose
from splatworld.core.splats import Splats, from_points
from splatworld.reconstruct.config import FitConfig
from splatworld.reconstruct.fit import fit
from splatworld.reconstruct.floaters import blending_weights, drop_floaters
from splatworld.reconstruct.views import View
from splatworld.render.ops import rasterize
from tests.reconstruct.clips import filmed

QUICK = FitConfig(iterations=100, splats=900, relocate_every=20, sh_degree=1)


@pytest.fixture(scope="module")
def clip():
    return filmed()


@pytest.fixture(scope="module")
def splats(clip):
    return fit(clip, QUICK).splats


def joined(*parts):
    return Splats(**{name: torch.cat([getattr(p, name) for p in parts]) for name in Splats.__dataclass_fields__})


def dropped(clip, splats):
    train = torch.nonzero(~clip.clip.held_out).squeeze(-1).tolist()
    return drop_floaters(splats, clip, train, [View(clip, frame) for frame in train], torch.ones(len(train), 3))


def dots(points, opacity=0.9):
    count = len(points)
    grey = torch.full((count, 3), 128, dtype=torch.uint8)
    return from_points(torch.tensor(points), grey, scale=torch.full((count,), 0.004), opacity=opacity, degree=1)


def test_weights_are_the_share_of_each_splat_in_the_picture(clip, splats):
    target = View(clip, 1).at(1)
    weights = blending_weights(splats, target, clip.cameras[1])
    alpha = rasterize(splats, pose.identity(1), clip.cameras[1]).alpha
    assert float(weights.sum()) == pytest.approx(float(alpha.sum()), rel=1e-4)
    assert float(weights.min()) >= 0


def test_what_hangs_before_a_camera_goes(clip, splats):
    """A dot 0.15 before the second camera, where the blob begins at 1.2."""
    camera = clip.cameras[1].world_from_camera
    place = pose.transform(camera, torch.tensor([[0.02, 0.01, 0.15], [-0.03, 0.0, 0.15]]))
    fewer, count = dropped(clip, joined(splats, dots(place.tolist())))
    assert count >= 2
    near = (fewer.means - camera[:3]).norm(dim=-1).min()
    assert float(near) > 0.3


def test_what_no_view_sees_goes(clip, splats):
    hidden = dots([[9.0, 9.0, 9.0], [0.0, 0.0, -7.0], [0.0, 0.0, 0.0]], opacity=0.006)
    fewer, count = dropped(clip, joined(splats, hidden))
    assert count >= 3
    assert float(fewer.means.abs().max()) < 7
    assert dropped(clip, fewer)[1] <= 3  # little is left to drop


def test_what_makes_the_picture_stays(clip, splats):
    """Points that lie about the depths: all splats would hang before the cameras, but pictures need them."""
    far = replace(clip, points=clip.points * 0.01 - 40 * clip.cameras[1].world_from_camera[:3])
    assert dropped(far, splats)[1] == 0


def test_the_fit_reports_how_many_went(clip):
    assert fit(clip, QUICK).metrics["floaters_dropped"] >= 0
