"""Stored episodes as worlds of splats with a rollout, in the types that everything else takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from splatworld.core import pose
from splatworld.core.body import Body
from splatworld.core.checks import InputError
from splatworld.core.mesh import Mesh
from splatworld.core.robot import ACTION_SECONDS
from splatworld.core.rollout import Rollout
from splatworld.core.state import LATENTS, State
from splatworld.core.world import World
from splatworld.episodes import SUBSTATES, Episodes, load_shape
from splatworld.robot import primitives
from splatworld.robot.model import Link, RobotModel
from splatworld.robot.place import add_links, add_robot, metric_world
from splatworld.simulate.episodes.colors import TABLE_COLOR, TOOL_COLOR, body_color
from splatworld.simulate.episodes.scene import Scene
from splatworld.simulate.episodes.shapes import shape
from splatworld.simulate.episodes.shards import as_body
from splatworld.simulate.episodes.tools import MAX_SPEED
from splatworld.simulate.episodes.tools import tool as tool_shape
from splatworld.store import world_id

TABLE_SIZE = (1.0, 1.0, 0.02)
TABLE_SPLATS = 8
"""How many bodies' worth of splats the table gets: coarse ones are thick, and would hide what is flat."""


def to_world(path: str | Path, episodes: Episodes, number: int, *, splats: int = 2000) -> tuple[World, Rollout]:
    """A stored episode as a world, at rest where it begins, and the rollout of its states at the ends of actions.

    Bodies have meshes, convex parts and distance grids but no mass: that is what a model is not told.

    Args:
        path: folder of the episodes, where their shapes are.
        episodes: of that folder.
        number: which one.
        splats: how many a body gets, about; the table gets more.

    Returns:
        The world: background, table, the episode's bodies, then the tool, which flies; and the rollout with actions of
        6 numbers as `ActionSpec` names them: from where the servos' target was to where it is sent, which is what moves
        a tool that is where its commands put it.

    Raises:
        InputError: there is no such episode.
    """
    if not 0 <= number < len(episodes):
        raise InputError(f"to_world: episode {number}, expected 0 to {len(episodes) - 1}.")
    count = int(episodes.mask[number].sum())
    poses = episodes.poses[number, ::SUBSTATES, :count].double()
    still = pose.identity(dtype=torch.float64)
    shapes = [load_shape(path, episodes.shapes[int(k)]) for k in episodes.shape_ids[number, :count]]
    tool = None
    if episodes.tool_ids[number] >= 0:
        tool = load_shape(path, episodes.tools[int(episodes.tool_ids[number])], kind="tools")
        joints = episodes.joints[number, ::SUBSTATES].double()
    world = _standing(
        shapes, episodes.fixed[number].tolist(), poses[0], tool, None if tool is None else tool_poses(joints[0]), splats
    )
    below = world.bodies[1].rest_pose
    steps = len(poses)
    frames = [torch.cat([still, below]).reshape(2, 7).expand(steps, 2, 7), poses]
    twists = [torch.zeros(steps, 2, 6).double(), episodes.twists[number, ::SUBSTATES, :count].double()]
    awake = [torch.zeros(steps, 2, dtype=torch.bool), ~episodes.asleep[number, ::SUBSTATES, :count]]
    if tool is not None:
        frames.append(tool_poses(joints)[:, None])
        velocities = episodes.joint_velocities[number, ::SUBSTATES].double()
        twists.append(torch.cat([velocities[:, :3], torch.zeros(steps, 2), velocities[:, 3:]], dim=-1)[:, None])
        awake.append(torch.ones(steps, 1, dtype=torch.bool))
    bodies = len(world.bodies)
    states = State(
        world_from_body=torch.cat(frames, dim=1),
        twists=torch.cat(twists, dim=1),
        nodes=torch.zeros(steps, 0, 7).double(),
        node_velocities=torch.zeros(steps, 0, 6).double(),
        joints=torch.zeros(steps, 0).double(),
        joint_velocities=torch.zeros(steps, 0).double(),
        latents=torch.zeros(steps, bodies, LATENTS).double(),
        awake=torch.cat(awake, dim=1),
        time=torch.arange(steps).double() * 0.1,
    )
    actions = sent(episodes.targets[number].double(), episodes.joints[number, 0].double())
    return world, Rollout(actions=actions, states=states, world_id=world_id(world))


