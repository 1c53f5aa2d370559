"""Splats to bodies without learned weights: what stands up from the support and hangs together.

1. The support is the plane z = 0 that the capture was placed on; how rough it came out tells how low a body may be.
2. Splats above it fill cells of space; cells that touch make clusters.
3. A cluster that stands on the support, and not beyond it, is a body. Shadows and prints are flat and stay static, as
   walls and what lies behind the support do.
4. Rendered labels vote: every splat, faint ones too, goes to what the pixels that it contributes to show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from splatworld.bodies.area import Area
from splatworld.bodies.consensus import consensus
from splatworld.bodies.lift import lift, views, vote
from splatworld.bodies.place import place
from splatworld.bodies.regions import parted
from splatworld.bodies.surface import normals, sample
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
UPWARD = 0.8
"""Cosine between a splat's normal and up, from which it may be support."""


@dataclass(frozen=True)
class SegmentConfig:
    """What counts as a body.

    Attributes:
        cell: m, side of the cells in which clusters are found; things further apart than this come apart.
        lowest, highest_start: m, what is lower above the support is part of it; more on a rough support, up to
            `highest_start`. A body is higher than three times that roughness.
        least_extent, largest_extent: m, a body's longest side.
        reach: m, how far above the support bodies are looked for.
        least_weight: share of a picture that a body covers on average in the views, at least.
        least_opacity: splats that are fainter build no clusters, though they may belong to one.
        inside: share of a cluster that lies over the support, at least.
        surrounded: share of a body's outline in pictures that is against the support, at least, where the support came
            out too rough for heights to tell.
        views, max_side: how many views vote, and their longest side in px.
    """

    cell: float = 0.005
    lowest: float = 0.006
    highest_start: float = 0.02
    least_extent: float = 0.015
    largest_extent: float = 0.7
    reach: float = 0.8
    least_weight: float = 2e-4
    least_opacity: float = 0.2
    inside: float = 0.75
    surrounded: float = 0.3
    views: int = 24
    max_side: int = 480


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
    unit = 1.0 if world.scale.source != "none" else _unit(placed)
    weights = torch.zeros(len(splats))
    for done, camera in enumerate(cameras, 1):
        weights += lift(splats, camera, torch.ones(camera.height, camera.width, 1))[:, 0]
        say("bodies: what is seen", done, len(cameras))
    pixels = sum(camera.width * camera.height for camera in cameras)
    labels, rough = _clusters(splats, weights / pixels, config, unit)
    if rough > config.highest_start * unit:
        away = f"{100 * rough / unit:.1f} cm"
        say(f"Quality: the support is rough by {away}: bodies are told by their looks, flat prints may be among them.")
        looked = _by_looks(splats, weights / pixels, cameras, rough, config, unit, say)
        labels = looked if bool(looked.any()) else labels
    count = int(labels.max()) + 1
    if count > 1:
        labels = settle(splats, labels, cameras, progress=say)
    return with_labels(world, labels)


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


def _clusters(splats: Splats, weights: Tensor, config: SegmentConfig, unit: float) -> tuple[Tensor, float]:
    """Labels [N] of clusters that stand on the support, largest first from 1, and how rough it is in m."""
    seen = (splats.opacities > config.least_opacity) & (weights > 0)
    rough = max(3 * _roughness(splats, weights, unit), config.lowest * unit)
    start = min(rough, config.highest_start * unit)
    over = _support(splats, weights, start, config.cell * unit)
    above = sample(splats, seen)
    height = above.points[:, 2]
    above = above.select((height > start) & (height < config.reach * unit) & over.near(above.points, 0.3 * unit))
    none = torch.zeros(len(splats), dtype=torch.int64)
    if not len(above.points):
        return none, rough
    low = above.points.min(dim=0).values
    cells = ((above.points - low) / (config.cell * unit)).long()
    filled = np.zeros(tuple((cells.max(dim=0).values + 1).tolist()), dtype=bool)
    filled[tuple(cells.T.numpy())] = True
    numbers, count = ndimage.label(filled, np.ones((3, 3, 3)))
    each = torch.from_numpy(numbers[tuple(cells.T.numpy())]).long()
    # A splat goes to the cluster that holds most of its samples. Of values for one index numpy keeps the last; torch
    # keeps any.
    pairs, times = torch.stack([above.owners, each]).unique(dim=1, return_counts=True)
    order = times.argsort(stable=True)
    labels = none.clone()
    labels.numpy()[pairs[0, order].numpy()] = pairs[1, order].numpy()
    kept: list[tuple[float, Tensor]] = []
    for number in torch.bincount(labels, weights=weights, minlength=count + 1).argsort(descending=True).tolist():
        own = labels == number
        if number == 0 or float(weights[own].sum()) < config.least_weight * (rough / start) ** 2:
            continue
        points = above.points[(labels[above.owners] == number) & (each == number)]
        if _stands(points, splats.means[own], weights[own], over, start, rough, config, unit):
            kept.append((float(weights[own].sum()), own))
    result = none.clone()
    for index, (_, own) in enumerate(sorted(kept, key=lambda pair: -pair[0]), 1):
        result[own] = index
    return result, rough


