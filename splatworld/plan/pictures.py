"""Predicted geometry to look at: meshes, points, pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.camera import Camera, unproject
from splatworld.core.mesh import Mesh
from splatworld.core.splats import Provenance
from splatworld.core.state import State
from splatworld.core.world import World, frames, rest_state
from splatworld.geometry.distance import is_known
from splatworld.geometry.seen import nearest_inside
from splatworld.plan.answers import Cloud, Surface, View
from splatworld.plan.instants import Instant
from splatworld.render.render import render
from splatworld.render.sh import C0

if TYPE_CHECKING:
    from splatworld.plan.prediction import Prediction

OPAQUE = 0.5
"""Splats and pixels less opaque than this show no surface."""


def mesh(prediction: Prediction, now: Instant) -> list[Surface]:
    """Arguments as of `Prediction.mesh`; `now` has no batch. Bodies without a mesh are left out."""
    found = []
    for index, body in enumerate(prediction.world.bodies):
        if body.mesh is None:
            continue
        at = now.poses[index].detach().cpu().double()
        own = body.mesh.vertices.double()
        arms = pose.rotate(at[3:], own)
        grid = prediction.field.seen[index]
        known = torch.ones(len(own), dtype=torch.bool) if grid is None else is_known(grid, nearest_inside(grid, own))
        rough = prediction.field.roughness[index]
        std = (_moved(now.std[index], arms).square().sum(-1) / 3 + rough.square()).sqrt()
        placed = Mesh(arms + at[:3], body.mesh.faces, body.mesh.colors)
        found.append(Surface(index, body.name, placed, std, known & now.alive.cpu()))
    return found


def point_cloud(prediction: Prediction, now: Instant) -> Cloud:
    """Arguments as of `Prediction.point_cloud`; `now` has no batch."""
    world = prediction.world
    chosen = torch.nonzero(world.splats.opacities > OPAQUE)[:, 0]
    splats = world.splats.select(chosen)
    table = frames(world, _state(world, now))
    if world.skin is None:
        points = pose.transform(table[splats.body_ids.long()], splats.means.to(table))
    else:
        weights = world.skin.weights[chosen].to(table)[..., None]
        moved = pose.transform(table[world.skin.indices[chosen].long()], splats.means.to(table)[:, None])
        points = (weights * moved).sum(1)
    body = splats.body_ids.long()
    arms = points.double() - now.poses.detach().cpu().double()[body, :3]
    rough = prediction.field.roughness[body]
    std = (_moved(now.std.detach().cpu()[body], arms).square().sum(-1) / 3 + rough.square()).sqrt()
    known = (splats.provenance != Provenance.COMPLETED) & now.alive.cpu()
    colors = (0.5 + C0 * splats.sh[:, 0]).clamp(0, 1)
    return Cloud(points, colors, body, std.float(), known)


def picture(prediction: Prediction, now: Instant, camera: Camera) -> View:
    """Arguments as of `Prediction.render`; `now` has no batch."""
    world, state = prediction.world, _state(prediction.world, now)
    shown = render(world, state, camera)
    # Where pictures come from: completed splats white, all others black.
    guessed = (world.splats.provenance == Provenance.COMPLETED).float()
    mask = (guessed - 0.5)[:, None, None].expand(-1, 1, 3) / C0
    told = render(replace(world, splats=replace(world.splats, sh=mask.contiguous())), state, camera).image[..., 0]
    solid = shown.alpha > OPAQUE
    known = solid & (told < 0.5 * shown.alpha) & now.alive.cpu()
    body = shown.body_ids.clamp(min=0).long()
    row, column = torch.meshgrid(torch.arange(camera.height), torch.arange(camera.width), indexing="ij")
    pixels = torch.stack([column, row], dim=-1).double() + 0.5
    plain = replace(camera, **{k: getattr(camera, k).cpu().double() for k in ("focal", "center", "world_from_camera")})
    points = unproject(plain, pixels, shown.median_depth.double())
    arms = points - now.poses.detach().cpu().double()[body, :3]
    rough = prediction.field.roughness[body]
    std = (_moved(now.std.detach().cpu()[body], arms).square().sum(-1) / 3 + rough.square()).sqrt()
    return View(shown, torch.where(solid, std.float(), torch.inf), known)


def _moved(std: Tensor, arms: Tensor) -> Tensor:
    """[..., 3] m, by how much points at `arms` [..., 3] from a body's frame may be off, given its pose's [..., 6]."""
    x, y, z = arms.to(std).unbind(-1)
    a, b, c = std[..., 3:].unbind(-1)
    turned = torch.stack([(b * z).square() + (c * y).square(), (a * z).square() + (c * x).square(),
                          (a * y).square() + (b * x).square()], dim=-1)  # fmt: skip
    return (std[..., :3].square() + turned).sqrt()


def _state(world: World, now: Instant) -> State:
    """As much of a state as pictures need."""
    poses, nodes = now.poses.detach().cpu().double(), now.nodes.detach().cpu().double()
    return replace(rest_state(world), world_from_body=poses, nodes=nodes)
