"""Two worlds as one, and one body as a world of its own."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from splatworld.bodies.joints import family, rehung
from splatworld.bodies.numbering import Numbering, skin_of
from splatworld.core.body import background
from splatworld.core.checks import InputError
from splatworld.core.splats import Splats, joined
from splatworld.core.state import LATENTS
from splatworld.core.world import Skin, World
from splatworld.geometry.background import joined_background


def union(world: World, other: World) -> World:
    """Both worlds in one frame, see `edit.merge`; the bodies of the first keep their numbers.

    Raises:
        InputError: both have a robot.
    """
    if world.robot is not None and other.robot is not None:
        given = f"{world.robot.name!r} and {other.robot.name!r}"
        raise InputError(f"merge: both worlds have a robot, {given}, expected one at most; remove one.")
    first, more = len(world.bodies), len(other.bodies) - 1
    steps = torch.arange(first + more)
    ours = Numbering(steps[:first], torch.arange(len(world.rest_nodes)), first + more)
    theirs = Numbering(
        torch.cat([steps[:1], steps[first:]]), torch.arange(len(other.rest_nodes)) + len(world.rest_nodes), first + more
    )
    own = replace(other.splats, body_ids=theirs.ids(other.splats.body_ids))
    names, cameras = {body.name for body in world.bodies}, dict(world.cameras)
    bodies = [joined_background(world.bodies[0], other.bodies[0]), *world.bodies[1:]]
    for body in other.bodies[1:]:
        if body.parent == 0:
            body = rehung(body, other.bodies[0].rest_pose, world.bodies[0].rest_pose)
        named = replace(theirs.body(body), name=_free(body.name, names))
        names.add(named.name)
        bodies.append(named)
    for name, camera in other.cameras.items():
        cameras[_free(name, set(cameras))] = camera
    return replace(
        world,
        splats=joined([world.splats, own]),
        bodies=tuple(bodies),
        gravity=world.gravity if bool(world.gravity.any()) else other.gravity,
        scale=max(world.scale, other.scale, key=lambda scale: scale.std),
        cameras=cameras,
        rest_nodes=torch.cat([world.rest_nodes, other.rest_nodes.to(world.rest_nodes)]),
        skin=_joined_skin((world, ours), (other, theirs), own),
        robot=world.robot or theirs.robot(other.robot),
        prior_latents=_joined_latents(world, other),
    )


def alone(verb: str, world: World, index: int) -> World:
    """A body, then all that hangs on it, in a world of nothing else.

    Args:
        verb: what it is wanted for, for the messages.
        world: with the body.
        index: of the body, not 0.

    Raises:
        InputError: it hangs on another body than the background, or is of a robot.
    """
    own_bodies = family(world, index)
    body, members = world.bodies[index], [world.bodies[i] for i in own_bodies]
    if any(member.kind == "robot" for member in members):
        raise InputError(f"{verb}: {body.name!r} is of a robot, of which a world has one; use merge or add_robot.")
    leaders = [m.joint.mimic[0] for m in members if m.joint is not None and m.joint.mimic is not None]
    strangers = [i for i in (body.parent or 0, *leaders) if i not in (0, *own_bodies)]
    if strangers:
        raise InputError(f"{verb}: {body.name!r} hangs on {world.bodies[strangers[0]].name!r}; {verb} that one.")
    kept = [0, *own_bodies]
    numbers = torch.full((len(world.bodies),), -1, dtype=torch.int64)
    numbers[kept] = torch.arange(len(kept))
    spans = [torch.arange(*(member.node_range or (0, 0))) for member in members]
    chosen = torch.cat(spans)
    nodes = torch.full((len(world.rest_nodes),), -1, dtype=torch.int64)
    nodes[chosen] = torch.arange(len(chosen))
    numbering = Numbering(numbers, nodes, len(kept))
    own = torch.isin(world.splats.body_ids, world.splats.body_ids.new_tensor(own_bodies))
    splats = world.splats.select(own)
    splats = replace(splats, body_ids=numbering.ids(splats.body_ids))
    skin, latents = world.skin, world.prior_latents
    if skin is not None:
        skin = numbering.skin(Skin(skin.indices[own], skin.weights[own]), splats.body_ids)
    return World(
        splats=splats,
        bodies=(replace(background(), rest_pose=world.bodies[0].rest_pose), *map(numbering.body, members)),
        scale=world.scale,
        rest_nodes=world.rest_nodes[chosen],
        skin=skin,
        prior_latents=None if latents is None else latents[kept],
    )


def _joined_skin(one: tuple[World, Numbering], two: tuple[World, Numbering], second: Splats) -> Skin | None:
    """The skin of both, the splats of the second world with their new owners; None if both have none."""
    skins = [world.skin for world, _ in (one, two) if world.skin is not None]
    if not skins:
        return None
    width = max(skin.indices.shape[1] for skin in skins)
    owners = (one[0].splats.body_ids, second.body_ids)
    parts = [n.skin(skin_of(world, width), ids) for (world, n), ids in zip((one, two), owners, strict=True)]
    return Skin(torch.cat([part.indices for part in parts]), torch.cat([part.weights for part in parts]))


def _joined_latents(world: World, other: World) -> Tensor | None:
    if world.prior_latents is None and other.prior_latents is None:
        return None
    given = [
        torch.zeros(len(each.bodies), LATENTS, dtype=torch.float64)
        if each.prior_latents is None
        else each.prior_latents.double()
        for each in (world, other)
    ]
    return torch.cat([given[0], given[1][1:]])


def _free(name: str, taken: set[str]) -> str:
    """The name, or with the first number from 2 on that makes it new."""
    return name if name not in taken else next(n for i in range(2, len(taken) + 3) if (n := f"{name} {i}") not in taken)
