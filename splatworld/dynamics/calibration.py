"""How errors of successive steps add up: measured, so that predicted intervals hold what they say."""

from __future__ import annotations

from dataclasses import replace

import torch

from splatworld.dynamics.library import Batch, Library, draw
from splatworld.dynamics.losses import follow, start
from splatworld.dynamics.model import DynamicsModel
from splatworld.dynamics.touch import travelled
from splatworld.episodes import SUBSTATES

HELD, SIGMAS = 0.9, 1.645
"""Share that an interval of so many standard deviations on each side is to hold."""
STRETCHES, ACTIONS = 128, 20
HALVINGS = 5
MOVED = 0.005
"""m that a body must get from its place to count."""


@torch.no_grad()
def calibrate(model: DynamicsModel, library: Library, *, seed: int = 0) -> float:
    """Choose the correlation of successive errors so that 90 % intervals hold 90 %; returns the share they then hold.

    Args:
        model: changed in its config alone.
        library: episodes that it was not trained on.
        seed: of which of them.
    """
    longest = max(each.actions.shape[1] for each in library.episodes)
    actions = min(ACTIONS, longest)
    batch = draw(library, STRETCHES, actions, torch.Generator().manual_seed(seed))
    low, high = 0.0, 1.0
    held = 0.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        model.config = replace(model.config, correlation=middle)
        held = _held(model, batch)
        low, high = (low, middle) if held > HELD else (middle, high)
    return held


def _held(model: DynamicsModel, batch: Batch) -> float:
    """Share of coordinates x, y of bodies that truly moved that lie within their 90 % interval."""
    states = list(follow(model, batch, start(batch.scene, batch.poses[:, 0], batch.twists[:, 0])))
    inside = []
    for t in (len(states) // 2, len(states)):
        truth = batch.poses[:, t * SUBSTATES]
        way = travelled(batch.poses[:, 0], truth)[..., :3].norm(dim=-1)
        which = batch.scene.free & (way > MOVED)
        gap = (states[t - 1].poses - truth)[which][:, :2].abs()
        inside.append((gap <= SIGMAS * states[t - 1].variance[which][:, :2].sqrt()).flatten())
    return float(torch.cat(inside).double().mean())
