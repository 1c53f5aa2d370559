import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from splatworld.core.checks import FormatError, InputError
from splatworld.episodes import MAX_BODIES, SUBSTATES, TABLE, TOOL, load_episodes, load_shape
from splatworld.geometry.mesh import volume
from splatworld.simulate.episodes import redraw, shapes
from splatworld.simulate.episodes.configs import family_config
from splatworld.simulate.episodes.families import FAMILIES
from splatworld.simulate.episodes.generate import episode, generate

CONFIG = replace(FAMILIES["push"], bodies=(1, 3), seconds=0.4, shapes=("box", "L", "T"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("episodes") / "push"
    generate(CONFIG, path, count=5, seed=3, shard=2)
    return path


def same(a, b):
    for name, value in vars(a).items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, getattr(b, name)), name


def test_what_was_simulated_is_loaded(folder):
    found = load_episodes(folder)
    assert len(found) == 5
    assert found.poses.shape == (5, 4 * SUBSTATES + 1, MAX_BODIES, 7)
    assert found.impulses.shape == (5, 4, MAX_BODIES + 2, MAX_BODIES + 2)
    assert torch.equal(found.impulses, found.impulses.transpose(-1, -2))
    for number in range(5):
        truth, _ = episode(CONFIG, "train", 3, number)
        count = len(truth.scene)
        assert int(found.mask[number].sum()) == count
        assert tuple(found.shapes[k] for k in found.shape_ids[number, :count]) == truth.scene.shapes
        assert found.tools[found.tool_ids[number]] == truth.scene.tool.name
        assert np.allclose(found.poses[number, :, :count], truth.poses, atol=1e-7)
        assert np.allclose(found.truth.mass[number, :count], truth.scene.parameters.mass)
        assert np.allclose(found.actions[number], truth.actions)
        touched = {frozenset(pair) for _, *pair in truth.contacts.tolist()}
        rows = found.impulses[number].sum(0).nonzero().tolist()
        back = {TABLE: -1, TOOL: -2}
        assert {frozenset(back.get(k, k) for k in row) for row in rows} <= touched
    assert (found.poses[~found.mask[:, None].expand(-1, 21, -1)][:, 3] == 1).all()


def test_shapes_come_along(folder):
    found = load_episodes(folder)
    body = load_shape(folder, found.shapes[0])
    solid = shapes.shape(found.shapes[0])
    assert body.mass == solid.volume == pytest.approx(volume(body.mesh))
    assert len(body.parts) in (0, len(solid.parts))
    assert load_shape(folder, found.tools[0], kind="tools").kind == "robot"
    with pytest.raises(InputError, match="no such shape"):
        load_shape(folder, "box-999")


@pytest.mark.slow
def test_the_number_of_processes_does_not_matter(folder, tmp_path):
    generate(CONFIG, tmp_path / "two", count=5, seed=3, shard=2, workers=2)
    same(load_episodes(folder), load_episodes(tmp_path / "two"))


def test_an_interrupted_generation_goes_on(folder, tmp_path):
    def interrupt(done, total):
        if done >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(CONFIG, tmp_path / "e", count=5, seed=3, shard=2, progress=interrupt)
    half = load_episodes(tmp_path / "e")
    assert len(half) == 2
    kept = (tmp_path / "e/shards/00000.safetensors").stat().st_mtime_ns
    document = generate(CONFIG, tmp_path / "e", count=5, seed=3, shard=2)
    assert document["complete"]
    assert (tmp_path / "e/shards/00000.safetensors").stat().st_mtime_ns == kept
    same(load_episodes(folder), load_episodes(tmp_path / "e"))


def test_other_things_in_the_way_stay(folder, tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(InputError, match="something else is there"):
        generate(CONFIG, tmp_path, count=1)
    assert (tmp_path / "note.txt").read_text() == "mine"
    with pytest.raises(InputError, match="episodes of another seed"):
        generate(CONFIG, folder, count=5, seed=4, shard=2)


def test_damage_is_named(folder, tmp_path):
    generate(CONFIG, tmp_path / "e", count=1, seed=3)
    shard = tmp_path / "e/shards/00000.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(FormatError, match=r"00000.*damaged"):
        load_episodes(tmp_path / "e")
    shard.unlink()
    with pytest.raises(FormatError, match=r"00000.*missing"):
        load_episodes(tmp_path / "e")
    file = tmp_path / "e/episodes.json"
    document = json.loads(file.read_text())
    file.write_text(json.dumps({**document, "schema": 99}))
    with pytest.raises(FormatError, match="schema 99"):
        load_episodes(tmp_path / "e")
    file.write_text("{")
    with pytest.raises(FormatError, match="not JSON"):
        load_episodes(tmp_path / "e")
    with pytest.raises(InputError, match="no episodes"):
        load_episodes(tmp_path / "nothing")


def test_rerun_with_the_truth_and_without(folder):
    found = load_episodes(folder)
    moved = (found.poses[:, -1, :, :3] - found.poses[:, 0, :, :3]).norm(dim=-1).amax(1)
    number = int(moved.argmax())
    scene = redraw.scene_at(found, number, 1)
    ranges = FAMILIES["push"].ranges
    truth = found.poses[number, SUBSTATES:, : len(scene)].numpy()

    def error(knowledge):
        again = redraw.rerun(redraw.with_knowledge(scene, knowledge, ranges, seed=1), found.actions[number, 1:])
        return np.abs(again.poses[..., :3] - truth[..., :3]).max()

    assert error("true") < 1e-3
    assert error("redrawn") > error("true")
    assert error("mean") > error("true")
    assert redraw.action_seconds(scene, found.actions[number, 1:]) > 0
    with pytest.raises(InputError, match="scene_at"):
        redraw.scene_at(found, 99)


def test_configs(tmp_path):
    file = tmp_path / "scene.yaml"
    file.write_text("family: push\nbodies: [1, 2]\nseconds: 1\nranges: {mass: [0.1, 0.2]}\nshapes: [T]\n")
    config = family_config(file)
    assert (config.bodies, config.seconds, config.ranges.mass, config.shapes) == ((1, 2), 1.0, (0.1, 0.2), ("T",))
    assert config.ranges.friction == FAMILIES["push"].ranges.friction


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("family: fly", "expected 'family:'"),
        ("family: push\nspeeed: 1", "no option 'speeed'"),
        ("family: push\nbodies: [1, 20]", "at most 8"),
        ("family: push\nbodies: [3, 1]", r"expected \[least, most\]"),
        ("family: push\nshapes: []", "expected the like"),
        ("family: push\nshapes: [U]", "no family 'U'"),
        ("family: push\nranges: {mass: [-1, 1]}", "both above 0"),
        ("family: push\nseconds: .nan", "seconds is nan"),
        (": [", "not YAML"),
    ],
)
def test_bad_configs_are_refused(tmp_path, text, message):
    file = tmp_path / "scene.yaml"
    file.write_text(text)
    with pytest.raises((InputError, FormatError), match=message):
        family_config(file)
    with pytest.raises(InputError, match="no world, file or family"):
        family_config("pusch")


def test_the_verb(tmp_path, capsys):
    from splatworld.cli.main import main

    given = ["simulate", "slide", "-o", str(tmp_path / "e"), "--count", "2", "--json", "--quiet"]
    assert main(given) == 0
    assert json.loads(capsys.readouterr().out)["figures"]["episodes"] == 2
    assert main(["simulate", "slid", "-o", str(tmp_path / "e2")]) == 2
    assert "no world, file or family" in capsys.readouterr().err
    assert not (tmp_path / "e2").exists()
