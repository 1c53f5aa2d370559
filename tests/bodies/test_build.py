from dataclasses import replace

import pytest
import torch

from splatworld import native
from splatworld.bodies.build import build_bodies, shaped
from splatworld.bodies.complete import enclosing
from splatworld.bodies.correct import set_kind
from splatworld.bodies.floor import floor_of
from splatworld.bodies.segment import with_labels
from splatworld.core import pose
from splatworld.core.body import Body
from splatworld.geometry.mesh import is_closed
from tests.bodies.tabletop import tabletop
from tests.geometry import solids
from tests.worlds import assert_equal


def built(world, threads):
    before, torch_before = native.get_threads(), torch.get_num_threads()
    try:
        native.set_threads(threads)
        torch.set_num_threads(threads)
        return build_bodies(world)
    finally:
        native.set_threads(before)
        torch.set_num_threads(torch_before)


def test_threads_change_no_byte():
    world, _ = tabletop()
    one, two = built(world, 1), built(world, 2)
    assert len(one.bodies) == 3
    assert all(body.mass > 0 and body.grid is not None and body.parts for body in one.bodies[1:])
    assert_equal(one, two)


def test_a_told_mass_stays_when_a_body_is_shaped():
    mesh = solids.box((0.02, 0.03, 0.04))
    body = Body("box", "rigid", pose.identity(dtype=torch.float64))
    guessed, told = shaped(body, mesh), shaped(replace(body, mass=0.3, weighed=True), mesh)
    assert told.mass == 0.3
    torch.testing.assert_close(told.inertia / 0.3, guessed.inertia / guessed.mass)


def test_a_static_body_is_no_support():
    world, labels = tabletop()
    dark = (world.splats.sh[:, 0].sum(dim=1) < 0) & (labels == 0)
    named = with_labels(world, torch.where(dark, 3, labels), ["box", "ball", "mat"])
    named = set_kind(named, "mat", "static")
    floor = floor_of(named)
    row, column, _ = floor.index(torch.tensor([[0.15, 0.15]]))
    assert floor.colors[row, column].sum() > 1


def test_what_hangs_below_the_support_is_no_foot():
    world, labels = tabletop()
    ball = world.splats.select(labels == 2)
    means = ball.means.clone()
    strays = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    means[:20] = torch.tensor([0.06, 0.02, -0.03]) + 0.005 * strays
    trailing = enclosing(replace(ball, means=means))
    assert is_closed(trailing)
    assert float(trailing.vertices[:, 2].min()) == pytest.approx(0.0, abs=1e-9)
    sunk = ball.means - torch.tensor([0.0, 0.0, float(ball.means[:, 2].quantile(0.7))])
    assert float(enclosing(replace(ball, means=sunk)).vertices[:, 2].min()) == pytest.approx(0.0, abs=1e-9)
    hanging = enclosing(replace(ball, means=ball.means - torch.tensor([0.0, 0.0, 0.5])))
    assert float(hanging.vertices[:, 2].min()) < -0.45
