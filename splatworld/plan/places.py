"""Places in many states at once: from tensors to the kernels and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.checks import InputError, ShapeError, check_finite, check_shape
from splatworld.core.shape import Capsules
from splatworld.core.world import World
from splatworld.geometry.capsules import capsule_distance
from splatworld.geometry.field import Field, Found, Posed, ball_distances
from splatworld.plan.answers import Distances
from splatworld.plan.instants import Instant

Bodies = Sequence[int | str]

FAR = 1e8
"""m: as far as the kernels count."""


def body_number(owner: str, world: World, body: int | str) -> int:
    """The index of a body given by name or index.

    Raises:
        InputError: it does not exist; lists those that do.
    """
    names = [each.name for each in world.bodies]
    if isinstance(body, str) and body in names:
        return names.index(body)
    if isinstance(body, int) and not isinstance(body, bool) and 0 <= body < len(names):
        return body
    raise InputError(f"{owner}: there is no body {body!r}, expected one of {', '.join(names)} or its number.")


def chosen_bodies(owner: str, world: World, bodies: Bodies | None, *, but_robot: bool = False) -> Tensor:
    """[B] uint8, which bodies count: those given, or all; of all the robot's are left out where `but_robot`.

    Raises:
        InputError: a body that does not exist.
    """
    if bodies is None:
        return torch.tensor([not (but_robot and body.kind == "robot") for body in world.bodies], dtype=torch.uint8)
    if isinstance(bodies, (int, str)):
        raise InputError(f"{owner}: bodies is {bodies!r}, expected a list of names or numbers.")
    wanted = torch.zeros(len(world.bodies), dtype=torch.uint8)
    wanted[[body_number(owner, world, body) for body in bodies]] = 1
    return wanted


def check_places(owner: str, name: str, places: Tensor, width: int, batch: tuple[int, ...]) -> tuple[int, ...]:
    """The common batch of places [..., P, width] and instants.

    Raises:
        ShapeError: another shape, or batches that do not fit.
        InputError: numbers that are not finite, or a negative radius.
    """
    check_shape(owner, name, places, ("...", "P", width))
    if not places.is_floating_point():
        raise ShapeError(f"{owner}: {name} are {places.dtype}, expected floats in m.")
    # One sum tells of most tensors that all is finite.
    if not math.isfinite(float(places.detach().sum())):
        check_finite(owner, name, places)
    if width == 4 and places.numel() and float(places.detach()[..., 3].min()) < 0:
        raise InputError(f"{owner}: {name} have a negative radius, expected m, 0 or more.")
    given = tuple(places.shape[:-2])
    if given == batch:
        return batch
    try:
        return tuple(torch.broadcast_shapes(given, batch))
    except RuntimeError:
        fits = f"expected a batch that fits {list(batch)}, plans and times of the prediction"
        raise ShapeError(f"{owner}: {name} are {list(places.shape)}, {fits}.") from None


def flat_places(places: Tensor, batch: tuple[int, ...], states: int) -> Tensor:
    """[S, P, width] float64 on the CPU; all in one row where there is one state."""
    width = places.shape[-1]
    rows = places.detach().to("cpu", torch.float64)
    if states == 1:
        return rows.reshape(1, -1, width).contiguous()
    return rows.expand(*batch, *places.shape[-2:]).reshape(states, places.shape[-2], width).contiguous()


def posed(instant: Instant, batch: tuple[int, ...], wanted: Tensor) -> Posed:
    """The states of the common batch; a single one stands for all."""

    def flat(value: Tensor, dtype: torch.dtype) -> Tensor:
        value = value.detach().to("cpu", dtype)
        if instant.batch != batch and math.prod(instant.batch) > 1:
            value = value.expand(*batch, *value.shape[-2:])
        return value.reshape(math.prod(value.shape[:-2]), *value.shape[-2:]).contiguous()

    double = torch.float64
    return Posed(flat(instant.poses, double), flat(instant.nodes, double), flat(instant.std, torch.float32), wanted)


def answer(found: Found, instant: Instant, batch: tuple[int, ...], places: Tensor) -> Distances:
    """A kernel's findings in the shape, type and place of what was asked."""
    shape = (*batch, places.shape[-2])

    def out(value: Tensor) -> Tensor:
        return value.reshape(shape + value.shape[2:]).to(places.device)

    known = out(found.known)
    if not bool(instant.alive.all()):
        known = known & instant.alive.to(places.device).expand(batch)[..., None]
    unseen = out(found.unseen).to(places.dtype)
    return Distances(
        value=out(found.distance).to(places.dtype),
        std=out(found.std).to(places.dtype),
        known=known,
        unseen=torch.where(unseen > FAR, torch.inf, unseen),
        gradient=out(found.gradient).to(places.dtype),
        body=out(found.body).long(),
    )


