"""What is empty, large or long, several browsers, and a viewer that goes away and comes back."""

import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
import torch

from splatworld import store
from splatworld.core.splats import from_points
from splatworld.core.world import World
from splatworld.recordings import save_rollout
from tests.viewer.browser import KNOWN, PANEL, SMALL, opened_page, screen, wait
from tests.viewer.desk import make_desk, push

viewer = pytest.importorskip("splatworld.viewer", reason="the viewer is not installed; make install")
exact = pytest.importorskip("splatworld.viewer.exact")
filming = pytest.importorskip("splatworld.viewer.filming")
rollout_page = pytest.importorskip("splatworld.viewer.rollout_page")
tracks = pytest.importorskip("splatworld.viewer.tracks")

STEPS = 100_000
MEBIBYTE = 2**20


@pytest.fixture
def empty(tmp_path):
    """Folders of a world of no splats and no bodies, and of a rollout in it."""
    one = from_points(torch.zeros(1, 3), torch.zeros(1, 3, dtype=torch.uint8), scale=torch.full((1,), 0.01))
    world = World(splats=one.select(torch.zeros(1, dtype=torch.bool)))
    store.save_world(world, tmp_path / "empty")
    save_rollout(push(world, "background", (0.0, 0.0, 0.0)), tmp_path / "nothing")
    return [tmp_path / "empty", tmp_path / "nothing"]


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_an_empty_world_is_shown_and_says_so(empty, count, tmp_path):
    with viewer.Viewer(empty[:count], port=0) as shown:
        page = shown.page
        camera = page.start.camera((32, 24))
        for kind in exact.KINDS:
            picture, _ = exact.exact_picture(*page.exact._now(), camera, kind, "m")
            assert len(np.unique(picture.reshape(-1, 3), axis=0)) == 1
        for _ in range(2):
            page.film.add(page.start)
        assert len(list(filming.pictures(*page.film._now(), page.film.path, (32, 24))[0])) == 61
        page.crop.choose(np.zeros(3), np.ones(3))
        assert shown.export(tmp_path / "page.html") > 0
        if count == 2:
            page.timeline.clock.seek(5)
            page.rollouts.arrange(mode="side by side")
            assert np.isfinite(page.stage_view(1.0).position).all()


def test_an_empty_world_in_a_browser(empty, chromium):
    with (
        viewer.Viewer(empty[:1], port=0) as shown,
        opened_page(chromium, shown.address, SMALL) as (page, complaints),
    ):
        page.get_by_text("this world is empty").wait_for()
        assert [said for said in complaints if not said.startswith(KNOWN)] == []


def test_a_hundred_thousand_steps_open_and_scrub(desk):
    with viewer.Viewer([desk], port=0) as shown:
        source = shown.page.source
        made = [push(source.world, "red box", (way, 1e-5, 0.0), STEPS) for way in (1e-5, -1e-5)]
        long = tuple(tracks.Track(name, rollout) for name, rollout in zip(("one", "two"), made, strict=True))
        before, begin = resident(), time.process_time()
        shown._change(lambda: rollout_page.RolloutPage(shown._server, replace(source, tracks=long), shown._theme))
        page = shown.page
        assert time.process_time() - begin < 5
        assert page.timeline.clock.last == STEPS
        page.bodies.select(1)
        page.bodies._paint.kind = "distance to two"
        page.bodies._paint.arrange()
        page.bodies.marks.trails = True
        page.bodies.marks.arrange()
        took = []
        for step in (STEPS, 1, STEPS // 2, 70_000, 3):
            begin = time.process_time()
            page.timeline.clock.seek(step)
            took.append(time.process_time() - begin)
            place = page.stage.layers[0].nodes._nodes[1].position
            np.testing.assert_allclose(place, long[0].poses[step, 1, :3], atol=1e-6)
        assert np.median(took) < 0.1
        assert resident() - before < 400 * MEBIBYTE


def test_two_browsers_see_the_same_from_their_own_places(desk, pushes, chromium):
    with viewer.Viewer([desk, *pushes], port=0) as shown, ExitStack() as stack:
        opened = [stack.enter_context(opened_page(chromium, shown.address, SMALL)) for _ in range(2)]
        wait(opened[0][0], lambda: len(shown.clients) == 2)
        for page, _ in opened:
            wait(page, lambda page=page: screen(page)[..., 0].max() > 180)
        one, other = shown.clients.values()
        one.camera.position = (0.0, -3.0, 2.0)
        opened[0][0].wait_for_timeout(500)
        assert not np.allclose(one.camera.position, other.camera.position)
        opened[0][0].get_by_role("button", name="▶|").click()
        for page, _ in opened:
            wait(page, lambda page=page: page.get_by_role("slider").first.get_attribute("aria-valuenow") == "1.2")
        opened[0][0].close()
        wait(opened[1][0], lambda: len(shown.clients) == 1)
        opened[1][0].get_by_role("button", name="|◀").click()
        wait(opened[1][0], lambda: shown.page.timeline.clock.step == 0)
        for _, complaints in opened:
            assert [said for said in complaints if not said.startswith(KNOWN)] == []


def test_a_page_whose_viewer_was_killed_says_so_and_finds_the_next_one(desk, pushes, chromium):
    command = [sys.executable, "-m", "splatworld.cli.main", "view", str(desk), "--port", "0", "--no-browser", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        address = (first.stdout.readline() + first.stdout.readline()).split('"')[3]
        with opened_page(chromium, address, SMALL) as (page, _):
            page.get_by_role("tab", name="Held-out", exact=True).wait_for()
            wait(page, lambda: screen(page)[..., 0].max() > 180)
            wait(page, lambda: lit(page) > 0.002)
            first.kill()
            wait(page, lambda: lit(page) == 0)  # dim, while nobody answers
            with viewer.Viewer([desk, *pushes], port=urlsplit(address).port) as second:
                page.get_by_role("tab", name="Rollouts", exact=True).wait_for()
                wait(page, lambda: lit(page) > 0.002)
                page.get_by_role("button", name="▶|").click()
                wait(page, lambda: second.page.timeline.clock.step == 12)


@pytest.mark.slow
def test_a_million_splats_are_served(tmp_path):
    world, _ = make_desk(1_070_000)
    assert len(world.splats) > 1_000_000
    store.save_world(world, tmp_path / "w")
    begin = time.process_time()
    with viewer.Viewer([tmp_path / "w"], port=0) as shown:
        assert time.process_time() - begin < 30
        assert shown.page.nodes.drawn == len(world.splats)


def lit(page):
    """Share of the panel, below its title and beside its scroll bar, that is bright."""
    picture = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_GRAYSCALE)
    return (picture[110:, -PANEL:-30] > 150).mean()


def resident():
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
