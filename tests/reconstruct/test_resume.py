"""A run that was killed goes on to the bytes of one that was not."""

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch

from splatworld import store
from splatworld.capture.colmap import write_colmap
from splatworld.cli import main as command
from splatworld.core.checks import InputError
from splatworld.evaluate.robustness import fingerprint
from splatworld.files import lock_folder
from splatworld.reconstruct.config import FitConfig
from splatworld.reconstruct.fit import fit
from splatworld.reconstruct.work import WorkFolder, key_of, load_posed, save_posed
from splatworld.unfinished import Checkpoint, read_tensors, write_tensors
from tests.reconstruct.clips import filmed

QUICK = FitConfig(iterations=90, splats=900, relocate_every=20, sh_degree=1)


@pytest.fixture(scope="module")
def clip():
    return filmed()


@pytest.mark.parametrize("at", [1, 20, 47, 89])
def test_a_fit_that_was_stopped_ends_with_the_same_bytes(clip, tmp_path, at):
    whole = fit(clip, QUICK)
    asked = iter([False] * at + [True])
    fit(clip, QUICK, stop=lambda: next(asked), checkpoint=Checkpoint(tmp_path / "fit", "key"))
    said: list[str] = []
    resumed = fit(clip, QUICK, checkpoint=Checkpoint(tmp_path / "fit", "key", say=said.append))
    assert fingerprint(resumed) == fingerprint(whole)
    assert "goes on" in said[0]


def test_another_fit_is_not_resumed(clip, tmp_path):
    asked = iter([False] * 9 + [True])
    fit(clip, QUICK, stop=lambda: next(asked), checkpoint=Checkpoint(tmp_path / "fit", "one"))
    said: list[str] = []
    assert Checkpoint(tmp_path / "fit", "other", say=said.append).load() is None
    assert "starts anew" in said[0]


def test_a_damaged_checkpoint_is_not_read(tmp_path):
    file = tmp_path / "state"
    write_tensors(file, {"a": torch.arange(40.0), "none": torch.zeros(0, 3)}, key="k", values={"n": [1]})
    tensors, values = read_tensors(file, "k")
    assert torch.equal(tensors["a"], torch.arange(40.0))
    assert tensors["none"].shape == (0, 3)
    assert values == {"n": [1]}
    content = file.read_bytes()
    for cut in (0, 5, 40, len(content) - 1):
        file.write_bytes(content[:cut])
        assert read_tensors(file, "k") is None
    for place in range(0, len(content), 7):
        file.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        assert read_tensors(file, "k") is None
    assert read_tensors(tmp_path / "missing", "k") is None


def test_a_checkpoint_that_cannot_be_written_does_not_end_the_fit(clip, tmp_path):
    (tmp_path / "file").write_text("in the way")
    said: list[str] = []
    world = fit(clip, QUICK, checkpoint=Checkpoint(tmp_path / "file" / "fit", "key", every=0, say=said.append))
    assert fingerprint(world) == fingerprint(fit(clip, QUICK))
    assert "could not be resumed" in said[0]


def test_posed_frames_come_back_as_they_were(clip, tmp_path):
    masks = torch.rand(clip.clip.images.shape[:3]) > 0.2
    depths = torch.rand(clip.clip.images.shape[:3])
    posed = replace(clip, clip=replace(clip.clip, masks=masks, depths=depths), notes=("a",), metrics={"x": 0.1})
    save_posed(posed, tmp_path, "k")
    found = load_posed(tmp_path, "k")
    for name in ("images", "masks", "depths", "times", "held_out", "names"):
        assert repr(getattr(found.clip, name)) == repr(getattr(posed.clip, name))
    for name in ("points", "colors", "tracks"):
        assert torch.equal(getattr(found, name), getattr(posed, name))
    assert (found.notes, found.metrics, found.unplaced) == (posed.notes, posed.metrics, posed.unplaced)
    for a, b in zip(found.cameras, posed.cameras, strict=True):
        assert torch.equal(a.world_from_camera, b.world_from_camera)
        assert a.size == b.size
    assert load_posed(tmp_path, "other") is None
    content = bytearray((tmp_path / "images.npy").read_bytes())
    content[-1] ^= 1
    (tmp_path / "images.npy").write_bytes(content)
    assert load_posed(tmp_path, "k") is None


def test_one_process_works_in_the_folder_at_a_time(clip, tmp_path):
    with WorkFolder(tmp_path / "w") as work:
        work.posed("k", lambda: clip)
        with pytest.raises(InputError, match="another process"):
            lock_folder(work.path, work.path)
    os.close(lock_folder(work.path, work.path))


def test_threads_are_no_reason_to_start_anew():
    assert key_of("a", QUICK) == key_of("a", replace(QUICK, threads=3))
    assert key_of("a", QUICK) != key_of("a", replace(QUICK, seed=3))
    assert key_of("a", QUICK) != key_of("b", QUICK)


def test_a_killed_run_goes_on_to_the_same_bytes(clip, tmp_path):
    """`kill -9` at random moments, until a run gets through; at no moment is there a broken world."""
    write_colmap(clip, tmp_path / "capture")
    options = ["reconstruct", str(tmp_path / "capture"), "--iterations", "400", "--splats", "900", "--quiet", "-o"]
    assert command.main([*options, str(tmp_path / "whole")]) == 0
    world = tmp_path / "world"
    again = [sys.executable, "-m", "splatworld.cli.main", *options, str(world), "--checkpoint-every", "0.05"]
    moments = random.Random(1)
    for _ in range(3):
        process = subprocess.Popen(again, stdout=subprocess.DEVNULL)
        begin = time.monotonic()
        while not world.with_name("world.partial").exists() and time.monotonic() - begin < 60:
            time.sleep(0.02)
        time.sleep(moments.uniform(0, 1))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if world.exists():
            store.load_world(world)
            break
    if not world.exists():
        subprocess.run(again, check=True, stdout=subprocess.DEVNULL)
    assert store.world_id(world) == store.world_id(tmp_path / "whole")
