"""What tests do with a page in a real browser."""

import time
from contextlib import contextmanager

import cv2
import numpy as np

SIZE, SMALL = (1300, 800), (960, 520)
"""Width and height of a window, px."""
PANEL = 440
"""Width of the panel and its edge, px."""
KNOWN = "THREE.BufferGeometry.computeBoundingSphere(): Computed radius is NaN"
"""Said by the browser's library of every scene with splats, whose corners it keeps in two numbers instead of three."""
STEADY = "fixedDpr=1"
"""Asks the browser's library not to draw fewer pixels where it is slow: places in pictures are those in the window."""
NO_NOTICES = ".mantine-Notifications-root { display: none }"
"""Hides the browser's notice of its software rendering, whose size over the scene follows the fonts that are there."""


def wait(page, condition, seconds=120):
    """Let the page work until `condition()` holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        page.wait_for_timeout(100)


def screen(page):
    """The scene beside the panel, [H, W, 3] RGB."""
    picture = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    return picture[:, :-PANEL, ::-1].astype(int)


def canvas(page):
    """What is drawn of the scene, with what lies over it, [H, W, 3] RGB."""
    box = page.locator("canvas").first.bounding_box()
    picture = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    return picture[: round(box["height"]), : round(box["width"]), ::-1].astype(int)


@contextmanager
def opened_page(chromium, address, size=SIZE, *, offline=False):
    """A page at an address, and what its console complains of."""
    page = chromium.new_page(viewport={"width": size[0], "height": size[1]}, offline=offline)
    page.set_default_timeout(120_000)
    complaints = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{address}{'&' if '?' in address else '?'}{STEADY}")
    page.add_style_tag(content=NO_NOTICES)
    try:
        yield page, complaints
    finally:
        page.close()
