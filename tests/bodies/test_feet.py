import torch

from splatworld.bodies.feet import with_feet
from splatworld.core.splats import from_points
from tests.bodies.tabletop import SPACING, ball, box, square

ROUGH, CELL = 0.01, 0.005


def grown(parts, low, size=SPACING / 2):
    """Labels after and before, where what is lower than the roughness was not told from the support."""
    points = torch.cat(parts)
    sizes = torch.full((len(points),), size)
    splats = from_points(points, torch.full((len(points), 3), 128).byte(), scale=sizes, opacity=0.9)
    true = torch.cat([torch.full((len(part),), label) for label, part in enumerate(parts)])
    labels = torch.where(points[:, 2] > ROUGH, true, 0)
    raised = torch.full((len(points),), float(low))
    solid = torch.ones(len(points), dtype=torch.bool)
    return with_feet(splats, labels, solid=solid, raised=raised, rough=ROUGH, cell=CELL), labels, true, points


def test_walls_go_down_to_the_support():
    after, before, true, points = grown([square(0.3, (0, 0, 0)), box(0.06, (0, 0, 0.03))], low=True)
    assert (before[true == 1] == 0).float().mean() > 0.05
    assert (after[true == 1] == 1).all()
    beside = (true == 0) & (points[:, :2].abs().amax(dim=1) > 0.035)
    assert (after[beside] == 0).all()


def test_what_looks_like_the_support_stays():
    after, before, *_ = grown([square(0.3, (0, 0, 0)), box(0.06, (0, 0, 0.03))], low=False)
    assert torch.equal(after, before)


def test_the_shade_below_a_ball_stays_the_supports():
    after, _, true, points = grown(
        [square(0.3, (0, 0, 0)), ball(0.03, (0, 0, 0.03), count=9000)], low=True, size=0.0005
    )
    rim = (true == 0) & (points[:, :2].norm(dim=1) > 0.026)  # the ball's outline above is as wide as 0.03
    assert (after[rim] == 0).all()
    assert (after[(true == 1) & (points[:, 2] > ROUGH)] == 1).all()


def test_shade_has_the_hue_of_the_support():
    """Wood below a red plate on a stem stays wood, the stem's foot is the plate's."""
    parts = [square(0.3, (0, 0, 0)), box(0.06, (0, 0, 0.03))]
    points = torch.cat(parts)
    red = torch.arange(len(points)) >= len(parts[0])
    colors = torch.where(red[:, None], torch.tensor([200, 40, 40]), torch.tensor([180, 140, 90])).byte()
    splats = from_points(points, colors, scale=torch.full((len(points),), SPACING / 2), opacity=0.9)
    below = ~red & (points[:, :2].abs().amax(dim=1) < 0.025)
    labels = (red & (points[:, 2] > ROUGH)).long()
    raised = (red | below).float()
    solid = torch.ones(len(points), dtype=torch.bool)
    after = with_feet(splats, labels, solid=solid, raised=raised, rough=ROUGH, cell=CELL)
    assert bool(below.any())
    assert (after[below] == 0).all()
    assert (after[red] == 1).all()
