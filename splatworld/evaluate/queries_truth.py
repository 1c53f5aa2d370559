"""How exact answers are, and whether they say what nobody can know."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.camera import project
from splatworld.core.mesh import Mesh
from splatworld.core.world import rest_state
from splatworld.evaluate.queries_scene import TABLE, as_pose, desk, plans
from splatworld.evaluate.report import Line, line
from splatworld.geometry.mesh import transform_mesh
from splatworld.plan.prediction import Prediction
from splatworld.robot import primitives

NEAR = 0.05
STEP = 1e-5
"""m, of finite differences."""
PLANS = 4


def exact_lines(count: int, say: Callable[..., object]) -> list[Line]:
    """Distances, sweeps and gradients of predicted bodies against exact meshes, by Open3D."""
    rows: list[Line] = []
    if _open3d() is None:
        return [line("against exact mesh distance: Open3D is not installed", None, "mm", "<= 2")]
    rollout = plans(PLANS)
    told = Prediction(desk(), rollout)
    solid: list[int | str] = [index for index, body in enumerate(desk().bodies) if body.kind == "rigid"]
    last = rollout.states.world_from_body[:, -1]
    points = _around(last, count // PLANS)
    say("exact distances")
    found = told.signed_distance(points, 0.9, bodies=solid)
    truth = torch.stack([exact_distance(*each) for each in zip(last, points, strict=True)])
    near = truth.abs() <= NEAR
    gap = 1e3 * (found.value - truth).abs()[near]
    say("gradients by finite differences")
    wrong = torch.zeros_like(truth, dtype=torch.bool)
    for axis in torch.eye(3, dtype=torch.float64):
        ahead, behind = (told.signed_distance(points + side * STEP * axis, 0.9, bodies=solid).value for side in (1, -1))
        wrong |= ((ahead - behind) / (2 * STEP) - (found.gradient * axis).sum(-1)).abs() > 0.02
    within = (gap <= found.std[near] * 2e3).double().mean()
    say("sweeps")
    rows += [
        line(f"against exact mesh distance within 5 cm, largest of {len(gap):,}", float(gap.max()), "mm", "<= 2"),
        line("against exact mesh distance within 5 cm, median", float(gap.median()), "mm"),
        line("gradients that are those of finite differences to 0.02, within 5 cm",
             100 * float((~wrong)[near].double().mean()), "%", ">= 95"),
        line("exact distance within two standard deviations of the answer", 100 * float(within), "%"),
    ]  # fmt: skip
    return rows + _sweep_lines(told, points[:, : count // (50 * PLANS)], solid)


def _sweep_lines(told: Prediction, points: Tensor, solid: list[int | str]) -> list[Line]:
    """Balls of 1 cm that cross the scene in the last action, against their exact least distance."""
    assert told.times is not None
    draw = torch.Generator().manual_seed(3)
    way = 0.05 * torch.randn(points.shape, generator=draw, dtype=torch.float64)
    balls = torch.stack([points - way, points], dim=1)
    balls = torch.cat([balls, torch.full((*balls.shape[:-1], 1), 0.01, dtype=torch.float64)], dim=-1)
    found = told.swept_clearance(balls, start=0.8, bodies=solid).value[:, 1]
    least = torch.full_like(found, torch.inf)
    for share in torch.linspace(0, 1, 65).tolist():
        poses = told.pose(t=0.8 + 0.1 * share).value
        for plan, at in enumerate(torch.lerp(balls[:, 0], balls[:, 1], share)):
            least[plan] = torch.minimum(least[plan], exact_distance(poses[plan], at[:, :3]) - 0.01)
    near = least.abs() <= NEAR - 0.01
    gap = 1e3 * (least - found)[near]
    return [
        line("swept clearance: most above the exact least distance", float((-gap).max()), "mm", "<= 2"),
        line("swept clearance: most below it, within 5 cm", float(gap.max()), "mm", "<= 2"),
    ]


def exact_distance(poses: Tensor, points: Tensor) -> Tensor:
    """[P] m from points [P, 3] to the nearest of the desk's exact meshes at poses [B, 7]."""
    open3d = _open3d()
    nearest = torch.full(points.shape[:1], torch.inf, dtype=torch.float64)
    for index, body in enumerate(desk().bodies):
        if body.kind != "rigid" or body.mesh is None:
            continue
        local = pose.transform(pose.inverse(poses[index]), points).float().numpy()
        found = _scene(body.mesh).compute_signed_distance(open3d.core.Tensor(local), nsamples=5).numpy()
        nearest = torch.minimum(nearest, torch.from_numpy(found).double())
    return nearest


