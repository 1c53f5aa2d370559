import torch

from splatworld.bodies.touch import touching
from splatworld.core.splats import from_points
from tests.bodies.tabletop import SPACING, box, square, tabletop


def test_what_pictures_show_side_by_side_touches_only_where_it_is_near_in_space():
    parts = [square(0.6, (0, 0, 0)), box(0.06, (0, 0, 0.03)), box(0.06, (0.06, 0, 0.03)), box(0.05, (0, 0, 0.2))]
    points = torch.cat(parts)
    labels = torch.cat([torch.full((len(part),), label) for label, part in enumerate(parts)])
    grey = torch.full((len(points), 3), 128).byte()
    splats = from_points(points, grey, scale=torch.full((len(points),), SPACING / 2), opacity=0.95)
    cameras = list(tabletop()[0].cameras.values())
    pairs = touching(splats, labels, 4, cameras, reach=0.01)
    assert torch.equal(pairs, pairs.T)
    assert float(pairs.diagonal().abs().max()) == 0
    assert float(pairs[1, 2]) > 100
    assert float(pairs[3].sum()) < 0.05 * float(pairs[1, 2])  # it floats: its whole outline hides what is behind
    assert float(touching(splats, labels, 4, cameras, reach=1.0)[3].sum()) > 100
