"""Numbers as colours, and legends that say which colour is which number."""

from __future__ import annotations

import colorsys
import html

import cv2
import numpy as np

ERROR_MAP, DEPTH_MAP = cv2.COLORMAP_INFERNO, cv2.COLORMAP_VIRIDIS
"""Both get evenly lighter to the eye from least to most."""
TRACKS = ((255, 150, 40), (60, 190, 255), (200, 110, 255), (120, 230, 110), (255, 90, 130), (240, 230, 90))
"""Colours of rollouts."""
STOPS = 16
"""Colours of a legend's bar; the browser fills in between."""


def colored(values: np.ndarray, low: float, high: float, colormap: int) -> np.ndarray:
    """[H, W] numbers -> [H, W, 3] uint8 sRGB; what is beyond the range has the colour of its end."""
    share = (np.nan_to_num(values) - low) / max(high - low, 1e-12)
    steps = (share.clip(0, 1) * 255).round().astype(np.uint8)
    return np.ascontiguousarray(cv2.applyColorMap(steps, colormap)[..., ::-1])


def bar(title: str, ticks: list[str], colormap: int) -> str:
    """The HTML of a colour bar, `ticks` spread evenly below it from least to most."""
    ramp = colored(np.linspace(0, 1, STOPS)[None], 0, 1, colormap)[0]
    stops = ", ".join(f"rgb({r},{g},{b})" for r, g, b in ramp.tolist())
    numbers = "".join(f"<span>{html.escape(tick)}</span>" for tick in ticks)
    ramp_style = f"height:0.8em;border-radius:2px;margin:0.2em 0;background:linear-gradient(to right, {stops})"
    return _framed(
        f"<div>{html.escape(title)}</div>"
        f'<div style="{ramp_style}"></div>'
        f'<div style="display:flex;justify-content:space-between">{numbers}</div>'
    )


def swatches(entries: list[tuple[str, tuple[int, int, int]]]) -> str:
    """The HTML of a list of names, each with its colour."""
    rows = "".join(
        '<span style="white-space:nowrap;margin-right:1em"><span style="display:inline-block;width:0.8em;height:0.8em;'
        f'border-radius:2px;margin-right:0.4em;background:rgb{color}"></span>{html.escape(name)}</span> '
        for name, color in entries
    )
    return _framed(f"<div>{rows}</div>")


def caption(text: str) -> str:
    """The HTML of a line of small print."""
    return _framed(f"<div>{html.escape(text)}</div>")


def body_color(index: int) -> tuple[int, int, int]:
    """A colour of its own for each body; grey for the background."""
    if index == 0:
        return (110, 110, 110)
    # Hues a golden ratio apart stay distinct however many there are.
    red, green, blue = colorsys.hsv_to_rgb(0.08 + 0.618034 * (index - 1) % 1.0, 0.65, 0.95)
    return round(255 * red), round(255 * green), round(255 * blue)


def track_color(number: int) -> tuple[int, int, int]:
    """A colour of its own for each of a few rollouts."""
    return TRACKS[number % len(TRACKS)]


def _framed(content: str) -> str:
    return f'<div style="font-size:12px;line-height:1.5;padding:0 0.8em 0.6em 0.8em">{content}</div>'
