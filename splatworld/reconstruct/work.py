"""The folder beside an unfinished world: its posed frames and the fit's state, so that a killed run can go on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splatworld.core.camera import Camera, stack
from splatworld.core.checks import InputError
from splatworld.core.clip import Clip, PosedClip
from splatworld.core.world import Scale
from splatworld.files import fsync, lock_folder, plain_errors
from splatworld.unfinished import Checkpoint, read_tensors, write_tensors

LARGE = ("images", "masks", "depths")
"""Fields of a clip that lie in files of their own and are read as they are needed."""

CAMERA = tuple(field.name for field in fields(Camera) if field.name != "size")
"""Tensors of a camera."""


class WorkFolder:
    """`WORLD.partial`, which lives from the moment the frames are posed until the world is written.

    One process works in it at a time. What was left by a run with another input or other options is not used.
    """

    def __init__(self, output: Path, *, every: float = 30.0, say: Callable[[str], object] = print) -> None:
        """
        Args:
            output: the world's folder.
            every: s between two saves of the fit's state.
            say: told what is resumed, and what is not.
        """
        output = output.resolve()
        self.path = output.with_name(output.name + ".partial")
        self._every, self._say = every, say
        self._handle: int | None = None

    def __enter__(self) -> WorkFolder:
        if self.path.is_dir():
            self._lock()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._handle is not None:
            os.close(self._handle)

    def posed(self, key: str, make: Callable[[], PosedClip]) -> PosedClip:
        """The posed frames of an earlier run with this key, or those that `make` returns, kept for a later one."""
        found = load_posed(self.path, key)
        if found is not None:
            self._say(f"cameras taken from the unfinished run in {self.path}")
            return found
        if self.path.is_dir():
            self._say(f"{self.path} holds an unfinished run of another capture or with other options: starting anew")
            self.remove()
        posed = make()
        try:
            with plain_errors(self.path):
                self.path.mkdir(parents=True, exist_ok=True)
                self._lock()
                save_posed(posed, self.path, key)
        except InputError as error:
            self._say(f"{error} The run goes on; it could not be resumed.")
            return posed
        return load_posed(self.path, key, verify=False) or posed

    def checkpoint(self, key: str) -> Checkpoint:
        """Where a fit with this key saves its state."""
        return Checkpoint(self.path / "fit.safetensors", key, every=self._every, say=self._say)

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _lock(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
        self._handle = lock_folder(self.path, self.path)


def key_of(*parts: Any) -> str:
    """A hash of options (dataclasses) and plain values; `threads`, on which no result may depend, is left out."""
    plain = [replace(part, threads=0) if hasattr(part, "threads") else part for part in parts]
    text = json.dumps([asdict(part) if hasattr(part, "__dataclass_fields__") else part for part in plain])
    return hashlib.sha256(text.encode()).hexdigest()


def stamp(capture: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of change of every file of a capture; a file other than a video stands for its folder."""
    root = capture.parent if capture.suffix.lower() == ".json" else capture
    files = sorted(root.rglob("*")) if root.is_dir() else [root]
    return [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files if f.is_file()]


def save_posed(posed: PosedClip, folder: Path, key: str) -> None:
    """Write undistorted frames; the small file that vouches for the large ones comes last.

    Raises:
        OSError, InputError: the disk is full or the folder cannot be written.
    """
    clip = posed.clip
    large = {name: getattr(clip, name).numpy() for name in LARGE if getattr(clip, name) is not None}
    sums = {}
    for name, value in large.items():
        np.save(folder / f"{name}.npy", value)
        fsync(folder / f"{name}.npy")
        sums[name] = _sum(value)
    cameras = stack(list(posed.cameras))
    tensors = {
        "times": clip.times,
        "held_out": clip.held_out,
        "points": posed.points,
        "colors": posed.colors,
        "tracks": posed.tracks,
        "gravity": posed.gravity,
        **{name: getattr(cameras, name) for name in CAMERA if getattr(cameras, name) is not None},
    }
    values = {
        "names": clip.names,
        "size": cameras.size,
        "unplaced": posed.unplaced,
        "unplaced_held_out": posed.unplaced_held_out,
        "notes": posed.notes,
        "metrics": posed.metrics,
        "scale": asdict(posed.scale),
        "sums": sums,
    }
    write_tensors(folder / "posed.safetensors", tensors, key=key, values=values)


def load_posed(folder: Path, key: str, *, verify: bool = True) -> PosedClip | None:
    """What `save_posed` wrote under `key`, pictures mapped rather than read; None where missing or damaged."""
    found = read_tensors(folder / "posed.safetensors", key)
    if found is None:
        return None
    tensors, values = found
    large: dict[str, Tensor] = {}
    for name, expected in values["sums"].items():
        try:
            # Copy on write: torch wants arrays that may be written, the file must stay as it is.
            array = np.load(folder / f"{name}.npy", mmap_mode="c", allow_pickle=False)
        except (OSError, ValueError):
            return None
        if verify and _sum(array) != expected:
            return None
        large[name] = torch.from_numpy(array)
    clip = Clip(times=tensors["times"], held_out=tensors["held_out"], names=tuple(values["names"]), **large)
    return PosedClip(
        clip=clip,
        cameras=tuple(
            Camera(size=tuple(values["size"]), **{name: tensors[name][frame] for name in CAMERA if name in tensors})
            for frame in range(len(clip))
        ),
        points=tensors["points"],
        colors=tensors["colors"],
        tracks=tensors["tracks"],
        unplaced=tuple(values["unplaced"]),
        unplaced_held_out=values["unplaced_held_out"],
        notes=tuple(values["notes"]),
        metrics=values["metrics"],
        scale=Scale(**values["scale"]),
        gravity=tensors["gravity"],
    )


def _sum(array: np.ndarray) -> str:
    digest = hashlib.sha256()
    for frame in array:
        digest.update(np.ascontiguousarray(frame).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
