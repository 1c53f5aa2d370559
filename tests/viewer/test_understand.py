"""What helps to understand a rollout: colours by numbers, neighbours, space that nobody saw."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from splatworld import store
from splatworld.core.shape import DistanceGrid
from splatworld.recordings import save_rollout
from tests.viewer.desk import push
from tests.viewer.pusher import make_pusher

viewer = pytest.importorskip("splatworld.viewer", reason="the viewer is not installed; make install")
asked = pytest.importorskip("splatworld.viewer.asked")
paint = pytest.importorskip("splatworld.viewer.paint")
unseen = pytest.importorskip("splatworld.viewer.unseen")

RED, GREEN = 2, 3


@pytest.fixture
def page(pusher, tmp_path):
    """Two rollouts: the red box goes along x, or along y."""
    world = store.load_world(pusher)
    for name, velocity in (("one", (0.1, 0.0, 0.0)), ("two", (0.0, -0.1, 0.0))):
        rollout = push(world, "red box", velocity)
        rollout = replace(rollout, actions=torch.zeros(12, 6, dtype=torch.float64))
        save_rollout(rollout, tmp_path / name, action=world.robot.action)
    with viewer.Viewer([pusher, tmp_path / "one", tmp_path / "two"], port=0) as shown:
        yield shown.page


def color(page, body=RED):
    return page.stage.layers[page.stage.lead].nodes._nodes[body].rgbs.astype(float).mean(axis=0)


def test_bodies_are_coloured_by_how_unsure_and_how_far_off_they_are(page):
    tab = page.bodies
    assert tab._paint.kinds == ("as they are", "uncertainty", "distance to two")
    plain = color(page)
    tab.paint(paint.UNSURE)
    page.timeline.seek(0.0)
    sure = color(page)
    page.timeline.seek(1.2)
    unsure = color(page)
    assert unsure[1] > sure[1] + 60  # from violet to yellow
    assert "Sure to, one sigma, cm" in tab._legend.content
    assert "<span>4.2</span>" in tab._legend.content  # 2 cm/s along each axis
    tab.paint("distance to two")
    page.timeline.seek(0.6)
    half = color(page)
    page.timeline.seek(1.2)
    assert sure[1] + 20 < half[1] < color(page)[1]
    assert "<span>17</span>" in tab._legend.content  # 12 cm each way
    page.rollouts.arrange(lead="two")
    assert tab._paint.kind == paint.PLAIN  # there is no distance to itself
    tab.paint(paint.PLAIN)
    np.testing.assert_allclose(color(page), plain, atol=1)
    assert tab._legend.content == ""


def test_a_body_keeps_its_buffers_while_its_number_is_about_the_same(page, monkeypatch):
    tab, sent = page.bodies, []
    tab.paint(paint.UNSURE)
    nodes = page.stage.layers[0].nodes
    whole = nodes._colors
    monkeypatch.setattr(nodes, "_colors", lambda index: sent.append(index) or whole(index))
    page.timeline.seek(1.2)
    assert sent == [RED]
    page.timeline.seek(1.1999)
    assert sent == [RED]


def test_neighbours_are_told_with_their_distances(page):
    questions, track = asked.Asked(page.source.world), page.stage.tracks[0]
    found = questions.neighbours(track, 0.0, RED)
    assert len(found) == 3
    gaps = {page.source.world.bodies[index].name: gap for index, gap in found}
    assert gaps["cylinder_pusher"] == pytest.approx(0.12 - 0.04 - 0.01, abs=4e-3)
    assert gaps["green box"] == pytest.approx(np.hypot(0.14 - 0.03 - 0.04, 0.1 - 0.03 - 0.03), abs=5e-3)
    later = dict(questions.neighbours(track, 1.2, RED))
    assert later[GREEN] < gaps["green box"] - 0.02
    page.bodies.select(RED)
    assert "cylinder_pusher, 7" in page.bodies._told.content


def test_the_border_of_unseen_space_lies_where_seen_space_ends():
    world = make_pusher(0.02)
    axis = torch.linspace(-0.5, 0.5, 51)
    known = torch.meshgrid(axis, axis, axis, indexing="ij")[0] < 0.011  # all with x up to 0 was seen
    grid = DistanceGrid(torch.full((3,), -0.5).double(), 0.02, torch.full((51, 51, 51), 0.3), known)
    seen = replace(world, bodies=(replace(world.bodies[0], grid=grid), *world.bodies[1:]))
    assert unseen.unseen_border(world) is None
    points, spacing = unseen.unseen_border(seen)
    assert spacing == 0.02
    inside = points[np.abs(points).max(axis=1) < 0.45]
    assert len(inside) > 50
    assert (np.abs(inside[:, 0] - 0.02) < 0.021).mean() > 0.95  # and about bodies, whose insides are known
    middles = np.array([body.rest_pose[:3].numpy() for body in world.bodies if body.kind == "rigid"])
    assert np.linalg.norm(points[:, None] - middles, axis=-1).min(axis=1).max() < unseen.REACH
