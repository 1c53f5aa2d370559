"""A furnished living room around the table: walls, window, shelf, sofa, sideboard, chairs, lamp, plant.

The room does not move. Its corners and the floor under furniture carry baked shade, because the renderer has no
indirect light.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import ArrayLike

from splatworld.simulate import prints, textures
from splatworld.simulate.meshes import Mesh, concat, grid, lathe, tiled_box, tube

HALF_X, HALF_Y = 2.3, 2.1
FLOOR, CEILING = -0.75, 1.7
TABLE = (1.16, 0.8, 0.036)


@dataclass(frozen=True)
class Surface:
    """All static triangles that share one picture.

    Attributes:
        mesh: m, world frame.
        image: [H,W,3] u8.
        emission: share of its own light, 0..1 (the view outside, a lamp shade).
        shine: specular share, 0..1.
        shadow: whether it casts shadows.
    """

    mesh: Mesh
    image: np.ndarray
    emission: float = 0.0
    shine: float = 0.0
    shadow: bool = True


@dataclass
class _Builder:
    """Collects meshes by surface name."""

    meshes: dict[str, list[Mesh]] = field(default_factory=lambda: defaultdict(list))
    images: dict[str, np.ndarray] = field(default_factory=dict)
    options: dict[str, dict] = field(default_factory=dict)
    tiles: dict[str, float] = field(default_factory=dict)
    count: int = 0

    def surface(self, name: str, image: np.ndarray, *, tile: float = 1.0, **options: float) -> None:
        self.images[name], self.tiles[name], self.options[name] = image, tile, options

    def block(
        self,
        surface: str,
        size: Sequence[float],
        centre: Sequence[float],
        yaw: float = 0.0,
        about: Sequence[float] = (0, 0),
    ) -> None:
        """A box of `size` m at `centre`, the whole turned by `yaw` rad and moved to `about` (x, y)."""
        self.count += 1
        mesh = tiled_box(size, self.tiles[surface], shift=0.173 * self.count).moved(centre)
        c, s = np.cos(yaw), np.sin(yaw)
        self.meshes[surface].append(mesh.moved((*about, 0), np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])))

    def panel(self, surface: str, corner: ArrayLike, right: ArrayLike, up: ArrayLike, cell: float = 0.2) -> None:
        edges = [np.asarray(v, float) for v in (corner, right, up)]
        self.meshes[surface].append(grid(edges[0], edges[1], edges[2], cell, (0, 0, 1, 1)))

    def picture(
        self,
        surface: str,
        wall: str,
        centre: tuple[float, float],
        size: tuple[float, float],
        *,
        depth: float = 0.02,
        frame: str | None = "frame",
    ) -> None:
        """A flat picture on a wall ("+x", ...); `centre` along the wall and up, m."""
        along, inward, middle = _wall_axes(wall)
        at = middle + along * centre[0] + np.array([0, 0, centre[1]]) + inward * depth
        right, up = along * size[0], np.array([0, 0, size[1]])
        self.panel(surface, at - right / 2 - up / 2 + inward * 0.003, right, up)
        if frame:
            t, d = 0.03, 0.028
            for sign in (-1, 1):
                self._bar(
                    frame, at + sign * (right + along * t) / 2, along * t + up + np.array([0, 0, 2 * t]) + inward * d
                )
                self._bar(frame, at + sign * (up + np.array([0, 0, t])) / 2, right + np.array([0, 0, t]) + inward * d)

    def _bar(self, surface: str, centre: np.ndarray, extent: np.ndarray) -> None:
        self.block(surface, np.abs(extent).tolist(), centre.tolist())

    def build(self) -> dict[str, Surface]:
        return {n: Surface(concat(m), self.images[n], **self.options[n]) for n, m in self.meshes.items()}


def _wall_axes(wall: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(right seen from inside, inward normal, middle at z = 0) of a wall."""
    inward = {"+x": (-1, 0, 0), "-x": (1, 0, 0), "+y": (0, -1, 0), "-y": (0, 1, 0)}[wall]
    normal = np.array(inward, float)
    along = np.cross(np.array([0, 0, 1.0]), normal)
    return along, normal, -normal * np.array([HALF_X, HALF_Y, 0])


def furnish(seed: int = 0) -> dict[str, Surface]:
    """All static surfaces by name, world frame (table top at z = 0, floor at -0.75 m)."""
    rng = np.random.default_rng([seed, 1])
    b = _Builder()
    _shell(b, rng)
    _table(b, rng)
    _window(b, rng)
    _shelf(b, rng)
    _sofa(b, rng)
    _sideboard(b, rng)
    for x, y, yaw in ((1.42, -1.18, 2.2), (-1.5, 1.2, -0.75)):
        _chair(b, x, y, yaw)
    _plant(b, rng)
    return b.build()


