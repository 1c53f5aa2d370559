"""Stand a robot in a world."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.body import Body, Joint
from splatworld.core.checks import InputError, check_choice, check_finite, check_shape
from splatworld.core.robot import ACTION_KINDS, GRIP_FORCE, ActionSpec, Robot
from splatworld.core.splats import Splats, from_points, joined
from splatworld.core.world import Scale, Skin, World
from splatworld.geometry.convex import convex_hull, convex_parts
from splatworld.geometry.distance import distance_grid
from splatworld.geometry.mesh import is_closed, solid, transform_mesh
from splatworld.geometry.mesh_splats import splats_of_mesh
from splatworld.geometry.repair import close_mesh
from splatworld.robot.model import Link, LinkJoint, RobotModel

STEP = 0.05
"""m, most that one end-effector action moves the tool along an axis: 0.5 m/s."""
TURN = 0.25
"""rad, most that one end-effector action turns the tool about an axis: 2.5 rad/s."""
WHOLE_TURNS = 4 * math.pi
"""rad, the bounds of commands to joints that turn without end."""


def metric_world() -> World:
    """A world with nothing in it, in metres, Z up."""
    none = torch.zeros(0, 3)
    return World(
        splats=from_points(none, none, scale=torch.zeros(0), degree=0),
        gravity=torch.tensor([0.0, 0.0, -9.81], dtype=torch.float64),
        scale=Scale(1.0, "import", 0.0),
    )


def add_robot(
    world: World,
    model: RobotModel,
    *,
    base_pose: Tensor | None = None,
    action: str = "end_effector",
    home: dict[str, float] | None = None,
    tool: str | None = None,
    splats: int = 3000,
    decompose: bool = False,
    grip_force: float = GRIP_FORCE,
) -> World:
    """A world with a robot: one body of kind "robot" a link, its frame at the centre of mass, with splats.

    Args:
        world: without a robot.
        model: links and joints.
        base_pose: [7] pose of the base link's frame in the world; the origin by default.
        action: "end_effector" or "joints", see `ActionSpec`.
        home: joint -> rad or m at rest; joints that are not named rest at 0, or at the limit nearest to it.
        tool: the link that end-effector actions move; by default the one that carries the fingers, else the last.
        splats: how many a link gets, about.
        decompose: cut collision meshes into convex parts (a minute for an arm) rather than take the hull of each.
        grip_force: N, by which each finger of a gripper presses.

    Raises:
        InputError: the world has a robot already or bodies of the same names, `home` is out of limits, or a name is
            that of no link or joint.
    """
    check_choice("add_robot", "action", action, ACTION_KINDS)
    base = pose.identity(dtype=torch.float64) if base_pose is None else base_pose.double()
    check_shape("add_robot", "base_pose", base, (7,))
    check_finite("add_robot", "base_pose", base)
    if world.robot is not None:
        raise InputError(f"add_robot: the world has a robot already, {world.robot.name!r}, expected none.")
    model, fingers = _opening(model)
    names = [link.name for link in model.links]
    carrier = next((joint.parent for joint in model.joints if joint.child in fingers), names[-1])
    tool = carrier if tool is None else tool
    if tool not in names:
        raise InputError(f"add_robot: no link {tool!r} to be the tool, expected one of {names}.")
    values = model.values(_home(model, home or {}))
    grown, index = add_links(world, model, base, values, kinds=("robot", "robot"), splats=splats, decompose=decompose)
    robot = Robot(
        name=model.name,
        bodies=tuple(index.values()),
        tool=index[tool],
        fingers=tuple(index[name] for name in fingers),
        action=_action(model, action, fingers),
        grip_force=grip_force,
    )
    return replace(grown, robot=robot)


def add_links(
    world: World,
    model: RobotModel,
    base: Tensor,
    values: dict[str, float],
    *,
    kinds: tuple[str, str],
    mount: int | None = None,
    splats: int = 3000,
    decompose: bool = False,
) -> tuple[World, dict[str, int]]:
    """A world with one more body a link, its frame at the centre of mass, and with their splats.

    Args:
        world: to be grown.
        model: links and joints; need not be a robot.
        base: [7] pose of the base link's frame in the world.
        values: joint -> rad or m at rest, for all joints.
        kinds: of the base body and of those that hang on it.
        mount: a body that stands for the base link, which is then not added.
        splats, decompose: as in `add_robot`.

    Returns:
        The world, and link -> index of its body.

    Raises:
        InputError: bodies of the same names are in the world already.
    """
    added = model.links if mount is None else model.links[1:]
    taken = sorted({body.name for body in world.bodies} & {link.name for link in added})
    if taken:
        raise InputError(f"add_links: the world has bodies named {taken} already; rename them.")
    frames = {name: pose.compose(base, placed) for name, placed in model.poses(values).items()}
    index = {link.name: len(world.bodies) + i for i, link in enumerate(added)}
    bodies = [_body(link, frames[link.name], kinds[link is not model.base], decompose) for link in added]
    if mount is not None:
        index = {model.base.name: mount} | index
    centers = {link.name: link.center for link in model.links}
    if mount is not None:  # of which the link is the frame
        centers[model.base.name] = pose.transform(pose.inverse(base), world.bodies[mount].rest_pose[:3].double())
    children = {joint.name: index[joint.child] for joint in model.joints}
    first = len(world.bodies)
    for joint in model.joints:
        at = index[joint.child] - first
        hung = _joint(joint, centers[joint.parent], values[joint.name], children)
        bodies[at] = replace(bodies[at], parent=index[joint.parent], joint=hung)
    covers = [_cover(link, frames[link.name], index[link.name], splats) for link in added if link.visual is not None]
    skin = world.skin if world.skin is None or not covers else _rigid_beyond(world.skin, covers)
    grown = replace(world, splats=joined([world.splats, *covers]), bodies=(*world.bodies, *bodies), skin=skin)
    return grown, index


def _opening(model: RobotModel) -> tuple[RobotModel, tuple[str, ...]]:
    """The links that close a gripper, their joints turned such that they open from 0 upward.

    They are the slides that carry nothing that moves, two or more on one link.
    """
    above = {joint.child: joint for joint in model.joints}
    carriers: set[str] = set()
    for joint in model.joints:
        link: str | None = joint.parent if joint.type != "fixed" else None
        while link is not None:
            carriers.add(link)
            link = above[link].parent if link in above else None
    ends = [joint for joint in model.joints if joint.type == "slide" and joint.child not in carriers]
    parents = [joint.parent for joint in ends]
    ends = [joint for joint in ends if parents.count(joint.parent) > 1 and joint.parent == parents[0]]
    flipped = {joint.name for joint in ends if joint.limits[1] <= 0 and joint.limits[0] < 0}
    joints = []
    for joint in model.joints:
        if joint.name in flipped:
            joint = replace(joint, axis=-joint.axis, limits=(-joint.limits[1], -joint.limits[0]))
        if joint.mimic is not None:
            sign = (-1 if joint.name in flipped else 1, -1 if joint.mimic[0] in flipped else 1)
            leader, factor, offset = joint.mimic
            joint = replace(joint, mimic=(leader, factor * sign[0] * sign[1], offset * sign[0]))
        joints.append(joint)
    return replace(model, joints=tuple(joints)), tuple(joint.child for joint in ends)


def _home(model: RobotModel, given: dict[str, float]) -> dict[str, float]:
    """Where each joint rests, rad or m; what is not given rests at the value nearest to 0.

    Raises:
        InputError: a value beyond a joint's limits.
    """
    found = {joint.name: min(max(0.0, joint.limits[0]), joint.limits[1]) for joint in model.moving}
    for joint in model.moving:
        low, high = joint.limits
        value = float(given.get(joint.name, found[joint.name]))
        if not low <= value <= high:
            raise InputError(f"add_robot: home puts {joint.name!r} at {value:.4g}, expected {low:.4g} to {high:.4g}.")
    return found | given


def _body(link: Link, frame: Tensor, kind: str, decompose: bool) -> Body:
    """The body of a link whose frame rests at `frame`."""
    link_from_body = torch.cat([link.center, pose.identity(dtype=torch.float64)[3:]])
    body_from_link = pose.inverse(link_from_body)
    shapes = [transform_mesh(mesh, body_from_link) for mesh in link.collision]
    if decompose:
        closed = [shape if is_closed(shape) else close_mesh(shape) for shape in shapes]
        parts = tuple(part for shape in closed for part in convex_parts(shape))
    else:
        parts = tuple(convex_hull(shape.vertices) for shape in shapes)
    mesh = None if link.visual is None else transform_mesh(link.visual, body_from_link)
    if mesh is not None and not is_closed(mesh):
        mesh = solid(parts)
    return Body(
        name=link.name,
        kind=kind,
        rest_pose=pose.compose(frame, link_from_body),
        mass=link.mass,
        inertia=link.inertia,
        mesh=mesh,
        parts=parts,
        grid=distance_grid(parts) if parts else None,
    )


def _joint(joint: LinkJoint, center: Tensor, rest: float, children: dict[str, int]) -> Joint:
    """The joint between two bodies; the parent's frame is at its centre of mass, `center` [3]."""
    return Joint(
        type=joint.type,
        parent_from_joint=torch.cat([joint.parent_from_child[:3] - center, joint.parent_from_child[3:]]),
        axis=joint.axis,
        limits=joint.limits,
        rest=rest,
        mimic=None if joint.mimic is None else (children[joint.mimic[0]], *joint.mimic[1:]),
    )


