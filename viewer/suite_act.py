"""Rows of the suite `viewer` about acting: how many actions a second a world answers."""

from __future__ import annotations

import time
from pathlib import Path

import torch

from splatworld import store
from splatworld.evaluate.report import Line, line
from splatworld.evaluate.tabletop import tabletop
from splatworld.viewer.rollout_page import RolloutPage
from splatworld.viewer.server import Viewer

STEP = 0.02
"""m of an action towards the body before the tool and back."""
WAY = 8
"""Actions in one direction."""
LOWER = 4
"""Actions that bring the tool down to the table."""
TABLE = "tabletop"
SHARES = 14
"""Of the world's splats in all against those of one body, about."""


def acting(folder: Path, splats: int) -> Viewer:
    """A viewer, to be closed, of a world with five boxes and a rod, in which one acts."""
    world = tabletop(splats=max(1, splats // SHARES))
    store.save_world(world, folder / TABLE)
    viewer = Viewer([folder / TABLE], port=0)
    viewer.act(TABLE)
    return viewer


def acting_line(viewer: Viewer, count: int) -> Line:
    """Actions a second where nobody waits for the next 0.1 s: predicted, put on the timeline and sent."""
    page = viewer.page
    assert isinstance(page, RolloutPage)
    assert page.act is not None
    hand = page.act.hand
    hand.pace, pace = 0.0, hand.pace
    down = torch.zeros(LOWER, 6, dtype=torch.float64)
    down[:, 2] = -0.19 / LOWER
    page.act.carry_out(page.act.acting.state, down)
    hand.join(60)
    actions = torch.zeros(count, 6, dtype=torch.float64)
    actions[:, 0] = STEP * (1 - 2 * (torch.arange(count) // WAY % 2)).double()
    before, begin = page.act.acting.tape.count, time.perf_counter()
    page.act.carry_out(page.act.acting.state, actions)
    done = hand.join(600)
    seconds = time.perf_counter() - begin
    hand.pace = pace
    made = page.act.acting.tape.count - before
    name = f"acting live, 5 boxes and a rod, {page.stage.drawn:,} splats: actions a second"
    return line(name, made / seconds if done and made >= count else None, "1/s", ">= 10")
