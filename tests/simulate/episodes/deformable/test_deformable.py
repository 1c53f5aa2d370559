import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from splatworld.cli.main import DONE, main
from splatworld.core.checks import InputError
from splatworld.core.world import frames as world_frames
from splatworld.episodes import load_episodes, load_shape
from splatworld.node_episodes import load_node_episodes
from splatworld.simulate.episodes.configs import family_config
from splatworld.simulate.episodes.deformable import redraw, shapes
from splatworld.simulate.episodes.deformable.families import DEFORMABLE
from splatworld.simulate.episodes.deformable.physics import Physics, Scene, grip_height
from splatworld.simulate.episodes.deformable.record import episode, fault, record
from splatworld.simulate.episodes.deformable.world import to_world
from splatworld.simulate.episodes.families import FAMILIES
from splatworld.simulate.episodes.generate import generate
from splatworld.simulate.episodes.scene import Tool
from splatworld.simulate.episodes.tools import Servo, tool

ROPE = shapes.rope(0.2, 0.02, 0.006)
STILL = np.zeros(4)


def scene(shape, *, height=0.0, tool=None, held=None, **parameters):
    truth = DEFORMABLE[shape.kind].ranges.mean(shape)
    points = shape.points + np.array([0, 0, shape.radius + height])
    none = np.zeros((0, 7))
    return Scene(shape, points, np.zeros_like(points), replace(truth, **parameters), tool, held, (), none)


def lengths(shape, points):
    a, b = shape.edges.T
    return np.linalg.norm(points[..., a, :] - points[..., b, :], axis=-1)


def test_shapes_are_what_they_are_called():
    assert ROPE.points.shape == (11, 3)
    assert ROPE.measure == pytest.approx(0.2)
    assert ROPE.rim.tolist() == [0, 10]
    cloth = shapes.cloth(np.ones((3, 2), bool), 0.03, 0.003)
    assert (len(cloth.points), len(cloth.edges), len(cloth.elements)) == (12, 23, 12)
    assert cloth.measure == pytest.approx(6 * 0.03**2)
    assert len(cloth.rim) == 10
    block = shapes.soft(np.ones((2, 2, 1), bool), 0.02, 0.002)
    assert block.measure == pytest.approx(4 * 0.02**3)
    a, b, c = np.moveaxis(block.points[block.outside], 1, 0)
    outward = (np.cross(b - a, c - a) * (a - block.points.mean(0))).sum(-1)
    assert (outward > 0).all()
    assert len(block.outside) == 2 * (4 + 4 + 8)


def test_a_rope_slides_until_friction_stops_it():
    start = scene(ROPE, table_friction=0.4)
    start.velocities[:, 1] = 0.5
    found = record(Physics(start), lambda: STILL, 8)
    way = found.points[-1, :, 1] - found.points[0, :, 1]
    assert np.median(way) == pytest.approx(0.25 / (2 * 0.4 * 9.81), rel=0.1)
    assert np.abs(found.velocities[-1]).max() < 2e-3


def test_a_held_end_is_lifted_and_the_rest_hangs():
    low = grip_height("pinch-03")
    held = Tool("pinch-03", Servo(np.array([20.0, 20, 20, 1])), np.array([-0.1, 0, ROPE.radius - low, 0]))
    found = record(Physics(scene(ROPE, tool=held, held=0)), lambda: np.array([0, 0, 0.02, 0]), 15)
    assert np.abs(found.points[-1, 0] - found.joints[-1, :3] - np.array([0, 0, low])).max() < 2e-3
    assert found.points[-1, 0, 2] == pytest.approx(0.3 + ROPE.radius, abs=5e-3)
    stretched = lengths(ROPE, found.points) / 0.02
    assert 0.98 < stretched.min() < stretched.max() < 1.02
    inside = np.abs(found.points[-1, 0] - found.joints[-1, :3]) < np.abs(tool("pinch-03").hull).max(0)
    assert inside.all()


@pytest.mark.parametrize("kind", shapes.KINDS)
def test_families_are_sound(kind):
    config = replace(DEFORMABLE[kind], seconds=0.8)
    for split, number in (("train", 1), ("test_heldout", 2), ("test_outside", 3)):
        found, _ = episode(config, split, 0, number)
        assert fault(found) is None
        assert found.points.shape == (9, len(found.scene.shape.points), 3)
        again, _ = episode(config, split, 0, number)
        assert (again.points == found.points).all()
    moved = [episode(config, "train", 0, k)[0].moved() for k in range(3)]
    assert np.median(moved) > 0.01


def test_broken_episodes_are_told():
    found, _ = episode(replace(DEFORMABLE["rope"], seconds=0.2), "train", 0, 0)
    away, torn = found.points.copy(), found.points.copy()
    away[-1, :, 0] += 2.0
    torn[-1, 0] += (0, 0, 0.05)
    for changed, reason in (
        ({"points": away}, "lost"),
        ({"points": torn}, "stretched"),
        ({"points": away * np.nan}, "exploded"),
        ({"velocities": found.velocities + 20}, "exploded"),
        ({"penetration": found.penetration + 0.02}, "sunk"),
    ):
        assert fault(replace(found, **changed)) == reason


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("episodes") / "rope"
    generate(replace(DEFORMABLE["rope"], seconds=0.5, obstacle=0.6), path, count=5, seed=3, shard=2)
    return path


