"""Where a tool can stand on a support: shadows of bodies, grown by that of the tool, as convex polygons.

A tool that keeps its height and its heading touches a body where its origin is on the border of the Minkowski sum of
the body's shadow and the mirrored shadow of the tool (Lozano-Perez, "Spatial planning: a configuration space approach",
1983). Convex parts make that exact for upright walls, and too large for what overhangs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from splatworld.core import pose
from splatworld.core.state import State
from splatworld.core.world import World
from splatworld.geometry.shapes import Shapes

FLAT = 0.0005
"""m above the tool's lowest point up to which something is ground rather than an obstacle."""


@dataclass(frozen=True)
class Obstacles:
    """P convex polygons that the tool's origin must keep out of, up to E edges each; an edge faces outward.

    Attributes:
        normals: [P, E, 2] unit; edges beyond a polygon's own repeat its first.
        offsets: [P, E] m along the normals.
        owners: [P] bodies.
        boxes: [P, 4] m, least x and y, greatest x and y.
        tops: [P] m, how high what casts the shadow reaches.
    """

    normals: np.ndarray
    offsets: np.ndarray
    owners: np.ndarray
    boxes: np.ndarray
    tops: np.ndarray

    def gaps(self, points: np.ndarray) -> np.ndarray:
        """[P, N] m from points [N, 2] to each polygon, at most the distance; negative inside."""
        if not len(self.owners):
            return np.zeros((0, len(points)))
        return (self.normals @ points.T - self.offsets[..., None]).max(axis=1)

    def gap(self, points: np.ndarray) -> np.ndarray:
        """[N] m to the nearest polygon; infinite where there is none."""
        return self.gaps(points).min(axis=0, initial=np.inf)

    def without(self, bodies: Sequence[int]) -> Obstacles:
        """Those of other bodies."""
        return self._only(~np.isin(self.owners, list(bodies)))

    def of(self, body: int) -> Obstacles:
        """Those of one body."""
        return self._only(self.owners == body)

    def gap_on_grid(self, x: np.ndarray, y: np.ndarray, reach: float) -> np.ndarray:
        """[X, Y] m to the nearest polygon at places x [X], y [Y], both rising; `reach` where none is nearer."""
        found = np.full((len(x), len(y)), reach)
        for normals, offsets, box in zip(self.normals, self.offsets, self.boxes, strict=True):
            rows = slice(*np.searchsorted(x, [box[0] - reach, box[2] + reach]))
            columns = slice(*np.searchsorted(y, [box[1] - reach, box[3] + reach]))
            part = np.full((len(x[rows]), len(y[columns])), -np.inf)
            for (nx, ny), offset in zip(normals, offsets, strict=True):
                np.maximum(part, (nx * x[rows] - offset)[:, None] + ny * y[columns], out=part)
            np.minimum(found[rows, columns], part, out=found[rows, columns])
        return found

    def _only(self, keep: np.ndarray) -> Obstacles:
        return Obstacles(**{f.name: getattr(self, f.name)[keep] for f in fields(Obstacles)})

    def hits(self, points: np.ndarray, directions: np.ndarray, margin: float = 0.0) -> np.ndarray:
        """[P, N] m along unit directions [N, 2] from points [N, 2] to where a line enters each polygon, grown by
        `margin` m, be it behind the point, in order; infinite for those that it does not meet."""
        enter, leave = self._cut(points, directions, margin)
        return np.sort(np.where(enter > leave, np.inf, enter), axis=0)

    def is_free(self, start: np.ndarray, ends: np.ndarray, margin: float) -> np.ndarray:
        """[N] bool, whether straight lines from a place [2] to others [N, 2] keep more than `margin` m away."""
        way = ends - start
        far = np.linalg.norm(way, axis=1)
        ahead = way / np.maximum(far, 1e-9)[:, None]
        enter, leave = self._cut(np.broadcast_to(start, ends.shape), ahead, margin)
        return (np.maximum(enter, 0.0) > np.minimum(leave, far)).all(axis=0)

    def _cut(self, points: np.ndarray, directions: np.ndarray, margin: float) -> tuple[np.ndarray, np.ndarray]:
        """[P, N] m along lines to where they enter polygons grown by a margin, and to where they leave them, which is
        before that for lines that pass by."""
        height = self.offsets[..., None] + margin - self.normals @ points.T
        slope = self.normals @ directions.T
        with np.errstate(divide="ignore", invalid="ignore"):
            cut = height / slope
        enter = np.where(slope < -1e-9, cut, -np.inf).max(axis=1, initial=-np.inf)
        leave = np.where(slope > 1e-9, cut, np.inf).min(axis=1, initial=np.inf)
        beside = ((np.abs(slope) <= 1e-9) & (height < 0)).any(axis=1)
        return enter, np.where(beside, -np.inf, leave)


def find_obstacles(world: World, shapes: Shapes, state: State, tool: np.ndarray, height: float) -> Obstacles:
    """What stands in the way of the tool at a height, its heading as it is.

    Args:
        world: with a robot.
        shapes: of the world.
        state: a single one.
        tool: [V, 3] m, corners of the tool, world axes, from its frame's origin.
        height: m, z of the tool's frame.
    """
    low, high = tool[:, 2].min() + height + FLAT, tool[:, 2].max() + height
    mirrored = -hull(tool[:, :2])
    edges, owners, boxes, tops = [], [], [], []
    for part, body in enumerate(shapes.part_bodies.tolist()):
        if world.bodies[body].kind == "robot":
            continue
        corners = part_corners(shapes, state, part)
        if corners[:, 2].max() < low or corners[:, 2].min() > high:
            continue
        grown = hull((hull(corners[:, :2])[:, None] + mirrored[None]).reshape(-1, 2))
        edges.append(_edges(grown))
        boxes.append([*grown.min(axis=0), *grown.max(axis=0)])
        owners.append(body)
        tops.append(corners[:, 2].max())
    most = max((len(each) for each in edges), default=1)
    table = np.zeros((len(edges), most, 3))
    for row, each in zip(table, edges, strict=True):
        row[:] = each[0]
        row[: len(each)] = each
    boxed = np.array(boxes).reshape(-1, 4)
    return Obstacles(table[..., :2], table[..., 2], np.array(owners, int), boxed, np.array(tops))


def part_corners(shapes: Shapes, state: State, part: int) -> np.ndarray:
    """[V, 3] m corners of a convex part in a single state, world frame."""
    start, end = shapes.part_start[part], shapes.part_start[part + 1]
    at = state.world_from_body[int(shapes.part_bodies[part])].double()
    return pose.transform(at, shapes.part_vertices[start:end].double()).numpy()


def body_corners(shapes: Shapes, state: State, bodies: Sequence[int]) -> np.ndarray:
    """[V, 3] m corners of all convex parts of some bodies in a single state, world frame."""
    parts = [k for k, body in enumerate(shapes.part_bodies.tolist()) if body in bodies]
    return np.concatenate([np.zeros((0, 3)), *(part_corners(shapes, state, part) for part in parts)])


def hull(points: np.ndarray) -> np.ndarray:
    """Counter-clockwise corners [K, 2] of the convex hull of points [N, 2]; the points where they span no area."""
    try:
        return points[ConvexHull(points).vertices]
    except (QhullError, ValueError):
        return points


def _edges(corners: np.ndarray) -> np.ndarray:
    """[E, 3] outward unit normal and offset of each edge of a counter-clockwise polygon [E, 2]."""
    along = np.roll(corners, -1, axis=0) - corners
    normals = np.column_stack([along[:, 1], -along[:, 0]])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return np.column_stack([normals, (normals * corners).sum(axis=1)])
