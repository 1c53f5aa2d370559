"""What must hold whatever happens to a reconstruction: threads, instruction sets, kills, and videos of ten minutes."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from splatworld import native, store
from splatworld.capture.colmap import write_colmap
from splatworld.capture.resample import resize_posed
from splatworld.core.checks import InputError
from splatworld.core.clip import PosedClip
from splatworld.core.world import World
from splatworld.evaluate.report import Line, line
from splatworld.reconstruct.config import FitConfig
from splatworld.reconstruct.fit import fit
from splatworld.reconstruct.work import load_posed, save_posed

SMALL = (320, 180)
"""Px of the frames of these fits: they show that something holds, not how good it is."""
BRIEF: dict[str, Any] = {"iterations": 300, "splats": 5000}
"""Options of these fits."""
KILLS = 20
MINUTES, SIZE, FPS = 10, (1920, 1080), 30
"""The long video."""
MEASURED = (
    "import resource, sys; from splatworld.cli.main import main; code = main(sys.argv[1:]); "
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss); sys.exit(code)"
)


def same_lines(posed: PosedClip, say: Callable[[str], object]) -> list[Line]:
    """Whether threads and instruction sets change a world; `posed` is shrunk first."""
    small = resize_posed(posed, SMALL)
    say("small fits on 1 and 2 threads")
    config = FitConfig(**BRIEF)
    one, two = (fingerprint(fit(small, replace(config, threads=threads))) for threads in (1, 2))
    lines = [line("same clip and seed: byte-identical for 1 and 2 threads", float(one == two), "", "== 1")]
    name = "AVX2 against AVX-512: largest PSNR difference of a held-out frame"
    if native.level() != "v4":
        return [*lines, line(f"{name}: not measured, no AVX-512 here", None, "dB")]
    say("small fits with AVX2 and with AVX-512")
    with tempfile.TemporaryDirectory() as folder:
        save_posed(small, Path(folder), "levels")
        scores = {level: _scores_at(level, folder) for level in ("v3", "v4")}
    apart = max(abs(scores["v3"][frame] - scores["v4"][frame]) for frame in scores["v3"])
    return [*lines, line(name, apart, "dB")]


def killed_line(posed: PosedClip, say: Callable[[str], object]) -> Line:
    """`kill -9` at random moments of a whole run; the share that went on to the bytes of an undisturbed one."""
    chance, good = random.Random(0), 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_colmap(resize_posed(posed, SMALL), folder / "capture")
        options = [f"--{name}={value}" for name, value in BRIEF.items()] + ["--quiet", "--checkpoint-every=0.2"]
        command = [sys.executable, "-m", "splatworld.cli.main", "reconstruct", str(folder / "capture"), *options, "-o"]
        begin = time.monotonic()
        subprocess.run([*command, str(folder / "whole")], check=True, stdout=subprocess.DEVNULL)
        length, whole = time.monotonic() - begin, folder_hash(folder / "whole")
        for kill in range(KILLS):
            say(f"kill {kill + 1} of {KILLS}")
            world = folder / f"world_{kill}"
            process = subprocess.Popen([*command, str(world)], stdout=subprocess.DEVNULL)
            time.sleep(chance.uniform(0, length))
            process.send_signal(signal.SIGKILL)
            process.wait()
            if not world.exists():
                subprocess.run([*command, str(world)], check=True, stdout=subprocess.DEVNULL)
            store.load_world(world)
            good += folder_hash(world) == whole
    name = f"killed (-9) at {KILLS} random moments and started again: same bytes as undisturbed"
    return line(name, 100 * good / KILLS, "%", "== 100")


def long_video_line(video: Path, say: Callable[[str], object]) -> Line:
    """Peak memory of a whole run of the default preset, briefly fitted, on a long video made of `video`."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        say(f"a video of {MINUTES} minutes")
        write_long_video(video, folder / "long.mp4", seconds=60 * MINUTES)
        say("its reconstruction")
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, "reconstruct", str(folder / "long.mp4"), "-o", str(folder / "world"),
             "--iterations=300", "--quiet"],
            capture_output=True, text=True,
        )  # fmt: skip
    if done.returncode:
        raise InputError(f"the run ended with {done.returncode}: {' '.join(done.stderr.split()[-60:])}")
    peak = int(done.stdout.split()[-1]) * 1024 / 1e9
    return line(f"{MINUTES} minutes of {SIZE[0]}x{SIZE[1]} video, end to end: peak memory", peak, "GB", "<= 6")


def write_long_video(source: Path, target: Path, *, seconds: int) -> None:
    """Play a short video forth and back, enlarged, for `seconds`."""
    with av.open(str(source)) as container:
        frames = [frame.reformat(*SIZE, "yuv420p") for frame in container.decode(video=0)]
    there_and_back = [*range(len(frames)), *range(len(frames) - 2, 0, -1)]
    with av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "crf": "30"})
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for index in range(seconds * FPS):
            frame = frames[there_and_back[index % len(there_and_back)]]
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def fingerprint(world: World) -> str:
    """Hash of every byte of a world as it is stored."""
    with tempfile.TemporaryDirectory() as folder:
        store.save_world(world, Path(folder) / "world")
        return folder_hash(Path(folder) / "world")


def folder_hash(path: Path) -> str:
    """Hash of the names and contents of all files of a folder."""
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        if file.is_file():
            digest.update(str(file.relative_to(path)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _scores_at(level: str, folder: str) -> dict[str, float]:
    """Held-out PSNR by frame of a small fit on an instruction set, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, folder],
        check=True, capture_output=True, text=True, env={**os.environ, native.LEVEL_VARIABLE: level},
    )  # fmt: skip
    return json.loads(done.stdout)


if __name__ == "__main__":
    saved = load_posed(Path(sys.argv[1]), "levels")
    assert saved is not None
    held_out = fit(saved, FitConfig(**BRIEF)).metrics["held_out"]
    print(json.dumps({frame: row["psnr"] for frame, row in held_out.items()}))
