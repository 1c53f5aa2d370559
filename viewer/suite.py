"""Suite `viewer`: what playing and acting cost, whether clicks hit, how soon a picture is there, and a soak.

It lives here and not among the other suites because those lie below the viewer and know nothing of it.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from splatworld import store
from splatworld.core import pose
from splatworld.core.body import Body, background
from splatworld.core.camera import Camera
from splatworld.core.rollout import Rollout
from splatworld.core.splats import Splats, from_points
from splatworld.core.state import State
from splatworld.core.world import World, rest_state
from splatworld.evaluate.report import Line, Report, line
from splatworld.recordings import save_rollout
from splatworld.render.render import render
from splatworld.viewer.rollout_page import RolloutPage
from splatworld.viewer.server import Viewer
from splatworld.viewer.suite_act import acting, acting_line
from splatworld.viewer.suite_browser import chromium, first_picture_line, real_clicks_line, soak_lines

SPLATS, QUICK_SPLATS = 200_000, 20_000
STEPS, QUICK_STEPS = 300, 30
CLICKS, QUICK_CLICKS = 1000, 60
FIRST_SPLATS = 100_000
"""Of the world whose first picture is waited for."""
ACTIONS, QUICK_ACTIONS = 300, 40
SOAK = 1800.0
"""s."""
BODIES = 5
BUFFER = 32
"""Bytes of a splat as the browser gets it."""


def run(
    *,
    quick: bool = False,
    long: bool = False,
    progress: Callable[..., Any] | None = None,
    soak: float = SOAK,
) -> Report:
    """Measure every row.

    Args:
        quick: fewer splats, steps and clicks, and no browser.
        long: the soak too.
        progress: called with one sentence a step.
        soak: s that the soak takes.
    """
    say = progress or (lambda *_: None)
    splats, steps = (QUICK_SPLATS, QUICK_STEPS) if quick else (SPLATS, STEPS)
    with tempfile.TemporaryDirectory() as folder:
        say("making a table with five bodies that move")
        world = table(splats)
        store.save_world(world, Path(folder) / "table")
        save_rollout(gliding(world, steps), Path(folder) / "gliding")
        begin = time.process_time()
        with Viewer([Path(folder) / "table", Path(folder) / "gliding"], port=0) as viewer:
            served = time.process_time() - begin
            assert isinstance(viewer.page, RolloutPage)
            say("playing it")
            rows = [line(f"until it is served, {len(world.splats):,} splats", served, "s", "<= 3")]
            rows += frame_lines(viewer.page)
            say("clicking")
            rows.append(click_line(viewer.page, QUICK_CLICKS if quick else CLICKS))
            say("writing a page that plays alone")
            size = viewer.export(Path(folder) / "page.html")
            if not quick:
                say("clicking in a browser")
                with chromium() as browser:
                    rows += [real_clicks_line(browser, viewer)] if browser else [unmeasured("real clicks")]
        say("acting")
        with acting(Path(folder), splats) as viewer:
            rows.append(acting_line(viewer, QUICK_ACTIONS if quick else ACTIONS))
            if long:
                with chromium() as browser:
                    rows += soak_lines(browser, viewer, soak, say) if browser else [unmeasured("soak")]
        if not quick:
            say("waiting for the first picture")
            store.save_world(table(FIRST_SPLATS), Path(folder) / "first")
            with chromium() as browser:
                rows += (
                    [first_picture_line(browser, Path(folder) / "first", FIRST_SPLATS)]
                    if browser
                    else [unmeasured("first picture")]
                )
    most = f"<= {10 + BUFFER * len(world.splats) / 1e6:.1f}"  # 10 MB, and the splats as the browser gets them
    name = f"exported page, {len(world.splats):,} splats, {steps} steps"
    return Report("viewer", [*rows, line(name, size / 1e6, "MB", most)])


def unmeasured(what: str) -> Line:
    """A row that needs a browser where none is."""
    return line(f"{what} (needs Chromium and Playwright)", None, "")


def frame_lines(page: RolloutPage) -> list[Line]:
    """What the server does and sends for a step of the timeline."""
    clock, server = page.timeline.clock, page.stage.server
    sent: list[int] = []
    whole = server._websock_server.queue_message

    def counted(message: Any) -> None:
        buffers: list[memoryview] = []
        packed = msgspec.msgpack.encode(message.as_serializable_dict(buffers))
        sent.append(len(packed) + sum(buffer.nbytes for buffer in buffers))
        whole(message)

    seconds = []
    for step in range(clock.last + 1):
        begin = time.perf_counter()
        clock.seek(step)
        seconds.append(time.perf_counter() - begin)
    server._websock_server.queue_message = counted  # type: ignore[method-assign]
    try:
        clock.seek(0)
        sent.clear()
        for step in range(1, clock.last + 1):
            clock.seek(step)
    finally:
        server._websock_server.queue_message = whole  # type: ignore[method-assign]
    name = f"server cost of a step, {BODIES} rigid bodies, {page.stage.drawn:,} splats"
    return [
        line(f"{name}: time, median", 1e3 * statistics.median(seconds), "ms", "<= 5"),
        line(f"{name}: bytes, mean", sum(sent) / clock.last, "bytes", "<= 2048"),
    ]


def click_line(page: RolloutPage, count: int) -> Line:
    """Whether a click selects what the rasterizer's picture of the window shows there, halfway through the rollout."""
    page.timeline.clock.seek(page.timeline.clock.last // 2)
    world, state = page.now()
    (camera,) = world.cameras.values()
    ids = render(world, state, camera).body_ids
    rng = np.random.default_rng(0)
    right = 0
    for x, y in rng.uniform(0, camera.size, (count, 2)):
        found = page.stage.seen(camera, torch.tensor([x, y]))
        right += (-1 if found is None else found.body) == int(ids[int(y), int(x)])
    return line(f"a click to the right body, of {count:,}", 100 * right / count, "%", ">= 99")


def table(count: int) -> World:
    """A table with five boxes of `count` splats in all, seen by one camera."""
    rng = torch.Generator().manual_seed(0)
    own = count // (2 * BODIES)
    parts = [_cloud(rng, count - BODIES * own, (0.0, 0.0, 0.0), (1.2, 0.8, 0.004), 0)]
    bodies = [background()]
    for index in range(BODIES):
        center = (0.2 * (index - 2), 0.1 * (index % 2), 0.06)
        parts.append(_cloud(rng, own, center, (0.09, 0.09, 0.12), index + 1))
        rest = torch.tensor([*center, 1, 0, 0, 0], dtype=torch.float64)
        bodies.append(Body(f"box {index + 1}", "rigid", rest))
    eye, target, up = torch.tensor([[0.2, -1.0, 0.7], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    camera = Camera(
        focal=torch.tensor([700.0, 700.0], dtype=torch.float64),
        center=torch.tensor([400.0, 300.0], dtype=torch.float64),
        size=(800, 600),
        world_from_camera=pose.look_at(eye, target, up),
    )
    names = Splats.__dataclass_fields__
    splats = Splats(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})
    return World(splats=splats, bodies=tuple(bodies), cameras={"view": camera})


def gliding(world: World, steps: int) -> Rollout:
    """A rollout in which every body circles about where it rests."""
    rest = rest_state(world)
    fields = {name: value.expand(steps + 1, *value.shape).clone() for name, value in vars(rest).items()}
    angle = torch.linspace(0, 6, steps + 1, dtype=torch.float64)
    way = torch.stack([angle.cos() - 1, angle.sin(), angle, torch.zeros_like(angle)], dim=1)
    motion = torch.cat([0.04 * way[:, :2], way[:, 3:], way[:, 3:], way[:, 3:], way[:, 2:3] / 4], dim=1)
    turn = pose.exp(torch.cat([torch.zeros(steps + 1, 3, dtype=torch.float64), motion[:, 3:]], dim=1))
    for index in range(1, len(world.bodies)):
        placed = pose.compose(fields["world_from_body"][:, index], turn)
        placed[:, :3] += motion[:, :3]
        fields["world_from_body"][:, index] = placed
    fields["time"] = 0.1 * torch.arange(steps + 1, dtype=torch.float64)
    actions = torch.zeros(steps, 0, dtype=torch.float64)
    return Rollout(actions=actions, states=State(**fields), world_id=store.world_id(world))


def _cloud(rng: torch.Generator, count: int, center: tuple[float, ...], size: tuple[float, ...], body: int) -> Splats:
    points = torch.tensor(center) + torch.tensor(size) * (torch.rand(count, 3, generator=rng) - 0.5)
    colors = torch.randint(60, 220, (1, 3), generator=rng).expand(count, 3).byte()
    splats = from_points(points, colors, scale=torch.full((count,), 0.004), opacity=0.9, degree=0)
    splats.body_ids[:] = body
    return splats
