"""Bodies that were captured from one side, on a table that shows what is free beside and behind them."""

import math
from collections.abc import Iterable
from dataclasses import replace

import pytest
import torch

from splatworld.bodies.complete import DENSITY, complete, enclosing, flat_splats
from splatworld.bodies.images import Family
from splatworld.bodies.segment import with_labels
from splatworld.bodies.symmetry import looks, mirrored
from splatworld.core import pose
from splatworld.core.splats import Provenance, Splats, from_points
from splatworld.core.world import World
from tests.bodies.tabletop import SPACING, square, tabletop

RADIUS, HEIGHT = 0.04, 0.08
FRONT = (-15, 0, 15)
"""Degrees at which cameras see what faces +x, and no more than that of a cylinder."""


def wall(first: float, last: float) -> torch.Tensor:
    """Points of a cylinder between two angles."""
    around = torch.linspace(first, last, int((last - first) * RADIUS / SPACING))
    angle, up = torch.cartesian_prod(around, torch.arange(SPACING / 2, HEIGHT, SPACING)).T
    return torch.stack([RADIUS * angle.cos(), RADIUS * angle.sin(), up], dim=1)


def lid() -> torch.Tensor:
    points = square(2 * RADIUS, (0.0, 0.0, HEIGHT))
    return points[points[:, :2].norm(dim=1) < RADIUS]


def facing(points: torch.Tensor) -> torch.Tensor:
    """[P, 3] normals of what is level, of a cylinder's wall and of a box's faces."""
    upright = (points[:, 2] > 0) & (points[:, 2] < HEIGHT)
    aside = points * torch.tensor([1.0, 1.0, 0.0])
    round_ = (points[:, :2].norm(dim=1) - RADIUS).abs() < 1e-5
    face = torch.nn.functional.one_hot(points[:, :2].argmax(dim=1), 3).float()
    walls = torch.where(round_[:, None], torch.nn.functional.normalize(aside, dim=1), face)
    return torch.where(upright[:, None], walls, torch.tensor([0.0, 0.0, 1.0]))


def captured(points: torch.Tensor, degrees: Iterable[int]) -> World:
    """A world of a table and one red body, seen from some sides."""
    table = square(0.9, (0.0, 0.0, 0.0))
    table = table[torch.cdist(table, points).amin(dim=1) > 0.01]
    colors = torch.tensor([(180, 140, 90)] * len(table) + [(200, 40, 40)] * len(points)).byte()
    places = torch.cat([table, points])
    like = from_points(places, colors, scale=torch.full((len(places),), SPACING / 2), opacity=0.95, degree=0)
    flat = flat_splats(places, facing(places), like.scales[:, 0], colors / 255, like, 0)
    splats = replace(flat, provenance=like.provenance)
    first = tabletop()[0].cameras["view_0"]
    about = [pose.exp(torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, math.radians(angle)]).double()) for angle in degrees]
    cameras = {
        str(index): replace(first, world_from_camera=pose.compose(turn, first.world_from_camera))
        for index, turn in enumerate(about)
    }
    labels = (torch.arange(len(places)) >= len(table)).long()
    return with_labels(replace(tabletop()[0], splats=splats, cameras=cameras), labels, ["thing"])


def copies(world: World) -> Splats:
    own = world.splats.body_ids == 1
    return mirrored(world.splats.select(own), world.splats.select(~own), looks(world), DENSITY * SPACING / 2)


def half_seen(points: torch.Tensor) -> Splats:
    """What symmetry adds to a body seen from one side."""
    return copies(captured(points, FRONT))


def test_a_half_seen_cylinder_is_closed_round():
    done = complete(captured(torch.cat([wall(-torch.pi / 2, torch.pi / 2), lid()]), FRONT)).splats
    own = done.select(done.body_ids == 1)
    behind = own.means[(own.means[:, 0] < -0.01) & ((own.means[:, 2] - HEIGHT / 2).abs() < HEIGHT / 2 - 0.015)]
    assert (behind[:, :2].norm(dim=1) - RADIUS).abs().median() < 0.003
    back = wall(0.6 * torch.pi, 1.4 * torch.pi)
    assert torch.cdist(back, own.means).amin(dim=1).quantile(0.9) < 1.5 * SPACING
    mesh = enclosing(own)
    assert mesh is not None
    assert float(mesh.vertices[:, 0].amin()) == pytest.approx(-RADIUS, abs=0.005)


