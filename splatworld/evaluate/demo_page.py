"""One self-contained page that shows a world: held-out frames against their renderings, a flight, figures."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from string import Template
from typing import Any

import cv2
import numpy as np
import torch

from splatworld.bodies.build import describe
from splatworld.core import pose
from splatworld.core.camera import Camera, resize
from splatworld.core.clip import PosedClip
from splatworld.core.world import World
from splatworld.evaluate.bodies_picture import best_view, draw_bodies
from splatworld.evaluate.coverage_picture import draw_coverage
from splatworld.evaluate.report import figure
from splatworld.files import write_file
from splatworld.reconstruct.coverage import SIDES, Coverage, measure_coverage
from splatworld.reconstruct.score import psnr
from splatworld.render.pictures import encode_image, encode_video, to_bytes
from splatworld.render.render import render

ROWS = 6
"""Most held-out frames shown."""
PICTURE_SIDE = 640
"""Longest side of the page's pictures, px."""
ERROR_GAIN = 4.0
"""The error picture shows this many times the largest channel difference."""
FLIGHT_SECONDS, FPS = 8, 30
TEMPLATE = Path(__file__).with_name("demo_page.html")


def write_page(
    world: World,
    posed: PosedClip,
    folder: str | Path,
    *,
    title: str,
    progress: Callable[[str, int, int], None] | None = None,
) -> Path:
    """Write `folder/report.html`, which needs no other file, and the pictures and the video it shows.

    Args:
        world: reconstructed from `posed`.
        posed: frames and cameras; the held-out frames are the truth.
        folder: created where missing.
        title: headline.
        progress: `progress(stage, done, total)`.

    Returns:
        The page's path.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    folder = Path(folder)
    progress = progress or (lambda stage, done, total: None)
    rows = []
    chosen = _spread(torch.nonzero(posed.clip.held_out).flatten().tolist(), ROWS)
    for done, index in enumerate(chosen, 1):
        name = posed.clip.names[index]
        truth, shown, error, decibels = compare(world, posed, index)
        triple = {"truth": truth, "rendering": shown, "error": error}
        for kind, picture in triple.items():
            write_file(folder / "held_out" / f"{name.replace('/', '_')}_{kind}.png", encode_image(picture))
        rows.append(_row(name, float(posed.clip.times[index]), decibels, triple))
        progress("held-out frames", done, len(chosen))
    video = encode_video(_flight(world, posed, progress), fps=FPS, crf=23)
    write_file(folder / "flight.mp4", video)
    progress("bodies: pictures", 0, 1)
    bodies = _bodies(world, posed, folder)
    progress("bodies: pictures", 1, 1)
    coverage = measure_coverage(world, posed)
    drawn = draw_coverage(world, posed, coverage)
    write_file(folder / "coverage.png", encode_image(drawn))
    page = Template(TEMPLATE.read_text()).substitute(
        title=html.escape(title),
        lead=html.escape(_lead(world, posed)),
        video=base64.b64encode(video).decode(),
        rows="\n".join(rows) or '<tr><td colspan="3">No frame was held out.</td></tr>',
        bodies=bodies,
        figures="\n".join(_figures(world)),
        notes=_items(note for note in posed.notes if not note.startswith("Quality:")),
        coverage=html.escape(_seen(coverage)),
        coverage_picture=_image(drawn, "the scene from above and the directions it was filmed from"),
        warnings=_items(world.metrics.get("warnings", [])),
        gain=f"{ERROR_GAIN:g}",
    )
    write_file(folder / "report.html", page)
    return folder / "report.html"


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
    return _shrink(truth), _shrink(shown), _shrink(error), psnr(image, clip.images[index], mask)


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
    first = _resized(cameras[0])
    return [Camera(first.focal, first.center, first.size, one) for one in smooth]


def _flight(world: World, posed: PosedClip, progress: Callable[[str, int, int], None]) -> Iterator[np.ndarray]:
    cameras = flight_cameras(list(posed.cameras), FLIGHT_SECONDS * FPS)
    for done, camera in enumerate(cameras, 1):
        yield to_bytes(render(world, None, camera).image)
        progress("flight", done, len(cameras))


def _lead(world: World, posed: PosedClip) -> str:
    frames = len(posed.clip) + len(posed.unplaced)
    unit = "capture units" if world.scale.source == "none" else "metres"
    return f"{len(world.splats):,} splats from {len(posed.clip)} of {frames} frames; lengths are {unit}."


def _bodies(world: World, posed: PosedClip, folder: Path) -> str:
    """What was found to be a thing of its own: pictures and a table."""
    rows = describe(world)[1:]
    if not rows:
        return "<p>No bodies were told apart from the background.</p>"
    drawn = draw_bodies(world, best_view(world, [_resized(camera) for camera in posed.cameras]))
    write_file(folder / "bodies.png", encode_image(drawn))
    found = "".join(
        f"<tr><td>{html.escape(row['name'])}</td><td>{html.escape(row['summary'])}</td></tr>\n" for row in rows
    )
    return (
        "<p>Each can be moved, removed, pushed. Left: what belongs to which; right: the scene without them. Masses are "
        "guessed from volumes.</p>\n"
        f'<div class="scroll">{_image(drawn, "bodies in colours, and the scene without them")}</div>\n'
        f'<table class="figures wide"><tbody>\n{found}</tbody></table>'
    )


def _figures(world: World) -> Iterator[str]:
    for name, value in sorted(world.metrics.items()):
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield f"<tr><td>{html.escape(name.replace('_', ' '))}</td><td>{figure(value)}</td></tr>"


def _seen(coverage: Coverage) -> str:
    once, twice, often = coverage.share(1, 1), coverage.share(2, 3), coverage.share(4, SIDES)
    return (
        f"{100 * often:.0f} % of the surface was seen from four or more directions, {100 * twice:.0f} % from two or "
        f"three, {100 * once:.0f} % from one only."
    )


def _items(sentences: Iterable[str]) -> str:
    return "\n".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences)


def _row(name: str, time: float, decibels: float, triple: dict[str, np.ndarray]) -> str:
    cells = "".join(f"<td>{_image(picture, f'{kind} of {name}')}</td>" for kind, picture in triple.items())
    caption = f"{html.escape(name)} <span>{time:.1f} s</span> <b>{decibels:.2f} dB</b>"
    return f'<tr class="caption"><td colspan="3">{caption}</td></tr>\n<tr>{cells}</tr>'


def _image(picture: np.ndarray, text: str) -> str:
    content = base64.b64encode(encode_image(picture, ".jpg")).decode()
    height, width = picture.shape[:2]
    return f'<img src="data:image/jpeg;base64,{content}" width="{width}" height="{height}" alt="{html.escape(text)}">'


def _shrink(picture: np.ndarray) -> np.ndarray:
    width, height = _fitted((picture.shape[1], picture.shape[0]))
    return np.ascontiguousarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA))


def _resized(camera: Camera) -> Camera:
    return resize(camera, _fitted(camera.size))


def _fitted(size: tuple[int, int]) -> tuple[int, int]:
    factor = min(1.0, PICTURE_SIDE / max(size))
    return max(2, round(size[0] * factor) // 2 * 2), max(2, round(size[1] * factor) // 2 * 2)


def _spread(items: list[Any], most: int) -> list[Any]:
    """At most `most` of the items, evenly spread."""
    if len(items) <= most:
        return items
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]
