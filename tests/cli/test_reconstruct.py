"""The verbs around a reconstruction: what they write, and what Ctrl-C leaves. Capture and fit are stand-ins here."""

import json
import os
import signal
from pathlib import Path

import cv2
import pytest
import torch

import splatworld.capture.load
import splatworld.capture.undistort
import splatworld.reconstruct.fit
from splatworld import store
from splatworld.bodies.build import build_bodies
from splatworld.capture.metric import to_metres
from splatworld.cli import main as command
from splatworld.core import pose
from splatworld.core.camera import Camera
from splatworld.core.clip import Clip, PosedClip
from splatworld.core.splats import from_points
from splatworld.core.world import World
from splatworld.evaluate import demo_world
from tests.worlds import assert_equal, make_world


def make_posed(count: int = 9) -> PosedClip:
    """Frames of a white dot from a camera that moves sideways."""
    cameras = tuple(
        Camera(
            focal=torch.full((2,), 300.0, dtype=torch.float64),
            center=torch.tensor([160.0, 120.0], dtype=torch.float64),
            size=(320, 240),
            world_from_camera=pose.look_at(*torch.tensor([[i * 0.05, -1, 0], [0, 0, 0], [0, 0, 1]]).double()),
        )
        for i in range(count)
    )
    images = torch.zeros(count, 240, 320, 3, dtype=torch.uint8)
    images[:, 110:130, 150:170] = 255
    clip = Clip(
        images, torch.arange(count) / 3, torch.arange(count) % 4 == 0, tuple(f"frame_{i:06d}" for i in range(count))
    )
    tracks = torch.tensor([[0, i] for i in range(count)])
    return PosedClip(
        clip, cameras, torch.zeros(1, 3).double(), torch.full((1, 3), 255).byte(), tracks, notes=("Fine.",)
    )


def make_fitted(posed: PosedClip) -> World:
    points, colors = posed.points.float(), posed.colors
    splats = from_points(points, colors, scale=torch.full((1,), 0.02), opacity=0.9)
    cameras = dict(zip(posed.clip.names, posed.cameras, strict=True))
    return World(splats, cameras=cameras, metrics={"psnr": 30.0}, scale=posed.scale, gravity=posed.gravity)


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch):
    """A capture and a fit that take no time; the fit runs `during` halfway."""
    during: list = []

    def fit(posed, config, *, progress, stop, checkpoint):
        for step in range(10):
            if during and step == 5:
                during[0]()
            if stop():
                break
            progress("fit", step + 1, 10)
        return make_fitted(posed)

    monkeypatch.setattr(splatworld.capture.load, "load_capture", lambda path, config, progress: make_posed())
    monkeypatch.setattr(splatworld.capture.undistort, "undistort", lambda posed: posed)
    monkeypatch.setattr(splatworld.reconstruct.fit, "fit", fit)
    return during


def run(*arguments: object) -> int:
    return command.main([str(argument) for argument in arguments])


