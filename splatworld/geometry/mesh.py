"""Closed meshes: reading, union, mass, samples of the surface."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import manifold3d
import numpy as np
import torch
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from splatworld.core import pose
from splatworld.core.checks import FormatError, InputError, check_shape
from splatworld.core.mesh import Mesh

if TYPE_CHECKING:
    import trimesh

SAME_POINT = 1e-7
"""Vertices this close, as a share of the mesh's diagonal, are one."""

SUFFIXES = (".ply", ".obj", ".stl", ".off", ".glb", ".gltf", ".dae")


def read_mesh(path: Path | str) -> Mesh:
    """A triangle mesh from a file; its parts joined, vertices in the same place welded.

    Colours are those of vertices, faces, materials, or of a texture at the vertices.

    Raises:
        FormatError: missing, damaged, empty, or not one of `SUFFIXES`.
    """
    import trimesh  # half a second, which commands that read no mesh need not wait

    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise FormatError(f"read_mesh: {path} is no mesh, expected one of {', '.join(SUFFIXES)}.")
    if not path.is_file():
        raise FormatError(f"read_mesh: there is no file {path}.")
    try:
        found = trimesh.load_mesh(path, process=False)
        found = found.to_mesh() if isinstance(found, trimesh.Scene) else found
        vertices, faces = np.array(found.vertices, dtype=np.float64), np.array(found.faces, dtype=np.int64)
    except Exception as error:  # trimesh's readers raise whatever their parsers do
        raise FormatError(f"read_mesh: {path} cannot be read ({error}); export the mesh again.") from error
    if not len(faces) or not np.isfinite(vertices).all() or faces.min() < 0 or faces.max() >= len(vertices):
        raise FormatError(f"read_mesh: {path} has no usable triangles; export the mesh again.")
    return weld(Mesh(torch.from_numpy(vertices), torch.from_numpy(faces), _colors(found)))


def _colors(found: trimesh.Trimesh) -> Tensor | None:
    import trimesh

    visual: Any = found.visual
    if isinstance(visual, trimesh.visual.TextureVisuals):
        flat = visual.uv is None  # one colour without a picture
        rgba = (
            np.tile(visual.material.main_color, (len(found.vertices), 1)) if flat else visual.to_color().vertex_colors
        )
    elif visual.kind in ("vertex", "face"):
        rgba = visual.vertex_colors
    else:
        return None
    colors = np.array(rgba[:, :3], dtype=np.uint8)
    # Of materials that say nothing trimesh makes a grey of its own.
    unsaid = trimesh.visual.color.DEFAULT_COLOR[:3]
    return None if bool((colors == unsaid).all()) else torch.from_numpy(colors)


def weld(mesh: Mesh) -> Mesh:
    """Vertices in the same place become one; triangles without area and unused vertices go."""
    vertices, faces = arrays(mesh)
    if not len(faces):
        return mesh
    step = SAME_POINT * max(float(np.ptp(vertices, axis=0).max()), 1e-30)
    keys = np.round((vertices - vertices.min(axis=0)) / step).astype(np.int64)
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    faces = inverse.reshape(-1)[faces]
    faces = faces[(faces != np.roll(faces, 1, axis=1)).all(axis=1)]
    used, packed = np.unique(faces, return_inverse=True)
    kept = torch.from_numpy(first[used])
    colors = None if mesh.colors is None else mesh.colors[kept]
    return Mesh(mesh.vertices[kept], torch.from_numpy(packed.reshape(-1, 3).astype(np.int64)), colors)


def is_closed(mesh: Mesh) -> bool:
    """Whether the triangles, once welded, bound a solid: each edge is walked as often one way as the other."""
    return open_edges(weld(mesh)) == 0 and len(mesh.faces) > 0


def volume(mesh: Mesh) -> float:
    """m^3 enclosed by a closed mesh; negative if it is inside out."""
    vertices, faces = arrays(mesh)
    a, b, c = vertices[faces.T]
    return float(np.einsum("fi,fi->", a, np.cross(b, c)) / 6)


