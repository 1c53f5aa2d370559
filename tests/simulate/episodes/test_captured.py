"""A world's own bodies as a scene of the oracle."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from splatworld import store
from splatworld.bodies import correct
from splatworld.bodies.edit import duplicate, move
from splatworld.cli.main import main
from splatworld.core import pose
from splatworld.core.checks import InputError
from splatworld.core.world import Scale
from splatworld.episodes import SUBSTATES, load_episodes, load_shape
from splatworld.robot.mjcf import write_mjcf
from splatworld.simulate.episodes.configs import family_config
from splatworld.simulate.episodes.generate import generate


def at(x, y, z, yaw=0.0):
    return pose.exp(torch.tensor([x, y, z, 0.0, 0.0, yaw], dtype=torch.float64))


@pytest.fixture(scope="module")
def world(table):
    """Box and ball off the middle, the ball fixed, the box 4 mm inside the table as a capture may have it."""
    found = move(store.load_world(table), "box", at(0.5, 0.2, 0.026, 0.4))
    return correct.set_kind(move(found, "ball", at(0.5, 0.3, 0.025)), "ball", "static")


@pytest.fixture
def saved(world, tmp_path):
    store.save_world(world, tmp_path / "desk")
    return tmp_path / "desk"


@pytest.mark.parametrize("form", ["world", "mjcf"])
def test_the_bodies_of_a_world_are_pushed(world, saved, tmp_path, form):
    scene = saved
    if form == "mjcf":
        scene = tmp_path / "desk.xml"
        write_mjcf(scene, world)
    config = replace(family_config(scene), seconds=1.0)
    np.testing.assert_allclose(config.origin, (0.5, 0.2))
    generate(config, tmp_path / "episodes", count=2)
    found = load_episodes(tmp_path / "episodes")
    assert found.shapes == (f"{scene.name}-001", f"{scene.name}-002")
    assert found.poses.shape[1] == 10 * SUBSTATES + 1
    assert found.mask.sum(dim=1).tolist() == [2, 2]
    assert found.fixed[:, :2].tolist() == [[False, True]] * 2
    box, ball = world.bodies[1:]
    for number in range(2):
        torch.testing.assert_close(found.poses[number, 0, 0, :2], torch.zeros(2), rtol=0, atol=0.005)
        low = load_shape(tmp_path / "episodes", found.shapes[0]).mesh.vertices[:, 2].min()
        assert float(found.poses[number, 0, 0, 2] + low) == pytest.approx(0, abs=1e-3)
        torch.testing.assert_close(found.poses[number, :, 1, :2], torch.tensor([[0.0, 0.1]]).expand(51, 2))
        assert float(found.truth.mass[number, 0]) == pytest.approx(box.mass)
        torch.testing.assert_close(found.truth.com[number], torch.zeros(8, 3))
        assert 0.2 <= float(found.truth.table_friction[number, 0]) <= 0.8
    assert not torch.equal(found.actions[0], found.actions[1])
    assert float(found.impulses[:, :, 0, -1].sum()) > 0  # the tool has touched the box
    shape = load_shape(tmp_path / "episodes", found.shapes[1])
    torch.testing.assert_close(shape.mesh.vertices, ball.mesh.vertices, rtol=0, atol=1e-6)


def test_the_verb_takes_a_world_and_goes_on_with_no_other(world, saved, tmp_path, capsys):
    options = ["simulate", str(saved), "-o", str(tmp_path / "episodes"), "--count", "1"]
    assert main(options) == 0
    assert f"1 of {saved}, train" in capsys.readouterr().out
    assert main(options) == 0
    other = tmp_path / "other"
    store.save_world(move(world, "box", at(0.4, 0.2, 0.03)), other)
    assert main(["simulate", str(other), *options[2:]]) == 2
    assert "episodes of another family are there" in capsys.readouterr().err


def test_worlds_that_cannot_be_simulated(world, tmp_path):
    def refused(other, sentence):
        path = tmp_path / f"world {len(list(tmp_path.iterdir()))}"
        store.save_world(other, path)
        with pytest.raises(InputError, match=sentence):
            family_config(path)

    refused(replace(world, scale=Scale()), "capture units")
    refused(correct.set_kind(world, "box", "static"), "has no rigid body")
    refused(correct.split(world, "ball"), "'ball' of .* has no shape, expected rigid and static bodies")
    axis = {"point": torch.zeros(3), "axis": torch.tensor([0.0, 0.0, 1.0])}
    hung = correct.set_joint(world, "ball", "box", type="hinge", limits=(-1.0, 1.0), **axis)
    refused(hung, "'ball' of .* is articulated")
    crowd = world
    for number in range(7):
        crowd = duplicate(crowd, "box", f"box {number + 2}", at(0.1 * number, -0.3, 0.03))
    refused(crowd, "9 bodies, expected at most 8")
    with pytest.raises(InputError, match="not a world"):
        family_config(tmp_path)
    with pytest.raises(InputError, match="no such world"):
        family_config(tmp_path / "none.xml")
    with pytest.raises(InputError, match="no world, file or family of scenes"):
        family_config(tmp_path / "none")
