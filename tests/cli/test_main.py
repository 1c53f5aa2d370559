"""The command line as a caller sees it: exit codes, one clear sentence, machine-readable results."""

import json
import re
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from splatworld import ply, store
from splatworld.cli import main as command
from splatworld.pictures import encode_image, encode_video
from tests.worlds import make_splats, make_world


@pytest.fixture
def world(tmp_path):
    store.save_world(make_world(), tmp_path / "w")
    return tmp_path / "w"


def test_help_lists_every_verb(capsys):
    for arguments in ([], ["--help"], ["-h"]):
        assert command.main(arguments) == 0
        out = capsys.readouterr().out
        assert all(verb in out for verb in command.VERBS)


@pytest.mark.parametrize("verb", list(command.VERBS))
def test_every_verb_has_help(capsys, verb):
    assert command.main([verb, "--help"]) == 0
    assert f"usage: splatworld {verb}" in capsys.readouterr().out


def test_help_is_quick_and_needs_no_torch():
    script = (
        "import sys, splatworld; from splatworld.cli.main import main; main(['--help']); "
        "assert not {'torch', 'numpy', 'cv2'} & set(sys.modules), 'heavy'"
    )

    def seconds() -> float:
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
        return time.perf_counter() - begin

    assert min(seconds() for _ in range(5)) < 0.5


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["recon"], "no verb 'recon' (did you mean 'reconstruct'?); see splatworld --help."),
        (["zzz"], "no verb 'zzz', expected one of reconstruct, "),
        (["--bogus"], "no option '--bogus'"),
        (["info", "--jsn", "x"], "info: no option '--jsn' (did you mean '--json'?); see splatworld info --help."),
        (["info"], "info: missing PATH; see"),
        (["info", "a", "b"], "info: unrecognized options: b; see"),
        (["reconstruct", "a"], "reconstruct: missing -o WORLD"),
        (["reconstruct", "a", "-o", "b", "--seed", "x"], "--seed: invalid literal for int() with base 10: 'x'; see"),
        (["reconstruct", "a", "-o", "b", "--iterations", "x"], "--iterations: x is not INT; see"),
        (["export", "w", "-o", "x", "--format", "doc"], "export: invalid choice 'doc' for argument '--format'"),
        (["eval", "speed"], "expected one of rasterizer, gpu, reconstruction"),
        (["eval", "rasterizer", "--quick", "--long"], "--quick and --long exclude each other"),
    ],
)
def test_a_wrong_command_line_gets_one_sentence(capsys, arguments, sentence):
    assert command.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert sentence in err


def test_info_of_a_world(world, capsys):
    assert command.main(["info", str(world), "--json"]) == 0
    out, _ = capsys.readouterr()
    data = json.loads(out)
    assert data["kind"] == "world"
    assert data["splats"] == 50
    assert data["id"] == store.world_id(world)
    assert [body["name"] for body in data["bodies"]] == ["background", "mug", "door", "rope", "hand", "finger"]
    assert data["unit"] == "m"
    assert command.main(["info", str(world)]) == 0
    out, _ = capsys.readouterr()
    assert re.search(r"mug +rigid, 17 splats", out)
    assert "from marker" in out


