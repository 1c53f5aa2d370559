from dataclasses import replace
from functools import cache
from itertools import cycle

import numpy as np
import pytest

from splatworld.simulate.episodes import grasp_scenes, grasps
from splatworld.simulate.episodes.grasp_scenes import CARRIED, CLOSED, LIFTED, PLACED, draw_grasp
from splatworld.simulate.episodes.shapes import NUMBERS


@cache
def scene_of(aim, *, least=10.0):
    """The first scene of an aim with a grip of `least` N or more; its aim is the first thing that is drawn of it."""
    shares = grasp_scenes.AIMS
    for number in range(200):
        if np.random.default_rng([3, number]).choice(list(shares), p=list(shares.values())) != aim:
            continue
        scene = draw_grasp("train", np.random.default_rng([3, number]))
        if scene.aim == aim and scene.force > least:
            return scene
    raise AssertionError(aim)


def with_truth(scene, **values):
    return replace(scene, parameters=replace(scene.parameters, **{k: np.array([v]) for k, v in values.items()}))


def test_scenes_are_the_same_again_and_of_their_split():
    for split in ("train", "test_heldout"):
        one, two = (draw_grasp(split, np.random.default_rng([1, 2])) for _ in range(2))
        family, number = one.shape.rsplit("-", 1)
        assert one.shape == two.shape
        assert (one.way == two.way).all()
        assert int(number) in NUMBERS[split]
        assert (family in ("U", "plus", "hook", "star")) == (split == "test_heldout")


def test_a_good_grasp_lifts_carries_and_puts_down():
    scene = with_truth(scene_of("good"), mass=0.1, tool_friction=0.8)
    found = grasps.simulate(scene)
    assert found.held
    lift = found.joints[LIFTED, 2] - found.joints[CLOSED, 2]
    assert found.poses[LIFTED, 2] - found.poses[0, 2] == pytest.approx(lift, abs=0.015)
    gone = found.joints[CARRIED, :2] - found.joints[LIFTED, :2]
    assert found.poses[CARRIED, :2] - found.poses[LIFTED, :2] == pytest.approx(gone, abs=0.05)
    assert found.poses[PLACED, 2] < found.poses[0, 2] + 0.01
    # Both press with their limit.
    assert found.forces[CLOSED:LIFTED].mean(0) == pytest.approx([20, 20], rel=0.1)
    assert (found.forces[-1] == 0).all()
    assert (grasps.simulate(scene).poses == found.poses).all()


def test_too_little_friction_lets_it_slip():
    scene = replace(with_truth(scene_of("good"), mass=1.0, tool_friction=0.2), force=3.0)
    assert not grasps.simulate(scene).held


@pytest.mark.parametrize("aim", ["beside", "blocked"])
def test_a_miss_holds_nothing(aim):
    found = grasps.simulate(scene_of(aim))
    assert not found.held
    assert found.poses[LIFTED, 2] < found.poses[0, 2] + 0.02


def test_aims_come_about_as_often_as_they_shall(monkeypatch):
    """Whatever places turn up: here one is of each aim, and none, in turn."""
    turns = cycle([*grasp_scenes.AIMS, None])
    monkeypatch.setattr(grasp_scenes, "_aim", lambda *_: next(turns))
    monkeypatch.setattr(grasp_scenes, "draw_shapes", lambda *_: ("box-001",))
    aims = [draw_grasp("train", np.random.default_rng([5, k])).aim for k in range(400)]
    for aim, share in grasp_scenes.AIMS.items():
        assert aims.count(aim) == pytest.approx(400 * share, abs=30)


@pytest.mark.parametrize("aim", list(grasp_scenes.AIMS))
def test_every_aim_is_found_on_some_body(aim):
    scene = scene_of(aim, least=0.0)
    place = np.append(scene.start[:3] + scene.way[: grasp_scenes.DESCEND, :3].sum(0), scene.start[3])
    assert grasp_scenes._aim(scene.shape, scene.pose, place) == aim


def test_the_world_begins_where_the_scene_does():
    scene = scene_of("good")
    found = grasps.simulate(scene)
    world = grasps.grasp_world(scene, found, splats=20)
    assert world.robot.grip_force == scene.force
    hand = next(body for body in world.bodies if body.name == "hand")
    assert hand.rest_pose[:2].numpy() == pytest.approx(scene.start[:2], abs=1e-3)
    actions = grasps.grasp_actions(found)
    assert actions.shape == (PLACED, 7)
    gone = actions[:, :3].sum(0).numpy()
    assert gone == pytest.approx(found.targets[-1, :3] - found.joints[0, :3], abs=0.01)
    body = next(body for body in world.bodies if body.name == "body")
    assert body.mass == 0
