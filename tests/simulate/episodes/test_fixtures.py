from dataclasses import replace

import numpy as np
import pytest

from splatworld.dynamics.model import DynamicsModel
from splatworld.evaluate.dynamics_joints import joint_lines
from splatworld.simulate.episodes import fixtures


@pytest.mark.parametrize("kind", fixtures.KINDS)
def test_rods_open_and_shut_them(kind):
    opened = []
    for number in range(8):
        fixture = fixtures.draw_fixture(kind, "train", np.random.default_rng([1, number]))
        found = fixtures.simulate(fixture)
        low, high = fixture.limits
        assert (found.joint > low - 0.01 * high).all()
        assert (found.joint < 1.01 * high).all()
        assert np.isfinite(found.tool).all()
        opened.append((found.joint[-1] - found.joint[0]) / high)
    assert max(opened) > 0.3
    assert min(opened) < -0.3
    again = fixtures.simulate(fixtures.draw_fixture(kind, "train", np.random.default_rng([1, 7])))
    assert (again.joint == found.joint).all()


def test_friction_stops_what_the_rod_no_longer_pushes():
    fixture = fixtures.draw_fixture("drawer", "train", np.random.default_rng([1, 1]))
    far = []
    for friction in (0.2, 8.0):
        resistance = replace(fixture.resistance, friction=friction, damping=0.5, mass=2.0)
        far.append(np.ptp(fixtures.simulate(replace(fixture, resistance=resistance)).joint))
    assert far[0] > far[1] - 1e-4


def test_rows():
    rows = joint_lines(DynamicsModel().requires_grad_(False), "door", 1, print)
    assert [row.target is not None for row in rows] == [True, False]
    assert 0 <= rows[0].value < 20
