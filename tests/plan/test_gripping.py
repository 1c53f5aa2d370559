import pytest
import torch

from splatworld.plan.prediction import Prediction
from tests.dynamics.test_grasping import BLOCK, CLOSE, LIFT, OPENING, go, gripped, rolled


def of_fingers(prediction, t):
    """N s of the left and the right finger on the block, and of all that others press on it."""
    found = prediction.contacts(t)
    left, right = prediction.world.robot.fingers
    with_block = (found.bodies == BLOCK).any(-1)
    sums = [float(found.impulse[with_block & (found.bodies == link).any(-1)].sum()) for link in (left, right)]
    return sums, found


def test_each_finger_presses_with_the_grip_and_lets_go():
    world = gripped(force=12.0)
    prediction = Prediction(world, rolled(world, go(CLOSE, LIFT, (4, 0, 0, 0, OPENING))))
    for t in (0.5, 0.8):
        sums, found = of_fingers(prediction, t)
        assert sums == pytest.approx([1.2, 1.2], rel=0.1)
        assert torch.isfinite(found.impulse_std).all()
    assert of_fingers(prediction, 0.0)[0] == [0, 0]
    assert max(of_fingers(prediction, 1.3)[0]) < 0.05


def test_one_finger_alone_does_not_grip():
    world = gripped(y=0.0255)
    prediction = Prediction(world, rolled(world, go((1, 0, 0, 0, 0.075), (3, 0, 0, 0, 0.075))))
    assert max(of_fingers(prediction, 0.4)[0]) < 0.5
