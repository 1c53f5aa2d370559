"""Distances to deformable bodies: capsules between their nodes."""

from __future__ import annotations

import torch
from torch import Tensor

from splatworld.core.checks import check_finite, check_shape
from splatworld.core.shape import Capsules


def capsule_distance(capsules: Capsules, nodes: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Distance to the union of posed capsules and the direction in which it grows.

    Args:
        capsules: C of them, between nodes.
        nodes: [..., M, 7] poses of the world's nodes.
        points: [..., P, 3] m, in the nodes' frame; batches broadcast.

    Returns:
        [..., P] m, negative inside, and unit gradients [..., P, 3]. The distance is differentiable in nodes and points.

    Raises:
        ShapeError: shapes that do not fit.
        InputError: numbers that are not finite.
    """
    check_shape("capsule_distance", "nodes", nodes, ("...", "M", 7))
    check_shape("capsule_distance", "points", points, ("...", "P", 3))
    check_finite("capsule_distance", "nodes", nodes)
    check_finite("capsule_distance", "points", points)
    a, b = (nodes[..., capsules.ends[:, k], :3].unsqueeze(-3) for k in (0, 1))
    along = b - a
    offset = points.unsqueeze(-2) - a
    length2 = (along * along).sum(-1)
    share = ((offset * along).sum(-1) / torch.where(length2 > 0, length2, 1.0)).clamp(0, 1)
    gap = offset - share[..., None] * along
    # On the axis itself the direction is not defined; a tiny length keeps the derivative finite there.
    length = (gap * gap).sum(-1).clamp(min=1e-24).sqrt()
    distance, nearest = (length - capsules.radii.to(length)).min(dim=-1)
    index = nearest[..., None, None].expand(*nearest.shape, 1, 3)
    gradient = (gap / length[..., None]).gather(-2, index).squeeze(-2)
    return distance, gradient.detach()
