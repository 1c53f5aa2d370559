"""Everyday bodies: a painted mesh for the eye, convex parts for contact, a mass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from splatworld.simulate import prints, textures
from splatworld.simulate.meshes import Mesh, box, concat, extrude, lathe, tube

STAND_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # a profile drawn in x, y becomes x, z


@dataclass(frozen=True)
class Part:
    """One convex piece of contact geometry, in the frame of the body.

    Attributes:
        kind: "box" (half sizes), "cylinder" (radius, half height), "sphere" (radius), "capsule" (radius, half length)
            or "hull".
        size: [1..3] m, as MuJoCo wants it for this kind; empty for a hull.
        position: [3] m.
        quat: [4] wxyz.
        vertices: [V,3] m, for a hull only.
    """

    kind: str
    size: tuple[float, ...] = ()
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    quat: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    vertices: np.ndarray | None = None


@dataclass(frozen=True)
class Everyday:
    """A body as modelled: it stands on z = 0, its axis through the origin.

    Attributes:
        name: what people call it.
        mesh: painted surface, m.
        image: [H,W,3] u8, its paint.
        parts: convex contact geometry.
        mass: kg.
        shine: specular share, 0..1.
    """

    name: str
    mesh: Mesh
    image: np.ndarray
    parts: tuple[Part, ...]
    mass: float
    shine: float = 0.1


def _yaw(angle: float, axis: int = 2) -> tuple[float, float, float, float]:
    x, y, z = (float(np.sin(angle / 2)) if k == axis else 0.0 for k in range(3))
    return float(np.cos(angle / 2)), x, y, z


def mug(rng: np.random.Generator) -> Everyday:
    """A stoneware mug with a handle."""
    r, h, wall = 0.041, 0.096, 0.004
    mesh, atlas = lathe(
        [
            ("floor", [(0, 0.006), (r - wall - 0.003, 0.006)]),
            ("inside", [(r - wall - 0.003, 0.006), (r - wall, 0.009), (r - wall, h / 2), (r - wall, h - 0.003)]),
            (
                "rim",
                [
                    (r - wall, h - 0.003),
                    (r - 0.003, h - 0.0008),
                    (r - 0.002, h),
                    (r - 0.001, h - 0.0008),
                    (r, h - 0.003),
                ],
            ),
            ("outside", [(r, h - 0.003), (r, 0.07), (r, 0.04), (r, 0.012), (r - 0.001, 0.006), (r - 0.005, 0)]),
            ("bottom", [(r - 0.005, 0), (0, 0)]),
        ],
        density=4000,
    )
    for name in ("floor", "inside", "rim"):
        atlas.paint(name, textures.speckle(rng, *atlas.pixels(name), (206, 198, 180), depth=7))
    atlas.paint("outside", prints.mug_glaze(rng, *atlas.pixels("outside")))
    atlas.paint("bottom", textures.speckle(rng, *atlas.pixels("bottom"), (44, 78, 128), depth=9))
    a = np.linspace(-1, 1, 15) * 1.62
    path = np.stack([r - 0.002 + 0.032 * (np.cos(a) - np.cos(1.62)), 0 * a, 0.048 + 0.028 * np.sin(a)], 1)
    x, y, w, t = (v / s for v, s in zip(atlas.rects["bottom"], atlas.size * 2, strict=True))
    handle = tube(path, 0.0055, rect=(x, y, w, t))
    parts = [Part("cylinder", (r - 0.004, 0.003), (0, 0, 0.003))]
    for k in range(12):
        turn = 2 * np.pi * k / 12
        middle = r - wall / 2 - 0.0005
        at = (middle * np.cos(turn), middle * np.sin(turn), h / 2 + 0.001)
        parts.append(Part("box", (wall / 2, 0.0107, h / 2 - 0.001), at, _yaw(turn)))
    for k in range(0, 14, 2):
        p, q = path[k], path[min(k + 2, 14)]
        lean = float(np.arctan2(q[0] - p[0], q[2] - p[2]))
        at = (float(p[0] + q[0]) / 2, 0.0, float(p[2] + q[2]) / 2)
        parts.append(Part("capsule", (0.0055, float(np.linalg.norm(q - p) / 2)), at, _yaw(lean, 1)))
    return Everyday("mug", concat([mesh, handle]), atlas.image, tuple(parts), 0.34, 0.35)


def cereal(rng: np.random.Generator) -> Everyday:
    """A box of cereal, standing."""
    size = (0.18, 0.055, 0.255)
    mesh, atlas = box(size, cell=0.02)
    for name in ("+y", "-y"):
        atlas.paint(name, prints.cereal_front(rng, *atlas.pixels(name)))
    for name in ("+x", "-x"):
        atlas.paint(name, prints.cereal_side(rng, *atlas.pixels(name)))
    for name in ("+z", "-z"):
        flap = textures.speckle(rng, *atlas.pixels(name), (206, 92, 34), depth=6)
        prints.write(flap, "FLAKES   best before: see side", (0.5, 0.5), 0.24, (255, 236, 200), weight=700)
        atlas.paint(name, flap)
    return _boxed("cereal box", mesh, atlas.image, size, 0.48)


def book(rng: np.random.Generator) -> Everyday:
    """A hardback lying flat."""
    size = (0.145, 0.21, 0.034)
    mesh, atlas = box(size, cell=0.02)
    for name in ("+z", "-z"):
        atlas.paint(name, prints.book_cover(rng, *atlas.pixels(name)))
    for name in ("+x", "+y", "-y"):
        edge = prints.pages(rng, *atlas.pixels(name))
        edge[: len(edge) // 11] = edge[-len(edge) // 11 :] = (28, 44, 70)
        atlas.paint(name, edge)
    spine = textures.weave(rng, *atlas.pixels("-x"), (26, 44, 72), thread=3)
    prints.write(spine, "THE LONG VALLEY   HARROW", (0.5, 0.5), 0.42, (240, 214, 150), weight=800)
    atlas.paint("-x", spine)
    return _boxed("book", mesh, atlas.image, size, 0.42)


def tin(rng: np.random.Generator) -> Everyday:
    """A tin of tomatoes."""
    r, h = 0.0375, 0.11
    mesh, atlas = lathe(
        [
            ("lid", [(0, h - 0.0012), (0.012, h - 0.0012), (r - 0.004, h - 0.0012)]),
            ("lip", [(r - 0.004, h - 0.0012), (r - 0.003, h), (r, h), (r, h - 0.004)]),
            ("side", [(r, h - 0.004), (r, h / 2), (r, 0.004)]),
            ("foot", [(r, 0.004), (r, 0), (r - 0.003, 0)]),
            ("bottom", [(r - 0.003, 0), (0, 0)]),
        ],
        density=4000,
    )
    for name in ("lid", "lip", "foot", "bottom"):
        atlas.paint(name, textures.metal(rng, *atlas.pixels(name), (150, 150, 148)))
    atlas.paint("side", prints.can_label(rng, *atlas.pixels("side")))
    return Everyday("tin", mesh, atlas.image, (Part("cylinder", (r, h / 2), (0, 0, h / 2)),), 0.46, 0.3)


def bottle(rng: np.random.Generator) -> Everyday:
    """A bottle of dressing with a cap."""
    r = 0.031
    mesh, atlas = lathe(
        [
            ("top", [(0, 0.218), (0.0135, 0.218)]),
            ("cap", [(0.0135, 0.218), (0.0145, 0.216), (0.0145, 0.2), (0.0145, 0.188)]),
            ("ledge", [(0.0145, 0.188), (0.0125, 0.188)]),
            ("shoulder", [(0.0125, 0.188), (0.013, 0.17), (0.016, 0.158), (0.023, 0.146), (0.029, 0.137), (r, 0.128)]),
            ("label", [(r, 0.128), (r, 0.09), (r, 0.034)]),
            ("foot", [(r, 0.034), (r, 0.01), (r - 0.001, 0.004), (r - 0.004, 0)]),
            ("bottom", [(r - 0.004, 0), (0, 0)]),
        ],
        density=4000,
    )
    atlas.paint("top", textures.speckle(rng, *atlas.pixels("top"), (206, 160, 44), depth=8))
    h, w = atlas.pixels("cap")
    knurl = (0.82 + 0.18 * np.sin(np.arange(w) * 2 * np.pi * 60 / w))[None].repeat(h, 0)
    atlas.paint("cap", textures.shaded(textures.speckle(rng, h, w, (214, 166, 48), depth=6), knurl))
    for name in ("ledge", "shoulder", "foot", "bottom"):
        h, w = atlas.pixels(name)
        herbs = textures.speckle(rng, h, w, (118, 116, 44), depth=22, cells=40)
        flecks = rng.uniform(size=(h, w)) > 0.985
        herbs[flecks] = (60, 76, 24)
        atlas.paint(name, herbs)
    atlas.paint("label", prints.bottle_label(rng, *atlas.pixels("label")))
    parts = (
        Part("cylinder", (r, 0.066), (0, 0, 0.066)),
        Part("cylinder", (0.023, 0.0125), (0, 0, 0.1445)),
        Part("cylinder", (0.0145, 0.0305), (0, 0, 0.1875)),
    )
    return Everyday("bottle", mesh, atlas.image, parts, 0.33, 0.5)


def orange(rng: np.random.Generator) -> Everyday:
    """An orange."""
    r = 0.037
    turn = np.linspace(np.pi / 2, -np.pi / 2, 25)
    profile = np.maximum(r * np.cos(turn), 0) * (np.abs(turn) < 1.57), r + r * np.sin(turn)
    mesh, atlas = lathe([("peel", list(zip(*profile, strict=True)))], density=4000)
    h, w = atlas.pixels("peel")
    peel = textures.speckle(rng, h, w, (226, 122, 24), depth=9, cells=120)
    pits = textures.noise(rng, h, w, (h / 9, w / 9), 2)
    peel = textures.shaded(peel, 1 - 0.28 * np.clip(pits, 0, 1) + 0.08 * textures.noise(rng, h, w, (3, 5), 4))
    peel[: h // 22] = (74, 92, 40)
    peel[h // 22 : h // 15] = (150, 120, 40)
    atlas.paint("peel", peel)
    return Everyday("orange", mesh, atlas.image, (Part("sphere", (r,), (0, 0, r)),), 0.19, 0.2)


def house(rng: np.random.Generator) -> Everyday:
    """A toy house of painted wood."""
    w, eaves, top, deep = 0.088, 0.066, 0.112, 0.084
    outline = [(-w / 2, 0), (w / 2, 0), (w / 2, eaves), (0, top), (-w / 2, eaves)]
    mesh, atlas = extrude(outline, deep)
    for name in ("top", "bottom"):
        atlas.paint(name, _house_front(rng, *atlas.pixels(name), door=name == "top"))
    h, total = atlas.pixels("side")
    lengths = np.linalg.norm(np.roll(outline, -1, 0) - np.asarray(outline), axis=1)
    cuts = (np.cumsum([0, *lengths]) / lengths.sum() * total).astype(int)
    strip = np.zeros((h, total, 3), np.uint8)
    for k in range(5):
        width = cuts[k + 1] - cuts[k]
        paint = _roof if k in (2, 3) else _house_wall
        picture = paint(rng, width, h)
        strip[:, cuts[k] : cuts[k + 1]] = np.rot90(picture, 1 if k in (1, 2) else 3)
    atlas.paint("side", strip)
    mesh = mesh.moved((0, deep / 2, 0), STAND_UP)
    hull = Part("hull", vertices=np.unique(np.round(mesh.vertices, 9), axis=0))
    return Everyday("toy house", mesh, atlas.image, (hull,), 0.24, 0.1)


def _house_front(rng: np.random.Generator, h: int, w: int, *, door: bool) -> np.ndarray:
    image = textures.wood(rng, h, w, (206, 176, 120), contrast=0.7)
    panes = [(0.16, 0.62), (0.66, 0.62), (0.41, 0.3)] if not door else [(0.66, 0.62), (0.41, 0.3)]
    for x, y in panes:
        image[int(y * h) : int((y + 0.19) * h), int(x * w) : int((x + 0.18) * w)] = (250, 246, 236)
        for i in range(2):
            for j in range(2):
                t, left = y + 0.015 + 0.085 * j, x + 0.015 + 0.08 * i
                image[int(t * h) : int((t + 0.072) * h), int(left * w) : int((left + 0.066) * w)] = (84, 132, 168)
    if door:
        image[int(0.6 * h) :, int(0.16 * w) : int(0.42 * w)] = (150, 44, 38)
        for k in range(3):
            x = int((0.19 + 0.08 * k) * w)
            image[int(0.63 * h) : int(0.96 * h), x : x + 6] = (110, 26, 26)
        image[int(0.79 * h) : int(0.82 * h), int(0.37 * w) : int(0.4 * w)] = (236, 196, 80)
    return image


def _house_wall(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    image = textures.wood(rng, h, w, (206, 176, 120), plank=max(12, h // 7), contrast=0.7)
    for x in (0.16, 0.6):
        image[int(0.3 * h) : int(0.68 * h), int(x * w) : int((x + 0.24) * w)] = (250, 246, 236)
        image[int(0.34 * h) : int(0.64 * h), int((x + 0.02) * w) : int((x + 0.22) * w)] = (84, 132, 168)
        image[int(0.3 * h) : int(0.68 * h), int((x + 0.11) * w) : int((x + 0.13) * w)] = (250, 246, 236)
    return image


def _roof(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    image = textures.speckle(rng, h, w, (170, 62, 44), depth=8)
    rows = 7
    for k in range(rows):
        y0, y1 = k * h // rows, (k + 1) * h // rows
        for j in range(-1, 11):
            x0 = int((j + 0.5 * (k % 2)) * w / 10)
            tile = image[y0:y1, max(0, x0) : max(0, x0 + w // 10)]
            tile[:] = np.clip(tile * rng.uniform(0.75, 1.2), 0, 255).astype(np.uint8)
            tile[:, :2] = tile[:, :2] // 2
        image[y1 - 4 : y1] = image[y1 - 4 : y1] // 2
    return image


def tee(rng: np.random.Generator) -> Everyday:
    """A T-shaped wooden block lying flat."""
    a, b, t, h = 0.06, 0.12, 0.03, 0.03
    outline = [(-t / 2, 0), (t / 2, 0), (t / 2, b - t), (a, b - t), (a, b), (-a, b), (-a, b - t), (-t / 2, b - t)]
    outline = [(x, y - 0.07) for x, y in outline]
    mesh, atlas = extrude(outline, h)
    for name in ("top", "bottom"):
        high, wide = atlas.pixels(name)
        top = textures.wood(rng, high, wide, (72, 128, 132), contrast=0.9)
        bar = int(high * t / b)
        for k in range(9):  # painted ruler along the bar
            x = int((k + 0.5) / 9 * wide)
            top[4 : 4 + (bar // 3 if k % 2 else bar // 2), x : x + 5] = (240, 226, 180)
        stem = top[bar:, int(wide * 0.375) : int(wide * 0.625)]
        prints.write(stem, "T", (0.5, 0.5), 0.42, (240, 226, 180), weight=900)
        atlas.paint(name, top)
    side = textures.wood(rng, *atlas.pixels("side"), (196, 156, 100))
    side[: len(side) // 5] = (72, 128, 132)
    atlas.paint("side", side)
    parts = (
        Part("box", (a, t / 2, h / 2), (0, b - t / 2 - 0.07, h / 2)),
        Part("box", (t / 2, (b - t) / 2, h / 2), (0, (b - t) / 2 - 0.07, h / 2)),
    )
    return Everyday("T block", mesh, atlas.image, parts, 0.15, 0.1)


def stapler(rng: np.random.Generator) -> Everyday:
    """A stapler on its base."""
    outline = [(0, 0), (0.15, 0), (0.15, 0.009), (0.036, 0.013), (0.036, 0.024), (0.146, 0.031)]
    outline += [(0.149, 0.045), (0.12, 0.053), (0.022, 0.061), (0.004, 0.055), (0, 0.045)]
    outline = [(x - 0.075, z) for x, z in outline]
    deep = 0.036
    mesh, atlas = extrude(outline, deep)
    for name in ("top", "bottom"):
        h, w = atlas.pixels(name)
        flank = textures.speckle(rng, h, w, (52, 54, 60), depth=9)
        flank[: h // 2] = textures.speckle(rng, h // 2, w, (168, 40, 48), depth=9)
        prints.write(flank[: h // 2], "GRIP 24/6", (0.5, 0.52), 0.44, (244, 240, 232), weight=800)
        flank[int(0.5 * h) : int(0.6 * h), w // 4 :] = textures.metal(rng, int(0.6 * h) - int(0.5 * h), w - w // 4)
        atlas.paint(name, flank)
    h, w = atlas.pixels("side")
    strip = textures.speckle(rng, h, w, (64, 66, 72), depth=10)
    lengths = np.linalg.norm(np.roll(outline, -1, 0) - np.asarray(outline), axis=1)
    cuts = (np.cumsum([0, *lengths]) / lengths.sum() * w).astype(int)
    strip[:, cuts[2] : cuts[3]] = textures.metal(rng, h, cuts[3] - cuts[2], (150, 152, 156))
    arm = strip[:, cuts[6] : cuts[9]]
    arm[:] = textures.speckle(rng, arm.shape[0], arm.shape[1], (176, 44, 52), depth=9)
    arm[int(0.2 * h) : int(0.24 * h)] = arm[int(0.76 * h) : int(0.8 * h)] = (240, 226, 214)
    prints.write(arm, "office no. 5", (0.5, 0.5), 0.24, (244, 236, 226), weight=700)
    atlas.paint("side", strip)
    tilt = float(np.arctan2(0.007, 0.11))
    parts = (
        Part("box", (0.075, deep / 2, 0.0055), (0, 0, 0.0055)),
        Part("box", (0.018, deep / 2, 0.018), (-0.057, 0, 0.027)),
        Part("box", (0.074, deep / 2, 0.0125), (0, 0, 0.0425), _yaw(-tilt * 0.2, 1)),
    )
    return Everyday("stapler", mesh.moved((0, deep / 2, 0), STAND_UP), atlas.image, parts, 0.26, 0.4)


def _boxed(name: str, mesh: Mesh, image: np.ndarray, size: tuple[float, float, float], mass: float) -> Everyday:
    half = tuple(s / 2 for s in size)
    return Everyday(name, mesh.moved((0, 0, half[2])), image, (Part("box", half, (0, 0, half[2])),), mass)


MAKERS: dict[str, Callable[[np.random.Generator], Everyday]] = {
    "mug": mug,
    "cereal box": cereal,
    "book": book,
    "tin": tin,
    "bottle": bottle,
    "orange": orange,
    "toy house": house,
    "T block": tee,
    "stapler": stapler,
}