def sent(targets: torch.Tensor, joints: torch.Tensor) -> torch.Tensor:
    """Actions [T, 6] that take a tool from its joints [4] to where the targets [T + 1, 4] of its servos were."""
    given = targets[1:] - torch.cat([joints[None], targets[1:-1]])
    return torch.cat([given[:, :3], torch.zeros(len(given), 2).double(), given[:, 3:]], dim=-1)


def scene_world(scene: Scene, *, splats: int = 200) -> World:
    """A scene of the oracle as a world at rest: background, table, its bodies without their parameters, its tool.

    Args:
        scene: at its first instant.
        splats: how many a body gets, about.
    """
    shapes = [as_body(name, shape(name)) for name in scene.shapes]
    armed = None if scene.tool is None else as_body(scene.tool.name, tool_shape(scene.tool.name), "robot")
    at = None if scene.tool is None else tool_poses(torch.from_numpy(scene.tool.joints))
    return _standing(shapes, scene.fixed.tolist(), torch.from_numpy(scene.poses), armed, at, splats)


def _standing(
    shapes: Sequence[Body],
    fixed: Sequence[bool],
    poses: torch.Tensor,
    tool: Body | None,
    tool_pose: torch.Tensor | None,
    splats: int,
) -> World:
    """Background, table, bodies of these shapes at poses [B, 7], then the tool."""
    world = table_world(splats)
    for index, (body, held) in enumerate(zip(shapes, fixed, strict=False)):
        named = replace(body, name=f"{index} {body.name}", kind="static" if held else "rigid")
        world = with_shape(world, named, body_color(index, held), poses[index], splats)
    return world if tool is None or tool_pose is None else with_tool(world, tool, tool_pose, splats)


def table_world(splats: int) -> World:
    """Background and table; `splats` as in `to_world`."""
    table = primitives.painted(primitives.box(TABLE_SIZE), TABLE_COLOR)
    below = pose.identity(dtype=torch.float64)
    below[2] = -TABLE_SIZE[2] / 2
    return _with_solid(metric_world(), "table", table, (table,), below, "static", TABLE_SPLATS * splats)


def with_shape(world: World, body: Body, color: tuple[float, float, float], at: torch.Tensor, splats: int) -> World:
    """The world with a shape of the library, its name and kind, at a pose [7]."""
    return _with_solid(world, body.name, _painted(body, color), _parts(body), at, body.kind, splats)


def with_tool(world: World, tool: Body, at: torch.Tensor, splats: int) -> World:
    """The world with a tool of the library at a pose [7], and the oracle's limits of actions."""
    model = RobotModel(tool.name, (_link("tool", _painted(tool, TOOL_COLOR), _parts(tool)),), ())
    return _with_limits(add_robot(world, model, base_pose=at, splats=splats))


def _with_solid(
    world: World, name: str, mesh: Mesh, parts: tuple[Mesh, ...], at: torch.Tensor, kind: str, splats: int
) -> World:
    model = RobotModel(name, (_link(name, mesh, parts),), ())
    return add_links(world, model, at, {}, kinds=(kind, kind), splats=splats)[0]


def _with_limits(world: World) -> World:
    """With actions that go as far as the oracle's: a target is pulled back by no more than it was sent ahead."""
    assert world.robot is not None
    spec, (x, y, z, yaw) = world.robot.action, (2 * MAX_SPEED * ACTION_SECONDS).tolist()
    high = torch.tensor([x, y, z, *spec.high[3:5].tolist(), yaw], dtype=torch.float64)
    return replace(world, robot=replace(world.robot, action=replace(spec, low=-high, high=high)))


def _link(name: str, mesh: Mesh, parts: tuple[Mesh, ...]) -> Link:
    return Link(name, mesh, parts, 0.0, torch.zeros(3, dtype=torch.float64), None)


def _painted(shape: Body, color: tuple[float, float, float]) -> Mesh:
    assert shape.mesh is not None
    return primitives.painted(shape.mesh, color)


def _parts(shape: Body) -> tuple[Mesh, ...]:
    assert shape.mesh is not None
    return shape.parts or (shape.mesh,)


def tool_poses(joints: torch.Tensor) -> torch.Tensor:
    """Poses [..., 7] of tools at joints [..., 4] x, y, z, yaw."""
    half = joints[..., 3:] / 2
    return torch.cat([joints[..., :3], half.cos(), torch.zeros_like(half), torch.zeros_like(half), half.sin()], dim=-1)
