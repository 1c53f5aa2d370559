"""The desk that queries are measured on: nine everyday things, filmed all around, and plans of a tool among them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.body import Body
from splatworld.core.camera import Camera
from splatworld.core.mesh import Mesh
from splatworld.core.rollout import Rollout
from splatworld.core.splats import Splats, joined
from splatworld.core.world import World, rest_state
from splatworld.dynamics.predict import predict
from splatworld.geometry.background import background_shape
from splatworld.geometry.distance import distance_grid
from splatworld.geometry.mesh import mass_properties, transform_mesh
from splatworld.geometry.mesh_splats import splats_of_mesh
from splatworld.robot import primitives
from splatworld.robot.place import add_robot, metric_world
from splatworld.robot.tools import cylinder_pusher
from splatworld.simulate import tabletop
from splatworld.simulate.meshes import welded
from splatworld.simulate.phone import Phone, hand_held

PLANS, STEPS, SPHERES = 256, 10, 64
VIEWS = 48
TABLE, ROOM = (1.4, 1.0, 0.02), (5.0, 4.0, 2.6)
SPLATS = 1500
"""A body, about."""
SHOULDER = (-0.6, 0.0, 0.5)
"""m, where the arm that holds the tool hangs."""


@cache
def desk() -> World:
    """Background with what was seen of it, nine bodies, and a rod that flies."""
    world = metric_world()
    table = transform_mesh(primitives.box(TABLE), as_pose((0.0, 0.0, -TABLE[2] / 2)))
    room = transform_mesh(primitives.box(ROOM), as_pose((0.0, 0.0, ROOM[2] / 2 - 0.75)))
    bodies = list(world.bodies)
    splats = [_of_body(splats_of_mesh(each, count=8 * SPLATS), 0) for each in (table, room)]
    for placed in tabletop.build(furnished=False).placed:
        vertices, faces = welded(placed.thing.mesh.moved(-placed.centre))
        mesh = Mesh(torch.from_numpy(vertices), torch.from_numpy(faces.astype(np.int64)))
        mass, _, inertia = mass_properties(mesh, 1.0)
        weight = placed.thing.mass
        at = torch.from_numpy(placed.pose).double()
        splats.append(_of_body(splats_of_mesh(transform_mesh(mesh, at), count=SPLATS), len(bodies)))
        grid = distance_grid(mesh)
        bodies.append(
            Body(placed.thing.name, "rigid", at, mass=weight, inertia=inertia * (weight / mass), mesh=mesh, grid=grid)
        )
    world = replace(world, bodies=tuple(bodies), splats=joined(splats), cameras=_cameras())
    world = replace(world, bodies=(background_shape(world), *world.bodies[1:]))
    return add_robot(world, cylinder_pusher(), base_pose=as_pose((-0.35, 0.0, 0.25)), splats=SPLATS)


def plans(count: int = PLANS, steps: int = STEPS, *, seed: int = 0) -> Rollout:
    """Predicted: the tool comes down somewhere and then goes straight through what is there, `steps` instants."""
    world = desk()
    draw = torch.Generator().manual_seed(seed)
    turn = 2 * torch.pi * torch.rand(count, 1, generator=draw).double()
    ahead = 0.045 * torch.cat([turn.cos(), turn.sin()], dim=-1)
    middle = 0.5 * torch.rand(count, 2, generator=draw).double() - 0.25
    state = rest_state(world)
    poses = state.world_from_body.expand(count, -1, -1).clone()
    poses[:, -1, :2] = middle - 4 * ahead
    poses[:, -1, 2] = 0.1
    states = type(state)(**{k: v.expand(count, *v.shape) for k, v in vars(state).items()} | {"world_from_body": poses})
    actions = torch.zeros(count, steps - 1, 6, dtype=torch.float64)
    actions[..., :2] = ahead[:, None]
    return predict(world, states, actions)


def arm_spheres(rollout: Rollout, count: int = SPHERES) -> Tensor:
    """[..., T, count, 4] along an arm from a shoulder over its elbow to the tool, as float32."""
    tool = rollout.states.world_from_body[..., -1, :3]
    shoulder = torch.tensor(SHOULDER, dtype=torch.float64).expand_as(tool)
    elbow = 0.5 * (shoulder + tool) + torch.tensor([0.0, 0.0, 0.15], dtype=torch.float64)
    wrist = tool + torch.tensor([0.0, 0.0, 0.12], dtype=torch.float64)
    share = torch.linspace(0, 3, count, dtype=torch.float64)
    joints = torch.stack([tool, wrist, elbow, shoulder], dim=-2)
    first = share.floor().clamp(max=2).long()
    way = (share - first)[:, None]
    middle = joints[..., first, :] * (1 - way) + joints[..., first + 1, :] * way
    radius = (0.015 + 0.015 * share).expand(middle.shape[:-1])
    return torch.cat([middle, radius[..., None]], dim=-1).float()


def _cameras() -> dict[str, Camera]:
    phone = Phone()
    times = np.linspace(0, phone.duration, VIEWS, endpoint=False)
    center = torch.tensor(phone.size, dtype=torch.float64) / 2
    focal = torch.full((2,), phone.focal, dtype=torch.float64)
    return {
        f"frame_{index:06d}": Camera(focal, center, phone.size, torch.from_numpy(at))
        for index, at in enumerate(hand_held(phone, times))
    }


def _of_body(splats: Splats, index: int) -> Splats:
    return replace(splats, body_ids=torch.full_like(splats.body_ids, index))


def as_pose(xyz: tuple[float, float, float]) -> Tensor:
    """[7] without a turn."""
    return torch.cat([torch.tensor(xyz, dtype=torch.float64), pose.identity(dtype=torch.float64)[3:]])
