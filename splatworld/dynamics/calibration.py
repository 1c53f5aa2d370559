"""How large errors are and how those of successive steps add up: measured, so that intervals hold what they say."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from splatworld.dynamics.library import Batch, Library, draw
from splatworld.dynamics.losses import follow, start
from splatworld.dynamics.model import DynamicsModel
from splatworld.dynamics.step import Moving
from splatworld.dynamics.touch import travelled
from splatworld.episodes import SUBSTATES

HELD, SIGMAS = 0.9, 1.645
"""Share that an interval of so many standard deviations on each side is to hold."""
STRETCHES, ACTIONS = 256, 20
HALVINGS = 5
MOVED, SHIFTED = 0.005, 0.001
"""m that a body must get from its place to count; and in one action."""
PACES = ("held", "held_short")
"""Of whole actions, and of short steps."""


@torch.no_grad()
def calibrate(model: DynamicsModel, library: Library, *, seed: int = 0) -> dict[str, float]:
    """Choose scales of variances and correlations of successive errors so that 90 % intervals hold 90 %.

    What is pushed goes in whole actions, what falls or collides in short steps, and the errors of one say little of
    those of the other: first bodies count that took whole actions alone, then all others. Errors have long tails, so
    that what is likeliest for all of them is too wide for most: the first action gives the scale, later ones the
    correlation.

    Args:
        model: changed in its config alone.
        library: episodes that it was not trained on.
        seed: of which of them.

    Returns:
        The share that the intervals then hold, for each of `PACES` that there is in the episodes.
    """
    longest = max(each.actions.shape[1] for each in library.episodes)
    batch = draw(library, STRETCHES, min(ACTIONS, longest), torch.Generator().manual_seed(seed))
    whole, _ = model.config.correlation
    least, most = (_moments(model, batch, (whole, each)) for each in (0.0, 1.0))
    hurried = torch.stack([(a.variance != b.variance).any(-1) for a, b in zip(least, most, strict=True)])
    found: dict[str, float] = {}
    for pace, counted in enumerate((~hurried, hurried)):
        first = _moments(model, batch, model.config.correlation)[0]
        # What is hit before its time was not even predicted: no scale makes up for that.
        off = _squares(batch, 1, first, counted[0] & (first.variance > 0).any(-1), SHIFTED)
        if len(off):
            scale = model.config.scale[pace] * float(off.quantile(HELD)) / SIGMAS**2
            model.config = replace(model.config, scale=_with(model.config.scale, pace, scale))
        low, high = 0.0, 1.0
        for _ in range(HALVINGS):
            chosen = _with(model.config.correlation, pace, (low + high) / 2)
            held = _held(batch, _moments(model, batch, chosen)[1:], counted[1:])
            if held is None:
                break
            found[PACES[pace]] = held
            model.config = replace(model.config, correlation=chosen)
            low, high = (low, chosen[pace]) if held > HELD else (chosen[pace], high)
    return found


def _with(pair: tuple[float, float], place: int, value: float) -> tuple[float, float]:
    return (value, pair[1]) if place == 0 else (pair[0], value)


def _moments(model: DynamicsModel, batch: Batch, correlation: tuple[float, float]) -> list[Moving]:
    """Bodies after the first action, after half of them and after all."""
    config, model.config = model.config, replace(model.config, correlation=correlation)
    states = list(follow(model, batch, start(batch.scene, batch.poses[:, 0], batch.twists[:, 0])))
    model.config = config
    return [states[0], states[len(states) // 2 - 1], states[-1]]


def _held(batch: Batch, moments: list[Moving], counted: Tensor) -> float | None:
    """Share of coordinates x, y of bodies that truly moved that lie within their 90 % interval; None without any.

    Args:
        batch: what happened.
        moments: what `_moments` predicts, without the first.
        counted: [2, S, B] bool, which bodies.
    """
    actions = (batch.poses.shape[1] - 1) // SUBSTATES
    moments_at = zip((actions // 2, actions), moments, counted, strict=True)
    off = torch.cat([_squares(batch, t, now, these, MOVED) for t, now, these in moments_at])
    return float((off <= SIGMAS**2).double().mean()) if len(off) else None


def _squares(batch: Batch, actions: int, now: Moving, counted: Tensor, least: float) -> Tensor:
    """[C] squared errors, in variances, of x and y of bodies that truly got farther than `least`."""
    truth = batch.poses[:, actions * SUBSTATES]
    way = travelled(batch.poses[:, 0], truth)[..., :3].norm(dim=-1)
    which = batch.scene.free & counted & (way > least)
    return ((now.poses - truth)[which][:, :2].square() / now.variance[which][:, :2].clamp(min=1e-20)).flatten()
