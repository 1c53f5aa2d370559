"""The page as a reader sees it, in a real browser."""

import cv2
import numpy as np
import pytest
import torch

from splatworld.core import pose
from splatworld.core.camera import project
from splatworld.render.render import render
from splatworld.render.rendering import to_bytes
from tests.viewer.browser import KNOWN, opened_page, screen, wait

viewer = pytest.importorskip("splatworld.viewer", reason="the viewer is not installed; make install")
flight = pytest.importorskip("splatworld.viewer.flight")
body_nodes = pytest.importorskip("splatworld.viewer.body_nodes")


@pytest.fixture(scope="module")
def opened(desk, chromium):
    """A viewer, the page in a browser, what its console complained of, and the browser's handle on the server."""
    with viewer.Viewer([desk], port=0) as shown, opened_page(chromium, shown.address) as (page, complaints):
        page.get_by_role("tab", name="World", exact=True).wait_for()
        wait(page, lambda: shown.clients)
        # The page fades in.
        wait(page, lambda: screen(page)[..., 0].max() > 180)
        page.wait_for_timeout(1000)
        (client,) = shown.clients.values()
        yield shown, page, complaints, client


def test_splats_are_drawn_upright_and_not_mirrored(opened):
    shown, page, _, client = opened
    shown.page.cameras.fly_to(client, "frame_0004.png")
    page.wait_for_timeout(1200)
    picture = screen(page)
    assert picture.std() > 25
    red, green, blue = (
        np.argwhere(picture[..., i] > 1.8 * np.delete(picture, i, axis=2).max(axis=2)).mean(axis=0) for i in range(3)
    )
    assert red[1] < green[1] < blue[1]  # from left to right
    assert green[0] < red[0]  # the tallest reaches highest
    wall, table = picture[60:200].mean(axis=(0, 1)), picture[-250:-150].mean(axis=(0, 1))
    assert table[0] - table[2] > wall[0] - wall[2] + 10  # brown below, grey above


def test_the_window_and_the_rasterizer_agree(opened):
    shown, page, _, client = opened
    shown.page.cameras.fly_to(client, "frame_0004.png")
    page.wait_for_timeout(1200)
    exact = to_bytes(render(shown.page.source.world, None, flight.camera_of(client.camera)).image).astype(int)
    seen = screen(page)[:, : exact.shape[1]]
    difference = np.abs(seen - exact[:, : seen.shape[1]])[200:]  # below the browser's notices
    assert np.median(difference) < 8


def arrive(page, client, goal):
    """Wait until the eye has come to rest at `goal`, [7], and the browser has drawn from there."""
    wait(page, lambda: np.linalg.norm(client.camera.position - np.asarray(goal[:3])) < 1e-3)
    page.wait_for_timeout(500)


def test_a_click_on_a_camera_flies_there(opened):
    shown, page, _, client = opened
    camera = shown.page.source.world.cameras["frame_0000.png"]
    overview = pose.look_at(*torch.tensor([[-2.2, -3.0, 1.6], [0, 0, 0.2], [0, 0, 1]], dtype=torch.float64)).numpy()
    flight.fly(client, flight.View(overview[:3], overview[3:], 3.9, 0.9), seconds=0)
    arrive(page, client, overview)
    frustum = shown.page.cameras.frustums["frame_0000.png"]
    assert frustum.visible
    # The middle of its picture; the browser gives a frustum the volume of a cube of its size.
    half = np.tan(frustum.fov / 2)
    ahead = torch.tensor([0, 0, frustum.scale / np.cbrt(half * half * frustum.aspect / 3)], dtype=torch.float64)
    point = pose.transform(camera.world_from_camera, ahead)
    pixel = project(flight.camera_of(client.camera), point)[0].tolist()
    page.mouse.move(*pixel)
    page.wait_for_timeout(300)
    page.mouse.click(*pixel)
    goal = camera.world_from_camera[:3].numpy()
    wait(page, lambda: np.linalg.norm(client.camera.position - goal) < 1e-3)
    wait(page, lambda: not frustum.visible)  # not in front of its own view
    assert abs(client.camera.wxyz @ camera.world_from_camera[3:].numpy()) > 1 - 1e-6


def test_cameras_can_be_hidden(opened):
    shown, page, _, _ = opened
    page.get_by_role("tab", name="Cameras").click()
    box = page.get_by_role("checkbox").first
    box.click(force=True)
    wait(page, lambda: not any(f.visible for f in shown.page.cameras.frustums.values()))
    box.click(force=True)
    wait(page, lambda: any(f.visible for f in shown.page.cameras.frustums.values()))


def test_held_out_frames_are_compared(opened):
    shown, page, _, client = opened
    page.get_by_role("tab", name="Held-out").click()
    page.get_by_text("dB PSNR").wait_for()
    page.get_by_text("of full brightness").wait_for()
    pictures = page.locator("img[src^=blob]:visible")
    wait(page, lambda: pictures.evaluate_all("all => all.map(one => one.naturalWidth)") == [320] * 3)
    first = shown.page.held_out.frame
    page.get_by_role("button", name="Next").locator("visible=true").click()
    wait(page, lambda: shown.page.held_out.frame != first)
    page.get_by_role("button", name="Fly there").locator("visible=true").click()
    goal = shown.page.source.world.cameras[shown.page.held_out.frame].world_from_camera[:3].numpy()
    wait(page, lambda: np.linalg.norm(client.camera.position - goal) < 1e-3)


