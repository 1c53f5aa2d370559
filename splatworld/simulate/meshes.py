"""Procedural triangle meshes with texture coordinates, for the simulated scenes.

Every primitive comes with an `Atlas`: named rectangles, in metres, of the picture that is wrapped around it, so that a
label is painted at its true size. Texture coordinates have their origin at the top-left corner of the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import ArrayLike

FACES = ("+x", "-x", "+y", "-y", "+z", "-z")


@dataclass(frozen=True)
class Mesh:
    """Triangles with a normal and a texture coordinate at each vertex.

    Attributes:
        vertices: [V,3] m.
        normals: [V,3] unit, outward.
        uvs: [V,2] texture coordinates, origin at the top-left of the picture.
        faces: [F,3] vertex indices, counter-clockwise seen from outside.
    """

    vertices: np.ndarray
    normals: np.ndarray
    uvs: np.ndarray
    faces: np.ndarray

    def moved(self, offset: ArrayLike, rotation: np.ndarray | None = None) -> Mesh:
        """The mesh rotated by `rotation` [3,3], then moved by `offset` [3] m."""
        turn = np.eye(3) if rotation is None else rotation
        return Mesh(self.vertices @ turn.T + np.asarray(offset), self.normals @ turn.T, self.uvs, self.faces)


@dataclass
class Atlas:
    """The picture of a mesh: named rectangles (x, y, width, height), in metres, and their paint.

    Attributes:
        size: (width, height) m of the whole picture.
        rects: name to (x, y, width, height) m.
        density: pixels per metre.
    """

    size: tuple[float, float]
    rects: dict[str, tuple[float, float, float, float]]
    density: float = 3000.0
    image: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        width, height = (max(4, int(np.ceil(s * self.density))) for s in self.size)
        self.image = np.full((height, width, 3), 128, np.uint8)

    def pixels(self, name: str) -> tuple[int, int]:
        """(height, width) px of the named rectangle."""
        _, _, w, h = self.rects[name]
        return max(2, round(h * self.density)), max(2, round(w * self.density))

    def paint(self, name: str, picture: np.ndarray) -> None:
        """Fill the named rectangle with `picture` [H,W,3] u8, with a small margin so that filtering does not bleed."""
        x, y, w, h = (round(v * self.density) for v in self.rects[name])
        pad = 3
        scaled = cv2.resize(picture, (max(2, w), max(2, h)), interpolation=cv2.INTER_AREA)
        grown = cv2.copyMakeBorder(scaled, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
        top, left = max(0, y - pad), max(0, x - pad)
        bottom, right = (
            min(self.image.shape[0], y + scaled.shape[0] + pad),
            min(self.image.shape[1], x + scaled.shape[1] + pad),
        )
        self.image[top:bottom, left:right] = grown[top - y + pad : bottom - y + pad, left - x + pad : right - x + pad]


def concat(parts: Sequence[Mesh]) -> Mesh:
    """One mesh holding all the parts."""
    starts = np.cumsum([0] + [len(p.vertices) for p in parts[:-1]])
    return Mesh(
        np.concatenate([p.vertices for p in parts]),
        np.concatenate([p.normals for p in parts]),
        np.concatenate([p.uvs for p in parts]),
        np.concatenate([p.faces + s for p, s in zip(parts, starts, strict=True)]),
    )


def grid(origin: np.ndarray, right: np.ndarray, up: np.ndarray, cell: float, rect: Sequence[float]) -> Mesh:
    """A flat rectangle cut into cells, because lights are evaluated at vertices.

    Args:
        origin: [3] m, lower-left corner seen from the front; the normal is right x up.
        right, up: [3] m edge vectors.
        cell: m, largest cell edge.
        rect: (u, v, du, dv), texture rectangle with its top-left corner first.
    """
    n = max(1, int(np.ceil(np.linalg.norm(right) / cell)))
    m = max(1, int(np.ceil(np.linalg.norm(up) / cell)))
    s, t = (v.ravel() for v in np.meshgrid(np.linspace(0, 1, n + 1), np.linspace(0, 1, m + 1)))
    vertices = origin + s[:, None] * right + t[:, None] * up
    normal = np.cross(right, up)
    uvs = np.stack([rect[0] + s * rect[2], rect[1] + (1 - t) * rect[3]], 1)
    i, j = np.meshgrid(np.arange(n), np.arange(m))
    a = (j * (n + 1) + i).ravel()
    faces = np.concatenate([np.stack([a, a + 1, a + n + 2], 1), np.stack([a, a + n + 2, a + n + 1], 1)])
    return Mesh(vertices, np.tile(normal / np.linalg.norm(normal), (len(vertices), 1)), uvs, faces)


def _box_sides(size: Sequence[float]) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    x, y, z = np.eye(3) * np.asarray(size, float)
    h = np.asarray(size, float) / 2
    return {
        "+x": (x - h, y, z),
        "-x": (y - h, -y, z),
        "+y": (x + y - h, -x, z),
        "-y": (-h, x, z),
        "+z": (z - h, x, y),
        "-z": (y - h, x, -y),
    }


def box(size: Sequence[float], cell: float = 0.03, density: float = 3000.0) -> tuple[Mesh, Atlas]:
    """A box centred on the origin, with one rectangle of paint a face ("+x", "-x", ...), `size` [3] m."""
    sides = _box_sides(size)
    gap = 8 / density
    rects, x = {}, gap
    for name, (_, right, up) in sides.items():
        w, h = float(np.linalg.norm(right)), float(np.linalg.norm(up))
        rects[name] = (x, gap, w, h)
        x += w + gap
    total = (x, max(r[3] for r in rects.values()) + 2 * gap)
    parts = [grid(*sides[n], cell, _normalised(rects[n], total)) for n in FACES]
    return concat(parts), Atlas(total, rects, density)


def tiled_box(size: Sequence[float], tile: float, cell: float = 0.12, shift: float = 0.0) -> Mesh:
    """A box centred on the origin whose texture repeats every `tile` m; `shift` moves the texture."""
    parts = []
    for k, (corner, right, up) in enumerate(_box_sides(size).values()):
        w, h = float(np.linalg.norm(right)) / tile, float(np.linalg.norm(up)) / tile
        rect = (0.37 * k + shift, 0.61 * k + 1.7 * shift, w, h)
        mesh = grid(corner, right, up, cell, rect)
        if h > w:  # grain runs along the longer edge
            mesh = Mesh(mesh.vertices, mesh.normals, mesh.uvs[:, ::-1].copy(), mesh.faces)
        parts.append(mesh)
    return concat(parts)


def lathe(
    sections: Sequence[tuple[str, Sequence[tuple[float, float]]]], *, segments: int = 48, density: float = 3000.0
) -> tuple[Mesh, Atlas]:
    """Turn a profile around +z; it starts and ends on the axis, the solid lies to the left of (r, z) going up outside.

    Args:
        sections: (name, [(radius, z), ...]) m, from the top of the axis outward and down; each section begins where
            the one before ended and has its own rectangle of paint, and a crease lies between sections.
    """
    radius = max(r for _, points in sections for r, _ in points)
    width, gap, y = 2 * np.pi * radius, 8 / density, 8 / density
    spans = []
    for name, points in sections:
        p = np.asarray(points, float)
        length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(p, axis=0), axis=1))])
        spans.append((name, p, length, y))
        y += length[-1] + gap
    total = (width, y)
    angle = np.linspace(0, 2 * np.pi, segments + 1)
    ring = np.stack([np.cos(angle), np.sin(angle)], 1)
    parts, rects = [], {}
    for name, p, length, top in spans:
        rects[name] = (0.0, top, width, float(length[-1]))
        tangent = np.gradient(p, length, axis=0) if len(p) > 2 else np.tile(p[1] - p[0], (2, 1))
        tangent = tangent / np.linalg.norm(tangent, axis=1, keepdims=True)
        outward = np.stack([-tangent[:, 1], tangent[:, 0]], 1)
        k = len(p)
        vertices = np.concatenate([p[:, None, :1] * ring, np.broadcast_to(p[:, None, 1:], (k, segments + 1, 1))], 2)
        normals = np.concatenate(
            [outward[:, None, :1] * ring, np.broadcast_to(outward[:, None, 1:], (k, segments + 1, 1))], 2
        )
        u = np.broadcast_to(np.linspace(0, 1, segments + 1), (k, segments + 1))
        v = np.broadcast_to(((top + length) / y)[:, None], (k, segments + 1))
        i, j = np.meshgrid(np.arange(segments), np.arange(k - 1))
        a = (j * (segments + 1) + i).ravel()
        b = a + segments + 1
        faces = np.concatenate([np.stack([a, b, b + 1], 1), np.stack([a, b + 1, a + 1], 1)])
        parts.append(Mesh(vertices.reshape(-1, 3), normals.reshape(-1, 3), np.stack([u, v], 2).reshape(-1, 2), faces))
    mesh = concat(parts)
    return Mesh(mesh.vertices, mesh.normals, mesh.uvs, _without_slivers(mesh)), Atlas(total, rects, density)


def extrude(polygon: Sequence[tuple[float, float]], height: float, *, density: float = 3000.0) -> tuple[Mesh, Atlas]:
    """A prism over a simple counter-clockwise polygon [P,2] m, from z=0 to `height`; paint: "top", "bottom", "side"."""
    p = np.asarray(polygon, float)
    low, extent = p.min(0), np.ptp(p, axis=0)
    gap = 8 / density
    edges = np.roll(p, -1, 0) - p
    lengths = np.linalg.norm(edges, axis=1)
    rects = {
        "top": (gap, gap, extent[0], extent[1]),
        "bottom": (2 * gap + extent[0], gap, extent[0], extent[1]),
        "side": (0.0, 2 * gap + extent[1], float(lengths.sum()), height),
    }
    total = (max(3 * gap + 2 * extent[0], float(lengths.sum())), 3 * gap + extent[1] + height)
    triangles = triangulate(p)
    parts = []
    for name, z, sign in (("top", height, 1.0), ("bottom", 0.0, -1.0)):
        rect = _normalised(rects[name], total)
        st = (p - low) / extent
        across = st[:, 0] if sign > 0 else 1 - st[:, 0]
        uvs = np.stack([rect[0] + across * rect[2], rect[1] + (1 - st[:, 1]) * rect[3]], 1)
        faces = triangles if sign > 0 else triangles[:, ::-1]
        vertices = np.concatenate([p, np.full((len(p), 1), z)], 1)
        parts.append(Mesh(vertices, np.tile([0, 0, sign], (len(p), 1)), uvs, faces))
    side, x = _normalised(rects["side"], total), 0.0
    for start, edge, length in zip(p, edges, lengths, strict=True):
        share = (x / lengths.sum() * side[2], side[1], length / lengths.sum() * side[2], side[3])
        parts.append(grid(np.append(start, 0.0), np.append(edge, 0.0), np.array([0, 0, height]), np.inf, share))
        x += length
    return concat(parts), Atlas(total, rects, density)


def tube(
    path: np.ndarray, radius: float | np.ndarray, *, segments: int = 16, rect: Sequence[float] = (0, 0, 1, 1)
) -> Mesh:
    """A closed round tube along a planar path [K,3] m, with flat ends; `rect` (u, v, du, dv) is its texture."""
    k = len(path)
    radii = np.broadcast_to(radius, (k,))
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    across = np.linalg.svd(path - path.mean(0))[2][2]
    side = np.cross(tangent, across)
    angle = np.linspace(0, 2 * np.pi, segments + 1)
    normals = np.cos(angle)[:, None] * side[:, None] + np.sin(angle)[:, None] * across
    vertices = path[:, None] + radii[:, None, None] * normals
    u, v = np.meshgrid(rect[0] + np.linspace(0, 1, segments + 1) * rect[2], rect[1] + np.linspace(0, 1, k) * rect[3])
    i, j = np.meshgrid(np.arange(segments), np.arange(k - 1))
    a = (j * (segments + 1) + i).ravel()
    b = a + segments + 1
    faces = [np.stack([a, a + 1, b + 1], 1), np.stack([a, b + 1, b], 1)]
    points, ups = (
        [vertices.reshape(-1, 3), path[[0, -1]]],
        [normals.reshape(-1, 3), np.stack([-tangent[0], tangent[-1]])],
    )
    uvs = np.concatenate([np.stack([u.ravel(), v.ravel()], 1), [[rect[0], rect[1]], [rect[0], rect[1] + rect[3]]]])
    ring, last = np.arange(segments), (k - 1) * (segments + 1)
    centre = k * (segments + 1)
    faces.append(np.stack([np.full(segments, centre), ring + 1, ring], 1))
    faces.append(np.stack([np.full(segments, centre + 1), last + ring, last + ring + 1], 1))
    mesh = Mesh(np.concatenate(points), np.concatenate(ups), uvs, np.concatenate(faces))
    return _outward(mesh)


def triangulate(polygon: np.ndarray) -> np.ndarray:
    """Triangles [P-2,3] of a simple counter-clockwise polygon [P,2], by clipping ears."""

    def cross(o: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
        return float((a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0]))

    left, out = list(range(len(polygon))), []
    while len(left) > 3:
        for k in range(len(left)):
            i, j, m = left[k - 1], left[k], left[(k + 1) % len(left)]
            a, b, c = polygon[i], polygon[j], polygon[m]
            others = (polygon[q] for q in left if q not in (i, j, m))
            if cross(a, b, c) > 1e-12 and not any(
                cross(a, b, p) >= 0 and cross(b, c, p) >= 0 and cross(c, a, p) >= 0 for p in others
            ):
                out.append((i, j, m))
                left.pop(k)
                break
        else:
            raise ValueError("triangulate: no ear found; expected a simple polygon given counter-clockwise.")
    return np.array([*out, tuple(left)])


def welded(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Vertices [V,3] m and faces [F,3] with seams closed, for geometry without paint."""
    keys = np.round(mesh.vertices * 1e7).astype(np.int64)
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    faces = inverse.reshape(-1)[mesh.faces]
    keep = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    return mesh.vertices[first], faces[keep]


def _normalised(rect: Sequence[float], total: Sequence[float]) -> tuple[float, float, float, float]:
    return rect[0] / total[0], rect[1] / total[1], rect[2] / total[0], rect[3] / total[1]


def _without_slivers(mesh: Mesh) -> np.ndarray:
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    return mesh.faces[np.linalg.norm(np.cross(b - a, c - a), axis=1) > 1e-12]


def _outward(mesh: Mesh) -> Mesh:
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    volume = np.einsum("ij,ij->i", a, np.cross(b, c)).sum()
    return mesh if volume > 0 else Mesh(mesh.vertices, mesh.normals, mesh.uvs, mesh.faces[:, ::-1].copy())