def _shell(b: _Builder, rng: np.random.Generator) -> None:
    high = CEILING - FLOOR
    light = np.ones((245, 460), np.float32)
    y, x = np.mgrid[0:245, 0:460] / 100.0
    near = np.minimum(np.minimum(x, 4.6 - x) * 1.3, 2.45 - y)
    light *= 1 - 0.42 * np.exp(-np.maximum(near, 0) / 0.22)
    for wall, image in (
        ("+y", textures.wallpaper(rng, 1225, 2300, repeat=110)),
        ("-x", textures.wallpaper(rng, 1225, 2300, repeat=110)),
        ("-y", textures.plaster(rng, 1225, 2300, (206, 186, 150))),
        ("+x", textures.brick(rng, 1225, 2300)),
    ):
        along, _, middle = _wall_axes(wall)
        half = HALF_Y if wall[1] == "x" else HALF_X
        b.surface("wall " + wall, textures.shaded(image, light), shadow=False)
        b.panel("wall " + wall, middle - along * half + [0, 0, FLOOR], along * 2 * half, (0, 0, high))
    boards = textures.wood(rng, 2000, 2200, (146, 98, 58), plank=62, length=620, contrast=0.8)
    b.surface("floor", textures.shaded(boards, _floor_light()), shine=0.15, shadow=False)
    b.panel("floor", (-HALF_X, -HALF_Y, FLOOR), (2 * HALF_X, 0, 0), (0, 2 * HALF_Y, 0))
    b.surface("ceiling", textures.plaster(rng, 800, 800, (226, 222, 214)), shadow=False)
    b.panel("ceiling", (-HALF_X, HALF_Y, CEILING), (2 * HALF_X, 0, 0), (0, -2 * HALF_Y, 0))
    b.surface("trim", textures.wood(rng, 200, 1000, (216, 208, 190), contrast=0.35), tile=1.0)
    b.surface("frame", textures.wood(rng, 256, 512, (74, 50, 34), contrast=0.6), tile=0.4)
    for sign in (-1, 1):
        b.block("trim", (2 * HALF_X, 0.018, 0.11), (0, sign * (HALF_Y - 0.009), FLOOR + 0.055))
        b.block("trim", (0.018, 2 * HALF_Y, 0.11), (sign * (HALF_X - 0.009), 0, FLOOR + 0.055))
    rug = textures.carpet(rng, 1320, 1800)
    shade = np.ones((132, 180), np.float32)
    shade[31:101, 33:147] = 0.72
    b.surface("rug", textures.shaded(rug, cv2.GaussianBlur(shade, (0, 0), 14)), shadow=False)
    b.panel("rug", (-1.4, -1.03, FLOOR + 0.008), (2.8, 0, 0), (0, 2.06, 0))
    b.block("trim", (2.8, 2.06, 0.006), (0, 0, FLOOR + 0.004))


def _floor_light() -> np.ndarray:
    light = np.ones((420, 460), np.float32)
    y, x = np.mgrid[0:420, 0:460] / 100.0
    light *= 1 - 0.4 * np.exp(-np.minimum(np.minimum(x, 4.6 - x), np.minimum(y, 4.2 - y)) / 0.2)
    under = np.ones_like(light)
    for x0, y0, x1, y1 in ((-0.95, -2.1, 1.0, -1.3), (-2.3, -0.9, -1.98, 0.6), (1.86, -0.8, 2.3, 0.8)):
        under[int((2.1 - y1) * 100) : int((2.1 - y0) * 100), int((x0 + 2.3) * 100) : int((x1 + 2.3) * 100)] = 0.3
    return light * cv2.GaussianBlur(under, (0, 0), 9)


def _table(b: _Builder, rng: np.random.Generator) -> None:
    w, d, t = TABLE
    b.surface(
        "table top", textures.wood(rng, 1600, 2320, (176, 124, 76), plank=266, length=1500, contrast=0.95), shine=0.12
    )
    b.panel("table top", (-w / 2, -d / 2, 0), (w, 0, 0), (0, d, 0), cell=0.06)
    b.surface("oak", textures.wood(rng, 400, 1200, (150, 100, 58)), tile=0.8)
    b.block("oak", (w, d, t), (0, 0, -t / 2 - 0.0008))
    for sx in (-1, 1):
        b.block("oak", (0.02, d - 0.2, 0.08), (sx * (w / 2 - 0.07), 0, -t - 0.04))
        b.block("oak", (w - 0.2, 0.02, 0.08), (0, sx * (d / 2 - 0.07), -t - 0.04))
        for sy in (-1, 1):
            b.block("oak", (0.06, 0.06, -FLOOR - t), (sx * (w / 2 - 0.07), sy * (d / 2 - 0.07), (FLOOR - t) / 2))


