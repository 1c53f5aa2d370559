"""Splats that make a mesh look solid: flat, opaque, evenly spread, finer where the surface breaks.

Samples are spread as blue noise by dart throwing (Cook, "Stochastic sampling in computer graphics", 1986) with a radius
that shrinks towards creases, so that no disc reaches far over an edge. Shading is that of a lamp at the camera, by the
square of the cosine: exactly spherical harmonics of degree 2, so that it stays right however the body moves and
whichever way a mesh's faces are turned.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.spatial import cKDTree

from splatworld.core import pose
from splatworld.core.checks import InputError
from splatworld.core.mesh import Mesh
from splatworld.core.splats import Provenance, Splats
from splatworld.render import sh as harmonics

CANDIDATES = 10
"""Random points for every sample kept: enough to leave no gaps."""
KEPT = 0.6
"""Samples that dart throwing leaves on an area of one spacing squared."""
CREASE = math.cos(math.radians(40))
"""Cosine of the angle between neighbouring faces from which on their edge is a crease."""
FINEST = 0.4
"""Least spacing, at creases, as a share of the spacing on smooth surfaces."""
INSET = 0.5
"""How far samples stay away from creases, as a share of the least spacing: discs then end at the edge."""
WIDTH = 0.72
"""Standard deviation of a splat along the surface, as a share of the spacing."""
THICKNESS = 0.1
"""Standard deviation of a splat across the surface, as a share of that along it."""
OPACITY = 0.99
AMBIENT = 0.45
"""Brightness of a surface seen edge on; 1 is that seen from the front."""
DEFAULT_COLOR = 217


def splats_of_mesh(mesh: Mesh, *, count: int = 3000, seed: int = 0) -> Splats:
    """Cover a mesh with splats.

    Args:
        mesh: in the frame in which the splats are wanted; without colours it is light grey.
        count: how many splats a smooth mesh takes; creases take more.
        seed: of the random points; the same seed gives the same splats.

    Returns:
        [N] splats of degree 2, provenance `imported`, body 0.

    Raises:
        InputError: the mesh has no area.
    """
    from trimesh.remesh import subdivide_to_size  # half a second, which commands that sample no mesh need not wait

    vertices, faces = mesh.vertices.numpy(), mesh.faces.numpy()
    normals, areas = _normals(vertices[faces])
    area = float(areas.sum())
    if not area > 0:
        raise InputError("splats_of_mesh: the mesh has no area, expected triangles; repair it or leave it out.")
    spacing = math.sqrt(KEPT * area / count)
    creases = _creases(vertices, faces, normals, FINEST * spacing)
    # Pieces so small that one spacing holds for all of each.
    cut, pieces, owners = subdivide_to_size(vertices, faces[areas > 0], spacing, max_iter=20, return_index=True)
    owners = np.flatnonzero(areas > 0)[owners]
    _, sizes = _normals(cut[pieces])
    wanted = sizes / _spacings(cut[pieces].mean(axis=1), creases, spacing) ** 2
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(pieces), size=math.ceil(CANDIDATES * KEPT * wanted.sum()), p=wanted / wanted.sum())
    root, along = np.sqrt(rng.random(len(chosen))), rng.random(len(chosen))
    weights = np.stack([1 - root, root * (1 - along), root * along], axis=1)
    points, owners = np.einsum("nk,nkd->nd", weights, cut[pieces[chosen]]), owners[chosen]
    radii = _spacings(points, creases, spacing)
    inner = _clear_of(points, creases, INSET * FINEST * spacing)
    points, owners, radii = points[inner], owners[inner], radii[inner]
    # Normals as further coordinates keep the two sides of a thin wall apart and lie closer on curved surfaces.
    kept = _throw_darts(np.concatenate([points, spacing * normals[owners]], axis=1), radii)
    points, owners, radii = points[kept], owners[kept], radii[kept]
    turned = _smoothed(points, normals[owners], 1.5 * spacing)
    return _discs(points, turned, radii, _colors(mesh, owners, points))


def _normals(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit normals [F,3] and areas [F] of triangles [F,3,3]."""
    crossed = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    doubled = np.linalg.norm(crossed, axis=1)
    return crossed / np.maximum(doubled, 1e-300)[:, None], doubled / 2


def _creases(vertices: np.ndarray, faces: np.ndarray, normals: np.ndarray, step: float) -> np.ndarray:
    """Points [P,3] every `step` along edges where the surface turns or ends."""
    vertices, welded = np.unique(np.round(vertices, 7), axis=0, return_inverse=True)
    faces = welded.reshape(-1)[faces]
    edges = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=2).reshape(-1, 2), axis=1)
    owners = np.repeat(np.arange(len(faces)), 3)
    ends, which = np.unique(edges, axis=0, return_inverse=True)
    sums, counts = np.zeros((len(ends), 3)), np.bincount(which.reshape(-1), minlength=len(ends))
    np.add.at(sums, which.reshape(-1), normals[owners])
    # |n1 + n2|^2 = 2 + 2 cos for the two faces of an edge.
    turned = (np.einsum("ed,ed->e", sums, sums) < 2 + 2 * CREASE) | (counts != 2)
    ends = ends[turned & (ends[:, 0] != ends[:, 1])]
    first, last = vertices[ends[:, 0]], vertices[ends[:, 1]]
    counts = np.ceil(np.linalg.norm(last - first, axis=1) / step).astype(int) + 1
    index = np.repeat(np.arange(len(ends)), counts)
    share = (np.arange(len(index)) - np.repeat(np.cumsum(counts) - counts, counts)) / (counts[index] - 1).clip(1)
    return first[index] + share[:, None] * (last - first)[index]


