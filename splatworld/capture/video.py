"""Decode video: upright frames with timestamps, in sRGB, one at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import Colorspace, Interpolation

from splatworld.capture.config import fit_side
from splatworld.capture.tonemap import is_hdr, to_srgb
from splatworld.core.checks import FormatError, InputError

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi")

_UNSPECIFIED = 2  # ffmpeg's AVCOL_SPC_UNSPECIFIED
_REEXPORT = "copy it from the phone again, or export it once more as H.264 mp4"


@dataclass(frozen=True)
class Video:
    """What is known of a video before it is decoded.

    Attributes:
        path: the file.
        coded_size: (width, height) px as stored.
        duration: s, from the first frame's to the last frame's timestamp.
        count: frames stored.
    """

    path: Path
    coded_size: tuple[int, int]
    duration: float
    count: int


def open_video(path: str | Path) -> Video:
    """Look at a video's container and packets without decoding it.

    Raises:
        InputError: the file does not exist.
        FormatError: empty, truncated, without a video track, or not a video.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; give the path of a video.")
    if path.stat().st_size == 0:
        raise FormatError(f"{path}: the file is empty (0 bytes); {_REEXPORT}.")
    with _container(path) as container:
        stream = _stream(container, path)
        size = (stream.codec_context.width, stream.codec_context.height)
        base = float(stream.time_base or 1 / 90000)
        stamps = []
        try:
            for packet in container.demux(stream):
                if packet.size and packet.pts is not None:
                    stamps.append(packet.pts * base)
        except av.FFmpegError:
            pass  # judged below, by how much of the promised length was there
        promised = stream.frames
        length = float(stream.duration * base) if stream.duration else 0.0
    if not stamps or min(size) <= 0:
        raise FormatError(f"{path}: holds no video frames; {_REEXPORT}.")
    duration = max(stamps) - min(stamps)
    if (promised and len(stamps) < 0.97 * promised) or (length > 1 and duration < 0.9 * length - 0.5):
        raise FormatError(
            f"{path}: the video is truncated: {len(stamps)} of {promised or 'its'} frames, {duration:.1f} of "
            f"{length:.1f} s, are there; {_REEXPORT}."
        )
    return Video(path=path, coded_size=size, duration=duration, count=len(stamps))


@dataclass(frozen=True)
class Frame:
    """One decoded frame, not yet converted.

    Attributes:
        index: position in presentation order.
        time: s since the first frame.
        raw: the decoder's frame.
    """

    index: int
    time: float
    raw: av.VideoFrame

    def gray(self, longest: int) -> np.ndarray:
        """[h, w] uint8 luma, upright, longest side at most `longest` px."""
        width, height = fit_side((self.raw.width, self.raw.height), longest)
        small = self.raw.reformat(width=width, height=height, format="gray", interpolation=Interpolation.AREA)
        return _upright(small.to_ndarray(), self.raw.rotation)

    def color(self, longest: int | None = None) -> np.ndarray:
        """[h, w, 3] uint8 sRGB, upright, longest side at most `longest` px; HDR is tone-mapped."""
        raw = self.raw
        width, height = fit_side((raw.width, raw.height), longest)
        hdr = is_hdr(raw.color_trc)
        space = raw.colorspace
        if space == _UNSPECIFIED:
            # Players assume BT.709 from 720 lines up; swscale alone would take BT.601.
            space = Colorspace.ITU709 if min(raw.width, raw.height) >= 720 else Colorspace.ITU601
        elif space in (9, 10):
            space = Colorspace.BT2020
        picture = raw.reformat(
            width=width,
            height=height,
            format="rgb48le" if hdr else "rgb24",
            src_colorspace=space if space in set(Colorspace) else None,
            interpolation=Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT,
        ).to_ndarray()
        if hdr:
            picture = to_srgb(picture, raw.color_trc)
        return _upright(picture, raw.rotation)


def decode(path: str | Path, threads: int = 0) -> Iterator[Frame]:
    """Yield every frame in presentation order, one at a time.

    Raises:
        FormatError: not a video, or nothing in it can be decoded.
    """
    path = Path(path)
    with _container(path) as container:
        stream = _stream(container, path)
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = threads
        rate = float(stream.average_rate or 30)
        start: float | None = None
        index, broken = 0, 0
        packets = container.demux(stream)
        while True:
            try:
                frames = next(packets).decode()
            except StopIteration:
                break
            except av.InvalidDataError:
                broken += 1  # a damaged packet costs its frames; more than a few cost the video
                if broken > 50:
                    break
                continue
            for raw in frames:
                time = index / rate if raw.time is None else float(raw.time)
                start = time if start is None else start
                yield Frame(index=index, time=time - start, raw=raw)
                index += 1
    if index == 0 or broken > max(2, 0.05 * index):
        raise FormatError(f"{path}: the video is damaged, {index} frames could be decoded; {_REEXPORT}.")


def decode_chosen(
    path: str | Path, indices: Iterable[int], longest: int | None, threads: int = 0
) -> Iterator[np.ndarray]:
    """Yield the frames of these indices, ascending, as [h, w, 3] uint8 sRGB."""
    wanted = set(indices)
    last = max(wanted, default=-1)
    for frame in decode(path, threads):
        if frame.index in wanted:
            yield frame.color(longest)
        if frame.index >= last:
            return


def _container(path: Path) -> av.container.InputContainer:
    try:
        return av.open(str(path))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise FormatError(
            f"{path}: not a readable video (damaged, cut off, or another kind of file); {_REEXPORT}."
        ) from error


def _stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    if not container.streams.video:
        raise FormatError(f"{path}: has no video track; give a file that was filmed with a camera.")
    return container.streams.video[0]


def _upright(picture: np.ndarray, rotation: int) -> np.ndarray:
    """Turn by the display matrix, whose angle is counter-clockwise, as np.rot90's is."""
    return np.ascontiguousarray(np.rot90(picture, round(rotation / 90) % 4))
