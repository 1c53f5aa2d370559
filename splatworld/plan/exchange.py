"""Predicted geometry and distances in the forms of other tools: trimesh, Open3D, cuRobo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from splatworld.core.checks import InputError, ShapeError
from splatworld.plan.answers import Cloud, Surface
from splatworld.plan.prediction import Prediction

if TYPE_CHECKING:
    import trimesh


def trimesh_scene(surfaces: list[Surface]) -> trimesh.Scene:
    """Meshes of `Prediction.mesh` as a trimesh scene, one geometry a body under its name."""
    import trimesh

    scene = trimesh.Scene()
    for each in surfaces:
        colors = None if each.mesh.colors is None else each.mesh.colors.numpy()
        scene.add_geometry(
            trimesh.Trimesh(each.mesh.vertices.numpy(), each.mesh.faces.numpy(), vertex_colors=colors, process=False),
            node_name=each.name,
            geom_name=each.name,
        )
    return scene


def open3d_meshes(surfaces: list[Surface]) -> dict[str, Any]:
    """Meshes of `Prediction.mesh` as `open3d.geometry.TriangleMesh`, by the bodies' names."""
    open3d = _open3d()
    found = {}
    for each in surfaces:
        made = open3d.geometry.TriangleMesh(
            open3d.utility.Vector3dVector(each.mesh.vertices.numpy()),
            open3d.utility.Vector3iVector(each.mesh.faces.numpy().astype(np.int32)),
        )
        if each.mesh.colors is not None:
            made.vertex_colors = open3d.utility.Vector3dVector(each.mesh.colors.numpy() / 255)
        found[each.name] = made
    return found


def open3d_scene(surfaces: list[Surface]) -> Any:
    """Meshes of `Prediction.mesh` as an `open3d.t.geometry.RaycastingScene`; ids count as the surfaces do."""
    open3d = _open3d()
    scene = open3d.t.geometry.RaycastingScene()
    for each in surfaces:
        scene.add_triangles(
            open3d.core.Tensor(each.mesh.vertices.float().numpy()),
            open3d.core.Tensor(each.mesh.faces.numpy().astype(np.uint32)),
        )
    return scene


def open3d_cloud(cloud: Cloud) -> Any:
    """Points of `Prediction.point_cloud` as `open3d.geometry.PointCloud`, with colours."""
    open3d = _open3d()
    made = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(cloud.points.double().numpy()))
    made.colors = open3d.utility.Vector3dVector(cloud.colors.double().numpy())
    return made


def trimesh_cloud(cloud: Cloud) -> trimesh.PointCloud:
    """Points of `Prediction.point_cloud` as `trimesh.PointCloud`, with colours."""
    import trimesh

    colors = (255 * cloud.colors).round().to(torch.uint8).numpy()
    return trimesh.PointCloud(cloud.points.double().numpy(), colors=colors)


def curobo_distance(
    prediction: Prediction,
    spheres: Tensor,
    *,
    activation_distance: float = 0.0,
    smooth: bool = False,
    sweep: bool = False,
    dt: float | None = None,
) -> Tensor:
    """Collision of spheres in cuRobo's shapes and sign: positive inside a body, negative where there is room.

    Args:
        prediction: of one plan, or of as many as the batch.
        spheres: [batch, horizon, spheres, 4] middle (m, world frame) and radius (m); a sphere whose radius is not
            positive is switched off, and 0 comes back for it.
        activation_distance: m, eta, that is added to every radius.
        smooth: the cost of CHOMP (Ratliff et al., 2009) instead of the depth d: 0 where d < 0, d^2 / (2 eta) up to eta,
            d - eta / 2 beyond.
        sweep: also on the way from one instant to the next.
        dt: s between the horizon's instants; None: those of the rollout's states, from the first on.

    Returns:
        [batch, horizon, spheres] m, differentiable in spheres and poses.

    Raises:
        ShapeError: spheres of another shape.
        InputError: a negative or missing eta; errors of the queries.
    """
    if not isinstance(spheres, Tensor) or spheres.ndim != 4 or spheres.shape[-1] != 4:
        given = list(spheres.shape) if isinstance(spheres, Tensor) else type(spheres).__name__
        raise ShapeError(f"curobo_distance: spheres are {given}, expected [batch, horizon, spheres, 4].")
    if activation_distance < 0 or (smooth and not activation_distance > 0):
        raise InputError(
            f"curobo_distance: activation_distance is {activation_distance}, expected m of at least 0, and above 0 for "
            "the smooth cost."
        )
    on = spheres[..., 3] > 0
    solid: list[int | str] = [index for index, body in enumerate(prediction.world.bodies) if body.kind != "robot"]
    balls = torch.cat([spheres[..., :3], spheres[..., 3:].clamp(min=0)], dim=-1)
    if sweep:
        found = prediction.swept_clearance(balls, dt, bodies=solid)
    else:
        count = spheres.shape[1]
        times = prediction.times
        if times is not None:
            times = times[:count] if dt is None else dt * torch.arange(count, dtype=torch.float64)
        found = prediction.signed_distance(balls, times, bodies=solid)
    depth = activation_distance - found.value
    if smooth:
        eta = activation_distance
        depth = torch.where(depth > eta, depth - eta / 2, depth.clamp(min=0).square() / (2 * eta))
    return torch.where(on, depth, 0.0)


def _open3d() -> Any:
    """Open3D, which is an extra, and on Linux loads system libraries that a bare machine may lack."""
    try:
        import open3d
    except ImportError as error:
        raise InputError(
            f"exchange: Open3D cannot be loaded ({error}); install the extra 'eval'; on Debian also libusb-1.0-0."
        ) from error
    return open3d
