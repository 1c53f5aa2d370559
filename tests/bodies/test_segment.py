from dataclasses import replace

import pytest
import torch

from splatworld.bodies.config import SegmentConfig
from splatworld.bodies.lift import lift, views
from splatworld.bodies.place import place
from splatworld.bodies.segment import segment
from splatworld.core import pose
from splatworld.core.checks import InputError, ShapeError
from splatworld.core.similarity import Similarity
from splatworld.core.world import Scale
from splatworld.render.reference import rasterize
from tests.bodies.tabletop import tabletop


def iou(found, true):
    return float((found & true).sum() / (found | true).sum())


def test_finds_what_stands_up_and_no_shadow():
    world, labels = tabletop()
    ids = segment(world).splats.body_ids
    assert int(ids.max()) == 2
    for label in (1, 2):
        own = ids[labels == label].mode().values
        raised = world.splats.means[:, 2] > 0.003
        assert iou((ids == own) & raised, (labels == label) & raised) > 0.95


def test_an_unknown_scale_changes_nothing():
    world, _ = tabletop()
    large = replace(place(world, Similarity(scale=5.0)), scale=Scale())
    assert len(segment(large).bodies) == 3


def test_what_touches_nothing_is_no_body():
    world, labels = tabletop()
    lifted = world.splats.means + torch.tensor([0.0, 0.0, 0.2]) * (labels == 2)[:, None]
    found = segment(replace(world, splats=replace(world.splats, means=lifted)))
    assert len(found.bodies) == 2


def test_where_heights_fail_looks_tell():
    world, labels = tabletop()
    splats, table = world.splats, labels == 0
    noise = 0.006 * torch.randn(int(table.sum()), generator=torch.Generator().manual_seed(0))
    noise += 0.012 * (splats.means[table, :2] * 40).sin().prod(dim=1)
    means, sh, log_scales = splats.means.clone(), splats.sh.clone(), splats.log_scales.clone()
    means[table, 2] = noise.clamp(-0.03, 0.02)
    sh[table] = splats.sh[0]
    log_scales[table] += 0.7  # no holes
    said = []
    rough = replace(world, splats=replace(splats, means=means, sh=sh, log_scales=log_scales))
    found = segment(rough, progress=lambda *words: said.append(words[0]))
    assert any("flat prints may be among them" in sentence for sentence in said)
    assert len(found.bodies) == 3
    ids = found.splats.body_ids
    for label in (1, 2):
        own = (labels == label) & (means[:, 2] > 0.02)
        assert iou((ids == ids[own].mode().values) & (means[:, 2] > 0.02), own) > 0.85


def test_lift_sums_the_derivative_of_the_picture():
    world, _ = tabletop()
    camera = views(world, count=1, max_side=40)[0]
    keep = torch.arange(0, len(world.splats), 40)
    splats = world.splats.select(keep)
    values = torch.rand(camera.height, camera.width, 1, generator=torch.Generator().manual_seed(0))
    sh = torch.zeros_like(splats.sh, dtype=torch.float64).requires_grad_()
    image = rasterize(replace(splats, sh=sh), pose.identity(1), camera).image
    (image * values).sum().backward()
    expected = sh.grad[:, 0, 0] / 0.28209479177387814
    torch.testing.assert_close(lift(splats, camera, values)[:, 0], expected.float(), rtol=2e-3, atol=2e-3)


def test_refuses_what_it_cannot_use():
    world, _ = tabletop()
    with pytest.raises(InputError, match="no cameras"):
        segment(replace(world, cameras={}), SegmentConfig())
    with pytest.raises(ShapeError, match="values"):
        lift(world.splats, views(world, count=1)[0], torch.zeros(3, 3, 1))
