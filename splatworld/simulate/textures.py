"""Surface textures made from numbers: wood, plaster, brick, cloth, carpet.

Pictures are [H,W,3] u8, display-referred RGB.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

Colour = Sequence[float] | np.ndarray


def noise(
    rng: np.random.Generator, height: int, width: int, cells: tuple[float, float], octaves: int = 4
) -> np.ndarray:
    """Smooth noise [H,W] in about -1..1 that tiles; `cells` are the numbers of coarsest cells down and across."""
    total = np.zeros((height, width), np.float32)
    for k in range(octaves):
        rows, columns = (max(1, int(c * 2**k)) for c in cells)
        if rows > height or columns > width:
            break
        values = rng.uniform(-1, 1, (rows, columns)).astype(np.float32)
        wrapped = np.pad(values, 2, mode="wrap")
        sy, sx = height / rows, width / columns
        y, x = np.meshgrid(np.arange(height) / sy + 1.5, np.arange(width) / sx + 1.5, indexing="ij")
        total += cv2.remap(wrapped, x.astype(np.float32), y.astype(np.float32), cv2.INTER_CUBIC) * 0.55**k
    return total


def tint(base: Colour, *layers: tuple[np.ndarray, Colour]) -> np.ndarray:
    """A base colour plus amounts [H,W] of other colours, rounded to u8."""
    shape = layers[0][0].shape
    image = np.empty((*shape, 3), np.float32)
    image[:] = np.asarray(base, np.float32)
    for amount, colour in layers:
        image += amount[..., None] * np.asarray(colour, np.float32)
    return np.clip(image, 0, 255).astype(np.uint8)


def shaded(image: np.ndarray, light: np.ndarray) -> np.ndarray:
    """`image` multiplied by a light map [H,W] or [h,w] (stretched to fit)."""
    light = cv2.resize(light.astype(np.float32), image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.clip(image * light[..., None], 0, 255).astype(np.uint8)


def wood(
    rng: np.random.Generator,
    height: int,
    width: int,
    base: Colour = (158, 108, 64),
    *,
    plank: int = 0,
    length: int = 0,
    contrast: float = 1.0,
) -> np.ndarray:
    """Wood with the grain along x; `plank` px cuts it into boards that wide, `length` px long (0: uncut)."""
    plank = plank or height
    length = length or width
    image = np.zeros((height, width, 3), np.uint8)
    for top in range(0, height, plank):
        h = min(plank, height - top)
        start = -int(rng.integers(0, length)) if length < width else 0
        for left in range(start, width, length):
            w = min(left + length, width) - max(left, 0)
            if w < 2 or h < 2:
                continue
            board = _board(rng, h, w, base, contrast)
            if plank < height or length < width:
                edge = np.array([30, 18, 10])
                board[:2] = (board[:2] * 0.35 + edge * 0.65).astype(np.uint8)
                if length < width:
                    board[:, :2] = (board[:, :2] * 0.35 + edge * 0.65).astype(np.uint8)
            image[top : top + h, max(left, 0) : max(left, 0) + w] = board
    return image


def _board(rng: np.random.Generator, h: int, w: int, base: Colour, contrast: float) -> np.ndarray:
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    warp = noise(rng, h, w, (max(1, h // 160), max(1, w // 700)), 4)
    field = y / 13 + 5.5 * warp
    for _ in range(int(rng.poisson(h * w / 450_000)) + (1 if h * w > 60_000 else 0)):
        cx, cy, size = rng.uniform(0, w), rng.uniform(0, h), rng.uniform(10, 22)
        d2 = ((x - cx) / (size * 2.2)) ** 2 + ((y - cy) / size) ** 2
        field += 6 * np.exp(-d2)
    rings = np.sin(2 * np.pi * field / 2.3) * 0.5 + np.sin(2 * np.pi * field / 0.83 + 2 * warp) * 0.25
    fibre = cv2.GaussianBlur(rng.normal(0, 1, (h, w)).astype(np.float32), (0, 0), sigmaX=9, sigmaY=0.6) * 3.0
    pores = (
        cv2.GaussianBlur(rng.normal(0, 1, (h, w)).astype(np.float32), (0, 0), sigmaX=5, sigmaY=0.7) * 3.5 > 1.6
    ).astype(np.float32)
    tone = rng.normal(0, 9) + 10 * noise(rng, h, w, (1, 2), 3)
    amount = contrast * (13 * rings + 9 * fibre) + tone - contrast * 24 * pores
    return tint(base, (amount, (1.0, 0.86, 0.66)))


def plaster(rng: np.random.Generator, height: int, width: int, base: Colour = (214, 205, 190)) -> np.ndarray:
    """Rough painted plaster with trowel strokes and small pits."""
    rough = noise(rng, height, width, (height / 24, width / 24), 4)
    patch = noise(rng, height, width, (3, 4), 4)
    slope = cv2.Sobel(cv2.GaussianBlur(rough, (0, 0), 1.2), cv2.CV_32F, 1, 1, ksize=3)
    pits = (rng.uniform(size=(height, width)) > 0.9985).astype(np.float32)
    speck = cv2.GaussianBlur(pits, (0, 0), 1.4) * 12
    return tint(
        base,
        (rough * 5 + patch * 8 + np.clip(slope * 26, -22, 22), (1, 0.98, 0.93)),
        (-np.clip(speck, 0, 1.5), (34, 34, 30)),
    )


def brick(
    rng: np.random.Generator, height: int, width: int, *, course: int = 38, base: Colour = (158, 84, 62)
) -> np.ndarray:
    """Old brickwork in running bond, `course` px high."""
    mortar = plaster(rng, height, width, (186, 178, 164))
    image = mortar.copy()
    long = int(course * 2.9)
    grain = noise(rng, height, width, (height / 16, width / 16), 4)
    stain = noise(rng, height, width, (4, 5), 4)
    for row, top in enumerate(range(0, height, course)):
        for left in range(-long + (row % 2) * long // 2, width, long):
            y0, y1 = top + 3, min(top + course - 3, height)
            x0, x1 = max(left + 3, 0), min(left + long - 3, width)
            if y1 <= y0 or x1 <= x0:
                continue
            colour = np.asarray(base) * rng.uniform(0.72, 1.18) + rng.normal(0, 7, 3)
            amount = grain[y0:y1, x0:x1] * 15 + stain[y0:y1, x0:x1] * 12
            face = tint(colour, (amount, (1, 0.85, 0.75))).astype(np.float32)
            face[:2] *= 1.14
            face[-3:] *= 0.72
            image[y0:y1, x0:x1] = np.clip(face, 0, 255)
    return cv2.GaussianBlur(image, (0, 0), 0.6)


def wallpaper(
    rng: np.random.Generator,
    height: int,
    width: int,
    *,
    repeat: int = 150,
    ground: Colour = (196, 202, 186),
    ink: Colour = (92, 118, 104),
) -> np.ndarray:
    """Paper with a leaf-and-blossom pattern, printed every `repeat` px in half-drop."""
    motif = np.zeros((repeat * 2, repeat), np.float32)
    for cy, cx in ((repeat // 2, repeat // 2), (repeat * 3 // 2, 0), (repeat * 3 // 2, repeat)):
        for k in range(5):
            turn = k * 72 - 90
            r = repeat * 0.15
            p = (int(cx + r * np.cos(np.radians(turn))), int(cy + r * np.sin(np.radians(turn))))
            cv2.ellipse(motif, p, (int(r * 0.8), int(r * 0.38)), turn, 0, 360, 0.85, -1, cv2.LINE_AA)
            cv2.ellipse(motif, p, (int(r * 0.6), int(r * 0.12)), turn, 0, 360, 0.35, -1, cv2.LINE_AA)
        cv2.circle(motif, (cx, cy), int(repeat * 0.05), 1.0, -1, cv2.LINE_AA)
        for side in (-1, 1):
            stem = np.array(
                [
                    [cx + side * repeat * 0.42 * np.sin(t * 3.1), cy + repeat * (0.2 + 0.75 * t)]
                    for t in np.linspace(0, 1, 24)
                ]
            )
            cv2.polylines(motif, [stem.astype(np.int32)], False, 0.7, 2, cv2.LINE_AA)
            for t in (5, 10, 15, 20):
                tip = tuple(int(v) for v in stem[t])
                cv2.ellipse(
                    motif,
                    tip,
                    (int(repeat * 0.09), int(repeat * 0.035)),
                    40 * side + 12 * t,
                    0,
                    360,
                    0.6,
                    -1,
                    cv2.LINE_AA,
                )
    tall, wide = -(-height // (2 * repeat)), -(-width // repeat)
    print_ = np.tile(motif, (tall, wide))[:height, :width]
    wear = 1 + 0.25 * noise(rng, height, width, (5, 6), 5)
    fibre = noise(rng, height, width, (height / 8, width / 8), 2)
    stripes = (np.sin(np.arange(width) * 2 * np.pi / repeat * 6) * 2.5)[None].repeat(height, 0).astype(np.float32)
    delta = np.asarray(ink, np.float32) - np.asarray(ground, np.float32)
    return tint(ground, (print_ * wear, delta), (fibre * 5 + stripes, (1, 1, 1)))


def weave(
    rng: np.random.Generator,
    height: int,
    width: int,
    base: Colour = (88, 104, 122),
    *,
    thread: int = 6,
    second: Colour | None = None,
) -> np.ndarray:
    """Coarse woven upholstery; threads of two colours cross every `thread` px."""
    y, x = np.mgrid[0:height, 0:width]
    over = ((x // thread) + (y // thread)) % 2
    round_x = np.sin(np.pi * (x % thread + 0.5) / thread)
    round_y = np.sin(np.pi * (y % thread + 0.5) / thread)
    lift = np.where(over == 0, round_x, round_y).astype(np.float32)
    warp = rng.normal(0, 1, (1, width // thread + 1)).repeat(thread, 1)[:, :width]
    weft = rng.normal(0, 1, (height // thread + 1, 1)).repeat(thread, 0)[:height]
    slub = np.where(over == 0, warp, weft).astype(np.float32)
    other = np.asarray(second if second is not None else np.asarray(base) * 1.2, np.float32) - np.asarray(
        base, np.float32
    )
    cloud = noise(rng, height, width, (4, 4), 5)
    amount = (lift - 0.6) * 44 + slub * 9 + cloud * 9 + rng.normal(0, 4, (height, width))
    return tint(base, (amount.astype(np.float32), (1, 1, 1)), (over.astype(np.float32), other))


def carpet(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A knotted rug: borders, rows of lozenges and small figures, wool noise."""
    knot = 6
    h, w = height // knot, width // knot
    palette = np.array(
        [(122, 34, 34), (28, 42, 74), (206, 182, 138), (168, 96, 44), (62, 84, 70), (88, 26, 30)], np.float32
    )
    y, x = np.mgrid[0:h, 0:w]
    edge = np.minimum(np.minimum(x, w - 1 - x), np.minimum(y, h - 1 - y))
    lozenge = (np.abs((x - w // 2) % 56 - 28) + np.abs((y - h // 2) % 40 - 20) * 1.4).astype(int)
    index = np.where(lozenge < 7, 2, np.where(lozenge < 12, 1, np.where(lozenge < 15, 3, np.where(lozenge < 26, 0, 5))))
    index = np.where((lozenge > 28) & ((x + y) % 3 == 0), 2, index)
    index = np.where((lozenge < 4) & ((x * 3 + y * 5) % 4 == 0), 4, index)
    figure = (np.abs((x + y) % 22 - 11) < 4) & (np.abs((x - y) % 22 - 11) < 6)
    for low, high, colour, ink in ((0, 2, 5, 5), (2, 5, 2, 1), (5, 17, 1, 2), (17, 20, 3, 5), (20, 22, 2, 0)):
        band = (edge >= low) & (edge < high)
        index = np.where(band, np.where(figure & (high - low > 3), ink, colour), index)
    knots = palette[index] * (1 + 0.10 * rng.normal(0, 1, (h, w, 1))) * (1 + 0.07 * rng.normal(0, 1, (h, 1, 1)))
    image = cv2.resize(knots.astype(np.float32), (width, height), interpolation=cv2.INTER_NEAREST)
    wool = cv2.GaussianBlur(rng.normal(0, 1, (height, width)).astype(np.float32), (0, 0), 1.0) * 34
    return np.clip(cv2.GaussianBlur(image, (0, 0), 1.0) + wool[..., None], 0, 255).astype(np.uint8)


def metal(
    rng: np.random.Generator, height: int, width: int, base: Colour = (168, 170, 174), *, across: bool = True
) -> np.ndarray:
    """Brushed metal; the scratches run along x if `across`."""
    sigma = (14, 0.7) if across else (0.7, 14)
    scratch = cv2.GaussianBlur(
        rng.normal(0, 1, (height, width)).astype(np.float32), (0, 0), sigmaX=sigma[0], sigmaY=sigma[1]
    )
    return tint(base, (scratch * 60 + 8 * noise(rng, height, width, (3, 3), 4), (1, 1, 1)))


def speckle(
    rng: np.random.Generator, height: int, width: int, base: Colour, *, depth: float = 10.0, cells: float = 60.0
) -> np.ndarray:
    """A plain colour with fine mottling: card, glaze, peel, matt plastic."""
    fine = noise(
        rng, height, width, (max(2, cells * height / max(height, width)), max(2, cells * width / max(height, width))), 4
    )
    return tint(base, (fine * depth + rng.normal(0, depth * 0.3, (height, width)).astype(np.float32), (1, 1, 1)))
