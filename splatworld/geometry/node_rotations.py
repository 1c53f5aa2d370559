"""How nodes of deformable bodies are turned, which follows from where their neighbours are."""

from __future__ import annotations

import torch
from torch import Tensor

from splatworld.core import pose

ROUNDS = 20


def follow_rotations(rest: Tensor, edges: Tensor, points: Tensor, quats: Tensor) -> Tensor:
    """The rotations that turn each node's edges at rest into its edges now, as well as may be.

    From the rotations that they had (Müller et al., "A robust method to extract the rotational part of deformations",
    2016): what the edges leave open, such as the twist of a rope, is carried along, neither more nor less.

    Args:
        rest: [N, 3] m, nodes at rest.
        edges: [E, 2] nodes that are joined.
        points: [..., N, 3] m, nodes now.
        quats: [..., N, 4] rotations from rest that they had.

    Returns:
        [..., N, 4]; those of nodes without edges as they were.
    """
    a, b = edges.long().unbind(-1)
    was, now = (rest[b] - rest[a]).to(points), points[..., b, :] - points[..., a, :]
    size = (was * was).sum(-1)
    share = torch.where(size > 0, 1 / size.clamp(min=1e-18), 0.0)
    each = share[:, None, None] * now[..., :, None] * was[:, None, :]
    spread = points.new_zeros(*points.shape[:-1], 3, 3)
    spread.index_add_(-3, a, each)
    spread.index_add_(-3, b, each)
    free = (spread == 0).all(-1).all(-1)
    found = quats.to(points)
    for _ in range(ROUNDS):
        turn = pose.quat_to_matrix(found)
        pull = torch.linalg.cross(turn, spread, dim=-2).sum(-1)
        weight = (turn * spread).sum((-1, -2)).abs()
        step = 0.5 * pull / (weight + 1e-9)[..., None]
        small = torch.cat([torch.ones_like(weight)[..., None], step], dim=-1)
        found = pose.normalize_quat(pose.multiply_quats(pose.normalize_quat(small), found))
    return torch.where(free[..., None], quats.to(points), found)