def test_a_box_seen_from_two_sides_gets_the_others():
    half = RADIUS
    faces = [square(2 * half, (half, 0, half), 1, 2), square(2 * half, (0, half, half), 0, 2)]
    world = captured(torch.cat([*faces, square(2 * half, (0, 0, 2 * half))]), (0, 45, 90))
    found = copies(world)
    off = (found.means[:, :2] + half).abs().amin(dim=1)
    assert len(found) > 200
    assert off.median() < SPACING
    assert ((found.means[:, :2].amin(dim=0) + half).abs() < 1.5 * SPACING).all()
    assert (found.provenance == int(Provenance.COMPLETED)).all()


def test_a_handle_goes_not_round():
    angle, across = torch.cartesian_prod(torch.linspace(-1.5, 1.5, 20), torch.linspace(-0.006, 0.006, 3)).T
    loop = torch.stack([across, -RADIUS - 0.025 * angle.cos(), HEIGHT / 2 + 0.025 * angle.sin()], dim=1)
    found = half_seen(torch.cat([wall(-torch.pi / 2, torch.pi / 2), lid(), loop]))
    assert len(found) > 100
    assert found.means[:, :2].norm(dim=1).max() < RADIUS + 0.012


def test_no_image_stands_where_cameras_saw_the_table():
    """Half a pipe, seen from its outer side and, over its edge, on the table behind: nothing there makes it whole."""
    assert len(half_seen(torch.cat([wall(-torch.pi / 2, torch.pi / 2), lid()]))) > 100
    assert len(half_seen(wall(-torch.pi / 2, torch.pi / 2))) == 0


def test_a_wall_alone_tells_no_symmetry():
    """Every plane across it agrees, and what is level with any."""
    top = square(2 * RADIUS, (0.0, 0.0, 2 * RADIUS))
    assert len(half_seen(torch.cat([square(2 * RADIUS, (RADIUS, 0.0, RADIUS), 1, 2), top]))) == 0


def test_what_was_seen_all_around_gets_nothing():
    world = captured(torch.cat([wall(-torch.pi, torch.pi), lid()]), range(0, 360, 45))
    assert len(copies(world)) == 0


@pytest.mark.parametrize("mirrors", [True, False])
def test_copies_are_turned_with_their_places(mirrors):
    splats = from_points(torch.rand(9, 3), torch.full((9, 3), 90).byte(), scale=torch.full((9,), 0.01), degree=1)
    splats = replace(
        splats,
        quats=torch.nn.functional.normalize(torch.randn(9, 4), dim=1),
        log_scales=torch.randn(9, 3),
        sh=torch.randn(9, 4, 3),
    )
    family, told = Family(mirrors), torch.tensor([0.7, 0.1, -0.2], dtype=torch.float64)
    found = family.copies(told, splats)[-1]
    matrix = family.matrices(told[None])[0, -1].float()
    assert torch.linalg.det(matrix).item() == pytest.approx(-1.0 if mirrors else 1.0, abs=1e-6)
    torch.testing.assert_close(covariances(found), matrix @ covariances(splats) @ matrix.T, rtol=1e-4, atol=1e-4)
    assert (found.sh[:, 1:] == 0).all()
    torch.testing.assert_close(found.sh[:, 0], splats.sh[:, 0])


def test_mirror_planes_and_axes_stay_where_they_are():
    told = torch.tensor([[0.7, 0.1, -0.2]], dtype=torch.float64)
    on_both = torch.tensor([[0.1, -0.2, 0.5]], dtype=torch.float64)
    for mirrors in (True, False):
        images = Family(mirrors).images(told, on_both)[0]
        torch.testing.assert_close(images, on_both.expand_as(images))


def covariances(splats: Splats) -> torch.Tensor:
    turned = pose.quat_to_matrix(splats.quats) * splats.scales[:, None]
    return turned @ turned.mT
