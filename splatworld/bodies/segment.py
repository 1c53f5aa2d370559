"""Splats to bodies without learned weights: what stands up from the support and hangs together.

1. The support is the plane z = 0 that the capture was placed on; how rough and uneven it came out tells how surely
   heights tell.
2. What stands up from it hangs together in clusters (`heights`); what edges part from it in most views hangs together
   in groups (`regions`, `consensus`); both are weighed (`weigh`). Shadows and prints are flat and stay static, as walls
   and what lies behind the support do.
3. Rendered labels vote: every splat, faint ones too, goes to what the pixels that it contributes to show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from splatworld.bodies.config import SegmentConfig
from splatworld.bodies.consensus import consensus
from splatworld.bodies.heights import UPWARD, Ground
from splatworld.bodies.lift import lift, views, vote
from splatworld.bodies.place import place
from splatworld.bodies.regions import parted
from splatworld.bodies.surface import normals
from splatworld.bodies.weigh import AROUND, Scene
from splatworld.capture.support import find_support
from splatworld.core import pose
from splatworld.core.body import Body, background
from splatworld.core.camera import Camera
from splatworld.core.checks import InputError
from splatworld.core.similarity import Similarity
from splatworld.core.splats import Provenance, Splats
from splatworld.core.world import World
from splatworld.render.ops import rasterize

TYPICAL_DISTANCE = 0.7
"""m, from which people film things on a table: gives lengths where the scale is unknown."""
NEVER_SEEN = 1e-3
"""Weight in pixels below which a splat is not seen."""


def segment(world: World, config: SegmentConfig | None = None, *, progress: Callable[..., Any] | None = None) -> World:
    """Tell the bodies that stand on the support from what never moves.

    Args:
        world: Z up, support at z = 0; bodies it already has are forgotten.
        config: see `SegmentConfig`; its lengths are scaled to the cameras' distance while the world's scale is unknown.
        progress: called with (stage, done, total).

    Returns:
        The world with the bodies "body 1", "body 2", ..., largest first, of kind rigid.

    Raises:
        InputError: the world has no cameras, or a robot.
    """
    config = config or SegmentConfig()
    if not world.cameras:
        raise InputError("segment: the world has no cameras, it was imported; name its bodies with --box.")
    if world.robot is not None or world.skin is not None:
        raise InputError("segment: the world has a robot or deformable bodies; segment it before they are added.")
    say = progress or (lambda *_: None)
    world = forgotten(world)
    placed = _on_support(world)
    splats, cameras = placed.splats, views(placed, count=config.views, max_side=config.max_side)
    config = config.scaled(1.0 if world.scale.source != "none" else _unit(placed))
    scene = observe(splats, cameras, config, progress=say)
    labels = scene.bodies()
    count = int(labels.max()) + 1
    if count > 1:
        labels = settle(splats, labels, cameras, progress=say)
    return with_labels(world, labels)


def observe(splats: Splats, cameras: list[Camera], config: SegmentConfig, *, progress: Callable[..., Any]) -> Scene:
    """Heights and looks of splats, as cameras see them; lengths of `config` are the world's."""
    weights = torch.zeros(len(splats))
    for done, camera in enumerate(cameras, 1):
        weights += lift(splats, camera, torch.ones(camera.height, camera.width, 1))[:, 0]
        progress("bodies: what is seen", done, len(cameras))
    pixels = sum(camera.width * camera.height for camera in cameras)
    weights /= pixels
    solid = (splats.opacities > config.least_opacity) & (weights > 0)
    ground = Ground.of(splats, weights, solid=solid, reach=config.off, lowest=config.lowest, cell=config.cell)

    if ground.uneven > config.lowest:
        share = ground.uneven / config.lowest
        progress(
            f"Quality: the support came out uneven, by {share:.1f} times the height of the lowest bodies: those are "
            "told by their looks, flat prints may be among them."
        )

    def near(points: Tensor) -> Tensor:
        height = points[:, 2]
        return (height > -ground.rough) & (height < config.reach) & ground.over.near(points.float(), config.around)

    pictures = parted(splats, cameras, rough=ground.rough, thin=config.least_extent, near=near)
    least = config.least_weight * pixels
    looks = consensus(splats, pictures, least=least, reach=AROUND * config.cell, progress=progress)
    return Scene(splats, weights, solid, ground, looks, config, cameras)


def forgotten(world: World) -> World:
    """The world without what was completed of its bodies, before they are found anew."""
    keep = (world.splats.provenance != int(Provenance.COMPLETED)) | (world.splats.body_ids == 0)
    return replace(world, splats=world.splats.select(keep))


def settle(
    splats: Splats, labels: Tensor, cameras: list[Camera], *, progress: Callable[..., Any] | None = None
) -> Tensor:
    """Labels [N] after a vote: each splat takes the label that most of the pixels it contributes to show.

    Splats that no view shows keep theirs.
    """
    count = int(labels.max()) + 1
    drawn = replace(splats, body_ids=labels.int())

    def shown() -> Iterator[tuple[Camera, Tensor]]:
        for done, camera in enumerate(cameras, 1):
            with torch.no_grad():
                yield camera, rasterize(drawn, pose.identity(count), camera, sh_degree=0).body_ids
            if progress is not None:
                progress("bodies: views vote", done, len(cameras))

    votes = vote(splats, shown(), count)
    return torch.where(votes.sum(dim=1) > NEVER_SEEN, votes.argmax(dim=1), labels)


def with_labels(world: World, labels: Tensor, names: list[str] | None = None) -> World:
    """The world with one rigid body for each label above 0 that any splat has; body frames sit amid their splats.

    Args:
        world: takes over everything but bodies.
        labels: [N] 0 for the background.
        names: of the labels 1, 2, ...; "body 1", "body 2", ... by default.
    """
    present, ids = labels.unique(return_inverse=True)
    if int(present[0]) != 0:
        present, ids = torch.cat([present.new_zeros(1), present]), ids + 1
    bodies: list[Body] = [background()]
    for index, label in enumerate(present[1:].tolist(), 1):
        own = world.splats.means[ids == index].double()
        middle = (own.min(dim=0).values + own.max(dim=0).values) / 2 if len(own) < 3 else own.median(dim=0).values
        rest = pose.identity(dtype=torch.float64)
        rest[:3] = middle
        name = f"body {index}" if names is None else names[label - 1]
        bodies.append(Body(name=name, kind="rigid", rest_pose=rest))
    splats = replace(world.splats, body_ids=ids.to(world.splats.body_ids.dtype))
    return replace(world, splats=splats, bodies=tuple(bodies), prior_latents=None)


def _on_support(world: World) -> World:
    """The world with its support at z = 0, also where the frame of a robot has it elsewhere."""
    splats = world.splats
    up = normals(splats)[:, 2].abs() > UPWARD
    if bool((up & (splats.means[:, 2].abs() < 0.03)).any()):
        return world
    poses = torch.stack([camera.world_from_camera for camera in world.cameras.values()])
    vertical = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    support = find_support(splats.means[up & (splats.opacities > 0.5)], poses, up=vertical)
    if support is None:
        return world
    return place(world, Similarity(translation=-support.point * vertical))


def _unit(world: World) -> float:
    """What stands for a metre while the scale is unknown: cameras are taken to be at the usual distance."""
    heights = torch.stack([camera.world_from_camera[2] for camera in world.cameras.values()])
    return max(float(heights.abs().median()), 1e-6) / TYPICAL_DISTANCE