def unseen_lines(count: int, say: Callable[..., object]) -> list[Line]:
    """Points that no camera of the capture saw, by exact rays, and what is said of them."""
    if _open3d() is None:
        return [line("points in unseen space reported unknown: Open3D is not installed", None, "%", ">= 99")]
    say("unseen space")
    world, state = desk(), rest_state(desk())
    draw = torch.rand(count, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    low, high = torch.tensor([-0.6, -0.45, -0.1]).double(), torch.tensor([0.6, 0.45, 0.5]).double()
    points = low + draw * (high - low)
    seen = exactly_seen(points)
    bodies: list[int | str] = [i for i, body in enumerate(world.bodies) if body.kind == "rigid"]
    filled = Prediction(world, state).signed_distance(points, bodies=bodies).value <= 0
    found = Prediction(world, state).signed_distance(points)
    hidden = ~seen & ~filled  # inside a body there is that body
    told = 100 * float((~found.known)[hidden].double().mean())
    free = seen & (found.value > 0)
    return [
        line(f"points in unseen space reported unknown, of {int(hidden.sum()):,}", told, "%", ">= 99"),
        line(f"points in seen space reported known, of {int(free.sum()):,}",
             100 * float(found.known[free].double().mean()), "%"),
    ]  # fmt: skip


def exactly_seen(points: Tensor) -> Tensor:
    """[P] bool: in some camera's picture, with nothing of the exact scene as captured before them."""
    open3d = _open3d()
    scene = open3d.t.geometry.RaycastingScene()
    table = transform_mesh(primitives.box(TABLE), as_pose((0.0, 0.0, -TABLE[2] / 2)))
    for mesh in (table, *(transform_mesh(b.mesh, b.rest_pose) for b in desk().bodies if b.kind == "rigid" and b.mesh)):
        _add(scene, mesh)
    seen = torch.zeros(len(points), dtype=torch.bool)
    for camera in desk().cameras.values():
        eye = camera.world_from_camera[:3]
        pixels, depth = project(camera, points)
        inside = (depth > 0) & (pixels >= 0).all(-1) & (pixels < pixels.new_tensor(camera.size)).all(-1) & ~seen
        way = points[inside] - eye
        rays = torch.cat([eye.expand_as(way), way], dim=-1).float().numpy()
        hit = scene.cast_rays(open3d.core.Tensor(rays))["t_hit"].numpy()
        seen[inside] |= torch.from_numpy(hit >= 1.0)
    return seen


_scenes: dict[int, object] = {}


def _scene(mesh: Mesh):
    """Open3D's scene of a body of the desk, which lives as long as we do."""
    if id(mesh) not in _scenes:
        _scenes[id(mesh)] = _add(_open3d().t.geometry.RaycastingScene(), mesh)
    return _scenes[id(mesh)]


def _add(scene, mesh: Mesh):
    open3d = _open3d()
    corners, faces = mesh.vertices.float().numpy(), mesh.faces.numpy().astype(np.uint32)
    scene.add_triangles(open3d.core.Tensor(corners), open3d.core.Tensor(faces))
    return scene


def _open3d():
    try:
        import open3d
    except ImportError:
        return None
    return open3d


def _around(poses: Tensor, count: int) -> Tensor:
    """[N, count, 3] within 8 cm of the bodies' boxes at poses [N, B, 7]."""
    draw = torch.Generator().manual_seed(2)
    found = []
    chosen = [i for i, body in enumerate(desk().bodies) if body.kind == "rigid"]
    for index in chosen:
        mesh = desk().bodies[index].mesh
        assert mesh is not None
        low, high = mesh.vertices.amin(0) - 0.08, mesh.vertices.amax(0) + 0.08
        share = torch.rand(len(poses), count // len(chosen), 3, generator=draw, dtype=torch.float64)
        local = low + share * (high - low)
        found.append(pose.transform(poses[:, index, None], local))
    return torch.cat(found, dim=1)