def _window(b: _Builder, rng: np.random.Generator) -> None:
    b.surface("outside", prints.landscape(rng, 900, 1200), emission=0.75, shadow=False)
    b.picture("outside", "+y", (0.25, 0.62), (1.5, 1.15), frame="trim")
    for dx in (-0.375, 0.0, 0.375):
        b.block("trim", (0.03, 0.03, 1.15), (-0.25 + dx, HALF_Y - 0.03, 0.62))
    b.block("trim", (1.5, 0.03, 0.03), (-0.25, HALF_Y - 0.03, 0.72))
    b.block("trim", (1.75, 0.2, 0.03), (-0.25, HALF_Y - 0.1, 0.02))
    h, w = 900, 500
    cloth = textures.weave(rng, h, w, (150, 76, 62), thread=5, second=(172, 100, 80))
    for k in range(0, w, 100):
        cloth[:, k : k + 22] = (cloth[:, k : k + 22] * 0.4 + np.array([214, 190, 150]) * 0.6).astype(np.uint8)
    b.surface("curtain", cloth)
    for left in (-1.45, 0.62):
        strip = grid(
            np.array([left, HALF_Y - 0.11, FLOOR + 0.03]),
            np.array([0.42, 0, 0]),
            np.array([0, 0, 2.1]),
            0.02,
            (0, 0, 1, 1.7),
        )
        phase = strip.vertices[:, 0] * 2 * np.pi / 0.105
        strip.vertices[:, 1] += 0.03 * np.sin(phase)
        slope = np.stack([0.03 * 2 * np.pi / 0.105 * np.cos(phase), np.full_like(phase, -1), 0 * phase], 1)
        strip.normals[:] = slope / np.linalg.norm(slope, axis=1, keepdims=True)
        b.meshes["curtain"].append(strip)
    ribs = textures.speckle(rng, 400, 900, (222, 218, 208), depth=5)
    fins = 0.72 + 0.28 * np.abs(np.sin(np.arange(900) * np.pi / 30))[None].repeat(400, 0)
    b.surface("radiator", textures.shaded(ribs, fins))
    b.panel("radiator", (-0.85, HALF_Y - 0.1, FLOOR + 0.14), (1.2, 0, 0), (0, 0, 0.48))
    b.block("trim", (1.2, 0.09, 0.47), (-0.25, HALF_Y - 0.052, FLOOR + 0.38))


def _shelf(b: _Builder, rng: np.random.Generator) -> None:
    """The bookcase on the -x wall, with a picture beside it."""
    b.surface("walnut", textures.wood(rng, 400, 1200, (112, 74, 46), contrast=0.8), tile=0.9)
    x, y, deep, wide, high = -HALF_X + 0.16, -0.15, 0.32, 1.5, 2.0
    for end in (-1, 1):
        b.block("walnut", (deep, 0.025, high), (x, y + end * wide / 2, FLOOR + high / 2))
    b.block("walnut", (0.012, wide, high), (-HALF_X + 0.012, y, FLOOR + high / 2))
    for k in range(6):
        z = FLOOR + 0.05 + k * 0.38
        b.block("walnut", (deep, wide, 0.024), (x, y, z))
        if k < 5:
            name = f"books {k}"
            b.surface(name, prints.spines(rng, 280, 1160))
            front = x + 0.09
            b.panel(name, (front, y - wide / 2 + 0.03, z + 0.012), (0, wide - 0.06, 0), (0, 0, 0.345))
    b.surface(
        "poster a",
        prints.poster(
            rng,
            1000,
            720,
            "FORM",
            [(236, 228, 206), (34, 52, 92), (206, 74, 50), (232, 172, 60), (70, 110, 104), (30, 30, 34)],
        ),
    )
    b.picture("poster a", "-x", (-1.4, 0.42), (0.62, 0.86))
    b.surface("poster e", prints.landscape(rng, 600, 800, sky=(226, 186, 140), ground=(120, 96, 80)))
    b.picture("poster e", "-x", (1.28, 0.5), (0.7, 0.52))


