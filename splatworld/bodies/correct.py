"""Corrections of bodies by people: merge, split, box, click, rename, kind, joint, remove. Each gives a new world."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from scipy.spatial import ConvexHull
from torch import Tensor

from splatworld.bodies.joints import reframed
from splatworld.bodies.numbering import Numbering, selected
from splatworld.bodies.pieces import PIECES, grown, halves
from splatworld.core import pose
from splatworld.core.body import KINDS, Body, Joint
from splatworld.core.camera import unproject
from splatworld.core.checks import InputError, check_choice, check_finite
from splatworld.core.splats import Provenance, Splats
from splatworld.core.world import World
from splatworld.render.render import render


def body_index(world: World, name: str) -> int:
    """Which body has a name.

    Raises:
        InputError: none has; lists the names there are.
    """
    names = [body.name for body in world.bodies]
    if name not in names:
        raise InputError(f"no body is called {name!r}; the world has {', '.join(map(repr, names))}.")
    return names.index(name)


def merge(world: World, names: list[str]) -> World:
    """One body of several; the first gives name and kind. With "background" among them, all become background.

    It weighs what they did where the mass of one was told.

    Raises:
        InputError: fewer than two different bodies, one that another hangs on, or the first is deformable.
    """
    indices = sorted({body_index(world, name) for name in names}, key=lambda i: (i != 0, names.index(_name(world, i))))
    if len(indices) < 2:
        raise InputError(f"merge: {', '.join(map(repr, names))} name one body, expected two or more.")
    first, rest = indices[0], indices[1:]
    ids = world.splats.body_ids.clone()
    ids[torch.isin(ids, ids.new_tensor(rest))] = first
    bodies = list(world.bodies)
    if bodies[first].node_range is not None:
        raise InputError(f"merge: {_name(world, first)!r} is deformable, its nodes carry what it had; merge before.")
    if first:
        masses = [bodies[i].mass for i in indices]
        told = all(masses) and any(bodies[i].weighed for i in indices)
        whole = replace(bodies[first], mass=sum(masses), weighed=told)
        bodies = reframed(bodies, first, _fresh(world.splats, ids, first, whole))
        return reindexed(world, ids, bodies, drop=rest)
    # What was completed of a body would show were it found again and taken away.
    seen = (world.splats.provenance != int(Provenance.COMPLETED)) | (world.splats.body_ids == 0)
    seen |= ids > 0
    merged = reindexed(world, ids, bodies, drop=rest)
    return selected(merged, seen)


def split(world: World, name: str) -> World:
    """A body in two parts: apart where it hangs together least, else across its longest side.

    They share a mass that was told by their volumes.

    Raises:
        InputError: the background, or a body of too few splats or without extent.
    """
    index = _movable(world, name, "split")
    own = torch.nonzero(world.splats.body_ids == index).squeeze(-1)
    if len(own) < 2 * PIECES:
        raise InputError(f"split: {name!r} has {len(own)} splats, too few to split.")
    second = halves(world.splats.select(own))
    if not bool(second.any()) or bool(second.all()):
        raise InputError(f"split: the splats of {name!r} lie in one place, there is nothing to part.")
    return _with_body(world, own[second], _new_name(world, name))


def box(world: World, low: Tensor, high: Tensor, *, name: str | None = None) -> World:
    """A body of the splats whose middles lie in an axis-aligned box from `low` [3] to `high` [3], m.

    Raises:
        InputError: nothing is in the box, or it is empty.
    """
    if not bool((low < high).all()):
        raise InputError(f"box: {low.tolist()} to {high.tolist()} is empty; give the smaller corner first.")
    inside = ((world.splats.means >= low) & (world.splats.means <= high)).all(dim=1)
    if not bool(inside.any()):
        raise InputError(f"box: no splats between {low.tolist()} and {high.tolist()}; check the corners.")
    return _with_body(world, torch.nonzero(inside).squeeze(-1), name or _new_name(world))


def pick(world: World, camera: str, pixel: tuple[float, float]) -> tuple[int, Tensor]:
    """What a pixel shows: the index of its body and its place [3] m in the world.

    Raises:
        InputError: no such camera, a pixel outside of its picture, or nothing there.
    """
    check_choice("pick", "camera", camera, tuple(world.cameras))
    view, (x, y) = world.cameras[camera], pixel
    if not (0 <= x < view.width and 0 <= y < view.height):
        raise InputError(f"pick: pixel ({x:g}, {y:g}) lies outside of the {view.width}x{view.height} picture.")
    shown = render(world, None, view)
    row, column = int(y), int(x)
    index, depth = int(shown.body_ids[row, column]), shown.median_depth[row, column]
    if index < 0:
        raise InputError(f"pick: pixel ({x:g}, {y:g}) of {camera} shows nothing solid; choose another.")
    return index, unproject(view, torch.tensor([x, y]).double(), depth.double())


def click(world: World, camera: str, pixel: tuple[float, float], *, name: str | None = None) -> World:
    """A body of what hangs together at a pixel above the support; a pixel of a body only gives that body its name.

    Raises:
        InputError: as `pick`, or nothing stands up there.
    """
    index, point = pick(world, camera, pixel)
    if index:
        return rename(world, _name(world, index), name) if name else world
    distance = float((world.cameras[camera].world_from_camera[:3] - point).norm())
    own = grown(world.splats, world.splats.body_ids == 0, point, distance)
    if not len(own):
        raise InputError(f"click: nothing stands up from the support at pixel {pixel}; use --box or --masks.")
    return _with_body(world, own, name or _new_name(world))


def rename(world: World, old: str, new: str) -> World:
    """The world with a body called otherwise.

    Raises:
        InputError: no such body, the name is taken or empty, or it is the background's.
    """
    index = _movable(world, old, "rename")
    if not new.strip() or any(body.name == new for i, body in enumerate(world.bodies) if i != index):
        raise InputError(f"rename: {new!r} is empty or taken; choose another name.")
    return _changed(world, index, replace(world.bodies[index], name=new))


def set_kind(world: World, name: str, kind: str) -> World:
    """The world with a body of another kind, static, rigid or articulated; deformable: `kinds.make_deformable`.

    Raises:
        InputError: no such body or kind.
    """
    index = _movable(world, name, "kind")
    check_choice("kind", "kind", kind, tuple(k for k in KINDS if k not in ("robot", "deformable")))
    body = world.bodies[index]
    if kind == "rigid":
        body = replace(body, parent=None, joint=None)
    return _changed(world, index, replace(body, kind=kind))


def set_joint(
    world: World, name: str, parent: str, *, type: str, point: Tensor, axis: Tensor, limits: tuple[float, float]
) -> World:
    """Hang a body on another by one degree of freedom.

    Args:
        world: with both bodies.
        name: of the body that moves.
        parent: of what it hangs on.
        type: fixed, hinge or slide.
        point: [3] m on the axis, in the world.
        axis: [3] direction in the world.
        limits: lowest and highest value, rad or m; the body is at 0 now.

    Raises:
        InputError: no such bodies, a loop, a point or axis that is none, or limits that exclude 0.
    """
    index, above = _movable(world, name, "joint"), body_index(world, parent)
    chain = above
    while chain is not None:
        if chain == index:
            raise InputError(f"joint: {name!r} would hang on itself; choose another parent.")
        chain = world.bodies[chain].parent  # type: ignore[assignment]
    check_finite("joint", "point", point)
    if not 0 < float(axis.norm()) < math.inf or not limits[0] <= 0 <= limits[1]:
        raise InputError(f"joint: axis {axis.tolist()} and limits {limits}: expected a direction, and 0 within limits.")
    frame = pose.identity(dtype=torch.float64)
    frame[:3] = point.double()
    base = pose.inverse(world.bodies[above].rest_pose.double())
    local = pose.compose(base, frame)
    turned = pose.rotate(base[3:], axis.double() / axis.double().norm())
    joint = Joint(type, local, pose.rotate(pose.conjugate_quat(local[3:]), turned), limits)
    body = replace(world.bodies[index], kind="articulated", parent=above, joint=joint)
    return _changed(world, index, body)


def reindexed(world: World, ids: Tensor, bodies: list[Body], drop: list[int]) -> World:
    """The world with new owners [N] of its splats and without the bodies `drop`, of which no splat is left.

    Nodes go with their bodies.

    Raises:
        InputError: another body hangs on one of them or follows its joint, or only a part of the robot would go.
    """
    kept = [i for i in range(len(bodies)) if i not in drop]
    for body in (bodies[i] for i in kept):
        leader = body.joint.mimic[0] if body.joint is not None and body.joint.mimic is not None else None
        held = next((i for i in (body.parent, leader) if i in drop), None)
        if held is not None:
            raise InputError(f"{body.name!r} hangs on {bodies[held].name!r}; give it another kind first.")
    robot = world.robot
    if robot is not None and not set(robot.bodies) - set(drop):
        robot = None
    elif robot is not None and set(robot.bodies) & set(drop):
        raise InputError(f"{bodies[drop[0]].name!r} is a link of the robot, which is kept or goes as a whole.")
    new = torch.full((len(bodies),), -1, dtype=torch.int64)
    new[kept] = torch.arange(len(kept))
    gone = torch.zeros(len(world.rest_nodes), dtype=torch.bool)
    for first, end in (bodies[i].node_range or (0, 0) for i in drop):
        gone[first:end] = True
    numbers = Numbering(new, torch.where(gone, -1, (~gone).cumsum(0) - 1), len(kept))
    ordered = tuple(numbers.body(bodies[i]) for i in kept)
    latents = world.prior_latents
    if latents is not None:
        latents = latents[[i for i in kept if i < len(latents)]]
    splats = replace(world.splats, body_ids=numbers.ids(ids))
    skin = world.skin if any(body.node_range is not None for body in ordered) else None
    return replace(
        world,
        splats=splats,
        bodies=ordered,
        rest_nodes=world.rest_nodes[~gone],
        skin=None if skin is None else numbers.skin(skin, splats.body_ids),
        robot=numbers.robot(robot),
        prior_latents=latents,
    )


def _with_body(world: World, own: Tensor, name: str) -> World:
    """The world with a new rigid body of the splats `own` [n]; bodies that lose all their splats go."""
    if not name.strip() or any(body.name == name for body in world.bodies):
        raise InputError(f"the name {name!r} is empty or taken; choose another one.")
    if world.robot is not None or world.skin is not None:
        raise InputError("this world has a robot or deformable bodies; correct bodies before they are added.")
    ids = world.splats.body_ids.clone()
    losing = set(ids[own].unique().tolist()) - {0}
    ids[own] = len(world.bodies)
    bodies = list(world.bodies)
    gone, taken = [i for i in losing if not bool((ids == i).any())], 0.0
    for i in losing:
        if bodies[i].weighed:
            lost, left = _room(world.splats, own[world.splats.body_ids[own] == i]), _room(world.splats, ids == i)
            taken += bodies[i].mass * lost / (lost + left)
            bodies[i] = replace(bodies[i], mass=bodies[i].mass * left / (lost + left))
    told = all(bodies[i].weighed for i in world.splats.body_ids[own].unique().tolist())
    blank = Body(name, "rigid", pose.identity(dtype=torch.float64), mass=taken, weighed=told)
    bodies.append(_fresh(world.splats, ids, len(bodies), blank))
    for i in losing - set(gone):
        bodies = reframed(bodies, i, _fresh(world.splats, ids, i, bodies[i]))
    latents = world.prior_latents
    if latents is not None:
        world = replace(world, prior_latents=torch.cat([latents, latents.new_zeros(1, latents.shape[1])]))
    return reindexed(world, ids, bodies, drop=gone)


def _fresh(splats: Splats, ids: Tensor, index: int, body: Body) -> Body:
    """The body without what is no longer true of its splats: shape, and mass but where that was told."""
    rest = pose.identity(dtype=torch.float64)
    own = splats.means[ids == index].double()
    if len(own):
        rest[:3] = own.median(dim=0).values
    mass = body.mass if body.weighed else 0.0
    return replace(body, rest_pose=rest, mass=mass, inertia=None, mesh=None, parts=(), grid=None, capsules=None)


def _room(splats: Splats, chosen: Tensor) -> float:
    """m^3 around some splats."""
    points = splats.means[chosen].double().numpy()
    return float(ConvexHull(points, qhull_options="QJ").volume) if len(points) > 3 else 1e-12 * len(points)


def _changed(world: World, index: int, body: Body) -> World:
    return replace(world, bodies=(*world.bodies[:index], body, *world.bodies[index + 1 :]))


def _name(world: World, index: int) -> str:
    return world.bodies[index].name


def _new_name(world: World, stem: str = "body") -> str:
    names = {body.name for body in world.bodies}
    return next(f"{stem} {i}" for i in range(1 if stem == "body" else 2, len(names) + 3) if f"{stem} {i}" not in names)


def _movable(world: World, name: str, verb: str) -> int:
    index = body_index(world, name)
    if index == 0:
        raise InputError(f"{verb}: {name!r} is the background, which stays as it is; name a body.")
    return index
