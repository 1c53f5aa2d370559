import itertools
from dataclasses import replace

import numpy as np
import pytest

from splatworld.simulate.episodes.families import FAMILIES, for_split
from splatworld.simulate.episodes.footprint import beyond, footprint, height
from splatworld.simulate.episodes.generate import episode
from splatworld.simulate.episodes.physics import TOOL, build
from splatworld.simulate.episodes.shapes import base_margins, rotation, shape, stable_poses
from splatworld.simulate.episodes.standing import RISE, SLENDER, draw_standing
from splatworld.simulate.episodes.tools import tool


def drawn(family, split="train", count=6, **changes):
    config = for_split(replace(FAMILIES[family], **changes), split)
    found = [draw_standing(config, split, np.random.default_rng([4, number])) for number in range(count)]
    return [each for each in found if each is not None]


@pytest.mark.parametrize("split", ["train", "test_heldout"])
def test_tall_bodies_stand_and_are_pushed_above_the_table(split):
    for scene, stroke in drawn("topple", split):
        for name, pose in zip(scene.shapes, scene.poses, strict=True):
            slender = stable_poses(name)[1] / base_margins(name)
            low, high = height(shape(name), pose)
            assert low == pytest.approx(0, abs=1e-6)
            assert any(SLENDER[0] < each < SLENDER[1] for each in slender)
            assert high > 0.04
        low, _ = height(tool(scene.tool.name), np.array([*stroke.start[:3], 1, 0, 0, 0]))
        tops = [height(shape(name), pose)[1] for name, pose in zip(scene.shapes, scene.poses, strict=True)]
        assert RISE["topple"][0] * min(tops) - 1e-9 <= low <= RISE["topple"][1] * max(tops)
        assert stroke.last


def test_stacks_stand_upon_each_other():
    found = drawn("stack")
    for scene, _ in found:
        heights = [height(shape(name), pose) for name, pose in zip(scene.shapes, scene.poses, strict=True)]
        for below, above in itertools.pairwise(heights):
            assert 0 <= above[0] - below[1] < 2e-4
        outline = footprint(shape(scene.shapes[0]), scene.poses[0])
        assert beyond(outline, scene.poses[1:2, :2]) < 0.05
    assert all(stroke is None and scene.tool is None for scene, stroke in drawn("stack", alone=1.0))


def test_a_base_margin_is_that_of_the_centre_over_the_base():
    quats, heights, _ = stable_poses("box-003")
    for quat, level, margin in zip(quats, heights, base_margins("box-003"), strict=True):
        turned = shape("box-003").hull @ rotation(quat).T
        base = turned[turned[:, 2] < -level + 1e-6][:, :2]
        assert margin == pytest.approx(np.abs(base).min(), rel=1e-6)


def test_episodes_begin_at_rest_and_the_tool_draws_back_once():
    config = replace(FAMILIES["topple"], shapes=("box",), bodies=(1, 1), seconds=3.0)
    found, _ = episode(config, "train", 2, 1)
    assert found.asleep[0].all()
    way = np.linalg.norm(found.joints[:, :2] - found.joints[0, :2], axis=1)
    assert way.max() > 0.02
    assert np.allclose(found.joints[-1], found.joints[-10], atol=1e-4)
    last = found.contacts[(found.contacts[:, 1:] == TOOL).any(1), 0]
    assert not len(last) or last.max() < 29


def test_a_stack_that_nobody_touches_stays_and_one_whose_foot_is_gone_falls():
    found, _ = episode(replace(FAMILIES["stack"], alone=1.0, seconds=0.2), "train", 2, 0)
    assert np.abs(found.poses[-1] - found.poses[0]).max() < 1e-6
    poses = found.poses[0].copy()
    poses[0, 0] += 0.5
    physics = build(replace(found.scene, poses=poses, settle=1.0))
    assert physics.poses[-1, 2] < poses[-1, 2] - 0.01