def _sofa(b: _Builder, rng: np.random.Generator) -> None:
    b.surface("sofa", textures.weave(rng, 600, 600, (74, 98, 108), thread=6, second=(96, 118, 122)), tile=0.55)
    back = -HALF_Y + 0.03
    b.block("sofa", (1.95, 0.78, 0.26), (0.02, back + 0.39, FLOOR + 0.21))
    b.block("sofa", (1.95, 0.2, 0.5), (0.02, back + 0.1, FLOOR + 0.58))
    for x in (-0.86, 0.9):
        b.block("sofa", (0.2, 0.78, 0.3), (x, back + 0.39, FLOOR + 0.48))
    for x in (-0.365, 0.405):
        b.block("sofa", (0.765, 0.6, 0.13), (x, back + 0.5, FLOOR + 0.405))
    kilim = cv2.resize(textures.carpet(rng, 480, 480), (480, 480))
    stripe = textures.weave(rng, 400, 400, (214, 178, 90), thread=5, second=(236, 220, 180))
    stripe[:, ::40] = stripe[:, 1::40] = stripe[:, 2::40] = (120, 60, 50)
    for name, image, x, turn in (("cushion a", kilim, -0.56, 0.25), ("cushion b", stripe, 0.58, -0.3)):
        b.surface(name, image, tile=0.42)
        b.block(name, (0.42, 0.13, 0.42), (0, 0, FLOOR + 0.67), yaw=turn, about=(x, back + 0.3))
    palettes = (
        [(30, 44, 66), (240, 210, 140), (214, 90, 60), (90, 150, 150), (240, 236, 224)],
        [(238, 226, 200), (170, 52, 44), (36, 60, 70), (220, 150, 60), (40, 40, 40)],
    )
    for name, x, palette, title in (
        ("poster b", 0.62, palettes[0], "NIGHT"),
        ("poster c", -0.62, palettes[1], "BLOOM"),
    ):
        b.surface(name, prints.poster(rng, 900, 660, title, palette))
        b.picture(name, "-y", (x, 0.62), (0.62, 0.84))


def _sideboard(b: _Builder, rng: np.random.Generator) -> None:
    """The sideboard on the +x wall with a radio, a vase, a lamp, and a painting above."""
    x = HALF_X - 0.22
    b.block("walnut", (0.42, 1.6, 0.5), (x, 0, FLOOR + 0.37))
    doors = textures.wood(rng, 480, 1500, (168, 120, 74), contrast=0.8)
    for k in range(4):
        left = int(k * 375)
        doors[:, left : left + 6] = (40, 26, 16)
        doors[220:250, left + (320 if k % 2 == 0 else 40) : left + (334 if k % 2 == 0 else 54)] = (206, 186, 130)
    b.surface("doors", doors)
    b.panel("doors", (x - 0.213, 0.78, FLOOR + 0.15), (0, -1.56, 0), (0, 0, 0.44))
    for y in (-0.7, 0.7):
        b.block("walnut", (0.36, 0.05, 0.12), (x, y, FLOOR + 0.06))
    top = FLOOR + 0.62
    b.surface("painting", prints.landscape(rng, 800, 1100, sky=(200, 196, 180), ground=(130, 120, 66)))
    b.picture("painting", "+x", (0.05, 0.75), (1.1, 0.75))
    radio = prints.blank(300, 460, (122, 78, 48))
    radio[24:276, 24:290] = textures.weave(rng, 252, 266, (196, 176, 136), thread=4)
    prints.write(radio, "Melodia", (0.8, 0.85), 0.09, (240, 220, 170), italic=True)
    for y in (0.3, 0.6):
        cv2.circle(radio, (372, int(y * 300)), 34, (234, 216, 180), -1, cv2.LINE_AA)
        cv2.circle(radio, (372, int(y * 300)), 26, (70, 44, 30), -1, cv2.LINE_AA)
    b.surface("radio", radio)
    b.block("walnut", (0.15, 0.36, 0.23), (x, -0.3, top + 0.115))
    b.panel("radio", (x - 0.077, -0.12, top), (0, -0.36, 0), (0, 0, 0.23))
    z = np.linspace(0.3, 0, 14)
    profile = [(0, 0.3), *((0.05 + 0.045 * np.sin(t * 12 + 0.4), t) for t in z), (0, 0)]
    vase, atlas = lathe([("all", profile)], density=1500)
    atlas.paint("all", prints.mug_glaze(rng, *atlas.pixels("all")))
    b.surface("vase", atlas.image, shine=0.3)
    b.meshes["vase"].append(vase.moved((x, 0.2, top)))
    shade, atlas = lathe([("all", [(0.1, 0.52), (0.13, 0.42), (0.17, 0.28)])], density=800)
    atlas.paint("all", textures.weave(rng, *atlas.pixels("all"), (236, 206, 150), thread=4))
    b.surface("lamp shade", atlas.image, emission=0.35)
    b.meshes["lamp shade"].append(shade.moved((x, 0.58, top)))
    b.meshes["vase"].append(
        lathe([("all", [(0, 0.4), (0.02, 0.4), (0.015, 0.25), (0.05, 0.12), (0.08, 0.02), (0.08, 0), (0, 0)])])[
            0
        ].moved((x, 0.58, top))
    )


