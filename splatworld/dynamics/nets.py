"""Deformable bodies as nets: nodes, edges that keep them together, and triples that bending acts on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from splatworld import native
from splatworld.core.world import World

ROPE, CLOTH, SOFT = 1, 2, 3
"""Dimensions of bodies."""
OPPOSITE = -0.9
"""Cosine between two edges of a node below which they lie opposite to each other."""
THIN = 0.02
"""Mean square extent of a body across a plane over that along its widest direction, near its nodes, up to which it
is a cloth."""
STIFFNESS = {ROPE: 700.0, CLOTH: 2200.0, SOFT: 0.03}
"""Mass over bending stiffness of a rope, s^2/m^4, and of a cloth, and density over elasticity of a soft body, s^2/m^2:
in the middle of what household things have. Nobody knows it of a body that is seen for the first time."""


@dataclass(frozen=True)
class Net:
    """The deformable bodies of S states: N nodes, E edges and T bends, those of each state in a row.

    Attributes:
        node_start, edge_start, bend_start: [S + 1] int64, where those of each state begin.
        edges: [E, 2] int32 nodes.
        length: [E] m at rest.
        softness: [E] s^2, mass over stiffness; 0 of what keeps its length.
        touches: [E] uint8, whether it touches other edges.
        bends: [T, 3] int32 nodes, of which the second lies between the others when nothing bends them.
        share: [T] of the way from the first to the third where it lies.
        flexibility: [T] s^2, mass over stiffness.
        radius: [N] m, how thick the body is there.
        dimension: [N] int64, `ROPE`, `CLOTH` or `SOFT`.
        body: [N] int64, index of the node's body in its state.
        rest: [N, 7] poses of nodes at rest.
    """

    node_start: Tensor
    edge_start: Tensor
    bend_start: Tensor
    edges: Tensor
    length: Tensor
    softness: Tensor
    touches: Tensor
    bends: Tensor
    share: Tensor
    flexibility: Tensor
    radius: Tensor
    dimension: Tensor
    body: Tensor
    rest: Tensor

    def __len__(self) -> int:
        """States."""
        return len(self.node_start) - 1

    @cached_property
    def state(self) -> Tensor:
        """[N] int64, which state each node is of."""
        return torch.repeat_interleave(torch.arange(len(self)), self.node_start.diff())

    def expand(self, states: int) -> Net:
        """The net of one state, `states` times over."""
        if states == len(self):
            return self
        if not len(self.radius):
            return replace(self, **dict.fromkeys(STARTS, torch.zeros(states + 1, dtype=torch.int64)))
        return stacked([self] * states)

    def any(self, nodes: Tensor) -> Tensor:
        """[S] bool, whether some node of [N] bool is."""
        return torch.zeros(len(self), dtype=torch.int64).index_add(0, self.state, nodes.long()) > 0

    @cached_property
    def neighbours(self) -> tuple[Tensor, Tensor]:
        """[N + 1] int64 where each node's begin, and the nodes that share an edge with it, itself included, int32."""
        itself = torch.arange(len(self.radius), dtype=torch.int32)
        pairs = torch.cat([self.edges, self.edges.flip(1), torch.stack([itself, itself], dim=1)]).unique(dim=0)
        start = torch.zeros(len(itself) + 1, dtype=torch.int64)
        torch.cumsum(torch.bincount(pairs[:, 0].long(), minlength=len(itself)), 0, out=start[1:])
        return start, pairs[:, 1].contiguous()

    @cached_property
    def packed(self) -> Any:
        """The view that the kernels take."""
        start, neighbours = self.neighbours
        return native.load().PackedNet(
            self.node_start, self.edge_start, self.bend_start, self.edges.contiguous(), self.length, self.softness,
            self.touches, self.bends.contiguous(), self.share, self.flexibility, self.radius, start, neighbours,
        )  # fmt: skip


PER_NODE = ("radius", "dimension", "body", "rest")
PER_EDGE = ("edges", "length", "softness", "touches")
PER_BEND = ("bends", "share", "flexibility")
STARTS = ("node_start", "edge_start", "bend_start")


