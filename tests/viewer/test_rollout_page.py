"""The page of rollouts as a reader sees it, in a real browser."""

import numpy as np
import pytest

from tests.viewer.browser import KNOWN, SMALL, canvas, opened_page, screen, wait

viewer = pytest.importorskip("splatworld.viewer", reason="the viewer is not installed; make install")


def test_the_exported_page_plays_like_the_live_one(desk, pushes, chromium, tmp_path):
    file, steps = tmp_path / "page.html", (0, 6, 12)
    with viewer.Viewer([desk, *pushes], port=0) as shown:
        assert shown.export(file) < 10e6
        with opened_page(chromium, shown.address, SMALL) as (page, _):
            wait(page, lambda: screen(page)[..., 0].max() > 180)
            live = [settled(page, lambda step=step: shown.page.timeline.clock.seek(step)) for step in steps]
    height, width = live[0].shape[:2]
    above = slice(-130)  # of the caption
    with opened_page(chromium, file.as_uri(), (width, height), offline=True) as (page, complaints):
        page.get_by_text("to the right").wait_for()
        page.locator("canvas").first.wait_for()
        page.keyboard.press("Space")
        bar = height - canvas(page).shape[0]  # the page's own timeline
        page.set_viewport_size({"width": width, "height": height + bar})
        wait(page, lambda: canvas(page).shape == live[0].shape)
        field = page.get_by_role("textbox").first
        for step, wanted in zip(steps, live, strict=True):
            field.fill(f"{step / 10:.1f}")
            field.press("Enter")
            wait(page, lambda wanted=wanted: np.abs(canvas(page)[above] - wanted[above]).mean() < 1)
    assert [said for said in complaints if not said.startswith(KNOWN)] == []
    apart = [np.abs(one[above] - live[0][above]).mean() for one in live[1:]]
    assert min(apart) > 1.5  # so that another time would have been told


def settled(page, change):
    """What is drawn once a change is, and nothing moves any more."""
    change()
    page.wait_for_timeout(1000)
    before = canvas(page)
    while True:
        page.wait_for_timeout(500)
        now = canvas(page)
        if np.abs(now - before).mean() < 0.05:
            return now
        before = now


@pytest.fixture(scope="module")
def opened(desk, pushes, chromium):
    """A viewer, the page in a browser, and what its console complained of."""
    with (
        viewer.Viewer([desk, *pushes], port=0) as shown,
        opened_page(chromium, shown.address, SMALL) as (page, complaints),
    ):
        page.get_by_role("tab", name="Rollouts", exact=True).wait_for()
        wait(page, lambda: shown.clients)
        wait(page, lambda: screen(page)[..., 0].max() > 180)  # the page fades in
        page.wait_for_timeout(1000)
        yield shown, page, complaints


def red(page):
    """[2] row and column of the middle of what is red."""
    picture = screen(page)[150:]  # below the browser's notice
    found = np.argwhere(picture[..., 0] > 1.8 * picture[..., 1:].max(axis=2))
    return found.mean(axis=0)


def test_keys_play_and_step(opened):
    shown, page, _ = opened
    clock = shown.page.timeline.clock
    page.mouse.move(200, 400)
    page.keyboard.press("n")
    wait(page, lambda: clock.step == 1)
    page.keyboard.press("PageDown")
    wait(page, lambda: clock.step == 11)
    page.keyboard.press("b")
    wait(page, lambda: clock.step == 10)
    page.keyboard.press("Home")
    wait(page, lambda: clock.step == 0)
    page.keyboard.press("Space")
    wait(page, lambda: clock.playing and clock.step > 2)
    page.keyboard.press("Space")
    wait(page, lambda: not clock.playing)
    page.keyboard.press("l")
    wait(page, lambda: not clock.loop)


def test_the_picture_follows_the_timeline(opened):
    shown, page, _ = opened
    shown.page.rollouts.arrange(lead="to the right", mode="hidden")
    page.get_by_role("button", name="|◀").click()
    wait(page, lambda: shown.page.timeline.clock.step == 0)
    page.wait_for_timeout(700)
    before = red(page)
    page.get_by_role("button", name="▶|").click()
    wait(page, lambda: red(page)[1] > before[1] + 15)
    assert page.get_by_role("slider").first.get_attribute("aria-valuenow") == "1.2"


def test_rollouts_stand_side_by_side(opened):
    shown, page, _ = opened
    shown.page.rollouts.arrange(mode="side by side")

    def across():
        columns = np.argwhere(screen(page)[150:].max(axis=2) > 60)[:, 1]
        return np.ptp(np.quantile(columns, (0.05, 0.95))) if len(columns) else 0

    wait(page, lambda: across() > 200)
    page.get_by_text("away", exact=True).first.wait_for()
    shown.page.rollouts.arrange(mode="ghosts")


def test_nothing_went_wrong_in_the_browser(opened):
    _, _, complaints = opened
    assert [said for said in complaints if not said.startswith(KNOWN)] == []
