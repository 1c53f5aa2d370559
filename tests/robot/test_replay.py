"""Recorded pushes: read from other programs' files, sampled, and played into a world."""

import json

import numpy as np
import pytest
import torch

from splatworld.cli.main import main
from splatworld.core.checks import FormatError, InputError
from splatworld.core.world import rest_state
from splatworld.dynamics.predict import predict
from splatworld.recordings import load_rollout
from splatworld.robot.replay import replay
from splatworld.robot.tracks import Tracks, read_tracks
from splatworld.store import save_world, world_id
from tests.dynamics.scenes import at, blocks, lively_model, push

HALF = 0.025


@pytest.fixture(scope="module")
def world():
    return blocks(at(0, 0, HALF), at(0.3, 0.2, HALF, yaw=0.4), tool=at(-0.052, 0.01, 0.005))


@pytest.fixture(scope="module")
def pushed(world):
    """A prediction stands for what truly happened."""
    return predict(world, rest_state(world), push(0.01, steps=8), model=lively_model())


def recorded(world, rollout, rate=30.0):
    """Poses at another rate than ours, straight between the states."""
    times = np.arange(0, 0.8 + 1e-9, 1 / rate)
    known = 0.1 * np.arange(9)
    found = {}
    for name, index in (("tool", world.robot.tool), ("block 0", 1)):
        poses = rollout.states.world_from_body[:, index].numpy()
        found[name] = np.stack([np.interp(times, known, column) for column in poses.T], axis=-1)
        found[name][:, 3:] /= np.linalg.norm(found[name][:, 3:], axis=-1, keepdims=True)
    return times, found


def write_csv(path, times, poses):
    axes = ("x", "y", "z", "qw", "qx", "qy", "qz")
    header = ["time", *(f"{name}.{axis}" for name in poses for axis in axes)]
    rows = np.column_stack([times, *poses.values()])
    path.write_text("\n".join([",".join(header), *(",".join(f"{v:.9g}" for v in row) for row in rows)]) + "\n")


@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_a_recording_becomes_a_rollout(world, pushed, tmp_path, kind):
    times, poses = recorded(world, pushed)
    path = tmp_path / f"push.{kind}"
    if kind == "csv":
        write_csv(path, times, poses)
    else:
        np.savez(path, time=times, **poses)
    found = replay(world, read_tracks(path))
    assert found.actions.shape == (8, 6)
    assert found.world_id == world_id(world)
    gap = (found.states.world_from_body[:, 1:] - pushed.states.world_from_body[:, 1:]).abs()
    assert float(gap.max()) < 1e-3
    torch.testing.assert_close(found.actions[:, 0], torch.full((8,), 0.01).double(), atol=1e-6, rtol=0)
    assert float(found.states.twists[4, world.robot.tool, 0]) == pytest.approx(0.1, abs=1e-4)
    assert torch.equal(found.states.world_from_body[:, 2], world.bodies[2].rest_pose.expand(9, 7))
    assert float(found.states.time[-1]) == pytest.approx(0.8)


def test_what_moves_on_a_plane_keeps_its_height(world):
    times = np.linspace(0, 1, 21)
    tracks = Tracks(
        times,
        {
            "tool": np.column_stack([times - 0.5, 0 * times, 0 * times]),
            "block 1": np.column_stack([0.3 + 0.1 * times, 0.2 + 0 * times, 0.4 + times]),
        },
    )
    found = replay(world, tracks).states
    torch.testing.assert_close(found.world_from_body[0, 2], world.bodies[2].rest_pose)
    torch.testing.assert_close(found.world_from_body[10, 2], at(0.4, 0.2, HALF, yaw=1.4))
    assert float(found.world_from_body[:, world.robot.tool, 2].std()) == 0
    torch.testing.assert_close(found.twists[5, 2], torch.tensor([0.1, 0, 0, 0, 0, 1.0]).double())


def test_only_the_motion_may_be_taken(world):
    """A marker on the body was recorded, a hand's breadth from its centre and turned."""
    times = np.linspace(0, 0.5, 6)
    shown = np.tile(np.array([0.1, 0, 0.3, 0.5, 0.5, 0.5, 0.5]), (6, 1))
    shown[:, 0] += 0.1 * times
    tool = np.tile(np.array([-0.2, 0, 0.01, 1, 0, 0, 0]), (6, 1))
    found = replay(world, Tracks(times, {"tool": tool, "block 0": shown}), relative=True).states
    torch.testing.assert_close(found.world_from_body[0, 1], world.bodies[1].rest_pose)
    assert float(found.world_from_body[5, 1, 0]) == pytest.approx(0.05)


