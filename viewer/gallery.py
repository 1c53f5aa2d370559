"""A picture of every panel of the viewer, taken in a real browser:

python -m splatworld.viewer.gallery WORLD ROLLOUT ROLLOUT docs/gallery
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from splatworld.core.pose import compose
from splatworld.core.robot import ACTION_SECONDS
from splatworld.plan.goals import MOVABLE
from splatworld.viewer.flight import View, fly, now_of
from splatworld.viewer.page import Page
from splatworld.viewer.rollout_page import RolloutPage
from splatworld.viewer.server import Viewer
from splatworld.viewer.suite_browser import PATIENCE, chromium, opened
from splatworld.viewer.ways import LEFT, NEAR

WIDTH = 1040
"""px of a picture, narrower than the window that was taken."""
QUALITY = 82
NO_NOTICES = ".mantine-Notifications-root { display: none }"
"""Hides the browser's notice that it draws in software."""
SETTLED = 3000
"""ms that what is clicked has to be drawn, in software."""
ARC = 0.3
"""rad between the keyframes of a film."""
INSTANT = 2.4
"""s of the rollouts at which they are looked at."""


def main(world: str, *paths: str) -> None:
    """Write `panel_*.jpg` of a world alone, and of it with rollouts.

    Args:
        world: folder of a world with a tool.
        paths: folders of its rollouts, and last of the pictures.
    """
    *rollouts, folder = paths
    with chromium() as browser:
        if browser is None:
            raise SystemExit("The gallery needs Chromium and Playwright.")
        _alone(browser, world, Path(folder))
        _with_rollouts(browser, [world, *rollouts], Path(folder))


def _alone(browser: Any, world: str, folder: Path) -> None:
    with Viewer([world], port=0) as viewer:
        window = opened(browser, viewer)
        shown = viewer.page
        assert isinstance(shown, Page)
        _take(window, "World", folder)
        window.get_by_label("Crop to a box").click(force=True)
        _take(window, "World", folder, "crop")
        window.get_by_label("Crop to a box").click(force=True)
        shown.bodies.select(shown.edits.world.bodies[-2].name)
        _take(window, "Bodies", folder)
        shown.bodies.select(None)
        _take(window, "Cameras", folder)
        _take(window, "Held-out", folder)
        window.get_by_role("tab", name="Measure", exact=True).click()
        window.get_by_role("button", name="Pick two points").click()
        box = window.locator("canvas").first.bounding_box()
        for count, (x, y) in enumerate(((0.38, 0.55), (0.62, 0.6)), 1):
            window.mouse.click(x * box["width"], y * box["height"])
            while len(shown.measure.points) < count:
                window.wait_for_timeout(100)
        _take(window, "Measure", folder)
        window.close()


def _with_rollouts(browser: Any, paths: list[str], folder: Path) -> None:
    with Viewer(paths, port=0) as viewer:
        window = opened(browser, viewer)
        shown = viewer.page
        assert isinstance(shown, RolloutPage)
        assert shown.act is not None
        assert shown.plan is not None
        (client,) = viewer.clients.values()
        shown.timeline.clock.seek(round(INSTANT / ACTION_SECONDS))
        track, time = shown.stage.tracks[shown.stage.lead], shown.timeline.time
        moved = (track.state(time).world_from_body - track.state(0.0).world_from_body)[:, :3].norm(dim=1)
        world = shown.source.world
        pushed = max(
            shown.stage.arrays, key=lambda body: float(moved[body]) if world.bodies[body].kind in MOVABLE else -1.0
        )
        target = track.state(time).world_from_body[pushed, :3].double().numpy()
        start = now_of(client.camera)
        near = _view(start, target, 0.0, 0.55)
        fly(client, near, seconds=0)
        shown.bodies.select(pushed)
        for tab, name in (("Rollouts", ""), ("Bodies", "watch"), ("Plots", ""), ("Picture", "")):
            _take(window, tab, folder, name)
        shown.bodies.select(None)
        shown.timeline.clock.seek(0)
        for angle in (-ARC, 0.0, ARC):
            shown.film.add(_view(start, target, angle, 0.55))
            shown.timeline.clock.move(round(INSTANT / ACTION_SECONDS / 2))
        fly(client, _view(start, target, 2.5 * ARC, 1.3), seconds=0)
        _take(window, "Film", folder)
        shown.film.drop(3)
        fly(client, near, seconds=0)
        shown.plan.add(pushed)
        shown.plan.plan()
        assert shown.plan.planning is not None
        shown.plan.planning.join(PATIENCE)
        _take(window, "Plan", folder)
        shown.plan.clear()
        for way in (LEFT, NEAR):
            shown.act.nudge(way, client)
            shown.act.hand.join(PATIENCE)
        _take(window, "Act", folder)
        window.close()


def _view(view: View, target: np.ndarray, angle: float, share: float) -> View:
    """Of a point [3], turned about the vertical by an angle in rad, from a share of a view's distance."""
    wxyz = np.array([np.cos(angle / 2), 0.0, 0.0, np.sin(angle / 2)])
    turn = torch.from_numpy(np.concatenate([target, wxyz]))
    back = torch.from_numpy(np.concatenate([share * (view.position - view.target), view.wxyz]))
    turned = compose(turn, back).numpy()
    return View(turned[:3], turned[3:], share * view.distance, view.fov)


def _take(window: Any, tab: str, folder: Path, name: str = "") -> None:
    """A picture of a tab, named as it is."""
    window.add_style_tag(content=NO_NOTICES)
    window.get_by_role("tab", name=tab, exact=True).click()
    window.wait_for_timeout(SETTLED)
    picture = cv2.imdecode(np.frombuffer(window.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    height = round(picture.shape[0] * WIDTH / picture.shape[1])
    small = cv2.resize(picture, (WIDTH, height), interpolation=cv2.INTER_AREA)
    file = name or tab.lower().replace("-", "_")
    cv2.imwrite(str(folder / f"panel_{file}.jpg"), small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


if __name__ == "__main__":
    main(*sys.argv[1:])