def body_net(rest: Tensor, ends: Tensor, radii: Tensor, *, body: int = 0, straight: bool = True) -> Net:
    """The net of one body, of one state.

    Args:
        rest: [M, 7] its nodes at rest.
        ends: [E, 2] its capsules, by its own nodes; those of no length join nothing.
        radii: [E] m of its capsules.
        body: its index.
        straight: whether ropes and cloths are straight and flat when nothing bends them, however they lie.
    """
    poses, rest = rest.double(), rest[:, :3].double()
    edges = ends[ends[:, 0] != ends[:, 1]].long().sort(dim=1).values.unique(dim=0)
    count = len(rest)
    radius = torch.zeros(count).scatter_reduce(0, ends.flatten().long(), radii.float().repeat_interleave(2), "amax")
    dimension = _dimension(rest, edges)
    length = (rest[edges[:, 0]] - rest[edges[:, 1]]).norm(dim=-1).float()
    typical = float(length.double().mean()) if len(length) else 0.0
    soft = STIFFNESS[SOFT] * typical**2 if dimension == SOFT else 0.0
    bends = _bends(rest, edges) if dimension != SOFT and straight else torch.zeros(0, 3, dtype=torch.int64)
    arms = (rest[bends[:, (0, 2)]] - rest[bends[:, 1:2]]).norm(dim=-1)
    size = torch.tensor([0, count])
    return Net(
        node_start=size,
        edge_start=torch.tensor([0, len(edges)]),
        bend_start=torch.tensor([0, len(bends)]),
        edges=edges.int(),
        length=length,
        softness=torch.full((len(edges),), soft),
        touches=torch.full((len(edges),), int(dimension != SOFT), dtype=torch.uint8),
        bends=bends.int(),
        share=(arms[:, 0] / arms.sum(-1)).float(),
        flexibility=(STIFFNESS[min(dimension, CLOTH)] * arms.mean(-1) ** 4).float(),
        radius=radius,
        dimension=torch.full((count,), dimension),
        body=torch.full((count,), body),
        rest=poses,
    )


def world_net(world: World) -> Net:
    """The net of a world's deformable bodies, in the order of its nodes; nodes of no body join nothing."""
    parts, end = [], 0
    for index, body in sorted(enumerate(world.bodies), key=lambda each: each[1].node_range or (0, 0)):
        if body.kind != "deformable" or body.node_range is None or body.capsules is None:
            continue
        first, last = body.node_range
        if first > end:
            parts.append(_loose(world.rest_nodes[end:first]))
        nodes = world.rest_nodes[first:last]
        parts.append(body_net(nodes, body.capsules.ends - first, body.capsules.radii, body=index))
        end = last
    if end < len(world.rest_nodes):
        parts.append(_loose(world.rest_nodes[end:]))
    return side_by_side(parts)


def side_by_side(nets: Sequence[Net]) -> Net:
    """Nets of one state each as that of one state."""
    whole = stacked(nets)
    ends = {name: getattr(whole, name)[[0, -1]] for name in STARTS}
    return Net(**{f.name: ends.get(f.name, getattr(whole, f.name)) for f in fields(Net)})


def stacked(nets: Sequence[Net]) -> Net:
    """Nets as one, with the states of all of them."""
    if not nets:
        return _loose(torch.zeros(0, 7))
    offset = torch.tensor([0, *(len(net.radius) for net in nets)]).cumsum(0)
    joined: dict[str, Tensor] = {}
    for name in (*PER_NODE, *PER_EDGE, *PER_BEND):
        by = offset if name in ("edges", "bends") else torch.zeros_like(offset)
        joined[name] = torch.cat([getattr(net, name) + b for net, b in zip(nets, by.tolist(), strict=False)])
    for name in STARTS:
        counts = torch.cat([getattr(net, name).diff() for net in nets])
        joined[name] = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    for name in ("edges", "bends"):
        joined[name] = joined[name].int()
    joined["touches"] = joined["touches"].to(torch.uint8)
    return Net(**joined)


def _loose(nodes: Tensor) -> Net:
    return body_net(nodes, torch.zeros(0, 2, dtype=torch.int64), torch.zeros(0))


def _dimension(rest: Tensor, edges: Tensor) -> int:
    """A rope if no node has more than two neighbours, a cloth if all lie about in a plane near each node."""
    degree = torch.bincount(edges.flatten(), minlength=len(rest))
    if not len(edges) or int(degree.max()) <= 2:
        return ROPE
    arms = torch.cat([rest[edges[:, 1]] - rest[edges[:, 0]], rest[edges[:, 0]] - rest[edges[:, 1]]])
    spread = torch.zeros(len(rest), 3, 3, dtype=rest.dtype)
    spread.index_add_(0, torch.cat([edges[:, 0], edges[:, 1]]), arms[:, :, None] * arms[:, None, :])
    extents = torch.linalg.eigvalsh(spread)
    return CLOTH if float((extents[:, 0] / extents[:, 2].clamp(min=1e-12)).median()) < THIN else SOFT


def _bends(rest: Tensor, edges: Tensor) -> Tensor:
    """[T, 3] a node between two of its neighbours that lie opposite to each other; of a rope all that have two."""
    both = torch.cat([edges, edges.flip(1)])
    both = both[both[:, 0].argsort(stable=True)]
    degree = torch.bincount(both[:, 0], minlength=len(rest))
    rope = len(degree) > 0 and int(degree.max()) <= 2
    found = []
    for node, others in enumerate(both[:, 1].split(degree.tolist())):
        ways = torch.nn.functional.normalize(rest[others] - rest[node], dim=-1)
        cosine = torch.triu(ways @ ways.T, diagonal=1) + torch.tril(torch.ones(len(others), len(others)))
        for a, c in (cosine < (1.0 if rope else OPPOSITE)).nonzero().tolist():
            if a < c:
                found.append((int(others[a]), node, int(others[c])))
    return torch.tensor(found, dtype=torch.int64).reshape(-1, 3)
