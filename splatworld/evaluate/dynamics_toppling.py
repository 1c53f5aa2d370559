"""Rows of the suite `dynamics` about what is pushed over: on which side it ends, and how well that is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from splatworld.dynamics.library import true_latents
from splatworld.dynamics.model import DynamicsModel
from splatworld.episodes import Truth
from splatworld.evaluate.dynamics_metrics import alike, movers, sides
from splatworld.evaluate.dynamics_rollouts import mujoco, network, still, true
from splatworld.evaluate.dynamics_sets import TestSet, load_set
from splatworld.evaluate.report import Line, line

DRAWS = 16
"""Of the parameters, that vote."""
MARGIN = 3.0
"""Points by which a vote may be worse than that of as many redraws in MuJoCo."""
BINS = 5
"""Of probabilities, in which they are compared with how often they come true."""
KNOWN = ("mass", "com", "table_friction", "tool_friction")
"""Parameters of which latents tell."""
LABELS = {"topple": "pushed over", "topple held-out": "pushed over, held-out shapes and tools"}


def topple_lines(model: DynamicsModel, name: str, count: int, say: Callable[..., object]) -> list[Line]:
    """Rows of one of `LABELS`: votes over draws of the parameters against those of MuJoCo, and calibration."""
    test_set, label = load_set(name, count, say), LABELS[name]
    batch = test_set.batch(0, test_set.actions)
    truth = true(batch)
    which = movers(test_set, truth)
    happened = sides(test_set, truth, which)
    say(f"{label}: predictions")
    one = sides(test_set, network(model, batch), which)
    told = sides(test_set, network(model, batch, latents=batch.latents), which)
    drawn = [true_latents(batch.scene, drawn_truth(test_set, seed)) for seed in range(DRAWS)]
    own = torch.stack([sides(test_set, network(model, batch, latents=each), which) for each in drawn])
    say(f"{label}: {DRAWS} redraws in MuJoCo")
    redrawn = torch.stack([sides(test_set, mujoco(test_set, "redrawn", 0, test_set.actions, seed=k), which)
                           for k in range(DRAWS)])  # fmt: skip
    (chosen, share), (floor, floor_share) = vote(own), vote(redrawn)
    right, floor_right = alike(chosen, happened), alike(floor, happened)
    same = [100 * _mean(alike(each, happened)) for each in (redrawn, sides(test_set, still(batch), which))]
    bound = 100 * _mean(floor_right)
    judged = name == "topple"
    return [
        line(f"{label}: final side by vote of {DRAWS} draws, of {len(happened)} bodies", 100 * _mean(right), "%",
             f">= {bound - MARGIN:.1f}" if judged else None,
             f"vote of MuJoCo redrawn {bound:.1f}, one redraw {same[0]:.1f}, nothing moves {same[1]:.1f}"),
        line(f"{label}: final side, one prediction", 100 * _mean(alike(one, happened)), "%", None,
             f"MuJoCo redrawn {same[0]:.1f}"),
        line(f"{label}: final side with the true parameters", 100 * _mean(alike(told, happened)), "%",
             ">= 95" if judged else None),
        line(f"{label}: calibration error of the vote's probabilities", calibration_error(share, right), "",
             "<= 0.05" if judged else None, f"MuJoCo redrawn {calibration_error(floor_share, floor_right):.3f}"),
    ]  # fmt: skip


def drawn_truth(test_set: TestSet, seed: int) -> Truth:
    """Parameters drawn from the ranges of a set in place of the true ones; `seed` chooses them."""
    episodes, ranges = test_set.episodes, test_set.config.ranges
    drawn = replace(episodes.truth, **{name: torch.zeros_like(getattr(episodes.truth, name)) for name in KNOWN})
    for number in range(len(episodes)):
        bodies = episodes.shape_ids[number][episodes.mask[number]]
        names = tuple(episodes.shapes[int(k)] for k in bodies)
        parameters = ranges.draw(names, np.random.default_rng([seed, number]))
        for name in KNOWN:
            getattr(drawn, name)[number, : len(names)] = torch.from_numpy(getattr(parameters, name))
    return drawn


def vote(drawn: Tensor) -> tuple[Tensor, Tensor]:
    """The sides that most of some draws [K, M, 3] are alike to, [M, 3], and their shares [M]."""
    votes = alike(drawn[:, None], drawn[None]).sum(1)
    best = votes.argmax(0)
    return drawn[best, torch.arange(drawn.shape[1])], votes.amax(0) / len(drawn)


def calibration_error(share: Tensor, right: Tensor) -> float:
    """Expected calibration error of probabilities [M] of events [M] bool (Guo et al., "On calibration of modern neural
    networks", 2017), in bins of equally many."""
    parts = share.argsort(stable=True).tensor_split(BINS)
    gaps = [len(part) * abs(float(share[part].double().mean() - right[part].double().mean())) for part in parts]
    return sum(gaps) / len(share)


def _mean(flags: Tensor) -> float:
    return float(flags.double().mean())
