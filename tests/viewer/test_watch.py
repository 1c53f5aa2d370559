"""Bodies of rollouts picked, told of, hidden, followed and marked, without a browser."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from splatworld import store
from splatworld.core.checks import InputError
from splatworld.core.splats import Provenance
from splatworld.recordings import save_rollout
from splatworld.render.render import render
from tests.viewer.desk import push

viewer = pytest.importorskip("splatworld.viewer", reason="the viewer is not installed; make install")
asked = pytest.importorskip("splatworld.viewer.asked")
plots = pytest.importorskip("splatworld.viewer.plots")
picking = pytest.importorskip("splatworld.viewer.picking")
stages = pytest.importorskip("splatworld.viewer.stage")

pytestmark = pytest.mark.usefixtures("convex")


@pytest.fixture(scope="module")
def pushed(table, tmp_path_factory):
    """Folder of a rollout of the table's world: the box is pushed along x."""
    path = tmp_path_factory.mktemp("rollouts") / "pushed"
    save_rollout(push(store.load_world(table), "box", (0.1, 0.0, 0.0)), path)
    return path


@pytest.fixture
def page(table, pushed):
    with viewer.Viewer([table, pushed], port=0) as shown:
        yield shown.page


def test_a_pixel_shows_what_the_whole_picture_does(page):
    world, state = page.source.world, page.source.tracks[0].state(0.8)
    camera = world.cameras["view_0"]
    picture = render(world, state, camera)
    rng = np.random.default_rng(0)
    bodies = set()
    for x, y in rng.uniform(0, camera.size, (60, 2)):
        found = picking.seen_at(world, state, camera, torch.tensor([x, y]), set(range(3)))
        wanted = int(picture.body_ids[int(y), int(x)])
        assert (-1 if found is None else found.body) == wanted
        if found is not None:
            depth = float(picture.median_depth[int(y), int(x)])
            assert found.distance == pytest.approx(depth, rel=0.35)  # along the ray, not the axis
            bodies.add(wanted)
    assert bodies >= {0, 1}


def pixel_of(page, body, time):
    camera = page.source.world.cameras["view_0"]
    where = torch.nonzero(
        render(page.source.world, page.source.tracks[0].state(time), camera).body_ids == body
    ).double()
    row, column = where[(where - where.mean(dim=0)).norm(dim=1).argmin()].tolist()
    return camera, torch.tensor([column + 0.5, row + 0.5], dtype=torch.float64)


def test_a_body_is_picked_where_it_is_now(page):
    tab = page.bodies
    page.timeline.clock.seek(12)
    tab.pick(None, *pixel_of(page, 1, 1.2))
    assert tab.selected == 1
    told = tab._told.content
    assert "10.0 cm/s, 29 degrees/s" in told
    assert Provenance.OBSERVED.name.lower() in told
    first = told
    page.timeline.clock.seek(3)
    assert tab._told.content != first
    tab.select(None)
    with pytest.raises(InputError, match="nothing solid"):
        tab.pick(None, page.source.world.cameras["view_0"], torch.tensor([1.0, 1.0]))


def test_what_rests_is_told_to_rest_on_the_table(page):
    rows = asked.facts(asked.Asked(page.source.world), page.source.tracks[0], 0.0, 2, [])
    assert rows["Speed"] == "0.0 cm/s, 0 degrees/s"
    assert "background" in rows["Touches"]


def test_speeds_spreads_and_distances(page):
    track = page.source.tracks[0]
    np.testing.assert_allclose(asked.speeds(track)[1:, 1], 0.1)
    assert asked.speeds(track)[:, 2].max() == 0
    np.testing.assert_allclose(asked.spreads(track)[-1, 1], 0.024 * np.sqrt(3))
    assert asked.apart(track, track).max() == 0


def test_plots_show_what_the_rollout_says(page):
    speed = page.plots._charts[0].content
    assert "Speed, cm/s" in speed
    assert "<span>10</span><span>0</span>" in speed
    assert "box" in speed
    assert "ball" not in speed
    page.timeline.clock.seek(6)
    assert "--now:50.00%" in page.plots._now.content
    gap = plots.Line("a", (1, 2, 3), np.arange(5.0), np.array([0.0, 1.0, np.nan, 3.0, 4.0]))
    corners = plots.plot("t", [gap], (0.0, 4.0)).split('points="')[1].split('"')[0].split()
    assert corners == ["0.00,100.00", "25.00,75.00", "75.00,25.00", "100.00,0.00"]
    long = plots.Line("a", (1, 2, 3), np.arange(1e5), np.arange(1e5) == 77_777)
    assert len(plots._points(long, (0.0, 1e5), 0.0, 1.0).split()) == plots.POINTS
    assert plots._points(long, (0.0, 1e5), 0.0, 1.0).count(",0.00") == 1  # a peak is not left out


def test_bodies_are_hidden_and_shown_alone(page):
    tab, nodes = page.bodies, page.stage.layers[0].nodes._nodes
    with pytest.raises(InputError, match="no body is selected"):
        tab.hide()
    tab.select(1)
    tab.hide()
    assert [index for index, node in sorted(nodes.items()) if node.visible] == [0, 2]
    page.timeline.clock.seek(4)
    assert page.stage.seen(*pixel_of(page, 1, 0.4)).body == 0  # what is behind it
    tab.isolate()
    assert [index for index, node in sorted(nodes.items()) if node.visible] == [1]
    page.rollouts.arrange()
    assert [index for index, node in sorted(nodes.items()) if node.visible] == [1]
    tab.show_all()
    assert all(node.visible for node in nodes.values())


def test_the_view_follows_a_body(page, monkeypatch):
    camera = SimpleNamespace(position=np.array([1.0, 2, 3]), look_at=np.zeros(3))
    client = SimpleNamespace(camera=camera, atomic=page._server.atomic)
    monkeypatch.setattr(page._server, "get_clients", lambda: {0: client})
    page.timeline.clock.seek(2)
    page.bodies.select(1)
    page.bodies._follow.value = True
    page.bodies._place = page.bodies._where()
    page.timeline.clock.seek(12)
    np.testing.assert_allclose(camera.position, [1.1, 2, 3])
    np.testing.assert_allclose(camera.look_at, [0.1, 0, 0])


def test_ways_and_contacts_are_marked(page):
    marks = page.bodies.marks
    marks.trails = True
    marks.arrange()
    (line,) = marks._lines
    np.testing.assert_allclose(line.points[-1, 1], page.source.tracks[0].poses[-1, 1, :3], atol=1e-6)
    marks.contacts = True
    marks.at(0.0)
    (arrows,) = marks._touches
    assert np.abs(arrows.points[:, 0, 2]).max() < 0.01  # all of them on the table
    marks.remove()
    assert not marks._lines
