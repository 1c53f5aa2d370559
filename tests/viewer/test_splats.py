from dataclasses import replace

import numpy as np
import pytest
import torch

from splatworld.core import pose
from splatworld.core.camera import Camera
from splatworld.core.splats import from_points
from splatworld.core.world import World
from splatworld.render import sh
from tests.viewer.desk import BOXES, make_desk
from tests.worlds import make_world

splats = pytest.importorskip("splatworld.viewer.splats", reason="the viewer is not installed; make install")


def dots(count=4, **options):
    colors = torch.full((count, 3), 128, dtype=torch.uint8)
    return from_points(torch.arange(3.0 * count).view(count, 3), colors, scale=torch.full((count,), 0.01), **options)


def test_nodes_posed_at_rest_give_back_the_splats():
    world = make_world(count=60)
    kept = world.splats.select(splats.drawable(world.splats))
    scales = kept.scales.clamp(max=splats.LARGEST * float(kept.scales.median()))
    axes = pose.quat_to_matrix(pose.normalize_quat(kept.quats)) * scales[:, None]
    for index, part in splats.body_arrays(world).items():
        rest = world.bodies[index].rest_pose
        mine = kept.body_ids == index
        means = pose.transform(rest, torch.from_numpy(part.centers).double() * part.scale)
        torch.testing.assert_close(means.float(), kept.means[mine], rtol=0, atol=1e-4)
        turn = pose.quat_to_matrix(rest[3:])
        covariances = turn @ torch.from_numpy(part.covariances).double() * part.scale**2 @ turn.T
        torch.testing.assert_close(covariances.float(), (axes @ axes.mT)[mine], rtol=1e-3, atol=1e-7)


def test_bodies_have_their_own_nodes():
    world, _ = make_desk(600)
    parts = splats.body_arrays(world)
    assert list(parts) == list(range(len(BOXES) + 1))
    assert sum(len(part) for part in parts.values()) == len(world.splats)
    red = parts[1].colors.mean(axis=0)
    assert red[0] > 2 * red[1:].max()


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e3])
def test_covariances_fit_float16_at_any_scale_of_the_world(scale):
    world = World(splats=replace(dots(), log_scales=torch.log(torch.full((4, 3), 0.01 * scale))))
    (part,) = splats.body_arrays(world).values()
    sent = part.covariances.astype(np.float16).astype(np.float64) * part.scale**2
    np.testing.assert_allclose(sent, np.tile(np.eye(3) * (0.01 * scale) ** 2, (4, 1, 1)), rtol=1e-3)


def test_splats_are_small_before_the_node_has_its_unit():
    # Of the size of the window they would take the browser's first picture many seconds where no GPU draws it.
    world = World(splats=dots(50))
    (part,) = splats.body_arrays(world).values()
    np.testing.assert_allclose(part.covariances[:, 0, 0] ** 0.5, splats.TYPICAL, rtol=1e-3)
    assert splats.TYPICAL < 0.5


def test_a_runaway_splat_does_not_flatten_the_others():
    world = World(splats=dots(50))
    world.splats.log_scales[0] = np.log(1e6)
    (part,) = splats.body_arrays(world).values()
    sent = part.covariances.astype(np.float16)
    assert np.isfinite(sent).all()
    np.testing.assert_allclose(sent[1].astype(float) * part.scale**2, np.eye(3) * 1e-4, rtol=0.01)


@pytest.mark.parametrize("name", ["means", "log_scales", "quats", "opacity_logits", "sh"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_are_not_drawn(name, value):
    world = World(splats=dots(5))
    getattr(world.splats, name)[2] = value
    drawn = splats.body_arrays(world)[0]
    assert len(drawn) == (5 if (name, value) == ("opacity_logits", float("inf")) else 4)
    assert np.isfinite(drawn.centers).all()
    assert np.isfinite(drawn.covariances).all()


def test_both_sides_of_the_opacity_gate():
    world = World(splats=dots(2))
    world.splats.opacity_logits[:] = torch.logit(torch.tensor([0.999 / 255, 1.001 / 255]))
    (part,) = splats.body_arrays(world).values()
    assert part.opacities.tolist() == [[1]]


def test_nothing_to_draw_is_no_error():
    world = World(splats=dots(2))
    world.splats.opacity_logits[:] = -20
    assert splats.body_arrays(world) == {}
    assert splats.body_arrays(World(splats=dots(3).select(torch.zeros(3, dtype=torch.bool)))) == {}


def test_colors_are_those_seen_by_the_capture():
    one = dots(1, degree=3)
    one.sh[:] = torch.randn(one.sh.shape, generator=torch.Generator().manual_seed(3)) * 0.2
    eye = torch.tensor([0.0, -2, 0])
    camera = Camera(
        focal=torch.tensor([50.0, 50]), center=torch.tensor([32.0, 32]), size=(64, 64),
        world_from_camera=pose.look_at(eye, one.means[0], torch.tensor([0.0, 0, 1])),
    )  # fmt: skip
    seen = 0.5 + sh.evaluate(one.sh, torch.nn.functional.normalize(one.means - eye, dim=-1))
    torch.testing.assert_close(splats.seen_colors(one, [camera]), seen.clamp(min=0))
    behind = replace(camera, world_from_camera=pose.look_at(eye, 2 * eye - one.means[0], torch.tensor([0.0, 0, 1])))
    constant = 0.5 + splats.SH_CONSTANT * one.sh[:, 0]
    torch.testing.assert_close(splats.seen_colors(one, [behind]), constant.clamp(min=0))
    torch.testing.assert_close(splats.seen_colors(one, []), constant.clamp(min=0))
