"""Cameras that move while they expose."""

from dataclasses import replace

import pytest
import torch

from splatworld.core import pose
from splatworld.evaluate.scenes import room
from splatworld.render import ops
from tests.render import builders

MOTION = torch.tensor([0.3, -0.2, 0.1, 0.2, -0.4, 0.3], dtype=torch.float64)


def moving(view, readout: float, exposure: float, motion=MOTION):
    return replace(view, motion=motion, shutter=torch.tensor([readout, exposure], dtype=torch.float64))


def at(view, seconds: float):
    """The same camera a while later, still."""
    moved = pose.compose(view.world_from_camera, pose.exp(seconds * MOTION))
    return replace(view, world_from_camera=moved, motion=None, shutter=None)


def test_a_still_camera_or_an_instant_shutter_changes_no_bit(backend):
    view = builders.camera(40, 24, focal=30.0)
    splats = builders.splats([[0, 0, 1.0], [0.2, -0.1, 2.0], [-0.3, 0.2, 1.5]], scale=0.05)
    expected = backend.rasterize(splats, builders.still(), view)
    for same in (moving(view, 0.0, 0.0), moving(view, 0.1, 0.2, torch.zeros(6).double())):
        builders.assert_same(backend.rasterize(splats, builders.still(), same), expected)


@pytest.mark.parametrize("share", [-0.4, -0.2, 0.0, 0.3])
def test_a_row_shows_what_is_seen_when_it_is_read(backend, share):
    """Small splats on one row lie where a still camera sees them at that row's time, to second order in the motion."""
    width, height, readout = 64, 100, 0.1
    view = builders.camera(width, height, focal=80.0)
    places = [[x, share * height / 80.0 * z, z] for x, z in ((-0.2, 1.0), (0.1, 1.0), (0.3, 2.0))]
    splats = builders.splats(places, scale=0.004, opacity=0.9, color=[0.9, 0.5, 0.1])
    rolled = backend.rasterize(splats, builders.still(), moving(view, readout, 0.0))
    expected = backend.rasterize(splats, builders.still(), at(view, share * readout))
    still = backend.rasterize(splats, builders.still(), view)
    error = float((rolled.image - expected.image).abs().max())
    if share == 0:
        assert error < 1e-5
    else:
        assert float((still.image - expected.image).abs().max()) > 0.2
        assert error < 0.08  # the row itself moved by a little


def test_blur_is_the_mean_over_the_exposure(backend):
    """A faint splat's smear is a box convolved with it; the model has a Gaussian of the same variance and mass."""
    view, exposure = builders.camera(80, 60, focal=60.0), 0.2
    splats = builders.splats([[0.1, 0.05, 1.0]], scale=0.03, opacity=0.05, color=1.0)
    blurred = backend.rasterize(splats, builders.still(), moving(view, 0.0, exposure)).alpha.double()
    times = ((torch.arange(41) + 0.5) / 41 - 0.5) * exposure
    expected = torch.stack(
        [backend.rasterize(splats, builders.still(), at(view, float(t))).alpha.double() for t in times]
    ).mean(dim=0)
    columns, rows = torch.meshgrid(torch.arange(80.0).double(), torch.arange(60.0).double(), indexing="xy")

    def moments(alpha):
        mass = alpha.sum()
        x, y = (alpha * columns).sum() / mass, (alpha * rows).sum() / mass
        spread = [(alpha * a * b).sum() / mass for a, b in ((columns - x, columns - x), (columns - x, rows - y))]
        return torch.stack([mass, x, y, *spread])

    found, wanted = moments(blurred), moments(expected)
    assert abs(float(found[0] / wanted[0] - 1)) < 0.1  # alpha below 1/255 is cut
    assert float((found[1:3] - wanted[1:3]).abs().max()) < 0.1
    assert float((found[3:] - wanted[3:]).abs().max()) < 0.12 * float(wanted[3])


def test_motion_blur_hides_no_more_than_before(native_backend):
    """What is smeared over more pixels is fainter in each: the light that is taken away stays the same."""
    scene = room(2000, (80, 60))
    view = replace(scene.camera, motion=MOTION.float(), shutter=torch.tensor([0.0, 0.3]))
    sharp = ops.rasterize(scene.splats, scene.frames, scene.camera)
    blurred = ops.rasterize(scene.splats, scene.frames, view)
    assert abs(float(blurred.alpha.mean() - sharp.alpha.mean())) < 0.02
    across = (slice(None), slice(1, None)), (slice(None), slice(None, -1))
    rough = [float((drawn.image[across[0]] - drawn.image[across[1]]).abs().mean()) for drawn in (sharp, blurred)]
    assert rough[1] < 0.9 * rough[0]
