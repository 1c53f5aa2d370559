"""`splatworld rollout`: predict, record, go on, look at it."""

import json
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from splatworld.cli.main import main
from splatworld.core.shape import DistanceGrid
from splatworld.dynamics.checkpoint import save_model
from splatworld.evaluate.tabletop import PUSHED, camera, index, tabletop
from splatworld.recordings import load_rollout
from splatworld.store import load_world, save_world
from tests.dynamics.scenes import lively_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("rollout")
    world = tabletop(splats=60)
    world.cameras["above"] = camera((-0.5, -0.4, 0.5), (0.0, 0.0, 0.0))
    save_world(world, path / "world")
    save_model(lively_model(), path / "model.safetensors")
    rows = np.zeros((6, 6))
    rows[:, 2] = -0.02
    np.save(path / "down.npy", rows)
    return path


def run(folder: Path, output: str, *options: str) -> int:
    given = [str(folder / o[1:]) if o.startswith("@") else o for o in options]
    command = ["rollout", str(folder / "world"), "-o", str(folder / output), "--quiet", "--json"]
    return main([*command, "--checkpoint", str(folder / "model.safetensors"), *given])


def test_left_alone_nothing_moves(folder, capsys):
    assert run(folder, "still", "--steps", "3") == 0
    assert json.loads(capsys.readouterr().out)["moved"] == []
    assert load_rollout(folder / "still").actions.shape == (3, 6)
    assert main(["info", str(folder / "still")]) == 0
    assert "0.3 s" in capsys.readouterr().out


def test_it_goes_on_where_another_ended(folder, capsys):
    assert run(folder, "first", "--actions", "@down.npy") == 0
    assert run(folder, "second", "--actions", "@down.npy", "--after", "@first", "--at", "2") == 0
    first, second = load_rollout(folder / "first"), load_rollout(folder / "second")
    assert torch.equal(second.states.world_from_body[0], first.states.world_from_body[2])
    assert torch.equal(second.states.world_from_body[3], first.states.world_from_body[5])
    capsys.readouterr()


def test_its_states_are_rendered(folder, capsys):
    assert run(folder, "seen", "--steps", "2") == 0
    pictures = ["render", str(folder / "world"), "-o", str(folder / "pictures"), "--rollout", str(folder / "seen")]
    assert main([*pictures, "--step", "0", "--step", "2"]) == 0
    assert sorted(p.name for p in (folder / "pictures").iterdir()) == ["above_000000.png", "above_000002.png"]
    assert main([*pictures, "--step", "3"]) == 2
    assert "expected 0 to 2" in capsys.readouterr().err


def test_a_video_shows_all_of_it(folder, capsys):
    rows = np.zeros((18, 6))
    rows[:10, 2], rows[10:, 0] = -0.0195, 0.02
    np.save(folder / "shown.npy", rows)
    assert run(folder, "shown", "--actions", "@shown.npy") == 0
    film = ["render", str(folder / "world"), "-o", str(folder / "films"), "--video", "--max-side", "64"]
    assert main([*film, "--rollout", str(folder / "shown")]) == 0
    with av.open(str(folder / "films" / "above.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
        assert float(container.streams.video[0].average_rate) == 30
    assert len(frames) == 18 * 3 + 1
    assert np.abs(frames[-1] - frames[0]).max() > 40
    capsys.readouterr()
    for wrong in (
        [],
        ["--rollout", str(folder / "shown"), "--step", "1"],
        ["--rollout", str(folder / "shown"), "--depth"],
    ):
        assert main([*film, *wrong]) == 2
        assert "--video goes with --rollout" in capsys.readouterr().err


def test_a_rough_background_can_be_left_out(folder, capsys):
    world = load_world(folder / "world")
    x = torch.linspace(-1, 1, 21)[:, None, None].expand(21, 21, 21).contiguous()
    wall = DistanceGrid(torch.full((3,), -1.0, dtype=torch.float64), 0.1, x + 0.18)  # 2 cm from the tool
    rough = replace(world.bodies[0], mesh=None, parts=(), grid=wall)
    save_world(replace(world, bodies=(rough, *world.bodies[1:])), folder / "rough")
    np.save(folder / "along.npy", np.tile([-0.01, 0, 0, 0, 0, 0], (6, 1)))
    command = ["rollout", str(folder / "rough"), "--actions", str(folder / "along.npy"), "--quiet", "--json"]
    command += ["--checkpoint", str(folder / "model.safetensors")]
    found = {}
    for name, options in (("held", []), ("free", ["--support-only"])):
        assert main([*command, "-o", str(folder / name), *options]) == 0
        found[name] = json.loads(capsys.readouterr().out)["blocked"]
    assert found["held"] > 0
    assert found["free"] == 0


def test_named_columns_come_in_any_order(folder, capsys):
    names = load_world(folder / "world").robot.action.names
    rows = [",".join(reversed(names)), *(["0,0,0,-0.02,0,0"] * 2)]
    (folder / "named.csv").write_text("\n".join(rows))
    assert run(folder, "named", "--actions", "@named.csv") == 0
    assert load_rollout(folder / "named").actions[0].tolist() == [0, 0, -0.02, 0, 0, 0]
    (folder / "plain.csv").write_text("0,0,-0.02,0,0,0\n")
    assert run(folder, "plain", "--actions", "@plain.csv") == 0
    capsys.readouterr()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "give --actions, or --steps"),
        (["--steps", "0"], "expected at least 1"),
        (["--steps", "1", "--at", "3"], "--at goes with --after"),
        (["--actions", "@nowhere.csv"], "no such file"),
        (["--actions", "@world"], "expected a file of actions"),
        (["--actions", "@far.npy"], "expected"),
        (["--actions", "@few.npy"], "expected [..., 6]"),
        (["--actions", "@nan.csv"], "expected finite numbers"),
        (["--actions", "@words.csv"], "no table of numbers"),
    ],
)
def test_bad_input_is_named_and_loses_nothing(folder, capsys, options, words):
    np.save(folder / "far.npy", np.full((2, 6), 5.0))
    np.save(folder / "few.npy", np.zeros((2, 5)))
    (folder / "nan.csv").write_text("nan,0,0,0,0,0\n")
    (folder / "words.csv").write_text("a,b\n")
    if not (folder / "kept").exists():
        assert run(folder, "kept", "--steps", "1") == 0
    capsys.readouterr()
    assert run(folder, "kept", *options, "--overwrite") == 2
    assert words in capsys.readouterr().err
    assert len(load_rollout(folder / "kept").actions) == 1


def test_a_recording_is_not_replaced_unasked(folder, capsys):
    assert run(folder, "mine", "--steps", "1") == 0
    assert run(folder, "mine", "--steps", "1") == 2
    assert "a rollout is there" in capsys.readouterr().err


def test_the_body_that_is_pushed_is_told(folder, capsys):
    world = load_world(folder / "world")
    rows = np.zeros((18, 6))
    rows[:10, 2], rows[10:, 0] = -0.0195, 0.02
    np.save(folder / "push.npy", rows)
    assert run(folder, "pushed", "--actions", "@push.npy") == 0
    told = json.loads(capsys.readouterr().out)["moved"]
    assert [row["body"] for row in told] == [PUSHED]
    way = load_rollout(folder / "pushed").states.world_from_body[:, index(world, PUSHED), 0]
    assert told[0]["moved"] == pytest.approx(float((way[-1] - way[0]).abs()), rel=0.5)