def test_writes_a_world_with_its_capture(tmp_path, capsys):
    assert run("reconstruct", "video.mp4", "-o", tmp_path / "w", "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["splats"] == 1
    assert "Fine." in err
    assert "fit: 10 in" in err
    assert "nothing in view tells the scale" in err
    assert_equal(store.load_world(tmp_path / "w"), build_bodies(make_fitted(to_metres(make_posed()))))
    picture = cv2.imread(str(tmp_path / "w" / "capture" / "thumbnails" / "frame_000004.jpg"))
    assert picture.shape == (192, 256, 3)
    assert (tmp_path / "w" / "capture" / "sparse" / "0" / "cameras.bin").is_file()
    frames = json.loads((tmp_path / "w" / "capture" / "frames.json").read_text())["frames"]
    assert [frame["held_out"] for frame in frames] == [i % 4 == 0 for i in range(9)]


def test_the_same_capture_gives_the_same_bytes(tmp_path):
    found = []
    for name in ("a", "b"):
        assert run("reconstruct", "video.mp4", "-o", tmp_path / name, "--quiet") == 0
        folder: Path = tmp_path / name
        found.append({p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()})
    assert found[0] == found[1]


def test_quiet_says_nothing(tmp_path, capsys):
    assert run("reconstruct", "video.mp4", "-o", tmp_path / "w", "--quiet", "--json") == 0
    assert capsys.readouterr().err == ""


def test_ctrl_c_saves_the_world_so_far(tmp_path, capsys, stand_ins):
    presses = iter([signal.SIGINT])
    stand_ins.append(lambda: [os.kill(os.getpid(), press) for press in presses])
    before = signal.getsignal(signal.SIGINT)
    assert run("reconstruct", "video.mp4", "-o", tmp_path / "w", "--json") == 130
    out, err = capsys.readouterr()
    assert json.loads(out)["stopped_early"] is True
    assert "interrupted" in err
    assert len(store.load_world(tmp_path / "w").splats) == 1
    assert signal.getsignal(signal.SIGINT) is before
    assert run("reconstruct", "video.mp4", "-o", tmp_path / "w", "--overwrite") == 0
    assert "cameras taken from the unfinished run" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["w"]


def test_a_second_ctrl_c_gives_up_and_keeps_what_was_there(tmp_path, capsys, stand_ins):
    store.save_world(make_world(), tmp_path / "w")

    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    stand_ins.append(twice)
    assert run("reconstruct", "video.mp4", "-o", tmp_path / "w", "--overwrite") == 130
    assert "what was there before is unchanged" in capsys.readouterr().err
    assert_equal(store.load_world(tmp_path / "w"), make_world())
    assert sorted(os.listdir(tmp_path)) == ["w", "w.partial"]


def test_settings_are_checked_before_the_capture_is_looked_at(tmp_path, capsys):
    for option in (("--iterations", 0), ("--held-out-every", 1), ("--max-side", 3)):
        assert run("reconstruct", "video.mp4", "-o", tmp_path / "w", *option) == 2
        assert option[0].strip("-").replace("-", "_") in capsys.readouterr().err


def test_the_demo_writes_a_page_that_needs_no_other_file(tmp_path, capsys, monkeypatch):
    """Nothing tells the scale of a dot, so that nothing can be pushed; the report says so and shows the rest."""
    monkeypatch.setattr(demo_world, "FLIGHT_SECONDS", 1)
    folder, video = tmp_path / "demo", tmp_path / "video.mp4"
    video.write_bytes(b"stands for a video")
    for taken in (False, True):
        assert run("demo", "--video", video, "-o", folder, "--json") == 0
        out, err = capsys.readouterr()
        data = json.loads(out)
        assert ("world: taken from an earlier run" in err) == taken
    assert list(data["failed"]) == ["A push, predicted", "A plan, carried out", "What is left alone stays"]
    page = Path(data["page"]).read_text()
    assert page.count("data:image/jpeg;base64,") == 10  # 3 held-out frames, 3 pictures each, and the coverage
    assert page.count("data:video/mp4;base64,") == 1
    assert page.count(" dB</b>") == 3
    assert page.count("no bodies were told apart") == 3
    assert "$" not in page
    assert (folder / "flight.mp4").stat().st_size > 1000
    assert len(list((folder / "held_out").iterdir())) == 9
    assert (folder / "play.html").stat().st_size > 10_000
    store.load_world(folder / "world")


def test_render_writes_pictures_depth_and_bodies(tmp_path, capsys):
    store.save_world(make_fitted(make_posed()), tmp_path / "w")
    options = ("--camera", "frame_000000", "--camera", "frame_000003", "--depth", "--body-ids", "--max-side", 160)
    assert run("render", tmp_path / "w", "-o", tmp_path / "out", "--json", *options) == 0
    assert len(json.loads(capsys.readouterr().out)["files"]) == 6
    read = {kind: cv2.imread(str(tmp_path / "out" / f"frame_000000{kind}.png"), -1) for kind in ("", "_depth", "_body")}
    assert read[""].shape == (120, 160, 3)
    assert read[""][60, 80].min() > 200
    assert abs(int(read["_depth"][60, 80]) - 1000) < 20
    assert read["_body"][60, 80] == 1
    assert read["_body"][0, 0] == read["_depth"][0, 0] == 0


def test_a_known_length_sets_the_scale(tmp_path, capsys):
    """The white dot is 0.04 across in the capture's unit; its picture says so within a few percent."""
    posed = make_posed()
    splats = torch.cartesian_prod(torch.linspace(-0.3, 0.3, 40), torch.zeros(1), torch.linspace(-0.3, 0.3, 40))
    wall = from_points(splats, torch.full((1600, 3), 200).byte(), scale=torch.full((1600,), 0.01), opacity=0.95)
    posed_world = World(wall, cameras=dict(zip(posed.clip.names, posed.cameras, strict=True)))
    store.save_world(posed_world, tmp_path / "w")
    # The first camera stands 1 before the wall: 30 px of 300 are 0.1.
    length = ["--known-length", "0.2", "--camera", "frame_000000", "--pixels", "145", "120", "175", "120"]
    assert run("scale", tmp_path / "w", *length, "--json") == 0
    assert json.loads(capsys.readouterr().out)["factor"] == pytest.approx(2, rel=0.03)
    assert store.load_world(tmp_path / "w").scale.source == "known_length"


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (["0.1", "frame_9", "1", "2", "3", "4"], "FRAME is 'frame_9', expected one of"),
        (["-1", "frame_000001", "1", "2", "3", "4"], "--known-length is -1"),
        (["0.1", "frame_000001", "1", "2", "3000", "4"], "lies outside of the picture"),
        (["0.1", "frame_000001", "1", "2", "3", "4"], "shows no surface"),
    ],
)
def test_a_length_that_cannot_be_used_leaves_nothing(tmp_path, capsys, length, said):
    assert run("reconstruct", "video.mp4", "-o", tmp_path / "w", "--known-length", *length) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "w").exists()


def test_a_marker_size_is_checked_before_the_capture(tmp_path, capsys):
    assert run("reconstruct", "video.mp4", "-o", tmp_path / "w", "--marker-size", "0") == 2
    assert "the marker size is 0" in capsys.readouterr().err
