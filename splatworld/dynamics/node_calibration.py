"""Whole predictions of deformable bodies, and how sure they may be."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.dynamics.deformable import Nodes, act_nodes
from splatworld.dynamics.edges import NodeModel
from splatworld.dynamics.node_library import NodeBatch, NodeLibrary, draw_nodes

CALIBRATED, CORRELATIONS = 96, (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
"""Stretches that intervals are measured on, and correlations that are tried."""
INTERVAL = 1.645
"""Standard deviations on each side that hold 90 %."""
MOVED = 0.002
"""m that a node must get for its interval to count."""


@dataclass(frozen=True)
class NodeRollouts:
    """Predicted nodes of a batch, [T + 1, N, 3] m, and variances of each coordinate [T + 1, N] m^2."""

    points: Tensor
    variance: Tensor


@torch.no_grad()
def roll_nodes(model: NodeModel | None, batch: NodeBatch) -> NodeRollouts:
    """Nodes by the network, or by the first guess alone where it is None; the tool is where it was."""
    turn = pose.identity(len(batch.net.radius), dtype=torch.float64)[:, 3:]
    still = torch.zeros_like(batch.velocities[0])
    now = Nodes(torch.cat([batch.points[0], turn], dim=-1), torch.cat([batch.velocities[0], still], dim=-1),
                torch.zeros(len(turn), dtype=torch.float64))  # fmt: skip
    states = [now]
    for t in range(len(batch.poses) - 1):
        now = act_nodes(model, batch.scene, batch.net, now, batch.poses[t], batch.poses[t + 1], unsure=t == 0)[0]
        states.append(now)
    return NodeRollouts(torch.stack([s.poses[:, :3] for s in states]), torch.stack([s.variance for s in states]))


@torch.no_grad()
def calibrate_nodes(model: NodeModel, library: NodeLibrary, *, seed: int = 0) -> dict[str, float]:
    """Scale the network's variances so that 90 % intervals hold 90 % after one action and after ten.

    Variances are linear in their scale: for each correlation of successive errors that is tried the scale follows from
    a quantile, and the correlation for which both horizons want the same scale is taken.

    Returns:
        The scale and the correlation.
    """
    batches = [
        draw_nodes(library, CALIBRATED, actions, torch.Generator().manual_seed(seed + actions)) for actions in (1, 10)
    ]
    best, off = model.config, float("inf")
    for correlation in CORRELATIONS:
        model.config = replace(model.config, scale=1.0, correlation=correlation)
        wanted = []
        for batch in batches:
            found = roll_nodes(model, batch)
            moved = (batch.points[-1] - batch.points[0]).norm(dim=-1) > MOVED
            gap = (found.points[-1] - batch.points[-1])[moved].square()
            ratio = gap / (INTERVAL**2 * found.variance[-1][moved, None]).clamp(min=1e-12)
            wanted.append(float(np.quantile(ratio.numpy(), 0.9)))
        apart = abs(math.log(wanted[0] / wanted[1]))
        if apart < off:
            off, best = apart, replace(model.config, scale=math.sqrt(wanted[0] * wanted[1]))
    model.config = best
    return {"scale": best.scale, "correlation": best.correlation}
