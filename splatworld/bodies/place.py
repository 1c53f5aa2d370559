"""Move a whole world into another frame and unit: splats, cameras, bodies, nodes."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.body import Body, Joint
from splatworld.core.checks import InputError
from splatworld.core.mesh import Mesh
from splatworld.core.shape import Capsules, DistanceGrid
from splatworld.core.similarity import Similarity
from splatworld.core.splats import Splats
from splatworld.core.world import World
from splatworld.render import sh


def place(world: World, similarity: Similarity) -> World:
    """The same world in another frame of reference and unit of length.

    A view that moves along sees the same picture. Bodies keep their density, so that masses grow with the cube of the
    scale and inertias with its fifth power; masses that were told stay as they are. The static background, which owns
    everything that never moves, keeps its frame where neither shape nor joint hangs on it.

    Args:
        world: to be moved; stays as it is. Its `scale` is taken over: who knows why lengths change says so there.
        similarity: `new_from_old`.

    Raises:
        InputError: lengths change although the world has a robot, whose size is known.
    """
    if world.robot is not None and not math.isclose(similarity.scale, 1, rel_tol=1e-12):
        raise InputError(
            f"place: the world has a robot, whose size is known, so lengths cannot be multiplied by "
            f"{similarity.scale:.4g}; set the scale first and add the robot then."
        )
    parents = {body.parent for body in world.bodies}
    return replace(
        world,
        splats=place_splats(world.splats, similarity),
        bodies=tuple(
            _body(body, similarity, world.bodies, held=index in parents) for index, body in enumerate(world.bodies)
        ),
        gravity=pose.rotate(similarity.quat, world.gravity.double()).to(world.gravity),
        cameras={name: similarity.camera(camera) for name, camera in world.cameras.items()},
        rest_nodes=similarity.poses(world.rest_nodes),
    )


def place_splats(splats: Splats, similarity: Similarity) -> Splats:
    """Splats in another frame: means, scales, rotations and the coefficients of their colours."""
    turned = pose.multiply_quats(similarity.quat, splats.quats.double())
    return replace(
        splats,
        means=similarity.points(splats.means),
        log_scales=(splats.log_scales.double() + math.log(similarity.scale)).to(splats.log_scales),
        quats=turned.to(splats.quats),
        sh=sh.rotate(splats.sh, similarity.quat.expand(len(splats), 4)),
    )


def _body(body: Body, similarity: Similarity, bodies: tuple[Body, ...], *, held: bool) -> Body:
    scale = similarity.scale
    denser = scale**-3 if body.weighed else 1.0
    bare = body.kind == "static" and body.mesh is None and not body.parts and body.grid is None and not held
    return replace(
        body,
        rest_pose=body.rest_pose if bare else similarity.poses(body.rest_pose),
        joint=None if body.joint is None else _joint(body.joint, scale, bodies),
        mass=body.mass if body.weighed else body.mass * scale**3,
        inertia=None if body.inertia is None else body.inertia * scale**5 * denser,
        mesh=None if body.mesh is None else _mesh(body.mesh, scale),
        parts=tuple(_mesh(part, scale) for part in body.parts),
        grid=None if body.grid is None else _grid(body.grid, scale),
        capsules=None if body.capsules is None else Capsules(body.capsules.ends, body.capsules.radii * scale),
    )


def _joint(joint: Joint, scale: float, bodies: tuple[Body, ...]) -> Joint:
    low, high = joint.limits
    along = scale if joint.type == "slide" else 1.0
    mimic = joint.mimic
    if mimic is not None:
        leader = bodies[mimic[0]].joint
        led = scale if leader is not None and leader.type == "slide" else 1.0
        mimic = (mimic[0], mimic[1] * along / led, mimic[2] * along)
    return replace(
        joint,
        parent_from_joint=_lengthen(joint.parent_from_joint, scale),
        limits=(low * along, high * along),
        rest=joint.rest * along,
        mimic=mimic,
    )


def _lengthen(transform: Tensor, scale: float) -> Tensor:
    return torch.cat([transform[:3] * scale, transform[3:]])


def _mesh(mesh: Mesh, scale: float) -> Mesh:
    return replace(mesh, vertices=mesh.vertices * scale)


def _grid(grid: DistanceGrid, scale: float) -> DistanceGrid:
    return replace(grid, origin=grid.origin * scale, spacing=grid.spacing * scale, values=grid.values * scale)
