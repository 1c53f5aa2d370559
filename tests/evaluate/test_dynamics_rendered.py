import numpy as np
import pytest

from splatworld.evaluate.dynamics_rendered import ACTIONS, ROD_RADIUS, SPEED, pushes
from splatworld.evaluate.reconstruction import SAMPLE
from splatworld.evaluate.sample_truth import read_truth


@pytest.fixture(scope="module")
def planned():
    return pushes(SAMPLE, read_truth(SAMPLE))


def test_every_body_is_pushed_once_from_outside(planned):
    truth = read_truth(SAMPLE)
    assert [push.label for push in planned] == [body["id"] for body in truth["bodies"]]
    for push, body in zip(planned, truth["bodies"], strict=True):
        assert push.path.shape == (ACTIONS + 1, 3)
        assert np.linalg.norm(np.diff(push.path, axis=0), axis=1).max() <= SPEED * 0.1 + 1e-9
        assert np.linalg.norm(push.path[0, :2] - body["world_from_body"][:2]) > 2 * ROD_RADIUS


def test_the_rod_moves_what_it_is_sent_against_and_nothing_else(planned):
    pytest.importorskip("mujoco", reason="needs the extra 'sim'")
    from splatworld.simulate import tabletop

    scene = tabletop.build(0, furnished=False, rod=True)
    push = next(push for push in planned if push.name == "tin")
    went = scene.pushed(push.path, 0.1)
    for placed in scene.placed:
        now = went.joint(placed.thing.name).qpos
        moved = float(np.linalg.norm(now[:3] - placed.pose[:3]))
        assert (moved > 0.04) if placed.thing.name == "tin" else (moved < 1e-3), placed.thing.name
