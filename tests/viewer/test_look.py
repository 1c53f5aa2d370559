"""What is looked at: a box that leaves out the rest, a ruler, dark and light."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from splatworld.core.checks import InputError
from splatworld.render.render import render
from tests.viewer.browser import KNOWN, SMALL, opened_page, screen, wait

viewer = pytest.importorskip("splatworld.viewer", reason="the viewer is not installed; make install")
crop = pytest.importorskip("splatworld.viewer.crop")
flight = pytest.importorskip("splatworld.viewer.flight")
exact = pytest.importorskip("splatworld.viewer.exact")

RED = 1
AROUND_RED = (np.array([-0.45, -0.15, -9.0]), np.array([-0.15, 0.15, 9.0]))


@pytest.fixture
def alone(desk):
    """The page of a world without rollouts."""
    with viewer.Viewer([desk], port=0) as shown:
        yield shown.page


@pytest.fixture
def page(desk, pushes):
    """The page of a world and its rollouts."""
    with viewer.Viewer([desk, *pushes], port=0) as shown:
        yield shown.page


def drawn(nodes):
    return {index: len(node.buffer) for index, node in nodes._nodes.items()}


def test_a_box_leaves_out_what_is_outside(alone):
    before = drawn(alone.nodes)
    world = alone.source.world
    alone.crop.choose(*AROUND_RED)
    assert np.isinf([alone.crop.box.low[2], alone.crop.box.high[2]]).all()
    inside = alone.crop.box.holds(world.splats.means.numpy())
    assert drawn(alone.nodes) == {
        i: n for i in range(4) if (n := int((inside & (world.splats.body_ids == i).numpy()).sum()))
    }
    assert drawn(alone.nodes)[RED] == before[RED]
    assert len(alone.world.splats) == inside.sum()
    camera = world.cameras["frame_0004.png"]
    shown = exact.exact_picture(*alone.exact._now(), camera, "Bodies", "m")[0]
    assert np.array_equal(shown, exact.exact_picture(alone.world, None, camera, "Bodies", "m")[0])
    where = torch.nonzero(render(world, None, camera).body_ids == 2).double().mean(dim=0)  # the green box
    with pytest.raises(InputError):
        alone.bodies.pick(camera, where.flip(0))
    alone.bodies.selected = "red box"
    alone.bodies.hide()
    assert RED not in alone.world.splats.body_ids
    alone.crop._on.value = False
    alone.crop._apply()
    assert drawn(alone.nodes) == before
    assert not alone.nodes._nodes[RED].visible  # hidden it stays


def test_what_moves_stays_whole_in_a_box(page):
    stage = page.stage
    before = drawn(stage.layers[0].nodes)
    page.crop.choose(np.array([0.0, 0.0, -0.02]), np.array([0.22, 0.22, 0.5]))  # about the green box
    after = drawn(stage.layers[0].nodes)
    assert after[RED] == before[RED]
    assert after[2] > 0.95 * before[2]
    assert 0 < after[0] < 0.1 * before[0]
    assert 3 not in after
    assert set(page.now()[0].splats.body_ids.tolist()) == set(after)
    page.rollouts.arrange(mode="side by side")
    assert drawn(stage.layers[1].nodes)[RED] == before[RED]
    page.timeline.clock.seek(12)
    np.testing.assert_allclose(stage.layers[0].nodes._nodes[RED].position, stage.tracks[0].poses[12, RED, :3])


def test_every_kind_of_exact_picture_shows_the_instant(page):
    page.timeline.clock.seek(12)
    world = page.source.world
    view = flight.view_of(world.cameras["frame_0004.png"], world.splats.means)
    window = SimpleNamespace(
        position=view.position, wxyz=view.wxyz, look_at=view.target, fov=view.fov, image_width=160, image_height=120
    )
    one, other = (track.state(1.2) for track in page.stage.tracks)
    pictures = {}
    assert page.exact._kind.options == (*exact.KINDS, exact.ERROR)
    for kind in page.exact._kind.options:
        page.exact._kind.value = kind
        page.exact.show(SimpleNamespace(camera=window))
        pictures[kind] = page.exact.picture.image
        assert pictures[kind].shape == (120, 160, 3)
        assert (pictures[kind] != exact.exact_picture(world, None, view.camera((160, 120)), kind, "m")[0]).any()
    assert page.exact.picture.label == "Error against away, 160 x 120 px"
    assert "of full brightness" in page.exact._legend.content
    shown = [render(world, state, view.camera((160, 120))).image for state in (one, other)]
    apart = (shown[0] - shown[1]).square().mean(dim=-1).sqrt()
    bright = torch.from_numpy(pictures[exact.ERROR].astype(float)).sum(dim=-1)
    assert bright[apart > 0.15].min() > 3 * bright[apart < 0.01].max()
    assert 50 < int((apart > 0.15).sum()) < 5000
    page.rollouts.arrange(lead="away")
    assert page.exact._against.options == ("to the right",)


def test_a_world_alone_has_no_error_to_show(alone):
    assert exact.ERROR not in alone.exact._kind.options


def test_lengths_are_measured_while_a_rollout_plays(page):
    page.timeline.clock.seek(12)
    camera = page.source.world.cameras["frame_0004.png"]
    state = page.stage.tracks[0].state(1.2)
    seen = render(page.source.world, state, camera)
    for body in (RED, 3):
        rows, columns = torch.nonzero(seen.body_ids == body, as_tuple=True)
        middle = (rows.double() - rows.double().mean()).square() + (columns.double() - columns.double().mean()).square()
        at = middle.argmin()
        page.measure._clicked(None, camera, torch.stack([columns[at], rows[at]]).double() + 0.5)
    one, other = (state.world_from_body[body, :3] for body in (RED, 3))
    points = torch.stack(page.measure.points)
    assert (points - torch.stack([one, other])).norm(dim=1).max() < 0.2
    length = float((points[1] - points[0]).norm())
    assert f"{length:.4g} capture units apart" in page.measure._told.content
    page.measure.clear()
    with pytest.raises(InputError, match="nothing is seen"):
        page.measure._clicked(None, camera, torch.tensor([0.5, 0.5], dtype=torch.float64))


def test_the_page_is_dark_or_light(desk, pushes, chromium):
    with (
        viewer.Viewer([desk, *pushes], port=0) as shown,
        opened_page(chromium, shown.address, SMALL) as (page, complaints),
    ):
        page.get_by_role("tab", name="World", exact=True).click()
        wait(page, lambda: screen(page)[..., 0].max() > 180)
        (client,) = shown.clients.values()
        up = flight.View(np.array([0.0, 0.0, 1.5]), np.array([1.0, 0.0, 0.0, 0.0]), 1.0, 0.8)
        flight.fly(client, up, seconds=0)  # away from all splats
        wait(page, lambda: screen(page)[-50:].max() < 60)
        page.get_by_role("checkbox", name="Dark").click(force=True)
        wait(page, lambda: screen(page)[-50:].min() > 230)
        assert shown._theme.background == (255, 255, 255)
        page.get_by_role("checkbox", name="Crop to a box").click(force=True)
        wait(page, lambda: shown.page.crop.box is not None)
        page.get_by_text("Bodies that move stay whole").wait_for()
        assert [said for said in complaints if not said.startswith(KNOWN)] == []