def _clear_of(points: np.ndarray, creases: np.ndarray, distance: float) -> np.ndarray:
    """Which points [N,3] keep their distance from creases; all of them on a surface so small that none would."""
    if not len(creases):
        return np.ones(len(points), dtype=bool)
    clear = np.isinf(cKDTree(creases).query(points, distance_upper_bound=distance)[0])
    return clear if clear.any() else ~clear


def _spacings(points: np.ndarray, creases: np.ndarray, spacing: float) -> np.ndarray:
    """How far apart samples [N,3] shall lie, [N]."""
    if not len(creases):
        return np.full(len(points), spacing)
    distances, _ = cKDTree(creases).query(points, distance_upper_bound=2 * spacing)
    return np.clip(distances, FINEST * spacing, spacing)


def _throw_darts(points: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Indices of points of which none lies within its radius of an earlier one; the points come in random order.

    Doubling batches: within one the earlier point wins; what a batch keeps clears the rest before the next.
    """
    left, kept, size = np.arange(len(points)), [], 256
    while len(left):
        batch, left = left[:size], left[size:]
        near = cKDTree(points[batch]).query_ball_point(points[batch], radii[batch])
        taken = np.zeros(len(batch), dtype=bool)
        for index, neighbours in enumerate(near):
            taken[index] = not taken[neighbours].any()
        kept.append(batch[taken])
        if len(left):
            distances, _ = cKDTree(points[kept[-1]]).query(points[left], distance_upper_bound=radii.max())
            left = left[distances >= radii[left]]
        size *= 2
    return np.concatenate(kept)


def _smoothed(points: np.ndarray, normals: np.ndarray, reach: float) -> np.ndarray:
    """Normals averaged over neighbours on the same side of every crease, so that facets do not show."""
    pairs = cKDTree(points).query_pairs(reach, output_type="ndarray")
    pairs = pairs[np.einsum("pd,pd->p", normals[pairs[:, 0]], normals[pairs[:, 1]]) > CREASE]
    sums = normals.copy()
    np.add.at(sums, pairs[:, 0], normals[pairs[:, 1]])
    np.add.at(sums, pairs[:, 1], normals[pairs[:, 0]])
    return sums / np.linalg.norm(sums, axis=1, keepdims=True)


def _colors(mesh: Mesh, owners: np.ndarray, points: np.ndarray) -> np.ndarray:
    """sRGB [N,3] from 0 to 1 at points [N,3] on the faces `owners` [N]."""
    if mesh.colors is None:
        return np.full((len(points), 3), DEFAULT_COLOR / 255)
    from trimesh.triangles import points_to_barycentric

    corners = mesh.faces.numpy()[owners]
    weights = points_to_barycentric(mesh.vertices.numpy()[corners], points).clip(0, 1)
    return np.einsum("nk,nkd->nd", weights, mesh.colors.numpy()[corners] / 255).clip(0, 1)


def _discs(points: np.ndarray, normals: np.ndarray, radii: np.ndarray, colors: np.ndarray) -> Splats:
    count = len(points)
    scales = torch.from_numpy(WIDTH * radii)[:, None] * torch.tensor([1.0, 1.0, THICKNESS])
    normal = torch.from_numpy(normals)
    return Splats(
        means=torch.from_numpy(points).float(),
        log_scales=scales.log().float(),
        quats=_upright(normal).float(),
        opacity_logits=torch.logit(torch.full((count,), OPACITY)),
        sh=_shaded(normal, torch.from_numpy(colors)),
        body_ids=torch.zeros(count, dtype=torch.int32),
        provenance=torch.full((count,), int(Provenance.IMPORTED), dtype=torch.uint8),
    )


def _shaded(normals: torch.Tensor, colors: torch.Tensor) -> torch.Tensor:
    """Harmonics [N,9,3] of colour * (AMBIENT + (1 - AMBIENT) (n.d)^2), d the viewing direction."""
    x, y, z = normals.unbind(-1)
    zero, third = torch.zeros_like(x), torch.full_like(x, 1 / 3)
    square = [
        (AMBIENT + (1 - AMBIENT) * third) / harmonics.C0,
        *(zero, zero, zero),
        *((1 - AMBIENT) * each for each in (
            2 * x * y / harmonics.C2,
            -2 * y * z / harmonics.C2,
            (2 * z * z - x * x - y * y) / (6 * harmonics.C20),
            -2 * x * z / harmonics.C2,
            (x * x - y * y) / harmonics.C2,
        )),
    ]  # fmt: skip
    sh = torch.stack(square, dim=-1)[:, :, None] * colors[:, None]
    sh[:, 0] -= 0.5 / harmonics.C0
    return sh.float()


def _upright(normals: torch.Tensor) -> torch.Tensor:
    """Quaternions [N,4] that turn z to unit normals [N,3]."""
    x, y, z = normals.unbind(-1)
    quats = torch.stack([1 + z, -y, x, torch.zeros_like(z)], dim=-1)
    down = torch.tensor([0.0, 1.0, 0.0, 0.0], dtype=normals.dtype)
    return pose.normalize_quat(torch.where((z > -1 + 1e-9)[:, None], quats, down))
