from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial import ConvexHull

from splatworld.core.checks import InputError
from splatworld.geometry import convex
from splatworld.geometry import mesh as meshes
from splatworld.geometry.convex import convex_hull, convex_parts, crossed, is_convex
from tests.geometry import solids
from tests.geometry.solids import L_BARS, box


def test_convex_parts():
    assert len(convex_parts(box())) == 1
    bars = meshes.solid(tuple(box(*bar) for bar in L_BARS))
    parts = convex_parts(bars)
    assert len(parts) == 2
    assert all(is_convex(part) for part in parts)
    assert meshes.volume(meshes.solid(parts)) == pytest.approx(meshes.volume(bars), rel=0.02)
    with pytest.raises(InputError, match="span no volume"):
        convex_hull(torch.rand(9, 3).double() * torch.tensor([1.0, 1.0, 0.0]))


def test_where_the_decomposition_crashes_the_hull_stays(monkeypatch):
    bars = meshes.solid(tuple(box(*bar) for bar in L_BARS))
    monkeypatch.setattr(convex.sys, "executable", "/bin/false")
    (whole,) = convex_parts(bars)
    assert meshes.volume(whole) == pytest.approx(meshes.volume(convex_hull(bars.vertices)))


def test_dents_within_the_noise_make_no_parts():
    dented = solids.as_mesh(trimesh.creation.icosphere(4, 0.05))
    rng = torch.Generator().manual_seed(0)
    bumps = 0.001 * torch.randn(len(dented.vertices), 1, generator=rng, dtype=torch.float64).clamp(-1.5, 1.5)
    rough = replace(dented, vertices=dented.vertices * (1 + bumps / 0.05))
    assert not is_convex(rough)
    assert len(convex_parts(rough, noise=0.002)) == 1


def test_lines_enter_and_leave_the_union_of_solids():
    corners = np.stack(np.meshgrid([0, 1.0], [0, 1.0], [0, 1.0]), axis=-1).reshape(-1, 3)
    planes = [ConvexHull(corners + np.array([shift, 0, 0])).equations for shift in (0, 2)]
    starts = np.array([[-1, 0.5, 0.5], [-1, 1.5, 0.5], [2.5, -3, 0.5]])
    found = crossed(planes, starts, np.array([[1.0, 0, 0], [1.0, 0, 0], [0, 1.0, 0]]))
    assert found[0] == pytest.approx([1, 4])
    assert np.isnan(found[1]).all()
    assert found[2] == pytest.approx([3, 4])
