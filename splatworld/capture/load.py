"""One way in: whatever the capture is, a `PosedClip` comes out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from splatworld.capture.colmap import find_model, load_colmap
from splatworld.capture.config import CaptureConfig, Progress
from splatworld.capture.images import IMAGE_SUFFIXES, held_out_every, list_images, read_frames
from splatworld.capture.keyframes import choose_keyframes
from splatworld.capture.layouts import find_layout
from splatworld.capture.motion import measure_motion
from splatworld.capture.nerfstudio import load_nerfstudio
from splatworld.capture.recorded import load_recorded
from splatworld.capture.sfm import find_cameras
from splatworld.capture.video import VIDEO_SUFFIXES, decode_chosen, open_video
from splatworld.core.checks import InputError
from splatworld.core.clip import Clip, PosedClip


def load_capture(
    path: str | Path, config: CaptureConfig | None = None, *, progress: Progress | None = None
) -> PosedClip:
    """Frames with known cameras and a sparse point cloud from any supported capture.

    Args:
        path: a video file; a folder of images; a COLMAP model, or a folder with `sparse/0` and `images`; a nerfstudio
            `transforms.json` or its folder; a recording with poses, see `layouts`.
        config: see `CaptureConfig`; defaults if left out.
        progress: `progress(stage, done, total)`.

    Returns:
        The frames that could be placed. Captures that come with poses keep their frame of reference.

    Raises:
        InputError: nothing usable there, or the cameras cannot be found: what, where, and what to do.
        FormatError: a damaged file.
    """
    config = config or CaptureConfig()
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; give a video, an image folder, a COLMAP model or a "
                         "transforms.json.")  # fmt: skip
    if path.is_dir():
        if (path / "transforms.json").is_file():
            return load_nerfstudio(path / "transforms.json", config, progress=progress)
        if find_model(path) is not None:
            return load_colmap(path, config, progress=progress)
        read = find_layout(path)
        if read is not None:
            return load_recorded(read(path), config, progress=progress)
        return _place_folder(path, config, progress)
    if path.suffix.lower() == ".json":
        return load_nerfstudio(path, config, progress=progress)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        raise InputError(f"{path}: one image shows no depth; give a video or a folder of at least 3 images.")
    if path.suffix.lower() not in VIDEO_SUFFIXES and path.stat().st_size:
        raise InputError(f"{path}: {path.suffix or 'a file without an ending'} is not a capture, expected a video "
                         f"({', '.join(VIDEO_SUFFIXES)}), an image folder or a transforms.json.")  # fmt: skip
    clip = load_video(path, config, progress=progress)
    return find_cameras(clip, config, name=str(path), progress=progress)


def load_video(path: str | Path, config: CaptureConfig, *, progress: Progress | None = None) -> Clip:
    """Held-out frames and keyframes of a video, at `config.working_side`, in time order.

    Raises:
        InputError: black, uniform, too short, or filmed from one spot.
        FormatError: empty, truncated, damaged or not a video.
    """
    video = open_video(path)
    motion = measure_motion(video, config, progress)
    choice = choose_keyframes(motion, config, name=str(path))
    return Clip(
        images=_gather(
            decode_chosen(path, choice.index.tolist(), config.working_side(), config.worker_threads), len(choice.index)
        ),
        times=torch.from_numpy(choice.time),
        held_out=torch.from_numpy(choice.held_out),
        names=tuple(f"frame_{index:06d}" for index in choice.index),
    )


def _gather(pictures: Iterator[np.ndarray], count: int) -> torch.Tensor:
    """[T, H, W, 3] of up to `count` pictures of one shape, written in place: hundreds of frames are held only once."""
    images: torch.Tensor | None = None
    done = 0
    for picture in pictures:
        if images is None:
            images = torch.empty((count, *picture.shape), dtype=torch.uint8)
        images[done] = torch.from_numpy(picture)
        done += 1
    assert images is not None, "a video of which frames were chosen has frames"
    return images[:done]


def load_images(folder: str | Path, config: CaptureConfig, *, progress: Progress | None = None) -> Clip:
    """The images of a folder, by name, at `config.working_side`; times are their positions.

    Raises:
        InputError: fewer than 3 images of one shape.
        FormatError: a damaged image.
    """
    files = list_images(folder)
    if not files:
        raise InputError(f"{folder}: no images ({', '.join(IMAGE_SUFFIXES)}), no COLMAP model and no transforms.json "
                         "here; give the folder that holds them.")  # fmt: skip
    if len(files) < 3:
        raise InputError(f"{folder}: holds {len(files)} image(s), at least 3 from different places are needed.")
    held = held_out_every(len(files), config.held_out_every)
    files, held, positions = _thin_out(files, held, config.max_keyframes)
    images, kept, _ = read_frames(files, longest=config.working_side(), orient=True, progress=progress)
    if len(kept) < max(3, 0.6 * len(files)):
        raise InputError(f"{folder}: only {len(kept)} of {len(files)} images have the same shape; give images of one "
                         "camera, all upright or all on their side.")  # fmt: skip
    return Clip(
        images=images,
        times=positions[kept].double(),
        held_out=held[kept],
        names=tuple(files[i].name for i in kept),
    )


def _place_folder(folder: Path, config: CaptureConfig, progress: Progress | None) -> PosedClip:
    clip = load_images(folder, config, progress=progress)
    posed = find_cameras(clip, config, name=str(folder), progress=progress)
    every = list_images(folder)
    left = [f.name for i, f in enumerate(every) if f.name not in clip.names and _is_held(i, config)]
    if left:  # of another shape: a held-out frame is never dropped, it scores 0
        posed = replace(posed, unplaced=(*posed.unplaced, *left), unplaced_held_out=posed.unplaced_held_out + len(left))
    return posed


def _is_held(position: int, config: CaptureConfig) -> bool:
    return config.held_out_every > 0 and position % config.held_out_every == 0


def _thin_out(files: list[Path], held: torch.Tensor, most: int) -> tuple[list[Path], torch.Tensor, torch.Tensor]:
    """Keep every held-out file and at most `most` others, evenly."""
    others = torch.nonzero(~held).squeeze(-1)
    if len(others) > most:
        others = others[torch.linspace(0, len(others) - 1, most).round().long()]
    rows = torch.cat([torch.nonzero(held).squeeze(-1), others]).unique()
    return [files[i] for i in rows.tolist()], held[rows], rows