def test_a_lerobot_data_set_is_read(world, pushed, tmp_path):
    arrow = pytest.importorskip("pyarrow", reason="LeRobot data sets need the extra 'lerobot'")
    parquet = pytest.importorskip("pyarrow.parquet")
    times, poses = recorded(world, pushed, rate=20.0)
    (tmp_path / "meta").mkdir()
    features = {
        "observation.state": {"dtype": "float32", "shape": [7]},
        "observation.environment_state": {"dtype": "float32", "shape": [9]},
        "timestamp": {"dtype": "float32", "shape": [1]},
    }
    (tmp_path / "meta" / "info.json").write_text(json.dumps({"codebase_version": "v2.1", "features": features}))
    for episode in (0, 1):
        shift = 0.0 if episode else 1.0
        file = tmp_path / "data" / "chunk-000" / f"episode_{episode:06d}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        around = np.pad(poses["block 0"] + shift, ((0, 0), (1, 1)))
        columns = {
            "observation.state": (poses["tool"]).tolist(),
            "observation.environment_state": around.tolist(),
            "timestamp": times.astype(np.float32),
            "episode_index": np.full(len(times), episode),
        }
        parquet.write_table(arrow.table(columns), file)
    columns = ("tool=observation.state", "block 0=observation.environment_state[1:8]")
    found = replay(world, read_tracks(tmp_path, columns=columns, episode=1))
    gap = (found.states.world_from_body[:, 1] - pushed.states.world_from_body[:, 1]).abs()
    assert float(gap.max()) < 1e-3
    with pytest.raises(InputError, match=r"it has observation.state \[7\]"):
        read_tracks(tmp_path)
    with pytest.raises(InputError, match="no episode 7"):
        read_tracks(tmp_path, columns=columns, episode=7)
    with pytest.raises(InputError, match="no columns 'tool=action'"):
        read_tracks(tmp_path, columns=("tool=action",))
    with pytest.raises(InputError, match="are 9 of 9 numbers, expected 7 or 3"):
        read_tracks(tmp_path, columns=("tool=observation.environment_state",))
    file.write_bytes(b"PAR1 not really")
    with pytest.raises(FormatError, match="cannot be read"):
        read_tracks(tmp_path, columns=columns)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "lacks a column 'time'"),
        ("time,tool.x\n0,1\n", "tool has neither all of"),
        ("time,tool.x,tool.y,tool.yaw\n0,1\n", "row 2 has 2 cells"),
        ("time,tool.x,tool.y,tool.yaw\n0,1,2,x\n", "row 2 is no row of numbers"),
        ("time,tool.x,tool.y,tool.yaw\n0,1,2,0\n", "two or more moments"),
        ("time,tool.x,tool.y,tool.yaw\n0,1,2,0\n0,1,2,0\n", "does not increase at moment 1"),
        ("time,tool.x,tool.y,tool.yaw\n0,1,2,0\n1,nan,2,0\n", "tool is not finite at moment 1"),
        ("time,tool.x,tool.y,tool.yaw\n0,1,2,0\n1,300,2,0\n", "expected metres"),
        ("time\n0\n1\n", "holds no poses"),
        (
            "time,t.x,t.y,t.z,t.qw,t.qx,t.qy,t.qz\n0,0,0,0,1,0,0,0\n1,0,0,0,0,0,0,0\n",
            "quaternion of length 0 at moment 1",
        ),
    ],
)
def test_tables_that_make_no_sense_are_refused(tmp_path, content, message):
    path = tmp_path / "push.csv"
    path.write_text(content)
    with pytest.raises((InputError, FormatError), match=message):
        read_tracks(path)


def test_files_that_are_none_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_tracks(tmp_path / "no.csv")
    (tmp_path / "push.bag").write_bytes(b"x")
    with pytest.raises(InputError, match=r"expected .csv, .npz"):
        read_tracks(tmp_path / "push.bag")
    (tmp_path / "push.npz").write_bytes(b"PK no archive")
    with pytest.raises(FormatError, match="cannot be read"):
        read_tracks(tmp_path / "push.npz")
    with pytest.raises(InputError, match=r"no meta/info.json"):
        read_tracks(tmp_path)


def test_recordings_that_do_not_fit_the_world_are_refused(world):
    times = np.linspace(0, 1, 11)
    still = np.tile(np.array([-0.3, 0, 0.01, 1, 0, 0, 0]), (11, 1))
    with pytest.raises(InputError, match="expected poses of 'tool' too"):
        replay(world, Tracks(times, {"block 0": still}))
    with pytest.raises(InputError, match="no rigid body 'cup'"):
        replay(world, Tracks(times, {"tool": still, "cup": still}))
    with pytest.raises(InputError, match="the tool alone"):
        replay(world, Tracks(times, {"tool": still}))
    with pytest.raises(InputError, match=r"nothing was recorded for 0.9 s after 0.10 s"):
        replay(world, Tracks(times[[0, 1, 10]], {"tool": still[:3], "block 0": still[:3]}))
    with pytest.raises(InputError, match=r"lasts 0.05 s"):
        replay(world, Tracks(times[:2] / 2, {"tool": still[:2], "block 0": still[:2]}))
    with pytest.raises(InputError, match="no robot that is led by its tool"):
        replay(blocks(at(0, 0, HALF)), Tracks(times, {"tool": still, "block 0": still}))


def test_the_command_line_keeps_what_is_there(world, pushed, tmp_path, capsys):
    save_world(world, tmp_path / "desk")
    times, poses = recorded(world, pushed)
    write_csv(tmp_path / "push.csv", times, poses)
    call = [
        "import-pushes",
        str(tmp_path / "push.csv"),
        "--world",
        str(tmp_path / "desk"),
        "-o",
        str(tmp_path / "seen"),
    ]
    assert main([*call, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["actions"] == 8
    first = load_rollout(tmp_path / "seen")
    assert main(call) == 2
    assert "--overwrite" in capsys.readouterr().err
    (tmp_path / "push.csv").write_text("time\n")
    assert main([*call, "--overwrite"]) == 2
    assert torch.equal(load_rollout(tmp_path / "seen").states.world_from_body, first.states.world_from_body)
