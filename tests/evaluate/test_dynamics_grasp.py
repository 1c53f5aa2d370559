import numpy as np

from splatworld.dynamics.grasping import SlipConfig
from splatworld.dynamics.model import DynamicsModel
from splatworld.evaluate import dynamics_grasp, grasp_fit


def test_balanced_accuracy_weighs_both_kinds_alike():
    true = np.array([True] * 8 + [False] * 2)
    assert dynamics_grasp.balanced(np.ones(10, bool), true) == 50
    assert dynamics_grasp.balanced(true, true) == 100
    assert dynamics_grasp.balanced(np.ones(8, bool), np.ones(8, bool)) == 100


def test_rows(monkeypatch):
    monkeypatch.setattr(dynamics_grasp, "REDRAWS", 1)
    rows = dynamics_grasp.grasp_lines(DynamicsModel().requires_grad_(False), "test_known", 7, print)
    assert [row.target for row in rows] == [">= 95", ">= 95", "<= 5", None, None, None]
    assert rows[1].value > 60
    assert 0 < rows[2].value < 40


def test_the_fit_tells_good_numbers_from_bad_ones():
    episodes = grasp_fit.carried_episodes(6)
    assert len(episodes) >= 2
    good, no_friction = (grasp_fit.error(episodes, config) for config in (SlipConfig(), SlipConfig(friction=1e-3)))
    assert good < 3
    assert no_friction > good + 3
