"""What rays meet, and how much of a body a camera sees."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.camera import Camera, project
from splatworld.core.checks import InputError, ShapeError, check_finite, check_shape
from splatworld.geometry.field import Posed, cast_rays, swept_distances
from splatworld.geometry.mesh import surface_points
from splatworld.plan.answers import Estimate, Hits
from splatworld.plan.instants import Instant
from splatworld.plan.places import FAR, Bodies, check_places, chosen_bodies, first_order, flat_places, posed

if TYPE_CHECKING:
    from splatworld.plan.prediction import Prediction

POINTS = 256
"""Of a body's surface that are looked for."""
OWN = 0.004
"""m before its own surface a line of sight ends: grids round edges."""
LEAST_COSINE = 0.1
"""Of the angle between a ray and a normal, where derivatives are taken."""


def raycast(
    prediction: Prediction,
    origins: Tensor,
    directions: Tensor,
    t: float | Tensor | None,
    most: float,
    bodies: Bodies | None,
) -> Hits:
    """Arguments and errors as of `Prediction.raycast`."""
    owner = "raycast"
    now = prediction.at(owner, t)
    wanted = chosen_bodies(owner, prediction.world, bodies)
    batch = check_places(owner, "origins", origins, 3, now.batch)
    check_shape(owner, "directions", directions, ("...", "R", 3))
    if not (math.isfinite(most) and most > 0):
        raise InputError(f"{owner}: most is {most}, expected m above 0.")
    try:
        shape = torch.broadcast_shapes(origins.shape, directions.shape, (*batch, 1, 3))
    except RuntimeError:
        given = f"{list(origins.shape)} and {list(directions.shape)}"
        raise ShapeError(f"{owner}: origins and directions are {given}, expected shapes that fit each other.") from None
    check_finite(owner, "directions", directions)
    length = directions.norm(dim=-1, keepdim=True)
    if not bool((length > 0).all()):
        raise InputError(f"{owner}: directions have one of no length; give every ray a way to go.")
    batch = tuple(shape[:-2])
    origins, along = origins.expand(shape), (directions / length).to(origins).expand(shape)
    state = posed(now, batch, wanted)
    rays = flat_places(torch.cat([origins, along], dim=-1), batch, len(state.poses))
    found = cast_rays(prediction.field, state, rays, float(most))

    def out(value: Tensor) -> Tensor:
        return value.reshape(*shape[:-1], *value.shape[2:]).to(origins.device)

    body = out(found.body).long()
    value, unseen = out(found.distance).to(origins.dtype), out(found.unseen).to(origins.dtype)
    alive = now.alive.to(origins.device).expand(batch)[..., None]
    hits = Hits(
        value=value,
        std=out(found.std).to(origins.dtype),
        known=out(found.known) & alive,
        unseen=torch.where(unseen > FAR, torch.inf, unseen),
        point=origins + torch.where(torch.isfinite(value), value, 0.0)[..., None] * along,
        normal=out(found.gradient).to(origins.dtype),
        body=body,
    )
    wants = origins.requires_grad or along.requires_grad or now.poses.requires_grad
    if not (torch.is_grad_enabled() and wants):
        return hits
    poses = now.poses.expand(*batch, *now.poses.shape[-2:]).to(origins)
    index = body.clamp(min=0)
    own = poses.gather(-2, index[..., None].expand(*index.shape, 7))
    cosine = (hits.normal * along.detach()).sum(-1).clamp(max=-LEAST_COSINE)
    change = first_order(hits.normal, body, hits.point, own) / cosine
    value = torch.where(body >= 0, value - change, value)
    point = origins + torch.where(body >= 0, value, 0.0)[..., None] * along
    return Hits(**{**vars(hits), "value": value, "point": point})


def visible_fraction(prediction: Prediction, body: int, camera: Camera, t: float | Tensor | None) -> Estimate:
    """Arguments and errors as of `Prediction.visible_fraction`."""
    owner = "visible_fraction"
    mesh = prediction.world.bodies[body].mesh
    if mesh is None:
        name = prediction.world.bodies[body].name
        raise InputError(f"{owner}: {name!r} has no mesh; name a body that has one.")
    camera.check()
    if camera.world_from_camera.ndim != 1:
        raise InputError(
            f"{owner}: the camera is a batch {list(camera.world_from_camera.shape)}, expected a single one."
        )
    now = prediction.at(owner, t)
    own, normals = surface_points(mesh, POINTS, 0)
    poses = now.poses[..., body, :].detach().cpu().double()[..., None, :]
    points, facing = pose.transform(poses, own), pose.rotate(poses[..., 3:], normals)
    eye = camera.world_from_camera[:3].detach().cpu().double()
    way = points - eye
    far = way.norm(dim=-1).clamp(min=1e-9)
    cosine = -(facing * way).sum(-1) / far
    weight = cosine.clamp(min=0) / far.square()
    pixels, depth = project(camera, points.to(camera.world_from_camera.device, camera.world_from_camera.dtype))
    inside = (depth > 0) & (pixels >= 0).all(-1) & (pixels < pixels.new_tensor(camera.size)).all(-1)
    short = (far - OWN).clamp(min=0)
    hits = raycast(prediction, eye.expand_as(points), way, t, float(far.max()) + 1.0, None)
    share = weight / weight.sum(-1, keepdim=True).clamp(min=1e-30)
    seen = ((hits.value.double() >= short) & inside.cpu()).double()
    value = (share * seen).sum(-1)
    # A line of sight that passes a body by less than that body may be off is as likely cut as not.
    cut = _cut(prediction, eye, eye + way * (short / far)[..., None], now, body)
    spread = (share * (cut * (1 - cut)).sqrt()).sum(-1)
    sampled = (value * (1 - value)).clamp(min=0) * share.square().sum(-1)
    clear = hits.unseen.double() >= torch.minimum(short, hits.value.double())
    known = ((share * clear).sum(-1) > 0.5) & now.alive.cpu()
    return Estimate(value, (spread.square() + sampled).sqrt(), known)


def _cut(prediction: Prediction, eye: Tensor, ends: Tensor, now: Instant, body: int) -> Tensor:
    """[..., P] how likely the lines from the eye to the ends [..., P, 3] are cut by other bodies."""
    others = torch.ones(len(prediction.world.bodies), dtype=torch.uint8)
    others[body] = 0
    batch, count = now.batch, ends.shape[-2]
    state = posed(now, batch, others)
    poses, nodes, std = (each.repeat_interleave(2, dim=0) for each in (state.poses, state.nodes, state.std))
    rows = Posed(poses, nodes, std, others)
    way = torch.stack([eye.expand_as(ends), ends], dim=-3).reshape(-1, count, 3)
    found = swept_distances(prediction.field, rows, torch.nn.functional.pad(way, (0, 1)).contiguous(), 2)
    gap, off = (value.reshape(-1, 2, count)[:, 1].reshape(*batch, count) for value in (found.distance, found.std))
    return 0.5 * torch.erfc(gap.double() / (math.sqrt(2) * off.double().clamp(min=1e-6)))
