"""A world on disk is whole or absent, exact, and named when damaged."""

import errno
import json
import os
import shutil
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from splatworld import files, store
from splatworld.core.checks import FormatError, InputError
from splatworld.core.world import World
from tests.worlds import assert_equal, make_splats, make_world


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def thumbnails(folder: Path) -> None:
    (folder / "thumbnails").mkdir()
    (folder / "thumbnails" / "0.jpg").write_bytes(b"picture")


@pytest.fixture
def saved(tmp_path) -> Path:
    store.save_world(make_world(), tmp_path / "w", capture=thumbnails)
    return tmp_path / "w"


def test_round_trip_is_exact(saved):
    assert_equal(store.load_world(saved), make_world())
    plain = World(splats=make_splats(0))
    store.save_world(plain, saved.parent / "plain")
    assert_equal(store.load_world(saved.parent / "plain"), plain)


def test_same_world_same_bytes(saved, tmp_path):
    store.save_world(make_world(), tmp_path / "other", capture=thumbnails)
    assert contents(saved) == contents(tmp_path / "other")


def test_other_tools_can_open_it(saved):
    document = json.loads((saved / "world.json").read_text())
    assert document["schema"] == store.SCHEMA
    assert set(document["checksums"]) == set(contents(saved)) - {"world.json"}
    assert document["provenance"] == {"observed": 17, "completed": 17, "imported": 16}
    assert json.loads((saved / "metrics.json").read_text())["psnr"] == 27.25


def test_id_is_of_the_model_alone(saved, tmp_path):
    world = make_world()
    name = store.world_id(world)
    assert name == store.world_id(saved)
    assert name == store.save_world(replace(world, metrics={"psnr": float("inf")}), tmp_path / "b")
    assert name != store.world_id(replace(world, gravity=-world.gravity))
    assert name != store.world_id(make_world(seed=1))
    assert store.load_world(tmp_path / "b").metrics == {"psnr": None}


@pytest.mark.parametrize("name", ["splats.ply", "bodies/skin.safetensors", "metrics.json", "capture/thumbnails/0.jpg"])
def test_names_the_damaged_or_missing_file(saved, name):
    file = saved / name
    good = file.read_bytes()
    file.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(FormatError, match=f"{name}: damaged"):
        store.load_world(saved)
    file.unlink()
    with pytest.raises(FormatError, match=f"{name} is missing"):
        store.load_world(saved)


