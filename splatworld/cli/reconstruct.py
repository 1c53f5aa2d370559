"""`splatworld reconstruct CAPTURE -o WORLD`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from splatworld.cli.terminal import Common, Terminal, stopping, table

if TYPE_CHECKING:
    from splatworld.core.clip import PosedClip
    from splatworld.core.world import World


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a capture becomes a world; what is not given keeps the value of the preset."""

    preset: Literal["fast", "default", "high"] = "default"
    """Time against quality: fewer and smaller frames, splats and steps, or more of them."""
    seed: int = 0
    """Seed of every random choice."""
    deterministic: bool = False
    """Find cameras on one thread, so that the same video gives the same bytes; slower."""
    max_side: int | None = None
    """Longest side of the images that are fitted, px."""
    held_out_every: int | None = None
    """Keep one frame in this many for scoring; 0 keeps none."""
    iterations: int | None = None
    """Steps of the fit, one frame each."""
    splats: int | None = None
    """Number of splats that the fit may grow to."""
    threads: int = 0
    """Threads; 0 uses every core."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the fit runs; auto is a GPU where there are one and the kernels for it."""
    marker_size: float | None = None
    """Side of the black square of the printed markers in view (ArUco, AprilTag), m: sets the scale."""
    marker_id: int | None = None
    """The one marker that has this size, where others are in view."""
    known_length: tuple[float, str, float, float, float, float] | None = None
    """METRES FRAME X1 Y1 X2 Y2: how far two points lie apart, and their pixels in one frame as it is fitted."""
    no_bodies: bool = False
    """Leave the world in one piece: find no bodies."""
    fresh: bool = False
    """Begin anew although an unfinished run with the same input and options is there."""
    checkpoint_every: float = 30
    """Seconds between two saves of the fit's state, from which a killed run goes on."""


@dataclass(frozen=True, kw_only=True)
class Options(Common, Settings):
    """Turn a video, an image folder or a posed capture into a world.

    Ctrl-C during the fit saves the world so far; pressed again, it gives it up. A run that was killed goes on where it
    was when it is started again with the same input and options; until then its state lies in WORLD.partial.
    """

    capture: Annotated[Positional[Path], arg(metavar="CAPTURE")]
    """Video file, folder of images, COLMAP model or transforms.json."""
    output: Annotated[Path, arg(aliases=["-o"], metavar="WORLD")]
    """Folder to write the world to."""
    overwrite: bool = False
    """Replace the world that is there."""


def run(options: Options, terminal: Terminal) -> int:
    from splatworld.cli.main import DONE, INTERRUPTED

    world, _, stopped = build(options.capture, options.output, options, terminal, overwrite=options.overwrite)
    report(world, options.output, terminal, stopped=stopped)
    return INTERRUPTED if stopped else DONE


def build(
    capture: Path, output: Path, settings: Settings, terminal: Terminal, *, overwrite: bool
) -> tuple[World, PosedClip, bool]:
    """Capture, fit and save; returns the world, the frames it was fitted to, and whether Ctrl-C cut it short."""
    from splatworld import store

    store.check_target(output, overwrite=overwrite)

    from splatworld.bodies.build import build_bodies
    from splatworld.capture.config import CaptureConfig
    from splatworld.capture.keep import keep_capture
    from splatworld.capture.load import load_capture
    from splatworld.capture.metric import MetricConfig, to_metres
    from splatworld.capture.scale import check_metres
    from splatworld.capture.undistort import undistort
    from splatworld.core.checks import check_choice
    from splatworld.reconstruct.config import FitConfig
    from splatworld.reconstruct.fit import fit
    from splatworld.reconstruct.work import WorkFolder, key_of, stamp

    common: dict[str, Any] = {"seed": settings.seed, "threads": settings.threads}
    fit_config = FitConfig.preset(
        settings.preset,
        **common,
        device=settings.device,
        **_given(iterations=settings.iterations, splats=settings.splats),
    )
    capture_config = CaptureConfig.preset(
        settings.preset,
        **common,
        deterministic=settings.deterministic,
        **_given(max_side=settings.max_side, held_out_every=settings.held_out_every),
    )
    metric_config = MetricConfig(marker_size=settings.marker_size, marker_id=settings.marker_id)
    with WorkFolder(output, every=settings.checkpoint_every, say=terminal.say) as work:
        if settings.fresh:
            work.remove()
        frames = key_of(stamp(capture), capture_config)
        posed = work.posed(frames, lambda: undistort(load_capture(capture, capture_config, progress=terminal.progress)))
        posed = to_metres(posed, metric_config)
        if settings.known_length is not None:  # before the fit, which takes minutes
            check_metres("--known-length", settings.known_length[0])
            check_choice("--known-length", "FRAME", settings.known_length[1], posed.clip.names)
        for note in posed.notes:
            terminal.say(note)
        with stopping(terminal) as stop:
            checkpoint = work.checkpoint(key_of(frames, metric_config, fit_config))
            world = fit(posed, fit_config, progress=terminal.progress, stop=stop, checkpoint=checkpoint)
            if settings.known_length is not None:
                world, posed = _with_length(world, posed, settings.known_length, terminal)
            try:
                if not (stop() or settings.no_bodies):
                    world = build_bodies(world, progress=terminal.progress)
            finally:  # what goes wrong with bodies must not cost the world
                store.save_world(world, output, overwrite=overwrite, capture=lambda folder: keep_capture(posed, folder))
            if not stop():
                work.remove()
            return world, posed, stop()


def _with_length(
    world: World, posed: PosedClip, known: tuple[float, str, float, float, float, float], terminal: Terminal
) -> tuple[World, PosedClip]:
    """The world and its frames rescaled by a length in one of them."""
    import torch

    from splatworld.bodies.rescale import scale_from_pixels, to_scale

    metres, name, *pixels = known
    ends = torch.tensor(pixels, dtype=torch.float64).reshape(2, 2)
    world, change, notes = to_scale(world, scale_from_pixels(world, world.cameras[name], ends, metres))
    for note in notes:
        terminal.say(note)
    return world, replace(posed.moved(change), scale=world.scale)


def report(world: World, output: Path, terminal: Terminal, *, stopped: bool) -> None:
    """Print what was made."""
    from splatworld.evaluate.report import figure

    data: dict[str, Any] = {
        "world": str(output),
        "splats": len(world.splats),
        "cameras": len(world.cameras),
        "scale": world.scale.source,
        "scale_std": world.scale.std if world.scale.source != "none" else None,
        "stopped_early": stopped,
        "metrics": world.metrics,
    }
    numbers = {k: v for k, v in world.metrics.items() if isinstance(v, float | int)}
    figures = {k: figure(v) for k, v in numbers.items()}
    terminal.result(
        data, table({k: data[k] for k in ("world", "splats", "cameras")} | {"scale": str(world.scale)} | figures)
    )
    for warning in world.metrics.get("warnings", []):
        terminal.say(warning)
    if stopped:
        terminal.say(f"interrupted: {output} holds the world so far; the same command with --overwrite goes on")


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
