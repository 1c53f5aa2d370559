"""How long queries take: one state in a control loop, many plans at once, and other tools on the same question."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from splatworld import native
from splatworld.core import pose
from splatworld.core.world import rest_state
from splatworld.evaluate.queries_scene import PLANS, SPHERES, STEPS, arm_spheres, desk, plans
from splatworld.evaluate.report import Line, line
from splatworld.plan.prediction import Prediction

CORES = 2
OPEN3D_PLANS, TRIMESH_BALLS = 8, 400
"""What other tools are given; their times are multiplied up."""


def loop_lines(loops: int, say: Callable[..., object]) -> list[Line]:
    """A state at a time, all of it from the tensors that a loop holds."""
    say(f"one state: {loops} loops")
    world = desk()
    balls = arm_spheres(plans(1, 2))[0, 0]
    state = rest_state(world)
    with threads(1):
        times = []
        for count in range(loops + 50):
            begin = time.perf_counter()
            found = Prediction(world, state).signed_distance(balls)
            times.append(time.perf_counter() - begin)
            assert len(found.value) == SPHERES, count
    ordered = 1e3 * np.sort(times[50:])
    name = f"one state, {len(world.bodies) - 1} bodies, {SPHERES} spheres, one core"
    return [
        line(f"{name}: p99", float(np.quantile(ordered, 0.99)), "ms", "<= 1"),
        line(f"{name}: median", float(np.median(ordered)), "ms"),
    ]


def batch_lines(say: Callable[..., object], *, runs: int, count: int = PLANS) -> list[Line]:
    """Every ball of every plan at every step, at rest and on its way; and how long others take."""
    cores = min(CORES, os.cpu_count() or 1)
    rollout = plans(count)
    told, balls = Prediction(desk(), rollout), arm_spheres(rollout)
    name = f"{count} plans x {STEPS} steps x {SPHERES} spheres, {cores} cores"
    with threads(cores):
        say("many plans: distances")
        at_rest = _median(lambda: told.signed_distance(balls), runs)
        say("many plans: swept clearances")
        swept = _median(lambda: told.swept_clearance(balls), runs)
        say("many plans: gradients")
        asked = balls.clone().requires_grad_()
        backward = _median(lambda: told.signed_distance(asked).value.sum().backward(), max(3, runs // 3))
    rows = [
        line(f"{name}: swept clearance", 1e3 * swept, "ms", "<= 40"),
        line(f"{name}: signed distance", 1e3 * at_rest, "ms", "<= 40"),
        line(f"{name}: signed distance with gradients", 1e3 * backward, "ms"),
    ]
    for peer, seconds in (("Open3D's ray-casting scene", _open3d), ("trimesh", _trimesh)):
        say(f"many plans: {peer}")
        theirs = seconds(rollout.states.world_from_body, balls)
        label = f"{name}: signed distance, faster than {peer}"
        if theirs is None:
            rows.append(line(f"{label}, which is not installed", None, "x", ">= 10"))
        else:
            rows.append(line(label, theirs / at_rest, "x", ">= 10", f"{peer} {1e3 * theirs:.0f} ms"))
    return rows


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Within, kernels use `count` threads and torch one."""
    before, torch_before = native.get_threads(), torch.get_num_threads()
    native.set_threads(count)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        native.set_threads(before)
        torch.set_num_threads(torch_before)


def local_balls(poses: Tensor, balls: Tensor) -> list[tuple[int, np.ndarray]]:
    """Bodies with exact meshes, and the balls' middles [P, 3] float32 in each one's frame."""
    found = []
    for index, body in enumerate(desk().bodies):
        if body.kind == "rigid":
            local = pose.transform(pose.inverse(poses[..., index, None, :]), balls[..., :3].double())
            found.append((index, local.reshape(-1, 3).float().numpy()))
    return found


def _open3d(poses: Tensor, balls: Tensor) -> float | None:
    """s for all plans: a scene a body, built once, balls moved into its frame; the fastest way that it offers."""
    try:
        import open3d
    except ImportError:
        return None
    scenes = {}
    for index, body in enumerate(desk().bodies):
        if body.kind == "rigid" and body.mesh is not None:
            scenes[index] = open3d.t.geometry.RaycastingScene()
            corners = open3d.core.Tensor(body.mesh.vertices.float().numpy())
            scenes[index].add_triangles(corners, open3d.core.Tensor(body.mesh.faces.numpy().astype(np.uint32)))
    count = min(OPEN3D_PLANS, len(poses))

    def ask() -> np.ndarray:
        nearest = balls[:count, ..., 2].reshape(-1).numpy()  # the table
        for index, local in local_balls(poses[:count], balls[:count]):
            found = scenes[index].compute_signed_distance(open3d.core.Tensor(local)).numpy()
            nearest = np.minimum(nearest, found)
        return nearest - balls[:count, ..., 3].reshape(-1).numpy()

    return _median(ask, 3) * len(poses) / count


def _trimesh(poses: Tensor, balls: Tensor) -> float | None:
    """s for all plans: `trimesh.proximity.signed_distance` of each body, of a few balls."""
    try:
        import rtree  # noqa: F401  trimesh cannot do without
        import trimesh
    except ImportError:
        return None
    share = TRIMESH_BALLS / balls[..., 0].numel()
    step = max(1, round(1 / share))
    begin = time.perf_counter()
    for index, local in local_balls(poses, balls):
        mesh = desk().bodies[index].mesh
        assert mesh is not None
        solid = trimesh.Trimesh(mesh.vertices.numpy(), mesh.faces.numpy(), process=False)
        trimesh.proximity.signed_distance(solid, local[::step])
    return (time.perf_counter() - begin) * step


def _median(work: Callable[[], object], runs: int) -> float:
    work()
    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)
