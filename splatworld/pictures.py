"""Renderings as files: PNG, 16-bit depth, video."""

from __future__ import annotations

import io
from collections.abc import Iterable
from fractions import Fraction

import av
import cv2
import numpy as np
from torch import Tensor

from splatworld.core.checks import InputError

DEPTH_UNIT = 1e-3
"""Length of one step of a depth picture: 1 mm, or a thousandth of a capture unit."""


def encode_image(picture: np.ndarray, suffix: str = ".png", quality: int = 90) -> bytes:
    """A picture as the bytes of a PNG or JPEG file.

    Args:
        picture: [H, W, 3] uint8 sRGB, or [H, W] uint8 or uint16.
        suffix: .png or .jpg.
        quality: of a JPEG, 0 to 100.
    """
    bgr = picture[..., ::-1] if picture.ndim == 3 else picture
    done, content = cv2.imencode(suffix, bgr, [cv2.IMWRITE_JPEG_QUALITY, quality] if suffix == ".jpg" else [])
    if not done:
        raise InputError(f"encode_image: cannot write {picture.shape} {picture.dtype} as {suffix}; use .png or .jpg.")
    return content.tobytes()


def depth_steps(depth: Tensor) -> np.ndarray:
    """[H, W] depth in m -> [H, W] uint16 steps of `DEPTH_UNIT`; 0 where there is none or it is out of range."""
    steps = (depth.detach().double() / DEPTH_UNIT).round()
    return steps.where((steps > 0) & (steps < 2**16), 0).cpu().numpy().astype(np.uint16)


def body_steps(body_ids: Tensor) -> np.ndarray:
    """[H, W] body ids -> [H, W] uint16, body + 1; 0 where there is none."""
    return (body_ids.detach() + 1).clamp(0, 2**16 - 1).cpu().numpy().astype(np.uint16)


def encode_video(pictures: Iterable[np.ndarray], *, fps: int = 30, crf: int = 20) -> bytes:
    """Pictures [H, W, 3] uint8 sRGB of one size as an H.264 mp4 that browsers play; odd sizes lose a row or column.

    Args:
        pictures: at least one.
        fps: frames per second.
        crf: quality; lower is better, 18 is hard to tell from the original.
    """
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = None
        for picture in pictures:
            height, width = (side // 2 * 2 for side in picture.shape[:2])
            if stream is None:
                stream = container.add_stream(
                    "libx264", rate=Fraction(fps), options={"crf": str(crf), "preset": "fast"}
                )
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                stream.codec_context.thread_count = 1  # the same bytes on any number of cores
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[:height, :width]), format="rgb24")
            container.mux(stream.encode(frame))
        if stream is None:
            raise InputError("encode_video: no pictures, expected at least one.")
        container.mux(stream.encode())
    return buffer.getvalue()
