"""Stored episodes of deformable bodies as worlds of splats with a rollout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from splatworld.bodies.kinds import hung_on_nodes
from splatworld.core import pose
from splatworld.core.body import Body
from splatworld.core.checks import InputError
from splatworld.core.mesh import Mesh
from splatworld.core.rollout import Rollout
from splatworld.core.shape import Capsules
from splatworld.core.splats import joined
from splatworld.core.state import State
from splatworld.core.world import World, rest_state
from splatworld.episodes import SUBSTATES, load_shape
from splatworld.geometry.mesh_splats import splats_of_mesh
from splatworld.geometry.node_rotations import follow_rotations
from splatworld.node_episodes import KINDS, NodeEpisodes
from splatworld.robot import primitives
from splatworld.simulate.episodes.colors import FIXED_COLOR, body_color
from splatworld.simulate.episodes.world import sent, table_world, tool_poses, with_shape, with_tool
from splatworld.store import world_id

SECTIONS = 16
"""Corners of a rope's cross-section."""
REACH = 1.5
"""Times the distance between nodes, from which on a splat does not follow a node."""


def to_world(path: str | Path, episodes: NodeEpisodes, number: int, *, splats: int = 6000) -> tuple[World, Rollout]:
    """A stored episode as a world, at rest where it begins, and the rollout of its states at the ends of actions.

    Args:
        path: folder of the episodes, where their shapes are.
        episodes: of that folder.
        number: which one.
        splats: how many the deformable body gets, about.

    Returns:
        The world: background, table, what stands there, the tool, which flies, and the deformable body, called by its
        kind; and the rollout, as of `splatworld.simulate.episodes.world.to_world`.

    Raises:
        InputError: there is no such episode.
    """
    if not 0 <= number < len(episodes):
        raise InputError(f"to_world: episode {number}, expected 0 to {len(episodes) - 1}.")
    world = table_world(splats // 3)
    obstacle, held = int(episodes.obstacle_ids[number]), int(episodes.tool_ids[number])
    if obstacle >= 0:
        shape = replace(load_shape(path, episodes.obstacles[obstacle]), kind="static")
        world = with_shape(world, shape, FIXED_COLOR, episodes.obstacle_poses[number].double(), splats // 3)
    joints = tool_poses(episodes.joints[number, ::SUBSTATES].double())
    if held >= 0:
        world = with_tool(world, load_shape(path, episodes.tools[held], kind="tools"), joints[0], splats // 3)
    there, edges, faces = episodes.mask[number], episodes.edges[number], episodes.triangles[number]
    points = episodes.points[number][:, there].double()
    edges, faces = edges[edges[:, 0] >= 0], faces[faces[:, 0] >= 0]
    kind, radius = KINDS[int(episodes.kinds[number])], float(episodes.radius[number])
    skin = surface(points[0], edges, faces, radius) if kind != "cloth" else sheet(points[0], faces, radius)
    world = with_nodes(world, kind, skin, points[0], edges, radius, body_color(int(episodes.numbers[number])), splats)
    states = _states(world, points, edges, episodes.velocities[number][:, there].double(), joints, held >= 0)
    actions = sent(episodes.targets[number].double(), episodes.joints[number, 0].double())
    actions = actions if held >= 0 else actions[:, :0]
    return world, Rollout(actions=actions, states=states, world_id=world_id(world))


def with_nodes(
    world: World,
    name: str,
    skin: Mesh,
    points: Tensor,
    edges: Tensor,
    radius: float,
    color: tuple[float, float, float],
    splats: int,
) -> World:
    """The world with a deformable body of nodes at points [M, 3], joined by edges [E, 2], whose surface is `skin`."""
    cover = splats_of_mesh(primitives.painted(skin, color), count=splats, seed=len(world.bodies))
    cover = replace(cover, body_ids=torch.full_like(cover.body_ids, len(world.bodies)))
    nodes, first = pose.identity(len(points), dtype=torch.float64), len(world.rest_nodes)
    nodes[:, :3] = points
    middle = pose.identity(dtype=torch.float64)
    middle[:3] = points.mean(0)
    radii = torch.full((len(edges),), radius, dtype=torch.float64)
    body = Body(name, "deformable", middle, node_range=(first, first + len(points)), capsules=Capsules(edges, radii))
    count, spacing = len(world.splats), float((points[edges[:, 0]] - points[edges[:, 1]]).norm(dim=-1).median())
    grown = replace(
        world,
        splats=joined([world.splats, cover]),
        bodies=(*world.bodies, body),
        rest_nodes=torch.cat([world.rest_nodes.double(), nodes]),
    )
    own = torch.arange(count, len(grown.splats))
    frame = len(grown.bodies) + first
    return replace(grown, skin=hung_on_nodes(grown, own, points.float(), frame, reach=REACH * spacing))


def surface(points: Tensor, edges: Tensor, faces: Tensor, radius: float) -> Mesh:
    """The outside of a soft body, `radius` m beyond its triangles; of a rope, which has none, a tube."""
    if not len(faces):
        return _tube(points.numpy(), radius)
    normals = _normals(points, faces)
    return Mesh(points + radius * normals, faces)


def sheet(points: Tensor, faces: Tensor, radius: float) -> Mesh:
    """Both sides of a cloth, `radius` m to either side."""
    normals = _normals(points, faces)
    vertices = torch.cat([points + radius * normals, points - radius * normals])
    return Mesh(vertices, torch.cat([faces, faces.flip(1) + len(points)]))


def _normals(points: Tensor, faces: Tensor) -> Tensor:
    """[M, 3] unit normals at points, of the faces around them."""
    a, b, c = points[faces].unbind(1)
    each = torch.linalg.cross(b - a, c - a)
    total = torch.zeros_like(points)
    for corner in range(3):
        total.index_add_(0, faces[:, corner], each)
    return torch.nn.functional.normalize(total, dim=-1)


def _tube(points: np.ndarray, radius: float) -> Mesh:
    """Rings about the nodes [M, 3] of a rope that lies flat, and half spheres at its ends."""
    along = np.gradient(points, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    beside = np.cross(along, (0, 0, 1.0))
    beside /= np.linalg.norm(beside, axis=1, keepdims=True)
    above = np.cross(beside, along)
    angle = 2 * np.pi * np.arange(SECTIONS) / SECTIONS
    rings: list[tuple[np.ndarray, float, int]] = []
    for end, tilts in ((0, np.linspace(-np.pi / 2, 0, 5)[:-1]), (-1, np.linspace(0, np.pi / 2, 5)[1:])):
        caps = [(points[end] + radius * np.sin(t) * along[end], radius * max(np.cos(t), 0.02), end) for t in tilts]
        rings = [*rings, *caps] if end else [*caps, *[(p, radius, k) for k, p in enumerate(points)]]
    corners = [p + r * (np.cos(angle)[:, None] * beside[k] + np.sin(angle)[:, None] * above[k]) for p, r, k in rings]
    faces = []
    for ring in range(len(rings) - 1):
        for k in range(SECTIONS):
            a, b = ring * SECTIONS + k, ring * SECTIONS + (k + 1) % SECTIONS
            faces += [(a, b, a + SECTIONS), (b, b + SECTIONS, a + SECTIONS)]
    found = np.array(faces)
    mesh = Mesh(torch.from_numpy(np.concatenate(corners)), torch.from_numpy(found))
    first, second, third = (mesh.vertices[mesh.faces[:, k]].numpy() for k in range(3))
    middle = (first + second + third) / 3
    nearest = points[np.abs(middle[:, None] - points[None]).sum(-1).argmin(1)]
    outward = (np.cross(second - first, third - first) * (middle - nearest)).sum(-1).mean() > 0
    return mesh if outward else Mesh(mesh.vertices, mesh.faces.flip(1))


def _states(world: World, points: Tensor, edges: Tensor, velocities: Tensor, tool: Tensor, held: bool) -> State:
    """States at the ends of actions: the nodes' turns follow from their places."""
    steps, count = len(points), len(world.bodies)
    quats = [pose.identity(len(points[0]), dtype=torch.float64)[:, 3:]]
    for t in range(1, steps):
        quats.append(follow_rotations(points[0], edges, points[t], quats[-1]))
    rest = rest_state(world)
    bodies = rest.world_from_body.expand(steps, count, 7).clone()
    if held:
        bodies[:, -2] = tool
    awake = torch.zeros(steps, count, dtype=torch.bool)
    awake[:, -1] = True
    zeros = torch.zeros(steps, count, 8, dtype=torch.float64)
    return State(
        world_from_body=bodies,
        twists=zeros[..., :6],
        nodes=torch.cat([points, torch.stack(quats)], dim=-1),
        node_velocities=torch.cat([velocities, torch.zeros_like(velocities)], dim=-1),
        joints=zeros[:, 0, :0],
        joint_velocities=zeros[:, 0, :0],
        latents=zeros,
        awake=awake,
        time=torch.arange(steps).double() * 0.1,
    )
