"""Printed matter: labels, boxes, book covers, posters, the view from the window, the ArUco sheet.

Pictures are [H,W,3] u8, display-referred RGB.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from splatworld.simulate import textures
from splatworld.simulate.textures import Colour

MARKER_DICTIONARY = "DICT_4X4_50"
MARKER_ID = 7

_SMALL_PRINT = """
    ingredients wheat oats sugar honey salt barley malt vitamin water tomato vinegar spice herbs best before store in a
    cool dry place energy protein fat fibre per serving rinse and recycle open here made with care harvest garden since
    morning shake well
"""
WORDS = _SMALL_PRINT.split()


def blank(height: int, width: int, colour: Colour) -> np.ndarray:
    """One flat colour."""
    image = np.empty((height, width, 3), np.uint8)
    image[:] = np.asarray(colour, np.uint8)
    return image


def write(
    image: np.ndarray,
    text: str,
    at: tuple[float, float],
    size: float,
    colour: Colour,
    *,
    weight: int = 500,
    italic: bool = False,
) -> None:
    """Draw `text` centred on `at` (fractions of width and height), `size` a fraction of the height, shrunk to fit."""
    height, width = image.shape[:2]
    face = cv2.FontFace("italic" if italic else "sans")
    pixels = max(5, int(size * height))
    while True:
        x, y, w, h = cv2.getTextSize((width, height), text, (0, 0), face, pixels, weight)
        if w <= width * 0.96 or pixels <= 5:
            break
        pixels = int(pixels * 0.92)
    origin = (int(at[0] * width - x - w / 2), int(at[1] * height - y - h / 2))
    cv2.putText(image, text, origin, tuple(int(c) for c in colour), face, pixels, weight)


def paragraph(image: np.ndarray, rng: np.random.Generator, box: Sequence[float], size: float, colour: Colour) -> None:
    """Fill `box` (left, top, right, bottom; fractions) with lines of small print."""
    height, width = image.shape[:2]
    face, pixels = cv2.FontFace("sans"), max(6, int(size * height))
    y = box[1] * height + pixels
    while y < box[3] * height:
        x = box[0] * width
        while True:
            word = str(rng.choice(WORDS)) + " "
            w = cv2.getTextSize((width, height), word, (0, 0), face, pixels, 400)[2] + pixels // 3
            if x + w > box[2] * width:
                break
            cv2.putText(image, word, (int(x), int(y)), tuple(int(c) for c in colour), face, pixels, 400)
            x += w
        y += pixels * 1.35


def barcode(image: np.ndarray, rng: np.random.Generator, box: Sequence[float]) -> None:
    """A barcode on white in `box` (left, top, right, bottom; fractions)."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = int(box[0] * width), int(box[1] * height), int(box[2] * width), int(box[3] * height)
    image[y0:y1, x0:x1] = 250
    x = x0 + 4
    while x < x1 - 6:
        bar = int(rng.integers(1, 4))
        image[y0 + 4 : y1 - 4, x : x + bar] = 20
        x += bar + int(rng.integers(1, 4))


def worn(rng: np.random.Generator, image: np.ndarray, depth: float = 5.0) -> np.ndarray:
    """The picture as printed on paper: fibres, slight mottling."""
    h, w = image.shape[:2]
    mottle = textures.noise(rng, h, w, (max(2, h / 40), max(2, w / 40)), 4) * depth + rng.normal(0, depth * 0.4, (h, w))
    return np.clip(image + mottle[..., None], 0, 255).astype(np.uint8)


