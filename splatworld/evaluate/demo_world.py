"""A demo's world and bodies: a flight, held-out frames against their renderings, what was found, what was filmed."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from splatworld.bodies.build import describe
from splatworld.core import pose
from splatworld.core.camera import Camera
from splatworld.core.clip import PosedClip
from splatworld.core.world import World
from splatworld.evaluate import demo_markup as markup
from splatworld.evaluate.bodies_picture import best_view, draw_bodies
from splatworld.evaluate.coverage_picture import draw_coverage
from splatworld.evaluate.demo_stages import Told
from splatworld.evaluate.report import line
from splatworld.files import write_file
from splatworld.pictures import encode_image, encode_video
from splatworld.reconstruct.coverage import SIDES, Coverage, measure_coverage
from splatworld.reconstruct.score import psnr
from splatworld.render.render import render
from splatworld.render.rendering import to_bytes

ROWS = 3
"""Most held-out frames shown."""
ERROR_GAIN = 4.0
"""The error picture shows this many times the largest channel difference."""
FLIGHT_SECONDS, FPS = 8, 30
SHOWN = {"psnr_mean": ("PSNR, mean", "dB"), "psnr_worst": ("PSNR, worst", "dB"), "ssim_mean": ("SSIM, mean", "")}
"""Figures of a fit that the report repeats: what they are called, and their units."""


def tell_world(world: World, posed: PosedClip, folder: Path, say: Callable[[str, int, int], object]) -> Told:
    """A flight through the world, frames that took no part in the fit, and what was seen from where.

    Args:
        world: reconstructed from `posed`.
        posed: frames and cameras; the held-out frames are the truth.
        folder: for pictures and the film.
        say: `say(stage, done, total)`.
    """
    rows = []
    chosen = _spread(torch.nonzero(posed.clip.held_out).flatten().tolist(), ROWS)
    for done, index in enumerate(chosen, 1):
        name = posed.clip.names[index]
        truth, shown, error, decibels = compare(world, posed, index)
        triple = {"truth": truth, "rendering": shown, "error": error}
        for kind, picture in triple.items():
            write_file(folder / "held_out" / f"{name.replace('/', '_')}_{kind}.png", encode_image(picture))
        rows.append(_row(name, float(posed.clip.times[index]), decibels, triple))
        say("world: held-out frames", done, len(chosen))
    video = encode_video(_flight(world, posed, say), fps=FPS, crf=23)
    write_file(folder / "flight.mp4", video)
    coverage = measure_coverage(world, posed)
    drawn = draw_coverage(world, posed, coverage)
    write_file(folder / "coverage.png", encode_image(drawn))
    notes = [*(note for note in posed.notes if not note.startswith("Quality:")), *world.metrics.get("warnings", [])]
    body = "\n".join(rows) or '<tr><td colspan="3">No frame was held out.</td></tr>'
    text = (
        markup.paragraph(_lead(world, posed))
        + markup.video(video, "a flight through the world")
        + "<p>These frames took no part in the fit. The error is the largest difference of the three channels, "
        f"{ERROR_GAIN:g} times enlarged: black is none, yellow is large.</p>"
        '<div class="scroll"><table class="frames"><thead><tr><th>Video frame</th><th>Rendering</th><th>Error</th></tr>'
        f"</thead><tbody>{body}</tbody></table></div>"
        f"<details><summary>What was filmed, and from where</summary>{markup.paragraph(_seen(coverage))}"
        f'<div class="scroll">{markup.image(drawn, "the scene from above and the directions it was filmed from")}</div>'
        f"{markup.items(notes)}</details>"
    )
    lines = [line("world: splats", len(world.splats), "")]
    for name, (called, unit) in SHOWN.items():
        if isinstance(world.metrics.get(name), int | float):
            lines.append(line(f"world: held-out frames, {called}", world.metrics[name], unit))
    return Told(text, tuple(lines))


def tell_bodies(world: World, folder: Path, called: Callable[[int], str]) -> Told:
    """What was found to be a thing of its own: pictures and a table.

    Args:
        world: with bodies or without.
        folder: for the picture.
        called: what a body is called.
    """
    rows = describe(world)[1:]
    if not rows:
        return Told("<p>No bodies were told apart from the background.</p>")
    text = (
        "<p>Each can be moved, removed, pushed. Masses are guessed from volumes, hidden sides are plausible, not known."
    )
    if world.cameras:
        drawn = draw_bodies(world, best_view(world, [markup.shrunk_camera(each) for each in world.cameras.values()]))
        write_file(folder / "bodies.png", encode_image(drawn))
        text += " Left: what belongs to which; right: the scene without them.</p>"
        text += f'<div class="scroll">{markup.image(drawn, "bodies in colours, and the scene without them")}</div>'
    found = "".join(
        f"<tr><td>{html.escape(called(index))}</td><td>{html.escape(row['summary'])}</td></tr>\n"
        for index, row in enumerate(rows, 1)
    )
    text += f'<table class="figures wide"><tbody>\n{found}</tbody></table>'
    return Told(text, (line("bodies: found", len(rows), ""),))


def compare(world: World, posed: PosedClip, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """A frame, its rendering, their difference in false colour, each [H, W, 3] uint8, and the PSNR in dB.

    The rendering carries the frame's exposure as the fit scored it. The PSNR is taken at the frame's full size over
    the pixels that its mask keeps; the pictures are shrunk.
    """
    clip, name = posed.clip, posed.clip.names[index]
    image = render(world, None, world.cameras.get(name, posed.cameras[index])).image
    image = image * image.new_tensor(world.metrics.get("held_out", {}).get(name, {}).get("gain", 1.0))
    mask = None if clip.masks is None else clip.masks[index]
    truth, shown = clip.images[index].numpy(), to_bytes(image)
    largest = np.abs(truth.astype(np.float32) - shown).max(axis=2) * ERROR_GAIN
    if mask is not None:
        largest[~mask.numpy()] = 0
    error = cv2.applyColorMap(largest.clip(0, 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    return markup.shrunk(truth), markup.shrunk(shown), markup.shrunk(error), psnr(image, clip.images[index], mask)


def flight_cameras(cameras: list[Camera], count: int) -> list[Camera]:
    """`count` cameras along a smoothed version of the capture's own path, so that no view leaves what was seen.

    Poses are Gaussian-weighted means of the capture's in time order, quaternions with their signs aligned.
    """
    poses = torch.stack([camera.world_from_camera.double() for camera in cameras])
    for i in range(1, len(poses)):
        if (poses[i, 3:] * poses[i - 1, 3:]).sum() < 0:
            poses[i, 3:] = -poses[i, 3:]
    spread = max(1.0, len(poses) / 24)
    at = torch.linspace(0, len(poses) - 1, count, dtype=torch.float64)
    distance = (torch.arange(len(poses), dtype=torch.float64) - at[:, None]) / spread
    smooth = torch.softmax(-0.5 * distance.square(), dim=1) @ poses
    smooth = torch.cat([smooth[:, :3], pose.normalize_quat(smooth[:, 3:])], dim=1)
    first = markup.shrunk_camera(cameras[0])
    return [Camera(first.focal, first.center, first.size, one) for one in smooth]


def _flight(world: World, posed: PosedClip, say: Callable[[str, int, int], object]) -> Iterator[np.ndarray]:
    cameras = flight_cameras(list(posed.cameras), FLIGHT_SECONDS * FPS)
    for done, camera in enumerate(cameras, 1):
        yield to_bytes(render(world, None, camera).image)
        say("world: flight", done, len(cameras))


def _lead(world: World, posed: PosedClip) -> str:
    frames = len(posed.clip) + len(posed.unplaced)
    unit = "capture units" if world.scale.source == "none" else "metres"
    return f"{len(world.splats):,} splats from {len(posed.clip)} of {frames} frames; lengths are {unit}."


def _seen(coverage: Coverage) -> str:
    once, twice, often = coverage.share(1, 1), coverage.share(2, 3), coverage.share(4, SIDES)
    return (
        f"{100 * often:.0f} % of the surface was seen from four or more directions, {100 * twice:.0f} % from two or "
        f"three, {100 * once:.0f} % from one only."
    )


def _row(name: str, time: float, decibels: float, triple: dict[str, np.ndarray]) -> str:
    cells = "".join(f"<td>{markup.image(picture, f'{kind} of {name}')}</td>" for kind, picture in triple.items())
    caption = f"{html.escape(name)} <span>{time:.1f} s</span> <b>{decibels:.2f} dB</b>"
    return f'<tr class="caption"><td colspan="3">{caption}</td></tr>\n<tr>{cells}</tr>'


def _spread(items: list[Any], most: int) -> list[Any]:
    """At most `most` of the items, evenly spread."""
    if len(items) <= most:
        return items
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]
