"""Films along a path of keyframes, made on the page."""

import io
import zipfile

import av
import cv2
import numpy as np
import pytest

from splatworld import store
from splatworld.core.checks import InputError
from splatworld.core.world import rest_state
from splatworld.render.render import render
from splatworld.render.rendering import to_bytes
from tests.viewer.browser import KNOWN, SMALL, opened_page, wait

viewer = pytest.importorskip("splatworld.viewer", reason="the viewer is not installed; make install")
film_tab = pytest.importorskip("splatworld.viewer.film_tab")
filming = pytest.importorskip("splatworld.viewer.filming")
flight = pytest.importorskip("splatworld.viewer.flight")

SIZE = (96, 54)


@pytest.fixture
def page(desk, pushes):
    with viewer.Viewer([desk, *pushes], port=0) as shown:
        yield shown.page


def views(world):
    return [flight.view_of(world.cameras[f"frame_{i:04}.png"], world.splats.means) for i in (0, 4, 8)]


def test_pictures_are_the_rasterizers_along_the_path_while_the_rollout_runs(page):
    world, track = page.source.world, page.stage.tracks[0]
    path = flight.CameraPath(tuple(views(world)), (0.2, 0.7, 1.0))
    made, count = filming.pictures(world, track, path, SIZE)
    made = list(made)
    assert len(made) == count == 25
    for number in (0, 12, 24):
        time = 0.2 + number / 30
        state = track.state(time)
        camera = path.at(time).camera(SIZE)
        wanted = to_bytes(render(world, state, camera).image).astype(int)
        still = to_bytes(render(world, track.state(0.0), camera).image).astype(int)
        apart = np.abs(made[number] - wanted).mean()
        assert apart < 1.5  # what moves leaves no hole where it stood
        if number:
            assert apart < np.abs(made[number] - still).mean()
    _, count = filming.pictures(world, track, path, SIZE, rate=0.5)
    assert count == 49
    late = flight.CameraPath(tuple(views(world)[:2]), (1.1, 3.0))  # the rollout is over before
    assert len(list(filming.pictures(world, track, late, SIZE)[0])) == 58


def test_a_world_at_rest_is_filmed(desk):
    world = store.load_world(desk)
    path = flight.CameraPath(tuple(views(world)[:2]), (0.0, 0.5))
    made = list(filming.pictures(world, None, path, SIZE)[0])
    assert len(made) == 16
    wanted = render(world, rest_state(world), path.at(0.5).camera(SIZE)).image
    np.testing.assert_array_equal(made[-1], to_bytes(wanted))
    archive = zipfile.ZipFile(io.BytesIO(filming.zipped(iter(made[:3]))))
    assert archive.namelist() == ["00000.png", "00001.png", "00002.png"]
    picture = cv2.imdecode(np.frombuffer(archive.read("00002.png"), np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(picture[..., ::-1], made[2])


def test_keyframes_belong_to_the_instant_that_is_shown_or_come_later(page):
    tab, (first, second, third) = page.film, views(page.source.world)
    with pytest.raises(InputError, match="two keyframes"):
        tab.make(filming.zipped)
    tab.add(first)
    page.timeline.clock.seek(7)
    tab.add(second)
    tab.add(third)
    assert [time for time, _ in tab.keys] == pytest.approx([0.0, 0.7, 2.7])
    assert "0.7 s, the rollout at 0.7 s" in tab._list.content
    assert "2.7 s, after the rollout" in tab._list.content
    assert tab.path.at(0.7).position == pytest.approx(second.position)
    tab.drop(1)
    assert len(tab.keys) == 2
    tab.drop(2)
    assert tab.keys == []


def test_a_film_is_cancelled_and_made_one_at_a_time(page):
    tab = page.film
    for view in views(page.source.world)[:2]:
        tab.add(view)
    tab._size.value = "640 x 360"
    said = []

    def encode(shown):
        for _ in shown:
            said.append(tab._told.content)
            with pytest.raises(InputError, match="being made already"):
                tab.make(filming.zipped)
            if len(said) == 3:
                tab.cancel()
        return b"half"

    assert tab.make(encode) is None
    assert len(said) == 3
    assert "Picture 2 of 61" in said[2]
    assert tab._told.content == ""


def test_the_film_is_flown_and_downloaded_in_a_browser(desk, pushes, chromium):
    with (
        viewer.Viewer([desk, *pushes], port=0) as shown,
        opened_page(chromium, shown.address, SMALL) as (page, complaints),
    ):
        page.get_by_role("tab", name="Film", exact=True).click()
        tab, timeline = shown.page.film, shown.page.timeline
        tab._gap.value, tab._size.value = 0.5, "640 x 360"
        add = page.get_by_role("button", name="Add a keyframe")
        add.click()
        wait(page, lambda: len(tab.keys) == 1)
        (client,) = shown.clients.values()
        flight.fly(client, views(shown.page.source.world)[2], seconds=0)
        page.wait_for_timeout(500)
        add.click()
        wait(page, lambda: len(tab.keys) == 2)
        page.get_by_text("0.5 s, the rollout at 0.5 s").wait_for()
        page.get_by_role("button", name="Fly along").click()
        wait(page, lambda: timeline.time == pytest.approx(0.5))
        wait(page, lambda: np.allclose(client.camera.position, tab.keys[1][1].position, atol=1e-3))
        with page.expect_download() as caught:
            page.get_by_role("button", name="MP4", exact=True).click()
        assert caught.value.suggested_filename == "desk_film.mp4"
        with av.open(str(caught.value.path())) as video:
            pictures = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
        assert len(pictures) == 16
        assert pictures[0].shape == (360, 640, 3)
        state = shown.page.stage.tracks[0].state(0.5)
        exact = to_bytes(render(shown.page.source.world, state, tab.path.at(0.5).camera((640, 360))).image).astype(int)
        assert np.abs(pictures[-1] - exact).mean() < 4
        assert np.abs(pictures[0] - exact).mean() > 8
        assert [said for said in complaints if not said.startswith(KNOWN)] == []