def cereal_front(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """The front of a cereal box: sun, bowl, flakes, a big name."""
    y, _ = np.mgrid[0:height, 0:width]
    image = textures.tint((222, 96, 30), ((y / height).astype(np.float32), (24, 92, 20)))
    for k in range(24):
        a = k * np.pi / 12
        tip = (
            [(0.5 + 1.2 * np.cos(a + d)) * width for d in (-0.06, 0.06)],
            [0.62 * height + 1.2 * width * np.sin(a + d) for d in (-0.06, 0.06)],
        )
        ray = np.array([[0.5 * width, 0.62 * height], [tip[0][0], tip[1][0]], [tip[0][1], tip[1][1]]], np.int32)
        cv2.fillPoly(image, [ray], (246, 182, 62), cv2.LINE_AA)
    bowl = (int(0.5 * width), int(0.72 * height))
    for _ in range(330):
        a, r = rng.uniform(0, 2 * np.pi), np.sqrt(rng.uniform()) * 0.34
        p = (int(bowl[0] + r * width * np.cos(a)), int(bowl[1] - 0.02 * height + 0.45 * r * width * np.sin(a)))
        colour = np.array([214, 150, 66]) * rng.uniform(0.65, 1.15)
        axes = (int(0.032 * width), int(0.018 * width))
        cv2.ellipse(image, p, axes, float(rng.uniform(0, 180)), 0, 360, tuple(map(int, colour)), -1, cv2.LINE_AA)
        cv2.ellipse(image, p, axes, float(rng.uniform(0, 180)), 0, 140, tuple(map(int, colour * 0.6)), 2, cv2.LINE_AA)
    cv2.ellipse(image, bowl, (int(0.37 * width), int(0.26 * width)), 0, 0, 180, (36, 74, 140), -1, cv2.LINE_AA)
    for k in range(9):
        cv2.circle(
            image,
            (int(bowl[0] + (k - 4) * 0.06 * width), int(bowl[1] + 0.1 * width)),
            int(0.018 * width),
            (240, 240, 232),
            -1,
            cv2.LINE_AA,
        )
    band = image[int(0.06 * height) : int(0.38 * height)]
    band[:] = (band * 0.2 + np.array([150, 24, 30]) * 0.8).astype(np.uint8)
    write(image, "Morning", (0.5, 0.14), 0.11, (255, 238, 190), weight=700, italic=True)
    write(image, "FLAKES", (0.5, 0.26), 0.17, (255, 255, 250), weight=900)
    write(image, "golden oats & honey", (0.5, 0.352), 0.036, (255, 224, 150), weight=600)
    write(image, "whole grain   450 g", (0.5, 0.955), 0.038, (90, 30, 16), weight=700)
    return worn(rng, image)


def cereal_side(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """The narrow side of a cereal box: small print and a table of figures."""
    image = blank(height, width, (214, 106, 36))
    image[int(0.1 * height) : int(0.86 * height), int(0.08 * width) : int(0.92 * width)] = (250, 240, 214)
    write(image, "FLAKES", (0.5, 0.05), 0.06, (255, 250, 230), weight=900)
    paragraph(image, rng, (0.12, 0.12, 0.9, 0.45), 0.020, (70, 40, 30))
    for k in range(9):
        y = int((0.48 + 0.03 * k) * height)
        cv2.line(image, (int(0.12 * width), y), (int(0.88 * width), y), (90, 60, 50), 2)
        write(image, f"{WORDS[20 + k]}  {rng.integers(1, 90)} g", (0.5, 0.495 + 0.03 * k), 0.02, (60, 40, 30))
    barcode(image, rng, (0.12, 0.76, 0.88, 0.85))
    return worn(rng, image)


def can_label(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """The wrap-around label of a tin: tomatoes, bands, small print."""
    image = blank(height, width, (176, 30, 30))
    image[: int(0.12 * height)] = image[int(0.88 * height) :] = (232, 214, 160)
    image[int(0.12 * height) : int(0.14 * height)] = image[int(0.86 * height) : int(0.88 * height)] = (46, 92, 50)
    for left in (0.0, 0.5):
        panel = image[:, int(left * width) : int((left + 0.3) * width)]
        h, w = panel.shape[:2]
        cv2.ellipse(
            panel, (w // 2, int(0.4 * h)), (int(0.44 * w), int(0.22 * h)), 0, 0, 360, (246, 236, 206), -1, cv2.LINE_AA
        )
        write(panel, "Pomodori", (0.5, 0.36), 0.17, (150, 20, 24), weight=800, italic=True)
        write(panel, "peeled tomatoes", (0.5, 0.49), 0.07, (46, 92, 50), weight=600)
        for k in range(7):
            p = (int((0.16 + 0.115 * k) * w), int((0.75 + 0.03 * (k % 2)) * h))
            cv2.circle(panel, p, int(0.075 * h), (206 + 5 * (k % 3), 60 - 9 * (k % 3), 34), -1, cv2.LINE_AA)
            cv2.circle(panel, (p[0] - 6, p[1] - 6), int(0.02 * h), (250, 190, 170), -1, cv2.LINE_AA)
            for a in range(0, 360, 72):
                tip = (
                    int(p[0] + 0.05 * h * np.cos(np.radians(a))),
                    int(p[1] - 0.05 * h + 0.025 * h * np.sin(np.radians(a))),
                )
                cv2.line(panel, (p[0], p[1] - int(0.055 * h)), tip, (40, 110, 44), 3, cv2.LINE_AA)
        write(panel, "400 g", (0.5, 0.935), 0.08, (90, 50, 30), weight=700)
    paragraph(image, rng, (0.32, 0.2, 0.48, 0.8), 0.04, (250, 226, 200))
    barcode(image, rng, (0.85, 0.3, 0.97, 0.7))
    return worn(rng, image)


def bottle_label(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """The label of a bottle of dressing: herbs and stripes."""
    image = blank(height, width, (238, 230, 204))
    image[: int(0.06 * height)] = image[int(0.94 * height) :] = (178, 134, 40)
    for _ in range(150):
        x, y, a = (
            rng.uniform(0, width),
            rng.choice([rng.uniform(0.08, 0.2), rng.uniform(0.8, 0.92)]) * height,
            rng.uniform(0, 180),
        )
        colour = (int(rng.integers(30, 90)), int(rng.integers(90, 150)), int(rng.integers(30, 70)))
        cv2.ellipse(
            image, (int(x), int(y)), (int(0.06 * height), int(0.02 * height)), a, 0, 360, colour, -1, cv2.LINE_AA
        )
    for left in (0.02, 0.52):
        panel = image[:, int(left * width) : int((left + 0.28) * width)]
        write(panel, "Garden", (0.5, 0.34), 0.17, (40, 84, 44), weight=800, italic=True)
        write(panel, "DRESSING", (0.5, 0.52), 0.12, (150, 92, 20), weight=900)
        write(panel, "with herbs 250 ml", (0.5, 0.68), 0.06, (70, 60, 40))
    paragraph(image, rng, (0.33, 0.26, 0.48, 0.76), 0.045, (60, 60, 44))
    barcode(image, rng, (0.84, 0.3, 0.97, 0.7))
    return worn(rng, image)


def mug_glaze(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Hand-painted bands around a mug: stripes, leaves and dots on speckled glaze."""
    image = textures.speckle(rng, height, width, (226, 222, 208), depth=5)
    blue, rust = (38, 74, 128), (190, 88, 44)
    for top, low, colour in ((0.05, 0.09, blue), (0.12, 0.135, rust), (0.84, 0.88, rust), (0.91, 0.96, blue)):
        image[int(top * height) : int(low * height)] = colour
    for k in range(16):
        x = (k + 0.5) / 16 * width
        for side in (-1, 1):
            for j in range(4):
                y = (0.26 + 0.14 * j) * height
                centre = (int(x + side * 0.010 * width), int(y))
                cv2.ellipse(
                    image,
                    centre,
                    (int(0.014 * width), int(0.03 * height)),
                    side * 42,
                    0,
                    360,
                    blue if k % 2 else (52, 112, 84),
                    -1,
                    cv2.LINE_AA,
                )
        cv2.line(image, (int(x), int(0.2 * height)), (int(x), int(0.78 * height)), (60, 60, 60), 3, cv2.LINE_AA)
        cv2.circle(
            image,
            (int((k + 1) / 16 * width), int((0.35 + 0.25 * (k % 2)) * height)),
            int(0.03 * height),
            rust,
            -1,
            cv2.LINE_AA,
        )
    for _ in range(260):
        cv2.circle(
            image,
            (int(rng.uniform(0, width)), int(rng.uniform(0, height))),
            int(rng.integers(1, 3)),
            (120, 104, 84),
            -1,
            cv2.LINE_AA,
        )
    return image


def book_cover(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """The cover of a hardback: hills under a moon, title and author."""
    y, _ = np.mgrid[0:height, 0:width].astype(np.float32)
    image = textures.tint((24, 44, 74), (y / height, (120, 90, 40)))
    cv2.circle(image, (int(0.7 * width), int(0.3 * height)), int(0.12 * width), (246, 222, 160), -1, cv2.LINE_AA)
    for k in range(6):
        ridge = (0.48 + 0.08 * k) * height + 0.05 * height * textures.noise(rng, 8, width, (1, 5), 5)[4]
        mask = y > ridge
        image[mask] = np.array(
            [[70, 96, 108], [54, 88, 84], [40, 76, 66], [74, 84, 46], [120, 98, 44], [40, 52, 36]][k], np.uint8
        )
        for _ in range(70):
            px = int(rng.uniform(0, width))
            top = int(ridge[px])
            tree = np.array([[px - 7, top + 16], [px + 7, top + 16], [px, top - 14]], np.int32)
            cv2.fillPoly(image, [tree], tuple(int(c * 0.7) for c in image[min(height - 1, top + 20), px]), cv2.LINE_AA)
    for _ in range(130):
        cv2.circle(
            image, (int(rng.uniform(0, width)), int(rng.uniform(0, 0.4) * height)), 1, (230, 226, 210), -1, cv2.LINE_AA
        )
    write(image, "THE LONG", (0.5, 0.1), 0.1, (250, 236, 200), weight=800)
    write(image, "VALLEY", (0.5, 0.2), 0.12, (250, 236, 200), weight=900)
    write(image, "a novel", (0.27, 0.3), 0.04, (230, 200, 150), italic=True)
    write(image, "M. HARROW", (0.5, 0.93), 0.06, (250, 240, 220), weight=700)
    cv2.rectangle(image, (14, 14), (width - 15, height - 15), (214, 180, 110), 3)
    return worn(rng, image)


def pages(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """The cut edge of a block of paper, leaves along x."""
    lines = rng.normal(0, 14, (height, 1)).repeat(width, 1) + rng.normal(0, 5, (height, width))
    return textures.tint((226, 214, 186), (lines.astype(np.float32), (1, 1, 0.95)))


def spines(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A row of books seen from their backs."""
    image, x = blank(height, width, (26, 20, 16)), 2
    while x < width - 14:
        w, h = int(rng.integers(18, 46)), int(height * rng.uniform(0.72, 0.97))
        w = min(w, width - x - 2)
        colour = np.array(
            [
                (150, 48, 40),
                (34, 62, 96),
                (206, 180, 128),
                (52, 86, 62),
                (60, 50, 70),
                (190, 120, 50),
                (226, 220, 206),
                (40, 40, 44),
            ][rng.integers(8)]
        )
        colour = np.clip(colour * rng.uniform(0.8, 1.15), 0, 255)
        spine = blank(w, h, colour)  # drawn lying down
        ink = (240, 226, 180) if colour.sum() < 420 else (50, 34, 30)
        write(spine, " ".join(rng.choice(WORDS, 2)).title(), (0.5, 0.5), 0.5, ink, weight=700)
        spine[:, int(0.06 * h) : int(0.08 * h)] = spine[:, int(0.92 * h) : int(0.94 * h)] = ink
        light = (0.7 + 0.4 * np.sin(np.linspace(0.25, np.pi - 0.25, w)))[:, None]
        spine = textures.shaded(spine, np.repeat(light, h, 1))
        image[height - h :, x : x + w] = np.rot90(spine, 1)
        x += w + int(rng.integers(0, 3))
    return image


def poster(rng: np.random.Generator, height: int, width: int, title: str, palette: Sequence[Colour]) -> np.ndarray:
    """An exhibition poster: overlapping shapes, grain, a title."""
    image = blank(height, width, palette[0])
    for _ in range(42):
        colour = tuple(
            int(v)
            for v in np.clip(np.asarray(palette[int(rng.integers(1, len(palette)))]) * rng.uniform(0.85, 1.1), 0, 255)
        )
        p = (int(rng.uniform(0.05, 0.95) * width), int(rng.uniform(0.05, 0.78) * height))
        r = int(rng.uniform(0.03, 0.17) * width)
        kind = rng.integers(3)
        if kind == 0:
            cv2.circle(image, p, r, colour, -1 if rng.uniform() < 0.6 else 4, cv2.LINE_AA)
        elif kind == 1:
            turn = rng.uniform(0, 2 * np.pi, 3)
            cv2.fillPoly(
                image,
                [np.stack([p[0] + r * np.cos(turn), p[1] + r * np.sin(turn)], 1).astype(np.int32)],
                colour,
                cv2.LINE_AA,
            )
        else:
            for k in range(7):
                cv2.line(image, (p[0] - r, p[1] + 9 * k), (p[0] + r, p[1] + 9 * k - r // 2), colour, 3, cv2.LINE_AA)
    image[int(0.84 * height) :] = palette[0]
    write(image, title, (0.5, 0.895), 0.075, palette[1], weight=900)
    write(image, "gallery of modern forms  12 may - 30 june", (0.5, 0.955), 0.028, palette[-1])
    return worn(rng, image, 6)


def landscape(
    rng: np.random.Generator, height: int, width: int, *, sky: Colour = (150, 186, 222), ground: Colour = (96, 122, 66)
) -> np.ndarray:
    """Hills, trees and clouds: the view from a window, or a painting of it."""
    y, _ = np.mgrid[0:height, 0:width].astype(np.float32)
    cloud = np.clip(textures.noise(rng, height, width, (3, 4), 6) - 0.1, 0, 0.8)
    image = textures.tint(sky, (y / height, (60, 34, 0)), (cloud, (130, 90, 50)))
    for k in range(5):
        ridge = (0.5 + 0.1 * k) * height + 0.07 * height * textures.noise(rng, 8, width, (1, 4), 5)[4]
        shade = np.asarray(ground) * (1.25 - 0.16 * k)
        texture = textures.tint(shade, (textures.noise(rng, height, width, (height / 12, width / 16), 4), (26, 30, 18)))
        image[y > ridge] = texture[y > ridge]
        for _ in range(220 + 60 * k):
            px = int(rng.uniform(0, width))
            r = int((0.005 + 0.003 * k) * height * rng.uniform(0.6, 1.6)) + 1
            tree = np.asarray([44, 78, 40]) * rng.uniform(0.6, 1.5)
            cv2.circle(
                image, (px, int(ridge[px] + rng.uniform(-0.3, 2) * r)), r, tuple(map(int, tree)), -1, cv2.LINE_AA
            )
    return image


def marker_sheet(rng: np.random.Generator, height: int, width: int, side: int) -> np.ndarray:
    """A sheet of paper with the ArUco marker, `side` px, in its middle, and a caption."""
    image = worn(rng, blank(height, width, (236, 234, 228)), 3)
    dictionary = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, MARKER_DICTIONARY))
    marker = cv2.aruco.generateImageMarker(dictionary, MARKER_ID, side)
    top, left = (height - side) // 2, (width - side) // 2
    image[top : top + side, left : left + side] = (24 + marker[..., None] / 255.0 * 210).astype(np.uint8)
    write(image, "80 mm - lay flat on the table", (0.5, 0.94), 0.045, (70, 70, 74))
    write(image, "4x4  no. 7", (0.5, 0.06), 0.045, (70, 70, 74))
    return image