def _chair(b: _Builder, x: float, y: float, yaw: float) -> None:
    about = (x, y)
    seat = FLOOR + 0.45
    b.block("oak", (0.42, 0.42, 0.03), (0, 0, seat), yaw, about)
    b.block("cushion b", (0.38, 0.38, 0.035), (0, 0, seat + 0.032), yaw, about)
    for sx in (-1, 1):
        b.block("oak", (0.035, 0.035, 0.45), (0.18 * sx, 0.18, FLOOR + 0.22), yaw, about)
        b.block("oak", (0.035, 0.035, 0.92), (0.18 * sx, -0.19, FLOOR + 0.46), yaw, about)
    for k in range(3):
        b.block("oak", (0.36, 0.018, 0.07), (0, -0.19, seat + 0.16 + 0.13 * k), yaw, about)


def _plant(b: _Builder, rng: np.random.Generator) -> None:
    """A potted plant in the corner of the -x and +y walls, another by the sofa."""
    pot, atlas = lathe([("all", [(0, 0.27), (0.14, 0.27), (0.15, 0.3), (0.17, 0.3), (0.13, 0), (0, 0)])], density=900)
    h, w = atlas.pixels("all")
    clay = textures.speckle(rng, h, w, (166, 96, 66), depth=12)
    clay[: h // 4] = textures.speckle(rng, h // 4, w, (62, 46, 34), depth=22)
    atlas.paint("all", clay)
    b.surface("pot", atlas.image)
    y, x = np.mgrid[0:256, 0:128]
    veins = (np.abs(((x - 64) * np.sign(x - 64) * 0.9 + y) % 26 - 13) < 1.6) | (np.abs(x - 64) < 2)
    leaf = textures.tint(
        (58, 108, 48),
        (textures.noise(rng, 256, 128, (8, 4), 4), (22, 30, 16)),
        (veins.astype(np.float32), (44, 40, 26)),
    )
    b.surface("leaf", leaf)
    for px, py, size in ((-1.95, 1.75, 1.0), (-1.35, -1.75, 0.8)):
        b.meshes["pot"].append(pot.moved((px, py, FLOOR)))
        for k in range(26):
            turn, reach, rise = k * 2.4, size * rng.uniform(0.22, 0.42), size * rng.uniform(0.35, 0.95)
            _leaf(b, np.array([px, py, FLOOR + 0.27]), turn, reach, rise)


def _leaf(b: _Builder, root: np.ndarray, turn: float, reach: float, rise: float) -> None:
    out = np.array([np.cos(turn), np.sin(turn), 0])
    t = np.linspace(0, 1, 9)[:, None]
    spine = root + out * reach * t**1.6 + np.array([0, 0, 1]) * rise * (t - 0.42 * t**3)
    b.meshes["leaf"].append(tube(spine[:6], 0.005, segments=5, rect=(0.48, 0, 0.02, 1)))
    side = np.cross([0, 0, 1], out)
    width = 0.06 * np.sin(np.pi * np.clip((t - 0.3) / 0.7, 0, 1)) + 1e-4
    edge = np.stack([spine - side * width, spine, spine + side * width], 1)
    edge[:, [0, 2], 2] += 0.02
    n = len(t)
    uv = np.stack(np.broadcast_arrays(np.array([0, 0.5, 1.0])[None], t), 2)
    i, j = np.meshgrid(np.arange(2), np.arange(n - 1))
    a = (j * 3 + i).ravel()
    faces = np.concatenate([np.stack([a, a + 1, a + 4], 1), np.stack([a, a + 4, a + 3], 1)])
    along = np.gradient(spine, axis=0)
    normal = np.cross(np.broadcast_to(side, along.shape), along)
    normal *= np.sign(normal[:, 2:] + 1e-9) / np.linalg.norm(normal, axis=1, keepdims=True)
    normals = np.repeat(normal[:, None], 3, 1).reshape(-1, 3)
    both = np.concatenate([faces, faces[:, ::-1] + 3 * n])
    points, uvs = edge.reshape(-1, 3), uv.reshape(-1, 2)
    b.meshes["leaf"].append(
        Mesh(np.tile(points, (2, 1)), np.concatenate([normals, -normals]), np.tile(uvs, (2, 1)), both)
    )
