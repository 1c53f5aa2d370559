"""Where a surface is sampled for contacts: at its corners, along its edges, and evenly in between."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from splatworld import native
from splatworld.core.mesh import Mesh
from splatworld.geometry.mesh import surface_points, weld

SPACING = 0.008
"""m between points, as far as there are enough."""
FEWEST, MOST = 128, 256
MOST_CORNERS = 64
SHARP = 0.5
"""rad: what an edge turns, or a corner falls short of a flat one, to be sampled there for certain."""


def contact_points(mesh: Mesh, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Points that stand for a surface: the sharpest corners first, then each as far as possible from those before.

    Eldar et al., "The farthest point strategy for progressive image sampling" (1997).

    Args:
        mesh: a surface.
        seed: of the candidates between edges.

    Returns:
        points [P, 3] m and unit normals [P, 3], float32, `FEWEST` to `MOST` by the surface's area.
    """
    mesh = weld(mesh)
    a, b, c = mesh.vertices.double()[mesh.faces.T]
    across = torch.linalg.cross(b - a, c - a)
    area = float(across.norm(dim=-1).sum() / 2)
    count = int(np.clip(2 ** round(np.log2(max(area / SPACING**2, 1.0))), FEWEST, MOST))
    flat, flat_normals = surface_points(mesh, 6 * count, seed)
    edge, edge_normals = _edge_points(mesh, across.numpy())
    corner, corner_normals = _corners(mesh, across)
    points = np.concatenate([corner, edge, flat.numpy()])
    normals = np.concatenate([corner_normals, edge_normals, flat_normals.numpy()])
    chosen = _farthest(points, len(corner), count)
    return torch.from_numpy(points[chosen]).float(), torch.from_numpy(normals[chosen]).float()


def clusters(points: Tensor, normals: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Neighbours put together.

    Args:
        points: [P, 3] m.
        normals: [P, 3].

    Returns:
        points and normals [C, 3, 16] float32, the last ones repeated, and spheres [C, 4] around each cluster.
    """
    size = native.load().CLUSTER
    groups = [np.arange(len(points))] if len(points) else []
    place = points.double().numpy()
    while any(len(group) > size for group in groups):
        split = []
        for group in groups:
            if len(group) <= size:
                split.append(group)
                continue
            axis = int(np.ptp(place[group], axis=0).argmax())
            order = group[np.argsort(place[group, axis], kind="stable")]
            half = -(-len(order) // (2 * size)) * size  # whole clusters, so that only the last is filled up
            split += [order[:half], order[half:]]
        groups = split
    index = torch.tensor([[*group, *[group[-1]] * (size - len(group))] for group in groups]).long().reshape(-1, size)
    together = points[index].float()
    middle = (together.amin(1) + together.amax(1)) / 2
    radius = (together - middle[:, None]).norm(dim=-1).amax(-1, keepdim=True)
    return (
        together.transpose(1, 2).contiguous(),
        normals[index].float().transpose(1, 2).contiguous(),
        torch.cat([middle, radius], dim=-1),
    )


def _farthest(points: np.ndarray, given: int, count: int) -> np.ndarray:
    chosen = list(range(min(given, count)))
    gaps = np.full(len(points), np.inf)
    for index in chosen:
        gaps = np.minimum(gaps, ((points - points[index]) ** 2).sum(axis=1))
    while len(chosen) < min(count, len(points)):
        chosen.append(int(gaps.argmax()))
        gaps = np.minimum(gaps, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
    return np.array(chosen)


def _corners(mesh: Mesh, across: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The vertices whose angles fall farthest short of a whole turn."""
    corners = mesh.vertices.double()[mesh.faces]
    angles = torch.zeros(len(mesh.vertices), dtype=torch.float64)
    for k in range(3):
        one, other = corners[:, (k + 1) % 3] - corners[:, k], corners[:, (k + 2) % 3] - corners[:, k]
        angles.index_add_(0, mesh.faces[:, k], torch.atan2(across.norm(dim=-1), (one * other).sum(-1)))
    missing = 2 * torch.pi - angles
    order = torch.argsort(missing, descending=True, stable=True)[:MOST_CORNERS]
    order = order[missing[order] > SHARP]
    normals = torch.zeros(len(mesh.vertices), 3, dtype=torch.float64)
    normals.index_add_(0, mesh.faces.flatten(), across.repeat_interleave(3, 0))
    return mesh.vertices[order].double().numpy(), torch.nn.functional.normalize(normals[order], dim=-1).numpy()


def _edge_points(mesh: Mesh, across: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points along the edges at which the surface turns sharply."""
    faces = mesh.faces.numpy()
    normals = across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-300)
    start, end = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    key = np.minimum(start, end) * len(mesh.vertices) + np.maximum(start, end)
    order = np.argsort(key, kind="stable")
    _, first, uses = np.unique(key[order], return_index=True, return_counts=True)
    one, other = order[first[uses == 2]], order[first[uses == 2] + 1]
    sharp = (normals[one // 3] * normals[other // 3]).sum(axis=1) < np.cos(SHARP)
    one, other = one[sharp], other[sharp]
    a, b = mesh.vertices.double().numpy()[start[one]], mesh.vertices.double().numpy()[end[one]]
    pieces = np.maximum(np.ceil(np.linalg.norm(b - a, axis=1) / SPACING).astype(int), 1)
    edge = np.repeat(np.arange(len(pieces)), pieces)
    share = (np.arange(len(edge)) - np.repeat(np.cumsum(pieces) - pieces, pieces) + 0.5) / pieces[edge]
    both = normals[one // 3] + normals[other // 3]
    both = both / np.maximum(np.linalg.norm(both, axis=1, keepdims=True), 1e-300)
    return a[edge] + share[:, None] * (b - a)[edge], both[edge]