def distances(
    field: Field, owner: str, name: str, places: Tensor, now: Instant, wanted: Tensor, *, width: int
) -> Distances:
    """Distances of points [..., P, 3] or balls [..., P, 4] at some instants.

    Raises:
        ShapeError: places of another shape, or that do not fit the batch.
        InputError: numbers that are not finite, or a negative radius.
    """
    batch = check_places(owner, name, places, width, now.batch)
    state = posed(now, batch, wanted)
    balls = flat_places(places, batch, len(state.poses))
    if width == 3:
        balls = torch.nn.functional.pad(balls, (0, 1))
    found = answer(ball_distances(field, state, balls), now, batch, places)
    if not asks_gradient(places, now):
        return found
    poses = now.poses.expand(*batch, *now.poses.shape[-2:]).to(places)
    nodes = now.nodes.expand(*batch, *now.nodes.shape[-2:]).to(places)
    index = found.body.clamp(min=0)
    own = poses.gather(-2, index[..., None].expand(*index.shape, 7))
    points = places[..., :3].expand(*batch, -1, 3)
    value = found.value + first_order(found.gradient, found.body, points, own)
    value = _by_nodes(value, found, field, nodes, points)
    return replace(found, value=value - grown(places[..., 3:], value))


def asks_gradient(places: Tensor, now: Instant) -> bool:
    """Whether anything that distances depend on wants a gradient."""
    wanted = places.requires_grad or now.poses.requires_grad or now.nodes.requires_grad
    return wanted and torch.is_grad_enabled()


def first_order(gradient: Tensor, body: Tensor, points: Tensor, own: Tensor) -> Tensor:
    """0, with the derivative of distances by points [..., P, 3] and the poses [..., P, 7] of the nearest bodies.

    The nearest point of a surface slides along it, so that its own motion changes nothing at first order: the distance
    changes with the place in the body's frame, along the gradient there.
    """
    own = torch.cat([own[..., :3], pose.normalize_quat(own[..., 3:])], dim=-1)
    local = pose.transform(pose.inverse(own), points)
    slope = pose.rotate(pose.conjugate_quat(own[..., 3:]), gradient).detach()
    change = (slope * (local - local.detach())).sum(-1)
    return torch.where(body >= 0, change, 0.0)


def grown(radii: Tensor, value: Tensor) -> Tensor:
    """0, with the derivative by radii [..., P, 1], if there are any."""
    return (radii - radii.detach())[..., 0].expand_as(value) if radii.shape[-1] else torch.zeros_like(value)


def _by_nodes(value: Tensor, found: Distances, field: Field, nodes: Tensor, points: Tensor) -> Tensor:
    """Of deformable bodies the distance depends on their nodes [..., M, 7] instead."""
    shapes = field.shapes
    for body in shapes.capsule_bodies.unique().tolist():
        mine = found.body == body
        if not bool(mine.any()):
            continue
        owners = shapes.capsule_bodies == body
        capsules = Capsules(shapes.capsule_ends[owners].long(), shapes.capsule_radii[owners].double())
        own = nodes[..., None, :, :].expand(*mine.shape, *nodes.shape[-2:])[mine]
        distance = capsule_distance(capsules, own, points[mine][:, None])[0][:, 0]
        value = value.masked_scatter(mine, found.value[mine] + distance - distance.detach())
    return value