def test_the_exact_picture_is_downloaded(opened):
    shown, page, _, client = opened
    page.get_by_role("tab", name="Picture").click()
    page.get_by_role("button", name="Render this view").click()
    download = page.get_by_role("button", name="Download PNG")
    download.wait_for()
    with page.expect_download() as caught:
        download.click()
    assert caught.value.suggested_filename == "desk_colour.png"
    picture = cv2.imread(str(caught.value.path()))[..., ::-1]
    expected = to_bytes(render(shown.page.source.world, None, flight.camera_of(client.camera)).image)
    np.testing.assert_array_equal(picture, expected)


def test_the_window_is_saved(opened):
    _, page, _, client = opened
    page.get_by_role("tab", name="Picture").click()
    with page.expect_download() as caught:
        page.get_by_role("button", name="Save screenshot").click()
    picture = cv2.imread(str(caught.value.path()))
    assert picture.shape[:2] == (client.camera.image_height, client.camera.image_width)
    assert picture.std() > 25


def test_bodies_are_selected_by_a_click_and_corrected(opened):
    shown, page, _, client = opened
    shown.page.cameras.fly_to(client, "frame_0004.png")
    arrive(page, client, shown.page.source.world.cameras["frame_0004.png"].world_from_camera)
    tab = shown.page.bodies
    tab.select(None)
    ids = render(shown.page.source.world, None, flight.camera_of(client.camera)).body_ids
    where = torch.nonzero(ids == 2).double()  # the green box
    row, column = where[(where - where.mean(dim=0)).norm(dim=1).argmin()].tolist()
    page.get_by_role("tab", name="Bodies").click()
    page.mouse.click(column, row)
    wait(page, lambda: tab.selected == "green box")
    page.get_by_role("button", name="Alone").click()
    wait(page, lambda: np.median(screen(page)) < 60)  # the rest is dark
    page.get_by_role("button", name="All", exact=True).click()
    wait(page, lambda: np.median(screen(page)) > 60)
    tab.select(None)


def test_nothing_went_wrong_in_the_browser(opened):
    _, _, complaints, _ = opened
    assert [said for said in complaints if not said.startswith(KNOWN)] == []


def test_two_clicks_measure_what_lies_under_them(opened):
    shown, page, complaints, client = opened
    shown.page.cameras.fly_to(client, "frame_0004.png")
    page.get_by_role("tab", name="Measure", exact=True).click()
    page.get_by_role("button", name="Pick two points").click()
    page.get_by_role("button", name="Click the first point").wait_for()
    world = shown.page.source.world
    arrive(page, client, world.cameras["frame_0004.png"].world_from_camera)
    camera = flight.camera_of(client.camera)
    depth = render(world, None, camera).median_depth
    rows, columns = torch.nonzero(depth > 0, as_tuple=True)
    measure = shown.page.measure
    for count, place in enumerate((0.3, 0.7), 1):
        chosen = int(place * (len(rows) - 1))
        page.mouse.click(float(columns[chosen]), float(rows[chosen]))
        wait(page, lambda count=count: len(measure.points) == count)
        pixel, away = project(camera, measure.points[-1])
        assert pixel.tolist() == pytest.approx([float(columns[chosen]), float(rows[chosen])], abs=2)
        assert float(away) == pytest.approx(float(depth[rows[chosen], columns[chosen]]), rel=0.05)
    page.get_by_text("units apart").wait_for()

    def marked():
        picture = screen(page)
        return ((picture[..., 0] > 200) & (abs(picture[..., 1] - 170) < 40) & (picture[..., 2] < 60)).any()

    wait(page, marked)
    assert not [said for said in complaints if KNOWN not in said]


def test_a_sketch_comes_first_and_the_other_splats_once_a_browser_is_there(desk, chromium, monkeypatch):
    monkeypatch.setattr(body_nodes, "SKETCH", 100)
    with viewer.Viewer([desk], port=0, sketch=True) as shown:

        def sent():
            return {index: len(node.buffer) for index, node in shown.page.nodes._nodes.items()}

        sketched = sent()
        assert 0 < sum(sketched.values()) < 150 < shown.page.nodes.drawn
        with opened_page(chromium, shown.address) as (page, _):
            wait(page, lambda: sum(sent().values()) == shown.page.nodes.drawn)
        before = [id(node.buffer) for node in shown.page.nodes._nodes.values()]
        shown.page.refine()
        assert [id(node.buffer) for node in shown.page.nodes._nodes.values()] == before


def test_few_splats_are_no_sketch(desk):
    with viewer.Viewer([desk], port=0, sketch=True) as shown:
        before = [id(node.buffer) for node in shown.page.nodes._nodes.values()]
        shown.page.refine()
        assert [id(node.buffer) for node in shown.page.nodes._nodes.values()] == before