def open_edges(mesh: Mesh) -> int:
    """How many edges are not walked as often one way as the other."""
    faces, count = mesh.faces.numpy(), max(len(mesh.vertices), 1)
    start, end = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    edges, which = np.unique(np.minimum(start, end) * count + np.maximum(start, end), return_inverse=True)
    return int((np.bincount(which, np.where(start < end, 1, -1), len(edges)) != 0).sum())


def neighbours(mesh: Mesh) -> csr_matrix:
    """[F, F] symmetric: 1 between triangles that share an edge of just these two and face alike, 2 if they do not."""
    faces = mesh.faces.numpy()
    start, end = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    edge = np.minimum(start, end) * max(len(mesh.vertices), 1) + np.maximum(start, end)
    order = np.argsort(edge, kind="stable")
    _, first, uses = np.unique(edge[order], return_index=True, return_counts=True)
    one, other = order[first[uses == 2]], order[first[uses == 2] + 1]
    kind = np.where(start[one] == start[other], 2.0, 1.0)
    links = coo_matrix((kind, (one // 3, other // 3)), shape=(len(faces), len(faces))).tocsr()
    links.data = np.minimum(links.data, 2.0)  # of two triangles with two common edges the kinds were added
    return links.maximum(links.T).tocsr()


def components(mesh: Mesh) -> list[Mesh]:
    """The pieces that hang together across edges of two triangles, the one with the largest box first."""
    count, labels = connected_components(neighbours(mesh), directed=False)
    if count == 1:
        return [mesh]
    pieces = [weld(Mesh(mesh.vertices, mesh.faces[torch.from_numpy(labels == label)])) for label in range(count)]
    return sorted(pieces, key=lambda piece: -float((piece.vertices.amax(0) - piece.vertices.amin(0)).norm()))


def solid(mesh_or_parts: Mesh | tuple[Mesh, ...]) -> Mesh:
    """One closed surface around the union of closed meshes: where they overlap nothing of them is left inside.

    Pieces that are inside out are cavities and stay. A surface that manifold3d cannot take (it touches itself) is
    joined as it is.

    Raises:
        InputError: nothing given, or a mesh is empty, open or inside out.
    """
    meshes = (mesh_or_parts,) if isinstance(mesh_or_parts, Mesh) else mesh_or_parts
    if not meshes:
        raise InputError("solid: no meshes, expected one or more.")
    welded = [weld(mesh) for mesh in meshes]
    for mesh in welded:
        _check_closed("solid", mesh)
    pieces = [piece for mesh in welded for piece in components(mesh)]
    if len(pieces) == 1:
        return pieces[0]
    bodies = [to_manifold(piece) for piece in pieces if volume(piece) > 0]
    cavities = [to_manifold(flipped(piece)) for piece in pieces if volume(piece) < 0]
    if any(one.status() != manifold3d.Error.NoError for one in (*bodies, *cavities)):
        return joined(pieces)
    whole = manifold3d.Manifold.batch_boolean(bodies, manifold3d.OpType.Add)
    for cavity in cavities:
        whole -= cavity
    return from_manifold(whole)


def flipped(mesh: Mesh) -> Mesh:
    """The mesh turned inside out."""
    return Mesh(mesh.vertices, mesh.faces.flip(1), mesh.colors)


def joined(meshes: list[Mesh]) -> Mesh:
    """One mesh of several, as they are; with colours if all have some."""
    first = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    faces = [mesh.faces + int(offset) for mesh, offset in zip(meshes, first, strict=False)]
    colors = [mesh.colors for mesh in meshes if mesh.colors is not None]
    return Mesh(
        torch.cat([mesh.vertices for mesh in meshes]),
        torch.cat(faces),
        torch.cat(colors) if len(colors) == len(meshes) else None,
    )


def transform_mesh(mesh: Mesh, to_from_mesh: Tensor) -> Mesh:
    """The mesh moved by a pose [7]."""
    check_shape("transform_mesh", "to_from_mesh", to_from_mesh, (7,))
    return Mesh(pose.transform(to_from_mesh.double(), mesh.vertices.double()), mesh.faces, mesh.colors)


def mass_properties(mesh: Mesh, density: float) -> tuple[float, Tensor, Tensor]:
    """Mass, centre of mass and inertia of a closed mesh of one density.

    Tonon, "Explicit exact formulas for the 3-D tetrahedron inertia tensor" (2004): the sum over the tetrahedra between
    the origin and each triangle.

    Args:
        mesh: closed; overlaps of its pieces count once.
        density: kg/m^3.

    Returns:
        kg; [3] m; [3, 3] kg m^2 about the centre of mass, in the mesh's axes.

    Raises:
        InputError: the mesh is open or the density is not positive.
    """
    if not density > 0:
        raise InputError(f"mass_properties: density is {density}, expected kg/m^3 above 0.")
    vertices, faces = arrays(solid(mesh))
    corners = vertices[faces]
    about = corners.mean(axis=(0, 1))
    corners = corners - about
    a, b, c = corners.transpose(1, 0, 2)
    volumes = np.einsum("fi,fi->f", a, np.cross(b, c)) / 6
    total, sums = volumes.sum(), corners.sum(axis=1)
    center = (volumes[:, None] * sums).sum(axis=0) / (4 * total)
    second = np.einsum("f,fi,fj->ij", volumes, sums, sums) + np.einsum("f,fki,fkj->ij", volumes, corners, corners)
    spread = second / 20 - total * np.outer(center, center)
    inertia = density * (np.trace(spread) * np.eye(3) - spread)
    return float(density * total), torch.from_numpy(center + about), torch.from_numpy(inertia)


def surface_points(mesh: Mesh, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Points spread evenly over a surface, and where it faces there.

    Args:
        mesh: need not be closed.
        count: of points.
        seed: the same seed gives the same points.

    Returns:
        points [count, 3] m and unit normals [count, 3], float64.

    Raises:
        InputError: the mesh has no area.
    """
    a, b, c = mesh.vertices.double()[mesh.faces.T].numpy()
    across = np.cross(b - a, c - a)
    twice = np.linalg.norm(across, axis=1)
    if not twice.sum() > 0:
        raise InputError("surface_points: the mesh has no area, expected triangles.")
    draw = np.random.default_rng([seed, 3])
    # One point in each of `count` equal shares of the area, so that no part of the surface is left out.
    share = (np.arange(count) + draw.random(count)) / max(count, 1)
    face = np.minimum(np.searchsorted(np.cumsum(twice) / twice.sum(), share, side="right"), len(twice) - 1)
    r, s = np.sqrt(draw.random(count))[:, None], draw.random(count)[:, None]
    points = (1 - r) * a[face] + r * (1 - s) * b[face] + r * s * c[face]
    return torch.from_numpy(points), torch.from_numpy(across[face] / twice[face, None])


def to_manifold(mesh: Mesh) -> manifold3d.Manifold:
    """A closed mesh as manifold3d's solid; its status tells whether it can be one."""
    vertices, faces = arrays(mesh)
    return manifold3d.Manifold(manifold3d.Mesh64(vertices, faces.astype(np.uint64)))


def from_manifold(solid_body: manifold3d.Manifold) -> Mesh:
    """The surface of manifold3d's solid."""
    found = solid_body.to_mesh64()
    vertices = found.vert_properties[:, :3].copy()  # a view would keep manifold3d's memory alive
    return Mesh(torch.from_numpy(vertices), torch.from_numpy(found.tri_verts.astype(np.int64)))


def _check_closed(owner: str, welded: Mesh) -> None:
    if not len(welded.faces):
        raise InputError(f"{owner}: the mesh has no triangles, expected a closed surface.")
    gaps = open_edges(welded)
    if gaps:
        raise InputError(f"{owner}: the mesh is open at {gaps} edges, expected a closed surface; use close_mesh.")
    inside = volume(welded)
    if inside <= 0:
        raise InputError(f"{owner}: the mesh is inside out or flat (volume {inside:.3g}); use close_mesh.")


def arrays(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Vertices [V, 3] float64 and faces [F, 3] int64."""
    return mesh.vertices.double().contiguous().numpy(), mesh.faces.contiguous().numpy()