def test_what_was_simulated_is_loaded(folder):
    found = load_node_episodes(folder)
    assert len(found) == 5
    for number in range(5):
        truth, _ = episode(replace(DEFORMABLE["rope"], seconds=0.5, obstacle=0.6), "train", 3, number)
        shape, count = truth.scene.shape, len(truth.scene.shape.points)
        assert int(found.mask[number].sum()) == count
        assert np.allclose(found.points[number, :, :count], truth.points, atol=1e-6)
        assert not bool(found.points[number, :, count:].any())
        edges = found.edges[number]
        assert np.array_equal(edges[edges[:, 0] >= 0], shape.edges)
        assert float(found.truth.mass[number]) == pytest.approx(truth.scene.parameters.mass)
        assert int(found.held[number]) == (-1 if truth.scene.held is None else truth.scene.held)
        if truth.scene.tool:
            name = found.tools[int(found.tool_ids[number])]
            assert name == truth.scene.tool.name
            assert load_shape(folder, name, kind="tools").kind == "robot"
        if truth.scene.obstacles:
            assert found.obstacles[int(found.obstacle_ids[number])] == truth.scene.obstacles[0]
    assert found[torch.tensor([1, 3])].truth.mass.shape == (2,)


def test_rerun_with_the_truth_and_without(folder):
    found = load_node_episodes(folder)
    number = int((found.points[:, -1] - found.points[:, 0]).norm(dim=-1).amax(1).argmax())
    start = redraw.scene_at(found, number, 1)
    truth = found.points[number, 1:, : len(start.points)].numpy()

    def error(knowledge):
        known = redraw.with_knowledge(start, knowledge, DEFORMABLE["rope"].ranges, seed=1)
        return np.abs(redraw.rerun(known, found.actions[number, 1:]).points - truth).max()

    assert error("true") < 1e-3
    assert error("redrawn") > error("true")
    assert error("mean") > error("true")
    with pytest.raises(InputError, match="scene_at"):
        redraw.scene_at(found, 99)


def test_one_kind_is_not_read_as_the_other(folder, tmp_path):
    with pytest.raises(InputError, match="load_node_episodes"):
        load_episodes(folder)
    generate(replace(FAMILIES["slide"], seconds=0.2, shapes=("box",)), tmp_path / "slide", count=1)
    with pytest.raises(InputError, match="use load_episodes"):
        load_node_episodes(tmp_path / "slide")


def test_the_command_line_knows_them(tmp_path, capsys):
    file = tmp_path / "scene.yaml"
    file.write_text("family: cloth\nseconds: 0.2\nmotions: [0, 1, 0]\nranges: {friction: [0.5, 0.5]}\n")
    assert main(["simulate", str(file), "-o", str(tmp_path / "e"), "--count", "1", "--json"]) == DONE
    assert json.loads(capsys.readouterr().out)["figures"]["episodes"] == 1
    found = load_node_episodes(tmp_path / "e")
    assert float(found.truth.table_friction[0]) == 0.5
    assert int(found.held[0]) >= 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("family: rope\nmotions: [0.5, 0.5]", "motions"),
        ("family: rope\nmotions: [0.5, 0.5, 0.5]", "sum to 1"),
        ("family: rope\ntools: [hammer]", "no family 'hammer'"),
        ("family: cloth\nspeed: [0.3, 0.1]", r"expected \[least, most\]"),
        ("family: soft\nbodies: [1, 2]", "no option 'bodies'"),
    ],
)
def test_nonsense_is_refused(tmp_path, text, message):
    file = tmp_path / "scene.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        family_config(file)


@pytest.mark.parametrize("kind", shapes.KINDS)
def test_episodes_become_worlds(kind, tmp_path):
    config = replace(DEFORMABLE[kind], seconds=0.3, motions=(1.0, 0.0, 0.0), obstacle=1.0)
    generate(config, tmp_path / "e", count=1, seed=5)
    found = load_node_episodes(tmp_path / "e")
    world, rollout = to_world(tmp_path / "e", found, 0, splats=300)
    count = int(found.mask[0].sum())
    assert rollout.states.nodes.shape == (4, count, 7)
    assert torch.equal(rollout.states.nodes[0], world.rest_nodes)
    frames = world_frames(world, rollout.states[0])
    assert bool((frames == torch.tensor([0, 0, 0, 1.0, 0, 0, 0])).all())
    own = world.splats.body_ids == len(world.bodies) - 1
    hung = world.skin.indices[own][world.skin.weights[own] > 0]
    assert int(hung.min()) >= len(world.bodies)
    assert int(hung.max()) < len(world.bodies) + count
    means = world.splats.means[own].double()
    nearest = torch.cdist(means, rollout.states.nodes[0, :, :3]).amin(1)
    assert float(nearest.max()) < 0.03
    assert float(means[:, 2].min()) > -1e-3
    with pytest.raises(InputError, match="to_world"):
        to_world(tmp_path / "e", found, 1)
