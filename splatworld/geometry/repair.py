"""Open or tangled meshes made closed."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components

from splatworld.core.checks import InputError
from splatworld.core.mesh import Mesh
from splatworld.geometry.mesh import components, flipped, joined, neighbours, open_edges, solid, volume, weld

FLAT = 1e-9
"""Share of the cube over a piece's diagonal up to which its volume is taken for rounding."""


def close_mesh(mesh: Mesh) -> Mesh:
    """A closed mesh facing outward: triangles turned alike, holes closed by fans, pieces that overlap made one.

    Raises:
        InputError: no triangles or no volume.
    """
    mesh = weld(mesh)
    if not len(mesh.faces):
        raise InputError("close_mesh: the mesh has no triangles, expected a surface.")
    if open_edges(mesh):
        mesh = _fill_holes(_turned_alike(mesh))
    pieces = components(mesh)
    low, high = pieces[0].vertices.amin(0), pieces[0].vertices.amax(0)
    outward = []
    for piece in pieces:
        cavity = piece is not pieces[0] and bool(((piece.vertices >= low) & (piece.vertices <= high)).all())
        inside_out = volume(piece) < 0 and not (cavity and volume(pieces[0]) > 0)
        if abs(volume(piece)) > FLAT * float((piece.vertices.amax(0) - piece.vertices.amin(0)).norm()) ** 3:
            outward.append(flipped(piece) if inside_out else piece)
    if not outward:
        raise InputError("close_mesh: the mesh has no volume, expected a surface around something.")
    return solid(joined(outward))


def _turned_alike(mesh: Mesh) -> Mesh:
    """Neighbours face the same way: from one triangle of each piece on."""
    links = neighbours(mesh)
    faces = mesh.faces.numpy().copy()
    turned = np.zeros(len(faces), dtype=bool)
    labels = connected_components(links, directed=False)[1]
    for root in np.unique(labels, return_index=True)[1]:
        walk, parent = breadth_first_order(links, root, directed=False)
        for face in walk[1:]:
            turned[face] = turned[parent[face]] ^ (links[parent[face], face] == 2)
    faces[turned] = faces[turned, ::-1]
    return Mesh(mesh.vertices, torch.from_numpy(faces), mesh.colors)


def _fill_holes(mesh: Mesh) -> Mesh:
    """Each loop of open edges closed by triangles to its middle."""
    faces, count = mesh.faces.numpy(), len(mesh.vertices)
    start, end = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    lonely = ~np.isin(start * count + end, end * count + start)
    start, end = start[lonely], end[lonely]
    walked = coo_matrix((np.ones(len(start)), (start, end)), shape=(count, count))
    loops = connected_components(walked, directed=False)[1]
    names, loop = np.unique(loops[start], return_inverse=True)
    vertices = mesh.vertices.numpy()
    uses = np.bincount(loop, minlength=len(names))
    middles = np.stack([np.bincount(loop, vertices[start, k], len(names)) / uses for k in range(3)], axis=1)
    fans = np.stack([end, start, count + loop], axis=1)
    return Mesh(torch.from_numpy(np.concatenate([vertices, middles])), torch.from_numpy(np.concatenate([faces, fans])))
