"""The network of deformable bodies: messages along edges correct where nodes swing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from splatworld.core.checks import InputError
from splatworld.dynamics.nets import Net
from splatworld.dynamics.swing import Swung

SECONDS = 0.1
UNIT = 0.01
"""m that are one unit of displacements."""
NODE_VECTORS, EDGE_VECTORS = 6, 3
NODE_SCALARS = NODE_VECTORS * (NODE_VECTORS + 1) // 2 + NODE_VECTORS + 9
SHOWN = EDGE_VECTORS + 3
"""Vectors whose products an edge's messages are made of: its own, and three of its node."""
EDGE_SCALARS = SHOWN * (SHOWN + 1) // 2 + SHOWN + 2
LEAST_LOG, MOST_LOG, FIRST_LOG = -14.0, 4.0, -4.0
"""Bounds of log-variances, in squared units, and what they begin with."""


@dataclass(frozen=True)
class NodeModelConfig:
    """How large the network is.

    Attributes:
        width: of all layers.
        rounds: how often messages are passed.
        scale: of predicted variances.
        correlation: of the errors of successive actions, by which these are summed.
    """

    width: int = 64
    rounds: int = 2
    scale: float = 1.0
    correlation: float = 0.5

    def __post_init__(self) -> None:
        if min(self.width, self.rounds) < 1 or not 0 < self.scale < float("inf") or not 0 <= self.correlation <= 1:
            raise InputError(f"NodeModelConfig: {self}, expected width and rounds of 1 or more, a scale above 0 and a "
                             "correlation from 0 to 1.")  # fmt: skip


@dataclass(frozen=True)
class Sighted:
    """What the network reads of N nodes and of their edges, both ways.

    Attributes:
        near, far: [2 E] int64, the node that hears and the one that speaks.
        node_vectors: [N, 6, 3] units: first guess of the displacement, velocities before and after, pushes by bodies
            that move, friction, pushes by what stands still.
        edge_vectors: [2 E, 3, 3] from the near to the far node, now and by the first guess, lengths at rest; and how
            their displacements differ, units.
        node_scalars: [N, ...] products of the vectors, heights, and what kind of body it is.
        edge_scalars: [2 E, ...].
        share: [2 E] one over how many edges the near node has.
        free: [N, 1] 0 of nodes that are held.
    """

    near: Tensor
    far: Tensor
    node_vectors: Tensor
    edge_vectors: Tensor
    node_scalars: Tensor
    edge_scalars: Tensor
    share: Tensor
    free: Tensor


def sight(net: Net, points: Tensor, velocities: Tensor, swung: Swung, gravity: Tensor) -> Sighted:
    """What the network reads of nodes at points [N, 3] with velocities [N, 3] that would swing so."""
    way = (swung.points - points).float()
    vectors = torch.stack(
        [way, SECONDS * velocities.float(), SECONDS * swung.velocities.float(), swung.push, swung.rub, swung.carried],
        dim=1,
    ) / UNIT  # fmt: skip
    up = -functional.normalize(gravity.float(), dim=0)
    a, b = net.edges.long().unbind(-1)
    near, far = torch.cat([a, b]), torch.cat([b, a])
    length = net.length.repeat(2)[:, None]
    now, then = (points[far] - points[near]).float() / length, (swung.points[far] - swung.points[near]).float() / length
    along = torch.stack([now, then, (way[far] - way[near]) / UNIT], dim=1)
    degree = torch.bincount(near, minlength=len(points)).clamp(min=1)
    held = (swung.holder >= 0).float()
    size = torch.zeros(len(points)).index_add(0, near, length[:, 0]) / degree
    kind = functional.one_hot(net.dimension - 1, 3)
    height = points.float() @ up
    lowest = torch.full((len(net),), torch.inf).scatter_reduce(0, net.state, height, "amin")[net.state]
    more = [((height - lowest) / 0.02).asinh(), swung.gap / UNIT, held, net.radius / 0.005, size / 0.025, degree / 6]
    shown = torch.cat([along, vectors[near][:, (0, 1, 3)]], dim=1)
    strain = torch.stack([20 * (now.norm(dim=-1) - 1), 20 * (then.norm(dim=-1) - 1)], dim=1).asinh()
    return Sighted(
        near=near,
        far=far,
        node_vectors=vectors,
        edge_vectors=along,
        node_scalars=torch.cat([_products(vectors, up), torch.stack(more, dim=1), kind], dim=1),
        edge_scalars=torch.cat([_products(shown, up), strain], dim=1),
        share=1 / degree[near],
        free=1 - held[:, None],
    )