def _action(model: RobotModel, kind: str, fingers: tuple[str, ...]) -> ActionSpec:
    """What the numbers of an action mean, and how far they go."""
    by_child = {joint.child: joint for joint in model.joints}
    if kind == "joints":
        names = [joint.name for joint in model.moving]
        units = ["m" if joint.type == "slide" else "rad" for joint in model.moving]
        limits = [joint.limits for joint in model.moving]
    else:
        names = ["dx", "dy", "dz", "droll", "dpitch", "dyaw"]
        units = ["m"] * 3 + ["rad"] * 3
        limits = [(-STEP, STEP)] * 3 + [(-TURN, TURN)] * 3
        if fingers:
            names, units = [*names, "width"], [*units, "m"]
            limits.append((0.0, 2 * min(by_child[finger].limits[1] for finger in fingers)))
    for name, (low, high) in zip(names, limits, strict=True):
        if math.isinf(low + high) and units[names.index(name)] == "m":
            raise InputError(f"Robot {model.name!r}: slide {name!r} has no limits, which actions need; add them.")
    bounds = torch.tensor(limits, dtype=torch.float64).reshape(-1, 2).clamp(-WHOLE_TURNS, WHOLE_TURNS)
    return ActionSpec(kind, tuple(names), tuple(units), bounds[:, 0], bounds[:, 1])


def _cover(link: Link, frame: Tensor, body: int, count: int) -> Splats:
    """Splats of a body whose link's frame rests at `frame` [7]."""
    assert link.visual is not None
    splats = splats_of_mesh(transform_mesh(link.visual, frame), count=count, seed=body)
    return replace(splats, body_ids=torch.full_like(splats.body_ids, body))


def _rigid_beyond(skin: Skin, covers: list[Splats]) -> Skin:
    """The skin with rows for splats that follow one body each."""
    ids = torch.cat([cover.body_ids for cover in covers]).to(skin.indices)
    indices = ids[:, None].repeat(1, skin.indices.shape[1])
    weights = torch.zeros(len(ids), skin.indices.shape[1]).to(skin.weights)
    weights[:, 0] = 1
    return Skin(torch.cat([skin.indices, indices]), torch.cat([skin.weights, weights]))