def test_import_says_that_lengths_are_capture_units(tmp_path, capsys):
    ply.write_splats(tmp_path / "a.ply", make_splats(9))
    assert command.main(["import", str(tmp_path / "a.ply"), "-o", str(tmp_path / "w")]) == 0
    capsys.readouterr()
    assert command.main(["info", str(tmp_path / "w")]) == 0
    assert "lengths are capture units" in capsys.readouterr().out
    assert command.main(["export", str(tmp_path / "w"), "-o", str(tmp_path / "b.ply"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["splats"] == 9
    assert command.main(["export", str(tmp_path / "w"), "-o", str(tmp_path / "b.ply")]) == 2
    assert command.main(["info", str(tmp_path / "b.ply")]) == 0


def test_our_own_fault_is_exit_1_with_a_traceback_only_on_demand(world, capsys, monkeypatch):
    def broken(path):
        raise RuntimeError("wheels came off")

    monkeypatch.setattr(store, "load_world", broken)
    assert command.main(["info", str(world)]) == 1
    err = capsys.readouterr().err
    assert err == (
        "splatworld: internal error, RuntimeError: wheels came off; run again with --debug for the traceback.\n"
    )
    assert command.main(["info", str(world), "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_is_exit_130(world, capsys, monkeypatch):
    def interrupted(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "load_world", interrupted)
    assert command.main(["info", str(world)]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_a_reader_that_leaves_is_no_error(world):
    run = subprocess.run(
        f"{sys.executable} -m splatworld.cli.main info {world} --json | true",
        shell=True,
        capture_output=True,
        text=True,
    )
    assert run.stderr == ""


def test_view_passes_its_options_on(world, capsys, monkeypatch):
    given = {}

    def serve(paths, *, ready, say, **options):
        given.update(options, paths=paths)
        say("port 8080 is taken")
        ready("http://127.0.0.1:9000")

    monkeypatch.setitem(sys.modules, "splatworld.viewer", SimpleNamespace(serve=serve))
    assert command.main(["view", str(world), "--port", "9000", "--no-browser", "--json"]) == 0
    assert given == {"paths": (world,), "host": "127.0.0.1", "port": 9000, "open_browser": False}
    out, err = capsys.readouterr()
    assert json.loads(out) == {"address": "http://127.0.0.1:9000"}
    assert "taken" in err


def test_eval_reports_a_missed_target_and_still_exits_0(tmp_path, capsys, monkeypatch):
    from splatworld.evaluate import suites
    from splatworld.evaluate.report import Report, line

    rows = [line("error", 6, "px", "<= 5", baseline="peer 7"), line("speed", None, "ms")]
    suite = SimpleNamespace(run=lambda *, quick, long, progress: Report("fake", rows))
    monkeypatch.setitem(sys.modules, "fake_suite", suite)
    monkeypatch.setitem(suites.SUITES, "fake", "fake_suite")
    assert command.main(["eval", "fake", "--quick", "--json", "-o", str(tmp_path / "r.json")]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data == json.loads((tmp_path / "r.json").read_text())
    assert set(data) == {"suite", "device", "threads", "commit", "lines"}
    assert data["lines"][0]["met"] is False
    assert command.main(["eval", "fake"]) == 0
    out = capsys.readouterr().out
    assert "NO" in out
    assert "not measured" in out


def test_info_of_captures(tmp_path, capsys):
    grey = np.full((48, 64, 3), 128, np.uint8)
    (tmp_path / "a.mp4").write_bytes(encode_video([grey] * 30))
    (tmp_path / "frames").mkdir()
    for name in ("a.png", "b.png", "notes.txt"):
        (tmp_path / "frames" / name).write_bytes(encode_image(grey))
    (tmp_path / "scene").mkdir()
    (tmp_path / "scene" / "transforms.json").write_text('{"frames": [{}, {}, {}]}')
    found = []
    for name in ("a.mp4", "frames", "scene"):
        assert command.main(["info", str(tmp_path / name), "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out))
    video, images, scene = found
    assert (video["kind"], video["frames"], video["size"]) == ("video", 30, [64, 48])
    assert (images["kind"], images["images"]) == ("images capture", 2)
    assert (scene["kind"], scene["images"]) == ("nerfstudio capture", 3)
    assert command.main(["info", str(tmp_path / "a.mp4")]) == 0
    assert "64 x 48 px" in capsys.readouterr().out
    (tmp_path / "scene" / "transforms.json").write_text("{")
    assert command.main(["info", str(tmp_path / "scene")]) == 2
    assert command.main(["info", str(tmp_path)]) == 2
