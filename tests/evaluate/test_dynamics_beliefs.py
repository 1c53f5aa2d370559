"""Rows about beliefs, forces and new tools are measured on what is known to be right, and on few episodes."""

import pytest
import torch

pytest.importorskip("mujoco", reason="episodes to measure on need the extra 'sim': pip install splatworld[sim]")

from splatworld.core.latents import FRICTION, MASS, SUPPORT_FRICTION
from splatworld.evaluate import dynamics_adaptation, dynamics_beliefs, dynamics_forces, dynamics_sets
from splatworld.evaluate.dynamics_forces import Forces
from tests.dynamics.scenes import lively_model


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        place = tmp_path_factory.mktemp("eval")
        for module in (dynamics_sets, dynamics_adaptation):
            patch.setattr(module, "FOLDER", place)
        yield place


def test_the_oracles_parameters_become_latents():
    test_set = dynamics_sets.load_set("one", 2, print, seconds=1.2)
    batch, truth = test_set.batch(0, 1), test_set.episodes.truth
    found = batch.latents
    assert found.shape == (2, 10, 8)
    assert not bool(found[:, [0, -1]].any())
    torch.testing.assert_close(FRICTION * found[:, 1, SUPPORT_FRICTION].exp(), truth.table_friction[:, 0])
    torch.testing.assert_close(batch.scene.typical_mass[:, 1] * found[:, 1, MASS].exp(), truth.mass[:, 0])


def test_rows_of_watching(monkeypatch):
    monkeypatch.setattr(dynamics_beliefs, "WATCHED", 6)
    monkeypatch.setattr(dynamics_beliefs, "PREDICTED", 4)
    test_set = dynamics_sets.load_set("one", 2, print, seconds=1.2)
    rows = dynamics_beliefs._set_lines(lively_model(), test_set, print)
    held = [row.value for row in rows if "within the 90 % belief" in row.name]
    assert len(rows) == 9
    assert len(held) == 3
    assert all(0 <= value <= 100 for value in held)


def test_forces_that_are_right_are_without_error():
    right = torch.tensor([0.1, 0.5, 0.2])
    assert Forces(right, right).off == 0
    assert Forces(right, right).rank == pytest.approx(1)
    assert Forces(2 * right, right).off == pytest.approx(100)
    rows = dynamics_forces.force_lines(lively_model(), 2, print)
    assert rows[2].value < 60


def test_rows_of_a_new_tool(monkeypatch):
    for name, value in (("EPISODES", (1, 2)), ("STEPS", 2), ("BATCH", 8)):
        monkeypatch.setattr(dynamics_adaptation, name, value)
    rows = dynamics_adaptation.adaptation_lines(lively_model(), 2, print)
    assert [row.target for row in rows] == [None] * 4 + ["<= 1.3"]