@pytest.mark.parametrize("edit", [lambda s: s[: len(s) // 2], lambda s: s.replace("9.81", "9.82"), lambda s: "[]"])
def test_notices_a_damaged_document(saved, edit):
    file = saved / "world.json"
    file.write_text(edit(file.read_text()))
    with pytest.raises(FormatError, match=r"world\.json: damaged"):
        store.load_world(saved)


def test_refuses_a_newer_schema(saved):
    file = saved / "world.json"
    file.write_text(file.read_text().replace('"schema": 1', '"schema": 99'))
    with pytest.raises(FormatError, match="schema 99, but this version of splatworld reads up to schema 1; update"):
        store.load_world(saved)


def test_refuses_what_is_no_world(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").write_text("years of work")
    (tmp_path / "file.ply").write_text("ply")
    with pytest.raises(InputError, match="no such world"):
        store.load_world(tmp_path / "missing")
    with pytest.raises(InputError, match="not a world"):
        store.load_world(tmp_path / "folder")
    with pytest.raises(InputError, match="splatworld import"):
        store.load_world(tmp_path / "file.ply")
    before = contents(tmp_path)
    for name in ("folder", "file.ply"):
        with pytest.raises(InputError, match="choose another path"):
            store.save_world(make_world(), tmp_path / name, overwrite=True)
    assert contents(tmp_path) == before


def test_overwrites_only_when_told(saved):
    other = make_world(seed=1)
    with pytest.raises(InputError, match="--overwrite"):
        store.save_world(other, saved)
    assert_equal(store.load_world(saved), make_world())
    store.save_world(other, saved, overwrite=True)
    assert_equal(store.load_world(saved), other)
    assert os.listdir(saved.parent) == ["w"]


def test_saving_again_keeps_capture_and_the_users_files(saved):
    (saved / "notes.txt").write_text("mine")
    (saved / "rollouts").mkdir()
    (saved / "rollouts" / "a.json").write_text("{}")
    world = replace(store.load_world(saved), rest_nodes=torch.zeros(0, 7, dtype=torch.float64))
    store.save_world(world, saved, overwrite=True)
    assert_equal(store.load_world(saved), world)
    kept = contents(saved)
    assert kept["capture/thumbnails/0.jpg"] == b"picture"
    assert kept["notes.txt"] == b"mine"
    assert "rollouts/a.json" in kept
    assert "bodies/nodes.safetensors" not in kept
    store.save_world(world, saved, overwrite=True, capture=lambda folder: None)
    assert "capture/thumbnails/0.jpg" not in contents(saved)


def test_capture_can_be_copied_along(saved, tmp_path):
    store.save_world(store.load_world(saved), tmp_path / "b", capture=store.copy_capture(saved))
    assert contents(saved) == contents(tmp_path / "b")


def test_an_empty_folder_may_be_filled(tmp_path):
    (tmp_path / "w").mkdir()
    store.save_world(make_world(), tmp_path / "w")
    assert_equal(store.load_world(tmp_path / "w"), make_world())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("nth", range(5))
def test_a_full_disk_leaves_the_old_world(saved, monkeypatch, nth, number):
    before = contents(saved.parent)
    write, calls = store.write_through, []

    def full(path, content):
        calls.append(path)
        if len(calls) > nth:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"half of")
            raise OSError(number, os.strerror(number))
        write(path, content)

    monkeypatch.setattr(store, "write_through", full)
    with pytest.raises(InputError, match="the disk is full"):
        store.save_world(make_world(seed=1), saved, overwrite=True)
    assert contents(saved.parent) == before


def test_a_file_that_the_system_cuts_off(tmp_path):
    """The real error, not a stand-in: the system lets no file grow beyond 20 kB."""
    script = """
        import resource, sys
        from splatworld import store
        from splatworld.core.checks import InputError
        from tests.worlds import make_world
        store.save_world(make_world(), sys.argv[1])
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        try:
            store.save_world(make_world(1, 500), sys.argv[1], overwrite=True)
        except InputError as error:
            print(error)
    """
    run = python(script, tmp_path / "w")
    assert "the disk is full" in run.stdout, run.stderr
    assert_equal(store.load_world(tmp_path / "w"), make_world())
    assert os.listdir(tmp_path) == ["w"]


def test_hardly_any_room_is_known_beforehand(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda path: usage._replace(free=2**20))
    with pytest.raises(InputError, match="1 MB left"):
        store.check_target(tmp_path / "deep" / "w", overwrite=False)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write here"):
        store.check_target(tmp_path / "file" / "w", overwrite=False)


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_killed_save_leaves_a_whole_world(saved, nth):
    """Dies at the first rename (old away), at the second (new in), and before tidying up."""
    script = f"""
        import os, shutil, sys
        from splatworld import files, store
        from tests.worlds import make_world
        calls = []
        def dying(act):
            def call(*args, **options):
                calls.append(act)
                if len(calls) == {nth}:
                    os._exit(9)
                return act(*args, **options)
            return call
        os.rename = dying(os.rename)
        shutil.rmtree = dying(shutil.rmtree)
        store.save_world(make_world(seed=1), sys.argv[1], overwrite=True)
    """
    assert python(script, saved).returncode == 9
    assert_equal(store.load_world(saved), make_world(seed=1 if nth == 3 else 0))
    with pytest.raises(InputError, match="--overwrite"):
        store.save_world(make_world(seed=2), saved)
    store.save_world(make_world(seed=2), saved, overwrite=True)
    assert_equal(store.load_world(saved), make_world(seed=2))
    assert os.listdir(saved.parent) == ["w"]
    assert "capture/thumbnails/0.jpg" in contents(saved)


def test_an_interrupt_leaves_the_old_world(saved):
    before = contents(saved.parent)

    def interrupted(folder: Path) -> None:
        thumbnails(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.save_world(make_world(seed=1), saved, overwrite=True, capture=interrupted)
    assert contents(saved.parent) == before


def test_two_saves_at_once(saved):
    def meanwhile(folder: Path) -> None:
        with pytest.raises(InputError, match="another process"):
            store.save_world(make_world(seed=2), saved, overwrite=True)

    store.save_world(make_world(seed=1), saved, overwrite=True, capture=meanwhile)
    assert_equal(store.load_world(saved), make_world(seed=1))


def test_refuses_numbers_that_are_not_finite(tmp_path):
    world = make_world()
    world.cameras["frame 2"].focal[0] = float("nan")
    with pytest.raises(InputError, match="finite"):
        store.save_world(world, tmp_path / "w")
    world = make_world()
    world.gravity[1] = float("inf")
    with pytest.raises(InputError, match="finite"):
        store.save_world(world, tmp_path / "w")
    assert list(tmp_path.iterdir()) == []


def test_write_file_replaces_or_leaves(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    files.write_file(path, "one")
    monkeypatch.setattr(files.os, "replace", lambda *a: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with pytest.raises(InputError, match="full"):
        files.write_file(path, "two")
    assert contents(tmp_path) == {"a.txt": b"one"}


def python(script: str, *arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    root = Path(__file__).parents[1]
    return subprocess.run(command, cwd=root, capture_output=True, text=True)