def _stands(
    points: Tensor,
    means: Tensor,
    weights: Tensor,
    over: Area,
    start: float,
    rough: float,
    config: SegmentConfig,
    unit: float,
) -> bool:
    """Whether a cluster is a body: over the support, near it, of a body's size, and not only a bump of the support."""
    low, high = points.quantile(0.01, dim=0), points.quantile(0.99, dim=0)
    raised = float((weights * (means[:, 2] > start)).sum() / weights.sum().clamp(min=1e-12))
    return (
        _sized(points, config, unit)
        and float(low[2]) < 3 * start + config.cell * unit
        and raised > 0.5
        and float(high[2]) > rough
        and float(over.inside(points).float().mean()) >= config.inside
    )


def _roughness(splats: Splats, weights: Tensor, unit: float) -> float:
    """Standard deviation in m of the splats that make up the support from its plane, by their median distance."""
    flat = (normals(splats)[:, 2].abs() > UPWARD) & (splats.means[:, 2].abs() < 0.03 * unit) & (weights > 0)
    if int(flat.sum()) < 10:
        return 0.0
    away, order = splats.means[flat, 2].abs().sort()
    share = weights[flat][order].cumsum(0)
    return 1.4826 * float(away[int((share < share[-1] / 2).sum())])


def _support(splats: Splats, weights: Tensor, tolerance: float, cell: float) -> Area:
    """Where splats lie in the plane."""
    flat = (splats.means[:, 2].abs() < tolerance) & (weights > 0) & (splats.opacities > 0.1)
    points = sample(splats, flat).points
    return Area.of(points[points[:, 2].abs() < 2 * tolerance], 2 * cell)


def _by_looks(
    splats: Splats,
    weights: Tensor,
    cameras: list[Camera],
    rough: float,
    config: SegmentConfig,
    unit: float,
    say: Callable[..., Any],
) -> Tensor:
    """Labels [N] of what edges part from the support in most views and what it surrounds, largest first from 1."""
    pictures = parted(splats, cameras, rough=rough, thin=config.least_extent * unit)
    none = torch.zeros(len(splats), dtype=torch.int64)
    if not pictures:
        return none
    lightest = config.least_weight * max(1.0, rough / (config.highest_start * unit)) ** 2
    least = lightest * sum(camera.width * camera.height for camera in cameras)
    groups, surrounded = consensus(splats, pictures, least=least, reach=10 * config.cell * unit, progress=say)
    solid = splats.opacities > config.least_opacity
    sizes = torch.bincount(groups, weights=weights, minlength=len(surrounded))
    result, label = none.clone(), 0
    for group in sizes.argsort(descending=True).tolist():
        own = groups == group
        points = sample(splats, own & solid).points
        if group == 0 or not len(points) or float(sizes[group]) < lightest:
            continue
        above = float(points[:, 2].median()) > -rough / 3
        if above and float(surrounded[group]) > config.surrounded and _sized(points, config, unit):
            label += 1
            result[own] = label
    return result


def _sized(points: Tensor, config: SegmentConfig, unit: float) -> bool:
    """Whether points [P, 3] are of a body's size."""
    extent = float((points.quantile(0.99, dim=0) - points.quantile(0.01, dim=0)).max())
    return config.least_extent * unit <= extent <= config.largest_extent * unit
