"""Rows of the suite `viewer` that need a real browser, and the soak."""

from __future__ import annotations

import contextlib
import importlib.util
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from splatworld.evaluate.report import Line, line
from splatworld.render.render import render
from splatworld.viewer.act_tab import AWAY, LEFT, NEAR, RIGHT
from splatworld.viewer.flight import camera_of
from splatworld.viewer.rollout_page import RolloutPage
from splatworld.viewer.server import Viewer, free_port

WIDTH, HEIGHT, PANEL = 1300, 800, 440
"""px of the window, and of it what is beside the scene."""
OPTIONS = ["--headless", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
KNOWN = "THREE.BufferGeometry.computeBoundingSphere(): Computed radius is NaN"
"""Said by the browser's library of every scene with splats, whose corners it keeps in two numbers instead of three."""
BRIGHT, SHARE = 60, 0.05
"""A picture of the world on its dark ground is there once this share of its pixels is as bright as that, and as many
are not: an empty page is white all over."""
PATIENCE = 60.0
"""s for anything that the browser shall do."""
CLICKS = 40
SETTLED = 0.2
"""Share of a soak after which memory is compared."""
MEBIBYTE = 2**20


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """A browser without a window; None where Chromium or Playwright is not installed."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None or importlib.util.find_spec("playwright") is None:
        yield None
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=OPTIONS)
        try:
            yield browser
        finally:
            browser.close()


def first_picture_line(browser: Any, world: Path, splats: int) -> Line:
    """From the start of the command, cold, to a picture of the world in an open browser."""
    port = free_port("127.0.0.1", 0)
    page = opened(browser, None)
    command = [sys.executable, "-m", "splatworld.cli.main", "view", str(world), "--port", str(port), "--no-browser"]
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    seconds = None
    try:
        assert process.stdout is not None
        page.goto(process.stdout.readline().strip(), wait_until="commit")
        while time.perf_counter() - begin < PATIENCE:
            if _is_shown(page):
                seconds = time.perf_counter() - begin
                break
    finally:
        process.terminate()
        process.wait(PATIENCE)
        page.close()
    return line(f"from `splatworld view` to the first picture, {splats:,} splats", seconds, "s", "<= 3")


def real_clicks_line(browser: Any, viewer: Viewer, count: int = CLICKS) -> Line:
    """Whether clicks of a mouse in a browser select what the rasterizer shows there."""
    shown = viewer.page
    assert isinstance(shown, RolloutPage)
    page = opened(browser, viewer)
    world, state = shown.now()
    (client,) = viewer.clients.values()
    end = time.monotonic() + PATIENCE
    box = page.locator("canvas").first.bounding_box()
    while client.camera.image_width != round(box["width"]) and time.monotonic() < end:
        page.wait_for_timeout(100)  # the panel takes its place
    page.wait_for_timeout(1000)
    ids = render(world, state, camera_of(client.camera)).body_ids
    draw, right = random.Random(0), 0
    for _ in range(count):
        x, y = draw.randrange(10, WIDTH - PANEL - 10), draw.randrange(150, HEIGHT - 10)  # below the browser's notice
        shown.bodies.select(None)
        wanted = int(ids[y, x])
        page.mouse.click(x + 0.5, y + 0.5)
        end = time.monotonic() + (2.0 if wanted < 0 else PATIENCE / 6)
        while shown.bodies.selected is None and time.monotonic() < end:
            page.wait_for_timeout(50)
        right += (-1 if shown.bodies.selected is None else shown.bodies.selected) == wanted
    page.close()
    return line(f"a real click in Chromium to the right body, of {count}", 100 * right / count, "%", ">= 99")


def soak_lines(browser: Any, viewer: Viewer, seconds: float, say: Callable[..., Any]) -> list[Line]:
    """Scrubbing, acting and reloading for so many s, on a page on which one acts."""
    shown = viewer.page
    assert isinstance(shown, RolloutPage)
    assert shown.act is not None
    complaints: list[str] = []
    page = opened(browser, viewer, complaints)
    draw, rounds, settled = random.Random(0), 0, None
    begin = time.monotonic()
    while (gone := time.monotonic() - begin) < seconds:
        if settled is None and gone > SETTLED * seconds:
            settled = _resident()
        shown.timeline.clock.seek(draw.randrange(shown.timeline.clock.last + 1))
        shown.act.nudge(draw.choice((LEFT, RIGHT, AWAY, NEAR)), None)
        page.wait_for_timeout(draw.randrange(50, 800))
        if rounds % 10 == 9:
            shown.act.hand.join(PATIENCE)
            shown.act.undo()
        if rounds % 25 == 24:
            shown.act.reset()
            page.reload()
            page.locator("canvas").first.wait_for()
        rounds += 1
        say("soaking", int(gone), int(seconds))
    shown.act.hand.join(PATIENCE)
    grown = None if settled is None else (_resident() - settled) / MEBIBYTE
    page.close()
    errors = [said for said in complaints if not said.startswith(KNOWN)]
    name = f"soak, {seconds / 60:.3g} min, {rounds} rounds"
    return [
        line(f"{name}: memory grown after its first fifth", grown, "MiB", "<= 50"),
        line(f"{name}: errors in the browser's console", len(errors), "", "<= 0"),
    ]


def opened(browser: Any, viewer: Viewer | None, complaints: list[str] | None = None) -> Any:
    """A page; with a viewer once its picture is there."""
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    page.set_default_timeout(1000 * PATIENCE)
    if complaints is not None:
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
    if viewer is not None:
        # Slow browsers would draw fewer pixels: then places in the picture are not those in the window.
        page.goto(f"{viewer.address}&fixedDpr=1")
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and not _is_shown(page):
            page.wait_for_timeout(100)
        page.wait_for_timeout(1000)
    return page


def _is_shown(page: Any) -> bool:
    """Whether the world is to be seen."""
    from playwright.sync_api import Error

    try:
        scene = _scene(page)
    except Error:  # the browser has nothing to take a picture of while a page is exchanged
        return False
    return SHARE < (scene.max(axis=2) > BRIGHT).mean() < 1 - SHARE


def _scene(page: Any) -> np.ndarray:
    """The window beside the panel, below the browser's notice, [H, W, 3]."""
    picture = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture[150:, :-PANEL]


def _resident() -> int:
    """Bytes of memory that this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096
