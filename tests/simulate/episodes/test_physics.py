from dataclasses import replace

import numpy as np
import pytest

from splatworld.simulate.episodes import physics, shapes
from splatworld.simulate.episodes.families import FAMILIES, NAMES, STANDING, for_split
from splatworld.simulate.episodes.generate import episode
from splatworld.simulate.episodes.record import fault, record
from splatworld.simulate.episodes.scene import Ranges, Scene, Tool
from splatworld.simulate.episodes.tools import Servo, tool

STILL = np.zeros(4)


def lying(name, *, mass=0.3, friction=0.5, velocity=(0, 0, 0), tool=None):
    quats, heights, weights = shapes.stable_poses(name)
    best = weights.argmax()
    truth = Ranges(mass=(mass, mass), density=(1, 1e9)).mean((name,))
    truth = replace(truth, table_friction=np.array([friction]))
    poses = np.array([[0, 0, heights[best], *quats[best]]])
    return Scene((name,), np.array([False]), poses, np.array([[*velocity, 0, 0, 0.0]]), truth, tool)


def pushing(name, *, force, mass, speed=0.1, friction=0.5):
    solid = shapes.shape(name)
    scene = lying(name, mass=mass, friction=friction)
    turned = solid.hull @ shapes.rotation(scene.poses[0, 3:]).T
    pusher = tool("pusher-03")
    start = np.array([turned[:, 0].min() - pusher.hull[:, 0].max() - 0.01, 0, 0.005 - pusher.hull[:, 2].min(), 0])
    scene = replace(scene, tool=Tool("pusher-03", Servo(np.array([force, force, force, 0.05 * force])), start))
    return record(physics.build(scene), lambda: np.array([speed * 0.1, 0, 0, 0]), 20)


@pytest.mark.parametrize("friction", [0.2, 0.8])
def test_friction_is_that_of_the_pair(friction):
    found = record(physics.build(lying("box-003", friction=friction, velocity=(0.6, 0, 0))), lambda: STILL, 8)
    assert found.moved()[0] == pytest.approx(0.36 / (2 * friction * physics.GRAVITY), rel=0.05)


def test_a_free_tool_follows_its_commands():
    found = pushing("box-003", force=20.0, mass=0.05, speed=0.2)
    first = found.joints[::5][:2]
    assert first[1, 0] - first[0, 0] == pytest.approx(0.02, abs=0.002)


def test_a_heavy_body_blocks_a_weak_tool():
    blocked = pushing("box-003", force=2.0, mass=1.0, friction=0.8)
    pushed = pushing("box-003", force=20.0, mass=1.0, friction=0.8)
    assert blocked.moved()[0] < 1e-3
    assert pushed.moved()[0] > 0.15
    assert np.abs(blocked.targets[-1] - blocked.joints[-1])[0] < 2.0 / 5000 * 26  # it did not wind up
    hold = blocked.contacts[blocked.contacts[:, 0] == 19]
    rows = (hold[:, 1:] == (physics.TOOL, 0)).all(1)
    assert blocked.impulses[-len(hold) :][rows].sum() == pytest.approx(2.0 * 0.1, rel=0.05)


def test_sleeping_bodies_stay_bit_for_bit():
    scene = replace(lying("T-004"), settle=0.4)
    found = record(physics.build(scene), lambda: STILL, 20)
    assert found.asleep.all()
    assert (found.poses == found.poses[0]).all()


@pytest.mark.parametrize("name", NAMES)
def test_families_are_sound(name):
    config = replace(FAMILIES[name], seconds=1.0)
    for split, number in (("train", 1), ("test_heldout", 2), ("test_outside", 3)):
        found, _ = episode(config, split, 0, number)
        assert fault(found) is None
        assert len(found.scene) <= for_split(config, split).bodies[1]
        assert np.median(found.penetration) < 5e-4
        both = found.asleep[1:] & found.asleep[:-1]
        assert (found.poses[1:] == found.poses[:-1]).all(-1)[both].all()
        if name not in ("push", *STANDING):  # nothing adds energy
            energy = found.energy().sum(1)
            assert (np.diff(energy) < 0.03 * np.ptp(energy) + 1e-5).all()


def test_broken_episodes_are_told():
    found, _ = episode(replace(FAMILIES["slide"], seconds=0.2), "train", 0, 0)
    assert fault(found) is None
    away = found.poses.copy()
    away[-1, 0, 0] = 2.0
    below = found.poses.copy()
    below[-1, 0, 2] -= 0.5
    for changed, reason in (
        ({"poses": away}, "lost"),
        ({"poses": below}, "tunnelled"),
        ({"poses": away * np.nan}, "exploded"),
        ({"penetration": found.penetration + 0.02}, "sunk"),
    ):
        assert fault(replace(found, **changed)) == reason


def test_pictures_show_the_bodies():
    mujoco = pytest.importorskip("mujoco")
    from splatworld.simulate.episodes.pictures import Photographer

    found, _ = episode(replace(FAMILIES["push"], seconds=0.2), "train", 0, 0)
    try:
        with Photographer(found, size=(64, 48)) as photographer:
            picture = photographer.picture(0)
    except (mujoco.FatalError, RuntimeError, ImportError) as error:
        pytest.skip(f"no EGL here: {error}")
    assert picture.shape == (48, 64, 3)
    assert picture.std() > 5
