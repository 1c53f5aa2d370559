"""Make the sample input: a phone video of the tabletop scene with exact truth beside it.

MUJOCO_GL=egl python -m splatworld.simulate.sample -o data/sample
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
from plyfile import PlyData, PlyElement
from rich.console import Console
from rich.progress import Progress

from splatworld.simulate import prints, tabletop
from splatworld.simulate.camera import Camera
from splatworld.simulate.meshes import Mesh, welded
from splatworld.simulate.phone import Phone, Shutter, encode, exposure_values, hand_held

SCHEMA = 1
HELD_OUT_EVERY = 8 / 3
VIDEO_LIMIT = 7_600_000
DEPTH_UNIT = 0.0001
CHANGED = 2
CHUNK = 15
LOSSLESS = [cv2.IMWRITE_WEBP_QUALITY, 101]
SMALL_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 9]


def make_sample(out: Path, *, seed: int = 0, phone: Phone | None = None, workers: int = 2) -> dict:
    """Render the sample into the folder `out`, replacing it when all is done.

    Args:
        out: folder to make; see data/README.md for what is in it.
        seed: of the scene, the hand and the noise.
        phone: camera options; by default the phone with that seed.
        workers: processes that render; the result does not depend on it.

    Returns:
        The truth, as written to truth.json.
    """
    phone = phone or Phone(seed=seed)
    key = hashlib.sha256(repr((SCHEMA, seed, phone)).encode()).hexdigest()[:8]
    part, film = (out.with_name(f"{out.name}.{ending}") for ending in ("part", f"film-{key}"))
    shutil.rmtree(part, ignore_errors=True)
    for folder in ("meshes", "clean", "ids", "depth", "removed"):
        (part / folder).mkdir(parents=True)
    scene = tabletop.build(seed, size=phone.size)
    truth = _describe(scene, phone)
    for body, placed in zip(truth["bodies"], scene.placed, strict=True):
        write_mesh(part / body["mesh"], placed.mesh)
    truth["removed"] = []
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("frames", total=len(phone.times))
        frames = _film_all(film, seed, phone, workers, lambda done: progress.advance(task, done))
        task = progress.add_task("truth", total=len(truth["held_out"]) * (1 + len(scene.placed)))
        for entry in _held_out(scene, phone, truth, part):
            truth["removed"].extend(entry)
            progress.advance(task)
        task = progress.add_task("video", total=None)
        truth["video"]["bit_rate"] = encode(
            frames, part / "video.mp4", fps=phone.fps, limit=VIDEO_LIMIT, on_frame=lambda: progress.advance(task)
        )
    (part / "truth.json").write_text(_dumps(truth))
    write_checksums(part)
    shutil.rmtree(out, ignore_errors=True)
    part.rename(out)
    shutil.rmtree(film)
    return truth


def _film_all(film: Path, seed: int, phone: Phone, workers: int, report: Callable[[int], None]) -> np.ndarray:
    """All frames [T,H,W,3] u8; the folder `film` keeps them, so that a run that was cut short goes on."""
    count = len(phone.times)
    shape = (count, phone.size[1], phone.size[0], 3)
    film.mkdir(parents=True, exist_ok=True)
    if not (film / "frames.raw").exists():
        np.memmap(film / "frames.raw", np.uint8, "w+", shape=shape).flush()
    jobs = []
    for first in range(0, count, CHUNK):
        last = min(first + CHUNK, count)
        if (film / f"{first}.done").exists():
            report(last - first)
        else:
            jobs.append((seed, phone, film, shape, first, last))
    if jobs:
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            for done in pool.imap_unordered(_film, jobs):
                report(done)
    return np.memmap(film / "frames.raw", np.uint8, "r", shape=shape)


_worker: dict[int, Camera] = {}


def _film(job: tuple[int, Phone, Path, tuple[int, ...], int, int]) -> int:
    """Render frames first..last-1 into the folder of frames; the scene is made once a process."""
    seed, phone, film, shape, first, last = job
    cv2.setNumThreads(1)
    if seed not in _worker:
        os.environ.setdefault("LP_NUM_THREADS", "1")  # software rendering: one thread a process
        _worker[seed] = _camera(tabletop.build(seed, size=phone.size), phone)
    frames = np.memmap(film / "frames.raw", np.uint8, "r+", shape=shape)
    shutter = Shutter(phone, _worker[seed].sharp)
    for number in range(first, last):
        frames[number] = shutter.expose(number)
    frames.flush()
    (film / f"{first}.done").touch()
    return last - first


def _camera(scene: tabletop.Tabletop, phone: Phone, **options: str) -> Camera:
    return Camera(scene, size=phone.size, focal=phone.focal, phases=phone.slices, **options)


def _held_out(scene: tabletop.Tabletop, phone: Phone, truth: dict, part: Path) -> Iterator[list[dict]]:
    """Write clean pictures, ids and depth at held-out frames, then what changes when one body is gone."""
    camera = _camera(scene, phone)
    poses = hand_held(phone, phone.times)
    clean = {}
    for number in truth["held_out"]:
        clean[number] = camera.clean(poses[number])
        _write(part / f"clean/{number:06d}.webp", clean[number][..., ::-1], LOSSLESS)
        _write(part / f"ids/{number:06d}.png", camera.ids(poses[number]), SMALL_PNG)
        depth = np.round(camera.depth(poses[number]) / DEPTH_UNIT)
        _write(part / f"depth/{number:06d}.png", np.clip(depth, 0, 65535).astype(np.uint16), SMALL_PNG)
        yield []
    for placed in scene.placed:
        camera.show(without=placed.thing.name)
        for number in truth["held_out"]:
            without = camera.clean(poses[number])
            changed = (np.abs(without.astype(np.int16) - clean[number]) >= CHANGED).any(-1)
            if not changed.any():
                yield []
                continue
            x, y, w, h = cv2.boundingRect(changed.astype(np.uint8))
            crop = np.dstack([without[..., ::-1], changed * np.uint8(255)])[y : y + h, x : x + w]
            crop[crop[..., 3] == 0] = 0
            path = f"removed/{number:06d}_{placed.id}.webp"
            _write(part / path, np.ascontiguousarray(crop), LOSSLESS)
            yield [{"frame": number, "body": placed.id, "box": [x, y, w, h], "path": path}]
    camera.close()


def _describe(scene: tabletop.Tabletop, phone: Phone) -> dict:
    times = phone.times
    width, height = phone.size
    held_out = [round(k * HELD_OUT_EVERY * phone.fps) for k in range(int(times[-1] / HELD_OUT_EVERY) + 1)]
    bodies = []
    for p in scene.placed:
        body = scene.model.body(p.thing.name)
        bodies.append(
            {
                "id": p.id,
                "name": p.thing.name,
                "mesh": f"meshes/{p.thing.name.replace(' ', '_').lower()}.ply",
                "world_from_body": p.pose.tolist(),
                "mass": float(body.mass[0]),
                "inertia": body.inertia.tolist(),
                "inertia_quat": body.iquat.tolist(),
            }
        )
    return {
        "schema": SCHEMA,
        "seed": scene.seed,
        "units": "metres, seconds, radians, kilograms; Z up; poses are x y z qw qx qy qz; cameras OpenCV",
        "video": {
            "path": "video.mp4",
            "fps": phone.fps,
            "frames": len(times),
            "exposure_s": phone.exposure,
            "readout_s": phone.readout,
            "noise": phone.noise,
        },
        "phone": asdict(phone),
        "intrinsics": {
            "width": width,
            "height": height,
            "fx": phone.focal,
            "fy": phone.focal,
            "cx": width / 2,
            "cy": height / 2,
            "distortion": [],
        },
        "times": times.tolist(),
        "world_from_camera": hand_held(phone, times).tolist(),
        "exposure_ev": exposure_values(phone, times).tolist(),
        "gravity": list(tabletop.GRAVITY),
        "scale": 1.0,
        "table_height": 0.0,
        "marker": {
            "dictionary": prints.MARKER_DICTIONARY,
            "id": prints.MARKER_ID,
            "side_m": tabletop.MARKER_SIDE,
            "world_from_marker": list(tabletop.MARKER_POSE),
        },
        "bodies": bodies,
        "held_out": held_out,
        "clean": "clean/{frame:06d}.webp",
        "ids": "ids/{frame:06d}.png",
        "depth": {"path": "depth/{frame:06d}.png", "unit_m": DEPTH_UNIT},
    }


def write_mesh(path: Path, mesh: Mesh) -> None:
    """Write the closed triangles of a mesh as binary PLY, metres."""
    vertices, faces = welded(mesh)
    points = _records(vertices)
    rows = np.empty(len(faces), dtype=[("vertex_indices", "<i4", (3,))])
    rows["vertex_indices"] = faces
    elements = [PlyElement.describe(points, "vertex"), PlyElement.describe(rows, "face")]
    PlyData(elements, byte_order="<").write(str(path))


def _records(vertices: np.ndarray) -> np.ndarray:
    rows = np.empty(len(vertices), dtype=[("x", "<f4"), ("y", "<f4"), ("z", "<f4")])
    rows["x"], rows["y"], rows["z"] = vertices.T
    return rows


def write_checksums(folder: Path) -> None:
    """Write SHA256SUMS over all other files of the folder, in the format of `sha256sum`."""
    lines = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "SHA256SUMS"):
        lines.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n")
    (folder / "SHA256SUMS").write_text("".join(lines))


def _write(path: Path, image: np.ndarray, options: list[int]) -> None:
    if not cv2.imwrite(str(path), image, options):
        raise OSError(f"sample: could not write {path}.")


def _dumps(truth: dict) -> str:
    """JSON with one pose a line and numbers to 9 digits."""

    def short(value: object) -> object:
        if isinstance(value, float):
            return float(f"{value:.9g}")
        if isinstance(value, dict):
            return {k: short(v) for k, v in value.items()}
        return [short(v) for v in value] if isinstance(value, list | tuple) else value

    parts = [f"  {json.dumps(key)}: {_rows(short(value))}" for key, value in truth.items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _rows(value: object) -> str:
    if isinstance(value, list) and value and isinstance(value[0], list | dict):
        return "[\n    " + ",\n    ".join(json.dumps(v) for v in value) + "\n  ]"
    return json.dumps(value)


def main(arguments: list[str] | None = None) -> int:
    """Command line of `python -m splatworld.simulate.sample`."""
    parser = argparse.ArgumentParser(
        prog="python -m splatworld.simulate.sample", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to make, such as data/sample")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--slices", type=int, default=Phone.slices, help="sharp pictures per exposure")
    parser.add_argument("--duration", type=float, default=Phone.duration, help="seconds of video")
    parser.add_argument("--workers", type=int, default=2, help="processes that render")
    options = parser.parse_args(arguments)
    phone = Phone(seed=options.seed, slices=options.slices, duration=options.duration)
    make_sample(options.output, seed=options.seed, phone=phone, workers=options.workers)
    total = sum(p.stat().st_size for p in options.output.rglob("*") if p.is_file())
    print(
        f"{options.output}: {total / 1e6:.1f} MB, video {(options.output / 'video.mp4').stat().st_size / 1e6:.2f} MB",
        file=sys.stderr,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
