"""Rows on geometry: distance grids against closed formulas, unions of parts, contacts of many states."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import torch
import trimesh
from torch import Tensor

from splatworld import native
from splatworld.core import pose
from splatworld.core.body import Body, background
from splatworld.core.mesh import Mesh
from splatworld.core.splats import Splats
from splatworld.core.world import World
from splatworld.evaluate.report import Line, line
from splatworld.evaluate.sample_truth import read_truth
from splatworld.geometry.contacts import REACH, contacts
from splatworld.geometry.distance import MARGIN, distance_grid, signed_distance
from splatworld.geometry.mesh import read_mesh, solid
from splatworld.geometry.shapes import Shapes, pack_shapes

STATES, BODIES = 256, 8
THREADS = 2
BOX, TORUS = (0.2, 0.1, 0.06), (0.06, 0.02)
HALVES = ((0.12, -0.04), (0.12, 0.04))
"""Length and middle along x of two boxes that overlap, 0.1 m wide and 0.08 m high."""


def lines(sample: Path, *, quick: bool = False) -> list[Line]:
    """Rows of the suite `bodies` on geometry.

    Args:
        sample: folder of the sample's truth, whose bodies are posed at random for the contacts.
        quick: fewer points and rounds; times are not judged.
    """
    count = 5_000 if quick else 50_000
    return [*_solids(count), _union(count), _build(quick), *_contacts(sample, quick)]


def _mesh(made: Any) -> Mesh:
    return Mesh(torch.tensor(made.vertices, dtype=torch.float64), torch.tensor(made.faces, dtype=torch.int64))


def _box_distance(points: Tensor, size: tuple[float, ...] = BOX) -> Tensor:
    beyond = points.abs() - points.new_tensor(size) / 2
    return beyond.clamp(min=0).norm(dim=-1) + beyond.amax(-1).clamp(max=0)


def _torus_distance(points: Tensor) -> Tensor:
    return torch.stack([points[..., :2].norm(dim=-1) - TORUS[0], points[..., 2]], dim=-1).norm(dim=-1) - TORUS[1]


def _around(mesh: Mesh, count: int) -> Tensor:
    rng = torch.Generator().manual_seed(0)
    low, high = mesh.vertices.amin(0) - MARGIN, mesh.vertices.amax(0) + MARGIN
    return low + (high - low) * torch.rand(count, 3, generator=rng, dtype=torch.float64)


def _solids(count: int) -> list[Line]:
    """The worst of a box and a torus; an edge is where the true direction turns by 10 degrees within 4 mm."""
    errors, angles = [], []
    for made, truth in (
        (trimesh.creation.box(BOX), _box_distance),
        (trimesh.creation.torus(*TORUS, 128, 64), _torus_distance),
    ):
        mesh = _mesh(made)
        points = _around(mesh, count)
        distance, gradient = signed_distance(distance_grid(mesh), points)
        slope, true = _slope(truth, points)
        near = true.abs() < MARGIN
        errors.append(float((distance - true)[near].abs().max()))
        steps = 0.004 * torch.cat([torch.eye(3), -torch.eye(3)]).double()
        turned = torch.stack([(_slope(truth, points + step)[0] * slope).sum(-1) for step in steps]).amin(0)
        cosine = (torch.nn.functional.normalize(gradient, dim=-1) * slope).sum(-1).clamp(-1, 1)
        angles.append(float(torch.rad2deg(torch.acos(cosine[near & (turned > 0.985)])).max()))
    return [
        line("distance within 5 cm of box and torus, largest error", 1000 * max(errors), "mm", "<= 2"),
        line("its gradient away from edges, largest angle", max(angles), "degrees", "<= 5"),
    ]


def _slope(truth: Any, points: Tensor) -> tuple[Tensor, Tensor]:
    points = points.detach().requires_grad_()
    true = truth(points)
    return torch.autograd.grad(true.sum(), points)[0], true.detach()


def _union(count: int) -> Line:
    parts = []
    for length, middle in HALVES:
        made = trimesh.creation.box((length, 0.1, 0.08))
        made.apply_translation((middle, 0, 0))
        parts.append(_mesh(made))
    points = _around(solid(tuple(parts)), count)
    true = _box_distance(points, (0.2, 0.1, 0.08))
    error = (signed_distance(distance_grid(tuple(parts)), points)[0] - true).abs()
    least = torch.stack(
        [_box_distance(points - points.new_tensor((x, 0, 0)), (length, 0.1, 0.08)) for length, x in HALVES]
    ).amin(0)
    return line(
        "distance to two parts that overlap, largest error within 5 cm",
        1000 * float(error[true.abs() < MARGIN].max()),
        "mm",
        "<= 2",
        f"the least of the parts' own {1000 * float((least - true).abs()[true.abs() < MARGIN].max()):.1f} mm",
    )


def _build(quick: bool) -> Line:
    mesh = _mesh(trimesh.creation.icosphere(5, 0.05))
    spacing = float((mesh.vertices.amax(0) - mesh.vertices.amin(0)).max() + 2 * MARGIN) / 63
    seconds = statistics.median(_timed(lambda: distance_grid(mesh, spacing)) for _ in range(1 if quick else 3))
    return line("distance grid of 64^3 samples, 20,480 triangles", seconds, "s", None if quick else "<= 0.5")


def _contacts(sample: Path, quick: bool) -> list[Line]:
    world = _tabletop(sample)
    shapes = pack_shapes(world)
    poses = _scattered(world, 16 if quick else STATES)
    worst, missed, plain = _brute_force(world, shapes, poses[:4])
    before = native.get_threads()
    try:
        native.set_threads(THREADS)
        seconds = statistics.median(_timed(lambda: contacts(shapes, poses)) for _ in range(3 if quick else 30))
    finally:
        native.set_threads(before)
    scene = f"{len(poses)} states of {BODIES} bodies"
    baseline = f"trimesh ProximityQuery {plain * len(poses) / 4:.1f} s (4 states, scaled up)"
    return [
        line("contacts, pairs that differ from brute force", missed, "", "== 0"),
        line("contacts, depth against exact distance of the same points", 1000 * worst, "mm", "<= 2"),
        line(f"contacts, {scene}, {THREADS} threads", 1000 * seconds, "ms", None if quick else "<= 4", baseline),
    ]


def _tabletop(sample: Path) -> World:
    truth = read_truth(sample)
    free = [
        Body(
            body["name"],
            "rigid",
            torch.tensor(body["world_from_body"], dtype=torch.float64),
            mesh=read_mesh(sample / body["mesh"]),
        )
        for body in truth["bodies"]
        if body["name"] != "mug"
    ]
    empty = torch.zeros(0, 3)
    none = Splats(
        empty,
        empty,
        torch.zeros(0, 4),
        torch.zeros(0),
        torch.zeros(0, 1, 3),
        torch.zeros(0).int(),
        torch.zeros(0).byte(),
    )
    return World(splats=none, bodies=(background(), *free[:BODIES]))


def _scattered(world: World, states: int) -> Tensor:
    """[S, B, 7]: bodies shoved and turned on the table, some into each other."""
    rng = torch.Generator().manual_seed(0)
    poses = torch.stack([body.rest_pose for body in world.bodies]).repeat(states, 1, 1)
    twist = torch.zeros(states, len(world.bodies) - 1, 6, dtype=torch.float64)
    twist[..., 5] = 2 * torch.randn(twist.shape[:2], generator=rng, dtype=torch.float64)
    poses[:, 1:] = pose.compose(poses[:, 1:], pose.exp(twist))
    poses[:, 1:, :2] += 0.04 * torch.randn(states, len(world.bodies) - 1, 2, generator=rng, dtype=torch.float64)
    return poses


def _brute_force(world: World, shapes: Shapes, poses: Tensor) -> tuple[float, int, float]:
    """Every surface point against every other mesh: worst difference in depth, pairs missed or invented, seconds."""
    found = contacts(shapes, poses)
    depths = {tuple(pair): float(d) for pair, d in zip(found.pairs.tolist(), found.distance[:, 0], strict=True)}
    worst, missed, start = 0.0, 0, time.perf_counter()
    exact = {
        index: trimesh.proximity.ProximityQuery(trimesh.Trimesh(body.mesh.vertices, body.mesh.faces, process=False))
        for index, body in enumerate(world.bodies)
        if body.mesh is not None
    }
    first = shapes.cluster_start.tolist()
    for state, table in enumerate(poses):
        for a, b in shapes.pairs.tolist():
            deepest = float("inf")
            for one, other in ((a, b), (b, a)):
                own = shapes.points[first[one] : first[one + 1]].transpose(1, 2).reshape(-1, 3).double()
                if not len(own):
                    continue
                there = pose.transform(table[one], own)
                if other == 0:
                    deepest = min(deepest, float(there[:, 2].min()))
                    continue
                local = pose.transform(pose.inverse(table[other]), there)
                low, high = shapes.boxes[other].double().split(3)
                near = ((local > low - REACH) & (local < high + REACH)).all(-1)
                if bool(near.any()):
                    deepest = min(deepest, -float(exact[other].signed_distance(local[near].numpy()).max()))
            depth = depths.get((state, a, b))
            if depth is None or deepest > REACH:
                missed += abs(min(deepest, REACH) - (REACH if depth is None else depth)) > 2e-3
            else:
                worst = max(worst, abs(depth - deepest))
    return worst, missed, time.perf_counter() - start


def _timed(work: Any) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
