import torch

from splatworld.core.splats import morton_order


def test_a_permutation_that_brings_neighbours_together():
    points = torch.rand(4000, 3, generator=torch.Generator().manual_seed(0))
    order = morton_order(points)
    assert torch.equal(order.sort().values, torch.arange(4000))
    jump = (points[order].diff(dim=0)).norm(dim=-1).mean()
    assert jump < 0.25 * points.diff(dim=0).norm(dim=-1).mean()


def test_degenerate_points():
    assert len(morton_order(torch.zeros(0, 3))) == 0
    assert torch.equal(morton_order(torch.ones(5, 3)), torch.arange(5))
