"""Convex hulls, and solids cut into convex parts."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

import manifold3d
import numpy as np
import torch
from scipy.spatial import ConvexHull, QhullError
from torch import Tensor

from splatworld.core.checks import InputError
from splatworld.core.mesh import Mesh
from splatworld.geometry.mesh import arrays, from_manifold, solid, to_manifold, volume

SEARCH = {"mcts_nodes": 10, "mcts_iterations": 20, "mcts_max_depth": 2, "resolution": 1000, "max_ch_vertex": 64}
"""How long the decomposition looks for good cuts: a twentieth of the usual time, about as many parts."""
DETAIL = 0.005
"""Share of a body's extent: smaller details change no part, but cost most of the time."""
CONVEX = 0.999
"""Share of its hull's volume from which on a mesh is convex."""


def is_convex(mesh: Mesh) -> bool:
    """Whether a closed mesh fills its convex hull to a thousandth of its volume."""
    return volume(mesh) >= CONVEX * volume(convex_hull(mesh.vertices))


def convex_hull(points: Tensor) -> Mesh:
    """The smallest convex mesh around points [N, 3].

    Raises:
        InputError: fewer than four points, or all in one plane.
    """
    try:
        hull = ConvexHull(points.double().numpy())
    except (QhullError, ValueError) as error:
        raise InputError(f"convex_hull: {len(points)} points span no volume.") from error
    a, b, c = hull.points[hull.simplices].transpose(1, 0, 2)
    inward = np.einsum("fi,fi->f", np.cross(b - a, c - a), hull.equations[:, :3]) < 0
    faces = np.where(inward[:, None], hull.simplices[:, ::-1], hull.simplices)
    used, packed = np.unique(faces, return_inverse=True)
    return Mesh(torch.from_numpy(hull.points[used]), torch.from_numpy(packed.reshape(-1, 3).astype(np.int64)))


def convex_parts(mesh: Mesh, *, concavity: float = 0.05, noise: float = 0.0) -> tuple[Mesh, ...]:
    """Convex meshes whose union is nearly the mesh: the mesh's hull if it is convex, else an approximate decomposition.

    Wei et al., "Approximate convex decomposition for 3D meshes with collision-aware concavity" (2022).

    Args:
        mesh: closed.
        concavity: how deep a hollow may be filled, as a share of half the mesh's extent.
        noise: m by which the surface is off; dents of three times that are filled too.

    Raises:
        InputError: the mesh is open.
    """
    whole = solid(mesh)
    hull = convex_hull(whole.vertices)
    if volume(whole) >= CONVEX * volume(hull):
        return (hull,)
    extent = float((whole.vertices.amax(0) - whole.vertices.amin(0)).max())
    threshold = min(max(concavity, 6 * noise / extent), 1.0)
    for coarser in (1, 2, 4):
        parts = _decompose(to_manifold(whole).simplify(coarser * max(DETAIL * extent, noise)), threshold)
        if parts:
            return parts
    return (hull,)


def _decompose(body: manifold3d.Manifold, threshold: float) -> tuple[Mesh, ...]:
    """The hulls of CoACD's parts; none where it crashes, as it does when no cut of a sliver succeeds."""
    vertices, faces = arrays(from_manifold(body))
    given = io.BytesIO()
    np.savez(given, vertices=vertices, faces=faces)
    options = {"threshold": threshold, "preprocess_mode": "off", "seed": 0, **SEARCH}
    found = subprocess.run(
        [sys.executable, "-m", "splatworld.geometry.decompose", json.dumps(options)],
        input=given.getvalue(),
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    if found.returncode:
        return ()
    parts = np.load(io.BytesIO(found.stdout))
    hulls = []
    for name in parts.files:
        with suppress(InputError):  # a sliver without volume
            hulls.append(convex_hull(torch.from_numpy(parts[name])))
    return tuple(hulls)


def crossed(planes: Sequence[np.ndarray], starts: np.ndarray, ways: np.ndarray) -> np.ndarray:
    """[L, 2] m along lines from starts [L, 3], where they first enter and last leave the union of convex solids; NaN
    for those that miss it.

    Args:
        planes: [F, 4] outward unit normal and minus the offset of each face of a solid, as of scipy's `ConvexHull`.
        starts: m; lines go on behind them.
        ways: [L, 3] or [1, 3] unit.
    """
    low, high = np.full(len(starts), np.inf), np.full(len(starts), -np.inf)
    for faces in planes:
        rate, gap = ways @ faces[:, :3].T, starts @ faces[:, :3].T + faces[:, 3]
        with np.errstate(divide="ignore", invalid="ignore"):
            cut = -gap / rate
        enter = np.where(rate < -1e-12, cut, -np.inf).max(1)
        leave = np.where(rate > 1e-12, cut, np.inf).min(1)
        inside = (enter < leave) & ~((np.abs(rate) <= 1e-12) & (gap > 0)).any(1)
        low, high = np.where(inside, np.minimum(low, enter), low), np.where(inside, np.maximum(high, leave), high)
    missed = low > high
    return np.stack([np.where(missed, np.nan, low), np.where(missed, np.nan, high)], axis=-1)
