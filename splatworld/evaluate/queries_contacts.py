"""Which bodies touch in each action, as predicted and as the oracle says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from splatworld.dynamics.predict import predict
from splatworld.episodes import SUBSTATES, TABLE, TOOL, Episodes
from splatworld.evaluate.dynamics_sets import load_set
from splatworld.evaluate.report import Line, line
from splatworld.plan.prediction import Prediction
from splatworld.simulate.episodes.world import to_world

ACTIONS = 10
MOMENTS = 5
"""Of an action, at which contacts are asked for."""
SPLATS = 30

Pair = tuple[int, int]


@dataclass
class Score:
    """Pairs of bodies in actions: predicted and true, predicted alone, true alone."""

    both: int = 0
    told: int = 0
    missed: int = 0

    def add(self, found: set[Pair], truth: set[Pair]) -> None:
        self.both += len(found & truth)
        self.told += len(found - truth)
        self.missed += len(truth - found)

    @property
    def precision(self) -> float:
        return self.both / max(self.both + self.told, 1)

    @property
    def recall(self) -> float:
        return self.both / max(self.both + self.missed, 1)


def contact_lines(count: int, say: Callable[..., object]) -> list[Line]:
    """Pushes among two to four held-out bodies for 1 s, by the packaged network under the oracle's commands.

    A pair touches in an action if the oracle counts an impulse between them. Pairs of which nothing is awake say
    nothing: the oracle leaves their impulses out.
    """
    test_set = load_set("several", count, say)
    episodes = test_set.episodes
    whole, apart = Score(), Score()
    for number in range(min(count, len(episodes))):
        say(f"contacts: episode {number + 1} of {count}")
        world, rollout = to_world(test_set.folder, episodes, number, splats=SPLATS)
        told = Prediction(world, predict(world, rollout.states[0], rollout.actions[:ACTIONS]))
        for action in range(ACTIONS):
            moving = _awake(episodes, number, action)
            found = {pair for pair in _predicted(told, action, episodes, number) if moving & set(pair)}
            truth = {pair for pair in _true(episodes, number, action) if moving & set(pair)}
            whole.add(found, truth)
            apart.add({p for p in found if TABLE not in p}, {p for p in truth if TABLE not in p})
    name = "contacts of the next second, pairs an action, against the oracle"
    return [
        line(f"{name}: precision", whole.precision, "", ">= 0.95"),
        line(f"{name}: recall", whole.recall, "", ">= 0.95"),
        line(f"{name}, those with the table left out: precision", apart.precision, ""),
        line(f"{name}, those with the table left out: recall", apart.recall, ""),
    ]


def _predicted(told: Prediction, action: int, episodes: Episodes, number: int) -> set[Pair]:
    # Background and table are one to the oracle; the tool comes last.
    bodies = int(episodes.mask[number].sum())
    codes = [TABLE, TABLE, *range(bodies), TOOL]
    times = 0.1 * (action + torch.arange(1, MOMENTS + 1, dtype=torch.float64) / MOMENTS)
    pairs = {(codes[a], codes[b]) for a, b in told.contacts(times).bodies.tolist()}
    return {(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]}


def _true(episodes: Episodes, number: int, action: int) -> set[Pair]:
    touched = torch.nonzero(episodes.impulses[number, action].triu() > 0).tolist()
    return {(a, b) for a, b in touched}


def _awake(episodes: Episodes, number: int, action: int) -> set[int]:
    """Bodies that can move and did not sleep through the action."""
    states = slice(action * SUBSTATES, (action + 1) * SUBSTATES + 1)
    awake = ~episodes.asleep[number, states].all(0) & episodes.mask[number] & ~episodes.fixed[number]
    return set(torch.nonzero(awake)[:, 0].tolist())
