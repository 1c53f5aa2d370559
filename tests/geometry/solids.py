"""Solids with known distances, as closed meshes."""

import numpy as np
import torch
import trimesh

from splatworld.core.mesh import Mesh


def as_mesh(found: trimesh.Trimesh) -> Mesh:
    return Mesh(
        torch.from_numpy(np.array(found.vertices, dtype=np.float64)),
        torch.from_numpy(np.array(found.faces, dtype=np.int64)),
    )


def box(size=(0.2, 0.1, 0.06), center=(0.0, 0.0, 0.0)) -> Mesh:
    made = trimesh.creation.box(size)
    made.apply_translation(center)
    return as_mesh(made)


def box_distance(points, size=(0.2, 0.1, 0.06), center=(0.0, 0.0, 0.0)):
    beyond = (points - torch.tensor(center, dtype=torch.float64)).abs() - torch.tensor(size, dtype=torch.float64) / 2
    return beyond.clamp(min=0).norm(dim=-1) + beyond.amax(-1).clamp(max=0)


def cylinder_distance(points, radius, height):
    beyond = torch.stack([points[..., :2].norm(dim=-1) - radius, points[..., 2].abs() - height / 2], dim=-1)
    return beyond.clamp(min=0).norm(dim=-1) + beyond.amax(-1).clamp(max=0)


def capsule_distance(points, radius, height):
    """Of a capsule around the segment from z = -height / 2 to height / 2."""
    middle = points[..., 2].clamp(-height / 2, height / 2)
    return torch.stack([points[..., 0], points[..., 1], points[..., 2] - middle], dim=-1).norm(dim=-1) - radius


def torus_distance(points, major, minor):
    return torch.stack([points[..., :2].norm(dim=-1) - major, points[..., 2]], dim=-1).norm(dim=-1) - minor


SOLIDS = {
    "box": (box(), box_distance),
    "sphere": (as_mesh(trimesh.creation.icosphere(4, 0.05)), lambda p: p.norm(dim=-1) - 0.05),
    "cylinder": (
        as_mesh(trimesh.creation.cylinder(0.03, 0.12, sections=96)),
        lambda p: cylinder_distance(p, 0.03, 0.12),
    ),
    "capsule": (as_mesh(trimesh.creation.capsule(0.1, 0.03, count=[48, 96])), lambda p: capsule_distance(p, 0.03, 0.1)),
    "torus": (as_mesh(trimesh.creation.torus(0.06, 0.02, 96, 48)), lambda p: torus_distance(p, 0.06, 0.02)),
}
"""Name -> mesh, distance of points [..., 3]."""

L_BARS = (((0.16, 0.04, 0.04), (0.06, 0.0, 0.0)), ((0.04, 0.04, 0.12), (0.0, 0.0, 0.04)))
HALVES = (((0.12, 0.1, 0.08), (-0.04, 0.0, 0.0)), ((0.12, 0.1, 0.08), (0.04, 0.0, 0.0)))
T_BARS = (((0.18, 0.03, 0.03), (0.0, 0.0, 0.1)), ((0.03, 0.03, 0.12), (0.0, 0.0, 0.045)))