def _products(vectors: Tensor, up: Tensor) -> Tensor:
    """[K, ...] what of vectors [K, V, 3] stays the same when the world turns about the vertical or is mirrored."""
    row, column = torch.triu_indices(vectors.shape[1], vectors.shape[1])
    return torch.cat([(vectors[:, row] * vectors[:, column]).sum(-1), vectors @ up], dim=1).asinh()


@dataclass(frozen=True)
class Correction:
    """What the network adds, N nodes.

    Attributes:
        way: [N, 3] m.
        velocity: [N, 3] m/s.
        log_variance: [N] of each coordinate of the way, in m^2.
    """

    way: Tensor
    velocity: Tensor
    log_variance: Tensor


class NodeModel(nn.Module):
    """Messages along edges; what is said is a sum of vectors that are seen, so that it turns with the world.

    Weights of these sums are functions of what turning about the vertical and mirroring leave as it is (Han et al.,
    "Learning physical dynamics with subequivariant graph neural networks", 2022).
    """

    def __init__(self, config: NodeModelConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or NodeModelConfig()
        wide = config.width
        self.reader = nn.Sequential(nn.Linear(NODE_SCALARS, wide), nn.SiLU(), nn.Linear(wide, wide))
        self.messages = nn.ModuleList(
            nn.Sequential(nn.Linear(2 * wide + EDGE_SCALARS, wide), nn.SiLU(), nn.Linear(wide, wide), nn.SiLU())
            for _ in range(config.rounds)
        )
        self.updates = nn.ModuleList(
            nn.Sequential(nn.Linear(2 * wide, wide), nn.SiLU(), nn.Linear(wide, wide)) for _ in range(config.rounds)
        )
        self.along = nn.Linear(wide, 2 * EDGE_VECTORS)
        self.mean = nn.Linear(wide, 2 * (NODE_VECTORS + 1))
        self.spread = nn.Linear(wide, 1)
        for head in (self.along, self.mean, self.spread):
            nn.init.normal_(head.weight, std=0.01)
            nn.init.zeros_(head.bias)
        nn.init.constant_(self.spread.bias, FIRST_LOG)

    def forward(self, seen: Sighted, gravity: Tensor) -> Correction:
        """The correction of nodes; `gravity` [3] tells where up is."""
        hidden = self.reader(seen.node_scalars)
        message = hidden.new_zeros(len(seen.near), self.config.width)
        for tell, update in zip(self.messages, self.updates, strict=True):
            message = tell(torch.cat([hidden[seen.near], hidden[seen.far], seen.edge_scalars], dim=1))
            heard = torch.zeros_like(hidden).index_add(0, seen.near, message * seen.share[:, None])
            hidden = hidden + update(torch.cat([hidden, heard], dim=1))
        up = -functional.normalize(gravity.float(), dim=0).expand(len(hidden), 1, 3)
        own = self.mean(hidden).unflatten(1, (2, -1)) @ torch.cat([seen.node_vectors, up], dim=1)
        along = (self.along(message).unflatten(1, (2, -1)) @ seen.edge_vectors) * seen.share[:, None, None]
        both = own.index_add(0, seen.near, along) * seen.free[..., None] * UNIT
        log_variance = self.spread(hidden.detach())[:, 0].clamp(LEAST_LOG, MOST_LOG)
        return Correction(both[:, 0], both[:, 1] / SECONDS, log_variance + 2 * torch.tensor(UNIT).log())
