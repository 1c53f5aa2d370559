"""Suite `reconstruction`: real captures and the sample video, from file to scored world."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from splatworld import store
from splatworld.capture.config import CaptureConfig
from splatworld.capture.load import load_capture
from splatworld.capture.undistort import undistort
from splatworld.core.clip import PosedClip
from splatworld.core.world import World
from splatworld.evaluate.ablation import ablate
from splatworld.evaluate.report import Line, Report, line
from splatworld.evaluate.resume import measure_parts
from splatworld.evaluate.robustness import killed_line, long_video_line, same_lines
from splatworld.evaluate.sample_truth import align, depth_error, read_truth, with_clean
from splatworld.reconstruct.fit import FitConfig, fit
from splatworld.reconstruct.score import score

CHECKOUT = Path(__file__).parents[2]
SAMPLE = CHECKOUT / "data" / "sample"
DATA_VARIABLE = "SPLATWORLD_DATA"
"""Environment variable that names the folder of real captures; beside the checkout by default."""

Progress = Callable[..., Any]


def run(*, quick: bool = False, long: bool = False, progress: Progress | None = None) -> Report:
    """Measure every row; captures that are not on this machine give rows without a value.

    Args:
        quick: the sample video only, small and briefly fitted; shows that the line runs, not how good it is.
        long: also what each part of the fit is worth, kills at random moments, a video of ten minutes, and a fresh
            clone's `make demo`, install included.
        progress: called with one sentence a step.
    """
    say = progress or (lambda *_: None)
    if quick:
        capture = CaptureConfig(max_side=480, sfm_max_side=800, max_features=2048)
        return Report("reconstruction", _sample(say, capture, FitConfig(iterations=300, splats=20_000), "", None))
    data = Path(os.environ.get(DATA_VARIABLE, CHECKOUT.parent / "shared" / "data"))
    desk, fox = data / "desk_phone" / "video.mp4", data / "fox"
    parts: dict[str, Callable[[], list[Line]]] = {
        "desk_phone": lambda: _real(
            say, desk, "desk_phone 364x674", CaptureConfig(), psnr=27.5, seconds=300, registered=95
        ),
        "fox": lambda: _real(say, fox, "fox 270x480", CaptureConfig(size=(270, 480)), psnr=28.5, seconds=300),
        "large fox": lambda: _real(say, fox, "fox 540x960", CaptureConfig(size=(540, 960)), psnr=28, seconds=900),
        "sample": lambda: _sample(say, CaptureConfig(), FitConfig(), ">= 30", "<= 6"),
        "same": lambda: same_lines(_small_sample(say), say),
    }
    if long:
        parts |= {
            "ablations": lambda: _ablations(say, data),
            "kills": lambda: [killed_line(_small_sample(say), say)],
            "long video": lambda: [long_video_line(SAMPLE / "video.mp4", say)],
            "demo": lambda: [_fresh_demo(say)],
        }
    return Report("reconstruction", measure_parts("reconstruction-long" if long else "reconstruction", parts, say))


def _small_sample(say: Progress) -> PosedClip:
    """The sample with cameras found on small frames, which is quick, for what holds at any quality."""
    return undistort(load_capture(SAMPLE / "video.mp4", CaptureConfig.preset("fast"), progress=say))


@dataclass(frozen=True)
class _Made:
    raw: PosedClip  # as captured
    posed: PosedClip  # undistorted
    world: World
    seconds: float


def _make(say: Progress, path: Path, capture: CaptureConfig, config: FitConfig) -> _Made:
    begin = time.perf_counter()
    raw = load_capture(path, capture, progress=say)
    posed = undistort(raw)
    world = fit(posed, config, progress=say)
    with tempfile.TemporaryDirectory() as folder:
        store.save_world(world, Path(folder) / "world")
    return _Made(raw, posed, world, time.perf_counter() - begin)


def _real(
    say: Progress,
    path: Path,
    name: str,
    capture: CaptureConfig,
    *,
    psnr: float,
    seconds: float,
    registered: float | None = None,
) -> list[Line]:
    if not path.exists():
        return [line(f"{name}: not measured, the capture is not on this machine", None, "dB", f">= {psnr}")]
    say(f"{name}: capture and fit")
    made = _make(say, path, capture, FitConfig())
    share = 100 * made.posed.metrics["registered_share"]
    return [
        line(f"{name}: time to a world", made.seconds, "s", f"<= {seconds:g}"),
        line(f"{name}: keyframes registered", share, "%", None if registered is None else f">= {registered:g}"),
        *_scores(name, made.world, f">= {psnr}"),
    ]


def _scores(name: str, world: World, target: str | None) -> list[Line]:
    metrics = world.metrics
    return [
        line(f"{name}: held-out PSNR, mean", metrics["psnr_mean"], "dB", target),
        line(f"{name}: held-out PSNR, median", metrics["psnr_median"], "dB"),
        line(f"{name}: held-out PSNR, worst", metrics["psnr_worst"], "dB"),
        line(f"{name}: held-out SSIM, mean", metrics["ssim_mean"], ""),
    ]


def _sample(say: Progress, capture: CaptureConfig, config: FitConfig, psnr: str, depth: str | None) -> list[Line]:
    truth = read_truth(SAMPLE)
    say("sample: capture and fit")
    made = _make(say, SAMPLE / "video.mp4", capture, config)
    best, error = align(dict(zip(made.posed.clip.names, made.posed.cameras, strict=True)), truth)
    clean = _against_clean(made.world, made.raw)
    away = 1000 * depth_error(made.world, made.posed, SAMPLE, truth, scale=best.scale)
    return [
        line("sample: time to a world", made.seconds, "s"),
        line("sample: keyframes registered", 100 * made.posed.metrics["registered_share"], "%"),
        line("sample: trajectory error after similarity alignment, RMS", 1000 * error, "mm", "<= 5"),
        line("sample: depth error on seen surfaces, median, once scaled", away, "mm", depth),
        *_scores("sample against clean renders", clean, psnr or None),
        *_scores("sample against video frames", made.world, None),
    ]


def _ablations(say: Progress, data: Path) -> list[Line]:
    desk, fox = data / "desk_phone" / "video.mp4", data / "fox"
    return [
        *ablate(
            "sample 640x360", SAMPLE / "video.mp4", CaptureConfig(max_side=640), clean=_against_clean, progress=say
        ),
        *ablate("desk_phone 364x674", desk, CaptureConfig(), progress=say),
        *ablate("fox 270x480", fox, CaptureConfig(size=(270, 480)), progress=say),
    ]


def _against_clean(world: World, raw: PosedClip, antialias: bool = False) -> World:
    """The world scored against the sample's clean renders, taken with an instant global shutter at exposure 0."""
    clean = undistort(with_clean(raw, SAMPLE))
    clean = replace(clean, cameras=tuple(world.cameras[name] for name in clean.clip.names))
    return score(world, clean, torch.zeros(1, 3), torch.zeros(1), antialias=antialias)


def _fresh_demo(say: Progress) -> Line:
    name = "fresh clone: make demo, install included"
    if shutil.which("git") is None or not (CHECKOUT / ".git").exists():
        return line(f"{name}: not measured, not a checkout", None, "s", "<= 900")
    say(name)
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(CHECKOUT), str(clone)], check=True)
        begin = time.perf_counter()
        subprocess.run(["make", "demo"], cwd=clone, check=True, stdout=subprocess.DEVNULL)
        return line(name, time.perf_counter() - begin, "s", "<= 900")
