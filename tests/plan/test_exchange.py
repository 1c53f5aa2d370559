"""Predicted geometry and distances in other tools' forms."""

import pytest
import torch

from splatworld.core.checks import InputError, ShapeError
from splatworld.plan.exchange import (
    curobo_distance,
    open3d_cloud,
    open3d_meshes,
    open3d_scene,
    trimesh_cloud,
    trimesh_scene,
)
from tests.plan.scenes import predicted

TOLD = predicted({"pushed": (0.1, 0.0, 0.0, 0.0, 0.0, 0.5)})


def test_other_tools_see_the_same_bodies():
    surfaces = TOLD.mesh(0.4, plan=(0,))
    found = trimesh_scene(surfaces)
    assert set(found.geometry) == {each.name for each in surfaces}
    points = torch.tensor([[0.1, 0.0, 0.1], [0.14, 0.06, 0.03], [0.0, 0.0, 0.3]])
    own = TOLD.signed_distance(points, 0.4, bodies=[each.body for each in surfaces]).value[0]
    open3d = pytest.importorskip("open3d", exc_type=ImportError)
    scene = open3d_scene(surfaces)
    theirs = torch.from_numpy(scene.compute_distance(open3d.core.Tensor(points.numpy())).numpy())
    assert torch.allclose(own, theirs, atol=2e-3)
    assert list(open3d_meshes(surfaces)) == [each.name for each in surfaces]
    cloud = TOLD.point_cloud(0.4, plan=(0,))
    assert len(open3d_cloud(cloud).points) == len(cloud.points) == len(trimesh_cloud(cloud).vertices)


def test_curobo_counts_what_collides_as_positive():
    spheres = torch.tensor([[0.0, 0.0, 0.3, 0.05], [0.1, 0.0, 0.06, 0.03], [0.1, 0.0, 0.06, -1.0]])
    spheres = spheres.expand(1, 5, 3, 4).clone().requires_grad_()
    depth = curobo_distance(TOLD, spheres)
    assert depth.shape == (1, 5, 3)
    assert float(depth[0, 4, 0].detach()) < 0 < float(depth[0, 4, 1].detach())
    assert float(depth[0, 4, 1]) == pytest.approx(0.02, abs=1e-3)
    assert (depth[..., 2] == 0).all()
    swept = curobo_distance(TOLD, spheres, sweep=True)
    assert (swept[..., :2] >= depth[..., :2] - 1e-4).all()
    eta = 0.05
    cost = curobo_distance(TOLD, spheres, activation_distance=eta, smooth=True)
    assert float(cost[0, 4, 1]) == pytest.approx(0.02 + eta / 2, abs=1e-3)
    assert float(cost[0, 4, 0]) == 0
    cost.sum().backward()
    assert float(spheres.grad[0, 4, 1, 2]) == pytest.approx(-1, abs=0.05)
    assert (spheres.grad[0, :, 2] == 0).all()


def test_bad_spheres_are_refused():
    with pytest.raises(ShapeError, match="batch, horizon, spheres, 4"):
        curobo_distance(TOLD, torch.zeros(5, 3, 4))
    with pytest.raises(InputError, match="activation_distance is 0"):
        curobo_distance(TOLD, torch.zeros(1, 5, 3, 4), smooth=True)
