"""What a path holds, in a few figures: a world, a rollout, splats of another tool, or a capture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from splatworld import ply, store
from splatworld.bodies.build import describe
from splatworld.capture.colmap import find_model
from splatworld.capture.images import list_images
from splatworld.capture.layouts import find_layout
from splatworld.capture.video import VIDEO_SUFFIXES, open_video
from splatworld.core.checks import InputError
from splatworld.core.robot import ACTION_SECONDS
from splatworld.core.splats import Provenance, Splats
from splatworld.files import old_sibling
from splatworld.recordings import is_rollout, load_rollout


def summarize(path: str | Path) -> dict[str, Any]:
    """Look at `path`; a world is verified against its checksums on the way.

    Raises:
        InputError: nothing there, or nothing this package reads.
        FormatError: damaged, or of a newer schema.
    """
    path = Path(path)
    if (path / "world.json").is_file() or (not path.exists() and old_sibling(path.resolve()).exists()):
        return _world(path)
    if is_rollout(path):
        return _rollout(path)
    if path.suffix.lower() in (".ply", ".splat"):
        return {"kind": "splats", "path": str(path), "bytes": _bytes(path), **_splats(ply.read_splats(path))}
    if path.suffix.lower() in VIDEO_SUFFIXES:
        video = open_video(path)
        return {
            "kind": "video",
            "path": str(path),
            "bytes": _bytes(path),
            "size": list(video.coded_size),
            "duration": video.duration,
            "frames": video.count,
        }
    if path.is_dir():
        return _capture_folder(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; check the path.")
    raise InputError(f"{path}: neither a world, nor splats (.ply, .splat), nor a capture; check the path.")


def _world(path: Path) -> dict[str, Any]:
    world = store.load_world(path)
    document = store.read_document(path)[1]
    return {
        "kind": "world",
        "path": str(path),
        "bytes": _bytes(path),
        "id": document["id"],
        "schema": document["schema"],
        **_splats(world.splats),
        "bodies": describe(world),
        "cameras": list(world.cameras),
        "gravity": world.gravity.tolist(),
        "scale": document["scale"],
        "unit": "capture units" if world.scale.source == "none" else "m",
        "metrics": world.metrics,
    }


def _rollout(path: Path) -> dict[str, Any]:
    rollout = load_rollout(path)
    return {
        "kind": "rollout",
        "path": str(path),
        "bytes": _bytes(path),
        "world_id": rollout.world_id,
        "actions": rollout.actions.shape[-2],
        "lasts": f"{ACTION_SECONDS * rollout.actions.shape[-2]:.1f} s",
    }


def _splats(splats: Splats) -> dict[str, Any]:
    return {
        "splats": len(splats),
        "degree": splats.degree,
        "provenance": {p.name.lower(): int((splats.provenance == p).sum()) for p in Provenance},
        "extent": _extent(splats),
    }


def _extent(splats: Splats) -> list[float] | None:
    """Size along x, y, z of the middle 98 %; a few strays far out say nothing of a scene's size."""
    if not len(splats):
        return None
    ordered = splats.means.sort(dim=0).values
    low, high = int(0.01 * (len(splats) - 1)), int(0.99 * (len(splats) - 1))
    return (ordered[high] - ordered[low]).tolist()


def _capture_folder(path: Path) -> dict[str, Any]:
    transforms = path / "transforms.json"
    if transforms.is_file():
        try:
            form, count = "nerfstudio", len(json.loads(transforms.read_text())["frames"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{transforms}: damaged ({error!r}); export it again.") from error
    elif (read := find_layout(path)) is not None:
        form, count = "posed", len(read(path).poses)
    else:
        form = "images" if find_model(path) is None else "COLMAP"
        count = len(list_images(path / "images" if (path / "images").is_dir() else path))
    if not count and form == "images":
        raise InputError(f"{path}: neither a world nor a capture, it holds no images; check the path.")
    return {"kind": f"{form} capture", "path": str(path), "bytes": _bytes(path), "images": count}


def _bytes(path: Path) -> int:
    return sum(p.stat().st_size for p in ([path] if path.is_file() else path.rglob("*")) if p.is_file())
