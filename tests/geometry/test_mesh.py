import math

import numpy as np
import pytest
import torch
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from splatworld.core import pose
from splatworld.core.checks import FormatError, InputError
from splatworld.core.mesh import Mesh
from splatworld.geometry import mesh as meshes
from splatworld.geometry.repair import close_mesh
from tests.geometry.solids import L_BARS, SOLIDS, as_mesh, box


def test_mass_properties_of_a_box_and_of_a_pipe():
    mass, center, inertia = meshes.mass_properties(box(center=(1.0, 2.0, 3.0)), 500.0)
    a, b, c = 0.2, 0.1, 0.06
    assert mass == pytest.approx(500 * a * b * c)
    torch.testing.assert_close(center, torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    expected = mass / 12 * torch.tensor([b * b + c * c, a * a + c * c, a * a + b * b], dtype=torch.float64)
    torch.testing.assert_close(inertia, torch.diag(expected), atol=1e-12, rtol=1e-9)
    sphere = as_mesh(trimesh.creation.icosphere(4, 0.05))
    hollow = Mesh(
        torch.cat([sphere.vertices, sphere.vertices / 2]),
        torch.cat([sphere.faces, sphere.faces.flip(1) + len(sphere.vertices)]),
    )
    mass, _, inertia = meshes.mass_properties(hollow, 1000.0)
    assert mass == pytest.approx(1000 * 4 / 3 * math.pi * (0.05**3 - 0.025**3), rel=3e-3)
    assert float(inertia[0, 0]) == pytest.approx(1000 * 8 / 15 * math.pi * (0.05**5 - 0.025**5), rel=5e-3)


@given(st.lists(st.floats(-2, 2), min_size=6, max_size=6))
@settings(max_examples=8, deadline=None)
def test_mass_properties_move_with_the_mesh(twist):
    moved_by = pose.exp(torch.tensor(twist, dtype=torch.float64))
    turn = pose.quat_to_matrix(moved_by[3:])
    parts = meshes.solid(tuple(box(*bar) for bar in L_BARS))
    mass, center, inertia = meshes.mass_properties(parts, 700.0)
    moved = meshes.mass_properties(meshes.transform_mesh(parts, moved_by), 700.0)
    assert moved[0] == pytest.approx(mass)
    torch.testing.assert_close(moved[1], pose.transform(moved_by, center))
    torch.testing.assert_close(moved[2], turn @ inertia @ turn.T, atol=1e-10, rtol=1e-7)


def test_overlaps_count_once():
    one, other = (box(*bar) for bar in L_BARS)
    both = Mesh(torch.cat([one.vertices, other.vertices]), torch.cat([one.faces, other.faces + 8]))
    overlap = 0.04**2 * 0.04
    assert meshes.volume(both) == pytest.approx(0.16 * 0.04**2 + 0.12 * 0.04**2)
    assert meshes.mass_properties(both, 1.0)[0] == pytest.approx(meshes.volume(both) - overlap)


def test_a_broken_mesh_is_closed():
    mesh = SOLIDS["cylinder"][0]
    kept = torch.ones(len(mesh.faces), dtype=torch.bool)
    kept[[3, 50, 51]] = False
    faces = mesh.faces[kept].clone()
    faces[::3] = faces[::3].flip(1)
    loose = Mesh(mesh.vertices[faces].reshape(-1, 3), torch.arange(3 * len(faces)).reshape(-1, 3))
    assert not meshes.is_closed(loose)
    closed = close_mesh(loose)
    assert meshes.is_closed(closed)
    assert meshes.volume(closed) == pytest.approx(meshes.volume(mesh), rel=0.01)
    inside_out = close_mesh(Mesh(mesh.vertices, mesh.faces.flip(1)))
    assert meshes.volume(inside_out) == pytest.approx(meshes.volume(mesh))
    with pytest.raises(InputError, match="no triangles"):
        close_mesh(Mesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64)))
    with pytest.raises(InputError, match="no volume"):
        close_mesh(Mesh(torch.eye(3), torch.tensor([[0, 1, 2]])))


def test_surface_points_are_spread_by_area_and_repeat():
    mesh = box()
    points, normals = meshes.surface_points(mesh, 4000, 1)
    again, _ = meshes.surface_points(mesh, 4000, 1)
    assert torch.equal(points, again)
    assert not torch.equal(points, meshes.surface_points(mesh, 4000, 2)[0])
    on_top = (normals[:, 2] > 0.99).double().mean()
    areas = np.array([0.1 * 0.06, 0.2 * 0.06, 0.2 * 0.1])
    assert float(on_top) == pytest.approx(areas[2] / (2 * areas.sum()), abs=2e-3)
    assert float((points.abs() / torch.tensor([0.1, 0.05, 0.03]).double()).amax(-1).sub(1).abs().max()) < 1e-7


@pytest.mark.parametrize("suffix", [".ply", ".stl", ".obj", ".off", ".glb"])
def test_meshes_are_read_from_files(tmp_path, suffix):
    made = trimesh.creation.box((0.2, 0.1, 0.06))
    path = tmp_path / f"box{suffix}"
    made.export(path)
    mesh = meshes.read_mesh(path)
    assert len(mesh.vertices) == 8
    assert meshes.is_closed(mesh)
    assert meshes.volume(mesh) == pytest.approx(0.2 * 0.1 * 0.06, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "content"),
    [("none.ply", None), ("cut.ply", b"ply\nformat ascii 1.0\nelement vert"), ("a.txt", b"x"), ("zero.stl", b"")],
)
def test_files_that_hold_no_mesh_are_named(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError, match=name):
        meshes.read_mesh(tmp_path / name)
