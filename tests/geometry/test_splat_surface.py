import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from splatworld.core import pose
from splatworld.core.checks import InputError
from splatworld.core.splats import Splats
from splatworld.geometry import mesh as meshes
from splatworld.geometry.isosurface import isosurface
from splatworld.geometry.splat_surface import surface_of_splats
from tests.geometry.solids import SOLIDS, box


def splats_on(mesh, count=1500, noise=0.0005, seed=0) -> Splats:
    """Flat splats on a surface, their thin axis near its normal, some faint ones inside."""
    points, normals = meshes.surface_points(mesh, count, seed)
    rng = torch.Generator().manual_seed(seed)
    points = points + noise * torch.randn(points.shape, generator=rng, dtype=torch.float64)
    half = torch.nn.functional.normalize(normals + torch.tensor([1e-9, 0, 1 + 1e-9]), dim=-1)
    quats = torch.cat([torch.zeros(count, 1, dtype=torch.float64), half], dim=-1)  # half a turn: z to the normal
    assert float((pose.rotate(quats, torch.tensor([0.0, 0, 1]).double()) - normals).abs().max()) < 1e-6
    scales = torch.tensor([0.003, 0.002, 0.0004])
    return Splats(
        means=points.float(),
        log_scales=scales.log().expand(count, 3),
        quats=quats.float(),
        opacity_logits=torch.full((count,), 2.0),
        sh=torch.zeros(count, 1, 3),
        body_ids=torch.zeros(count, dtype=torch.int32),
        provenance=torch.zeros(count, dtype=torch.uint8),
    )


def chamfer(one, other) -> float:
    a, b = (meshes.surface_points(mesh, 8000, 0)[0].numpy() for mesh in (one, other))
    return float(max(cKDTree(a).query(b)[0].mean(), cKDTree(b).query(a)[0].mean()))


@pytest.mark.parametrize("name", ["box", "cylinder", "torus"])
def test_the_surface_of_a_solid_is_found(name):
    mesh = SOLIDS[name][0]
    found = surface_of_splats(splats_on(mesh))
    assert meshes.is_closed(found)
    assert chamfer(found, mesh) < 0.002
    assert meshes.volume(found) == pytest.approx(meshes.volume(mesh), rel=0.08)


def test_the_bottom_is_closed_at_the_support():
    mesh = box(center=(0.3, 0.1, 0.03))
    splats = splats_on(mesh)
    seen = splats.select(splats.means[:, 2] > 0.002)
    found = surface_of_splats(seen, support_height=0.0)
    assert meshes.is_closed(found)
    assert float(found.vertices[:, 2].min()) == pytest.approx(0.0, abs=1e-9)
    assert chamfer(found, mesh) < 0.002
    again = surface_of_splats(seen, support_height=0.0)
    assert torch.equal(found.vertices, again.vertices)


def test_too_few_splats_are_named():
    with pytest.raises(InputError, match="expected some on every side"):
        surface_of_splats(splats_on(box(), 3))
    splats = splats_on(box())
    splats.means[3, 1] = float("nan")
    with pytest.raises(InputError, match="finite"):
        surface_of_splats(splats)


def test_marching_closes_whatever_it_is_given():
    values = np.random.default_rng(0).normal(size=(9, 9, 9))
    values[[0, -1]] = values[:, [0, -1]] = values[:, :, [0, -1]] = 1.0
    found = isosurface(values, np.zeros(3), 0.1)
    assert meshes.is_closed(found)
    assert meshes.volume(found) > 0
    axis = np.linspace(-0.1, 0.1, 41)
    ball = np.linalg.norm(np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1), axis=-1) - 0.07
    round_one = isosurface(ball, np.full(3, -0.1), 0.005)
    assert meshes.volume(round_one) == pytest.approx(4 / 3 * np.pi * 0.07**3, rel=0.01)
    with pytest.raises(InputError, match="border"):
        isosurface(-np.abs(ball), np.zeros(3), 0.1)


def test_neighbouring_solids_of_one_mesh_stay_apart():
    pair = meshes.solid((box(), box(center=(0.0, 0.3, 0.0))))
    assert len(meshes.components(pair)) == 2
