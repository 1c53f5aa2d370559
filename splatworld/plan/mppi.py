"""Model predictive path integral control over action sequences (Williams et al., "Information theoretic MPC for
model-based reinforcement learning", 2017), with noise that is smooth in time."""

from __future__ import annotations

import numpy as np

SMOOTH = 0.6
"""Share of its noise that an action takes over from the one before."""


def noisy(nominal: np.ndarray, scale: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """[count, H, A] action sequences around a nominal one [H, A]; the first is the nominal one itself.

    Args:
        nominal: the sequence.
        scale: standard deviation of the noise, broadcast to the sequence.
        count: how many.
        rng: decides all.
    """
    white = rng.normal(size=(count, *nominal.shape))
    noise = white.copy()
    for t in range(1, nominal.shape[0]):
        noise[:, t] = SMOOTH * noise[:, t - 1] + (1 - SMOOTH**2) ** 0.5 * white[:, t]
    noise[0] = 0
    return nominal + scale * noise


def weighted(sequences: np.ndarray, costs: np.ndarray, temperature: float) -> np.ndarray:
    """The mean [H, A] of sequences [N, H, A], each weighted by exp(-cost / temperature).

    Args:
        sequences: sampled.
        costs: [N]; infinite ones have no weight.
        temperature: of a unit of cost.
    """
    finite = np.isfinite(costs)
    if not finite.any():
        return sequences[0]
    weight = np.where(finite, np.exp(-(np.where(finite, costs, 0.0) - costs[finite].min()) / temperature), 0.0)
    return np.einsum("n,nha->ha", weight / weight.sum(), sequences)
