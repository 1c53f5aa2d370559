"""Pictures, films and figures as HTML that needs no other file."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable

import cv2
import numpy as np

from splatworld.core.camera import Camera, resize
from splatworld.evaluate.report import Line, figure
from splatworld.pictures import encode_image

PICTURE_SIDE = 640
"""Longest side of the page's pictures, px."""
GAP = 8
"""px between two pictures."""


def image(picture: np.ndarray, text: str) -> str:
    """A picture [H, W, 3] uint8; `text` for those who cannot see it."""
    content = base64.b64encode(encode_image(picture, ".jpg")).decode()
    height, width = picture.shape[:2]
    return f'<img src="data:image/jpeg;base64,{content}" width="{width}" height="{height}" alt="{html.escape(text)}">'


def video(content: bytes, text: str) -> str:
    """An mp4 that plays over and over; `text` for those who cannot see it."""
    source = base64.b64encode(content).decode()
    label = html.escape(text)
    return (
        f'<video src="data:video/mp4;base64,{source}" aria-label="{label}" autoplay loop muted playsinline controls>'
        "</video>"
    )


def figures(lines: Iterable[Line]) -> str:
    """Figures with their targets; what was missed is marked, what could not be measured says so."""
    rows = []
    for each in lines:
        value = "not measured" if each.value is None else f"{figure(each.value)} {each.unit}".strip()
        kind = "" if each.met is None else ' class="met"' if each.met else ' class="missed"'
        target = "" if each.target is None else f"<small>{html.escape(f'{each.target} {each.unit}'.strip())}</small>"
        beside = "" if each.baseline is None else f"<small>{html.escape(each.baseline)}</small>"
        name = html.escape(each.name)
        rows.append(f"<tr><td>{name} {beside}</td><td{kind}>{html.escape(value)} {target}</td></tr>")
    return f'<table class="figures"><tbody>{"".join(rows)}</tbody></table>' if rows else ""


def paragraph(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{html.escape(text)}</p>"


def items(sentences: Iterable[str]) -> str:
    """A list of plain sentences."""
    return "<ul>" + "\n".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences) + "</ul>"


def pair(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Two pictures [H, W, 3] uint8 side by side."""
    return np.hstack([left, np.full((left.shape[0], GAP, 3), 255, np.uint8), right])


def shrunk(picture: np.ndarray) -> np.ndarray:
    """A picture no larger than the page shows it."""
    width, height = fitted((picture.shape[1], picture.shape[0]))
    return np.ascontiguousarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA))


def shrunk_camera(camera: Camera) -> Camera:
    """The camera that takes pictures of the page's size."""
    return resize(camera, fitted(camera.size))


def fitted(size: tuple[int, int]) -> tuple[int, int]:
    """(width, height) px of the page's pictures of frames of this size, both even."""
    factor = min(1.0, PICTURE_SIDE / max(size))
    return max(2, round(size[0] * factor) // 2 * 2), max(2, round(size[1] * factor) // 2 * 2)
