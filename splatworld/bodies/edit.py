"""Change a world by hand: move, copy and bring in bodies, put two worlds together. Each gives a new world."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from splatworld import ply
from splatworld.bodies.build import DENSITY, shaped
from splatworld.bodies.correct import body_index
from splatworld.bodies.joints import family, seen_from
from splatworld.bodies.place import place, place_splats
from splatworld.bodies.union import alone, union
from splatworld.core import pose
from splatworld.core.body import Body, background
from splatworld.core.checks import InputError, check_finite, check_shape
from splatworld.core.mesh import Mesh
from splatworld.core.similarity import Similarity
from splatworld.core.splats import Provenance
from splatworld.core.world import Scale, World
from splatworld.geometry.mesh import (
    is_closed,
    read_mesh,
    solid,
    transform_mesh,
    volume,
)
from splatworld.geometry.mesh_splats import splats_of_mesh
from splatworld.geometry.repair import close_mesh
from splatworld.geometry.splat_surface import surface_of_splats


def move(world: World, name: str, world_from_body: Tensor) -> World:
    """The world with a body at rest elsewhere, and with it its splats, its nodes and all that hangs on it.

    The joint by which it hangs itself moves along, so that a hinge stays where it is on the body.

    Args:
        world: with the body.
        name: of the body; for a robot, its base.
        world_from_body: [7] where it shall rest; the frame of a body sits at its centre of mass.

    Raises:
        InputError: no such body, the background, a link of a robot other than the base, or no pose.
    """
    index, target = _movable("move", world, name), unit_pose("move", world_from_body)
    body = world.bodies[index]
    rest, parent = body.rest_pose.double(), None if body.parent is None else world.bodies[body.parent]
    if body.kind == "robot" and parent is not None and parent.kind == "robot":
        raise InputError(f"move: {name!r} hangs on {parent.name!r} of the robot; move the robot's base.")
    if torch.equal(target, rest):
        return world
    change = pose.compose(target, pose.inverse(rest))
    similarity = Similarity(1.0, change[3:], change[:3])
    moving = family(world, index)
    bodies, nodes = list(world.bodies), world.rest_nodes.clone()
    for i in moving:
        bodies[i] = replace(bodies[i], rest_pose=similarity.poses(bodies[i].rest_pose))
        span = slice(*(bodies[i].node_range or (0, 0)))
        nodes[span] = similarity.poses(nodes[span])
    joint = body.joint
    if joint is not None and parent is not None:
        frame = pose.compose(parent.rest_pose.double(), joint.parent_from_joint.double())
        joint = replace(joint, parent_from_joint=seen_from(parent.rest_pose, pose.compose(change, frame)))
    bodies[index] = replace(bodies[index], rest_pose=target.to(body.rest_pose), joint=joint)
    own = torch.isin(world.splats.body_ids, world.splats.body_ids.new_tensor(moving))
    placed = place_splats(world.splats.select(own), similarity)
    moved = {key: getattr(world.splats, key).clone() for key in ("means", "quats", "sh")}
    for key, value in moved.items():
        value[own] = getattr(placed, key)
    return replace(world, splats=replace(world.splats, **moved), bodies=tuple(bodies), rest_nodes=nodes)


def duplicate(world: World, name: str, new_name: str, world_from_body: Tensor) -> World:
    """The world with a copy of a body and of all that hangs on it; what hangs on it is called "... 2" and so on.

    Args:
        world: with the body.
        name: of the body.
        new_name: of the copy.
        world_from_body: [7] where the copy rests.

    Raises:
        InputError: no such body, a name that is taken, the background, a body of the robot, a body that hangs on
            another one, or no pose.
    """
    _movable("duplicate", world, name)
    return _with(world, "duplicate", world, name, new_name, world_from_body)


def add(
    world: World, other: World, name: str, *, new_name: str | None = None, world_from_body: Tensor | None = None
) -> World:
    """The world with a body of another world and all that hangs on it.

    Args:
        world: metric; its bodies keep their numbers.
        other: metric, with the body.
        name: of the body in `other`.
        new_name: of the body in the new world; as in `other` by default.
        world_from_body: [7] where it shall rest; as in `other` by default.

    Raises:
        InputError: lengths of a world are capture units, or as `duplicate`.
    """
    check_metric("add", world)
    check_metric("add", other)
    index = _movable("add", other, name)
    target = other.bodies[index].rest_pose if world_from_body is None else world_from_body
    return _with(world, "add", other, name, new_name or name, target)


def merge(world: World, other: World, *, world_from_other: Tensor | None = None) -> World:
    """Two worlds as one, in the frame of the first.

    The static backgrounds become one. Bodies and cameras of the second whose names are taken are called "... 2" and so
    on. The less certain of the scales is kept, and gravity and the figures of quality are those of the first.

    Args:
        world: metric; its bodies keep their numbers.
        other: metric.
        world_from_other: [7] where the second lies in the first; the same frame by default.

    Raises:
        InputError: lengths of a world are capture units, both have a robot, or no pose.
    """
    check_metric("merge", world)
    check_metric("merge", other)
    if world_from_other is not None:
        at = unit_pose("merge", world_from_other)
        other = place(other, Similarity(1.0, at[3:], at[:3]))
    return union(world, other)


def import_body(
    world: World,
    path: str | Path,
    *,
    name: str,
    world_from_file: Tensor | None = None,
    scale: float = 1.0,
    density: float = DENSITY,
    close: bool = False,
) -> World:
    """The world with a rigid body from a file: splats, closed mesh, convex parts, distances, mass and inertia.

    Args:
        world: metric.
        path: a mesh, as `read_mesh` reads them, or the splats of one thing, as `read_splats` does.
        name: of the body.
        world_from_file: [7] pose of the file's frame in the world; the same frame by default.
        scale: m in a unit of the file.
        density: kg/m^3.
        close: fill the holes of an open mesh.

    Raises:
        FormatError: no such file, damaged, or neither a mesh nor splats.
        InputError: the world's lengths are capture units, the name is empty or taken, the mesh is open or flat, the
            splats enclose nothing, or a number makes no sense.
    """
    check_metric("import", world)
    _check_new("import", world, name)
    at = pose.identity(dtype=torch.float64) if world_from_file is None else unit_pose("import", world_from_file)
    if not (scale > 0 and math.isfinite(scale)):
        raise InputError(f"import: scale is {scale}, expected m in a unit of the file, above 0.")
    path = Path(path)
    similarity = Similarity(scale, at[3:], at[:3])
    if ply.is_splats(path):
        splats = place_splats(ply.read_splats(path), similarity)
        try:
            mesh = transform_mesh(surface_of_splats(splats), pose.inverse(at))
        except InputError as error:
            raise InputError(f"{path}: its splats are no closed body ({error})") from None
    else:
        read = read_mesh(path)
        read = replace(read, vertices=scale * read.vertices)
        mesh = _closed(path, read, close)
        splats = splats_of_mesh(transform_mesh(read, at), seed=len(world.bodies))
    own = replace(
        splats,
        body_ids=torch.ones_like(splats.body_ids),
        provenance=torch.full_like(splats.provenance, int(Provenance.IMPORTED)),
    )
    body = shaped(Body(name=name, kind="rigid", rest_pose=at), mesh, world_from_mesh=at, density=density)
    return union(world, World(own, bodies=(background(), body), scale=Scale(1.0, "import", 0.0)))


def check_metric(owner: str, world: World) -> None:
    """Require lengths in metres.

    Raises:
        InputError: they are capture units.
    """
    if world.scale.source == "none":
        raise InputError(f"{owner}: lengths of the world are capture units, expected metres; see `splatworld scale`.")


def unit_pose(owner: str, given: Tensor) -> Tensor:
    """A pose [7] in float64, its quaternion made unit.

    Raises:
        ShapeError, InputError: another shape, numbers that are not finite, or a zero quaternion.
    """
    check_shape(owner, "pose", given, (7,))
    check_finite(owner, "pose", given)
    length = float(given[3:].double().norm())
    if not length > 0:
        raise InputError(f"{owner}: the pose's quaternion is zero, expected wxyz of a rotation; none is 1 0 0 0.")
    unit = abs(length - 1) < 1e-12
    return given.double() if unit else torch.cat([given[:3].double(), pose.normalize_quat(given[3:].double())])


def _closed(path: Path, mesh: Mesh, close: bool) -> Mesh:
    closed = is_closed(mesh)
    if not closed and not close:
        raise InputError(f"{path}: the mesh is open, so it has no inside; repair it, or close its holes with `close`.")
    try:
        return solid(mesh) if closed and volume(mesh) > 0 else close_mesh(mesh)
    except InputError as error:
        raise InputError(f"{path}: the mesh encloses nothing ({error})") from None


def _with(world: World, verb: str, other: World, name: str, new_name: str, world_from_body: Tensor) -> World:
    """The world with a body of `other` under a new name, and with all that hangs on it."""
    _check_new(verb, world, new_name)
    copy = alone(verb, other, body_index(other, name))
    copy = replace(copy, bodies=(copy.bodies[0], replace(copy.bodies[1], name=new_name), *copy.bodies[2:]))
    return union(world, move(copy, new_name, world_from_body))


def _movable(owner: str, world: World, name: str) -> int:
    index = body_index(world, name)
    if index == 0:
        raise InputError(f"{owner}: {name!r} is the background, which stays as it is; name another body.")
    return index


def _check_new(owner: str, world: World, name: str) -> None:
    names = [body.name for body in world.bodies]
    if not name.strip() or name in names:
        raise InputError(f"{owner}: the name {name!r} is empty or taken; the world has {', '.join(map(repr, names))}.")
