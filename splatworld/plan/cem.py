"""The cross-entropy method over whatever can be sampled near what was best (Rubinstein and Kroese, 2004).

The best of all samples are not melted into one Gaussian but stay the centres of a mixture: what is to be planned has
several good answers, such as either side of a body, whose mean is none.
"""

from __future__ import annotations

import numpy as np


def elites(costs: np.ndarray, share: float) -> np.ndarray:
    """Indices of the best share of costs [N], the best first, at least one; those that are infinite never."""
    order = np.argsort(costs, kind="stable")
    order = order[np.isfinite(costs[order])]
    return order[: max(1, round(share * len(costs)))]


def parents(best: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """[count] of `best`, the first ones the likelier.

    Args:
        best: indices, the best first, as `elites` gives them; at least one.
        count: how many.
        rng: decides all.
    """
    weight = np.exp(-2.0 * np.arange(len(best)) / len(best))
    return best[rng.choice(len(best), count, p=weight / weight.sum())]


def gaussian(sequences: np.ndarray, costs: np.ndarray, share: float, *, least: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation [H, A] of the best of sequences [N, H, A], for the next generation of them.

    Args:
        sequences: sampled.
        costs: [N].
        share: that counts as best.
        least: standard deviation that is kept.
    """
    best = sequences[elites(costs, share)]
    return best.mean(axis=0), np.maximum(best.std(axis=0), least)
