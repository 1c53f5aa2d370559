"""What kind of thing a body is: rigid unless told otherwise, deformable by nodes that its splats hang on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from splatworld.bodies.correct import body_index
from splatworld.bodies.numbering import skin_of
from splatworld.core import pose
from splatworld.core.checks import InputError
from splatworld.core.shape import Capsules
from splatworld.core.world import MAX_WEIGHTS, Skin, World

SPACING = 0.03
"""m between nodes."""
MOST_NODES = 512
"""Nodes that a body gets at most."""


def farthest_points(points: Tensor, spacing: float, most: int = MOST_NODES) -> Tensor:
    """Indices of points [P, 3], each the one furthest from those before, until all are nearer than `spacing`.

    Gonzalez, "Clustering to minimize the maximum intercluster distance" (1985). Begins at the first point.
    """
    chosen = [0]
    away = (points - points[0]).norm(dim=1)
    while len(chosen) < min(most, len(points)) and float(away.max()) > spacing:
        chosen.append(int(away.argmax()))
        away = torch.minimum(away, (points - points[chosen[-1]]).norm(dim=1))
    return torch.tensor(chosen)


def make_deformable(world: World, name: str, *, spacing: float = SPACING, radius: float | None = None) -> World:
    """Give a body nodes that carry its splats, and capsules between them for contacts.

    A splat follows up to 8 nodes; weights fall smoothly to zero at twice the spacing (Wendland, 1995), so that they
    change smoothly over the body.

    Args:
        world: with the body.
        name: of the body.
        spacing: m between nodes.
        radius: m of the capsules; half the body's thickness there by default.

    Raises:
        InputError: no such body, the background, a body with a joint or of no splats, one that is deformable already,
            or a spacing that is no length.
    """
    index = body_index(world, name)
    body = world.bodies[index]
    own = torch.nonzero(world.splats.body_ids == index).squeeze(-1)
    if index == 0 or body.joint is not None or body.node_range is not None or not len(own):
        raise InputError(f"deformable: {name!r} is the background, hangs on a joint, has nodes already or no splats.")
    if not spacing > 0:
        raise InputError(f"deformable: spacing is {spacing}, expected a positive length in m.")
    solid = own[world.splats.opacities[own] > 0.2]
    own_means = world.splats.means[own]
    means = world.splats.means[solid] if len(solid) else own_means
    places = means[farthest_points(means, spacing)]
    first, count = len(world.rest_nodes), len(places)
    nodes = pose.identity(count, dtype=torch.float64)
    nodes[:, :3] = places.double()
    skin = hung_on_nodes(world, own, places, len(world.bodies) + first, reach=2 * spacing)
    ends = _neighbours(places, spacing)
    thick = radius if radius is not None else _thickness(own_means, places, spacing)
    capsules = Capsules(ends + first, torch.full((len(ends),), thick, dtype=torch.float64))
    changed = replace(
        body, kind="deformable", node_range=(first, first + count), capsules=capsules, parts=(), grid=None
    )
    bodies = (*world.bodies[:index], changed, *world.bodies[index + 1 :])
    return replace(world, bodies=bodies, rest_nodes=torch.cat([world.rest_nodes.double(), nodes]), skin=skin)


def hung_on_nodes(world: World, own: Tensor, places: Tensor, frame: int, *, reach: float) -> Skin:
    """The world's skin with the splats `own` [K] hung on nodes at `places` [M, 3].

    Each follows up to 8; weights fall smoothly to zero at `reach` m (Wendland, 1995).

    Args:
        world: with the splats.
        own: [K] int64 which.
        places: [M, 3] m, where the nodes are at rest.
        frame: the first node's place in the table of frames, which may be larger than the world's yet.
        reach: m.
    """
    width = min(MAX_WEIGHTS, len(places))
    means = world.splats.means[own]
    away, near = (np.reshape(a, (len(own), width)) for a in cKDTree(places.numpy()).query(means.numpy(), k=width))
    share = np.clip(1 - away / np.maximum(reach, 1.01 * away[:, :1]), 0, 1)
    weights = torch.from_numpy(share**4 * (4 * (1 - share) + 1)).float()
    weights /= weights.sum(dim=1, keepdim=True)
    skin = skin_of(world, width)
    skin.indices[own] = 0
    skin.weights[own] = 0
    skin.indices[own, :width] = torch.from_numpy(near).int() + frame
    skin.weights[own, :width] = weights
    return skin


def _neighbours(places: Tensor, spacing: float) -> Tensor:
    """[C, 2] pairs of nodes next to each other; a lone node is paired with itself."""
    pairs = cKDTree(places.numpy()).query_pairs(1.5 * spacing, output_type="ndarray")
    lone = sorted(set(range(len(places))) - set(pairs.flatten().tolist()))
    both = np.concatenate([pairs.reshape(-1, 2), np.array([[i, i] for i in lone], dtype=np.int64).reshape(-1, 2)])
    return torch.from_numpy(both[np.lexsort((both[:, 1], both[:, 0]))].astype(np.int64))


def _thickness(means: Tensor, places: Tensor, spacing: float) -> float:
    """m, half the extent of the body across its thinnest direction near its nodes, in the median."""
    found = []
    tree = cKDTree(means.numpy())
    for place in places:
        near = means[tree.query_ball_point(place.numpy(), spacing)]
        if len(near) >= 8:
            found.append(2 * float(torch.linalg.svdvals(near - near.mean(dim=0))[2]) / len(near) ** 0.5)
    thick = sorted(found)[len(found) // 2] if found else 0.0
    return min(max(thick, 0.002), spacing)
