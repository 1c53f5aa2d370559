"""Where splats go: dead ones move to live ones, new ones join them, transparent ones wander.

Kheradmand et al., "3D Gaussian Splatting as Markov Chain Monte Carlo" (2024). Random numbers are keyed on
(seed, step) and, where each splat has its own, its index, so a fit can be repeated.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from splatworld import native
from splatworld.reconstruct.config import FitConfig
from splatworld.reconstruct.parameters import Parameters
from splatworld.render.device import working

MOST_COPIES = 50
"""Copies of one splat made at once, at most; the paper's table ends there too."""

WANDER_BELOW = 0.15
"""Opacity above which the noise's gate is shut: it lets less than a millionth through."""

_BINOMIALS = torch.tensor(
    [[math.comb(n, k) if k <= n else 0 for k in range(MOST_COPIES)] for n in range(MOST_COPIES)], dtype=torch.float64
)


def relocate(parameters: Parameters, config: FitConfig, step: int) -> None:
    """Move splats that have faded onto splats drawn by opacity."""
    opacity = parameters.values["opacity_logits"].sigmoid()
    dead = torch.nonzero(opacity <= config.dead_opacity).squeeze(-1)
    if len(dead) == 0 or len(dead) == len(parameters):
        return
    weights = opacity.clone()
    weights[dead] = 0
    source = _draw(weights, len(dead), config.seed, step, 0)
    _share_opacity(parameters, source)
    parameters.copy_rows(source, dead)
    parameters.forget(torch.cat([source, dead]))


def grow(parameters: Parameters, count: int, config: FitConfig, step: int) -> None:
    """Add splats up to `count`, each a copy of one drawn by opacity."""
    more = min(count, config.splats) - len(parameters)
    if more <= 0:
        return
    source = _draw(parameters.values["opacity_logits"].sigmoid(), more, config.seed, step, 1)
    _share_opacity(parameters, source)
    parameters.append_rows(source)
    parameters.forget(source)
    parameters.sort()


def wander(parameters: Parameters, rate: float, config: FitConfig, step: int) -> None:
    """Shake the means of transparent splats within their own ellipsoid."""
    values = parameters.values
    on_device = native.on_device(values["means"])
    kernels = native.load_cuda() if on_device else native.load()
    with working(values["means"].device, "wander") as stream:
        kernels.wander(
            values["means"], values["opacity_logits"], values["log_scales"], values["quats"],
            rate * config.noise, math.log(WANDER_BELOW / (1 - WANDER_BELOW)), config.seed, step,
            *((stream,) if on_device else ()),
        )  # fmt: skip


def _share_opacity(parameters: Parameters, source: Tensor) -> None:
    """Change each drawn splat so that it and its copies together look as it did (the paper's eq. 9)."""
    values = parameters.values
    copies = torch.bincount(source, minlength=len(parameters)) + 1
    rows = torch.nonzero(copies > 1).squeeze(-1)
    n = copies[rows].clamp(max=MOST_COPIES)
    old = values["opacity_logits"][rows].double().sigmoid().clamp(max=1 - 1e-6)
    new = 1 - (1 - old) ** (1 / n)
    total = torch.zeros_like(new)
    for i in range(1, int(n.max()) + 1):
        inner = sum(_BINOMIALS[i - 1, k] * (-1) ** k * new ** (k + 1) / math.sqrt(k + 1) for k in range(i))
        total += torch.where(i <= n, inner, torch.zeros_like(inner))
    shrink = (old / total).clamp(max=1.0)
    new = new.clamp(0.005, 1 - 1e-4)
    values["opacity_logits"][rows] = torch.logit(new).float()
    values["log_scales"][rows] += shrink.log().float()[:, None]


def _draw(weights: Tensor, count: int, seed: int, step: int, stream: int) -> Tensor:
    """`count` indices with replacement, by weight. numpy's running sum is sequential, so always the same."""
    total = np.cumsum(weights.double().cpu().numpy())
    picks = _generator(seed, step, stream).random(count) * total[-1]
    drawn = np.minimum(np.searchsorted(total, picks, side="right"), len(total) - 1)
    return torch.from_numpy(drawn).to(weights.device)


def _generator(seed: int, step: int, stream: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[seed, (step << 8) + stream]))
