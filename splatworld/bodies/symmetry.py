"""Hidden sides of bodies from seen ones: by an upright axis of revolution, or upright mirror planes.

After Thrun and Wegbreit, "Shape from symmetry" (2005): images of seen surface must fall on seen surface or where no
camera looked, and not where one looked through them. A symmetry that is believed wrongly is worse than none: only
agreement counts for one, on walls alone (what is level agrees with any), and its neighbours must agree less.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from splatworld.bodies.images import Family
from splatworld.bodies.lift import views
from splatworld.bodies.surface import sample
from splatworld.core.camera import Camera
from splatworld.core.splats import Splats, joined
from splatworld.core.world import World
from splatworld.geometry.background import OPAQUE, in_front
from splatworld.render.render import render
from splatworld.render.sh import C0

VIEWS, VIEW_SIDE = 12, 200
"""Views that are looked through, and their longer side in px."""
ANGLES, OFFSETS, AROUND = 36, 9, 0.12
"""What is tried: directions and places of mirror planes; sizes of a body off its likely axes."""
POINTS, PLANES, AXES, ROUNDS, COARSE = 400, 24, 3, 5, 3.0
"""Points that judge, candidates that are refined, times that steps are halved, and how much more reach is first."""
REACH, ALIKE, ALIGNED, NEIGHBOURS = 1.5, 0.2, 0.8, 12
"""Distance in spacings of splats, difference of colours and cosine between normals up to which an image falls on a
surface; points that tell a normal."""
LEVEL, WALLS = 0.7, 0.15
"""Upright part of a normal from which a surface is level; and the share of a body's points that must not be."""
TURNING, MIRRORED = 0.15, 0.33
"""Shares of the images on walls that fall on seen surface, at least: of a revolution's, by all turns; of a mirror's."""
REFUTED, WORTH, SHARP = 0.05, 0.1, 0.5
"""Shares of the images: where nothing can be, at most; where nothing is yet, at least. And the share of its score that
a symmetry loses at least where it is moved by a reach."""
ODD = 0.2
"""Share of the points that may go not round with the rest, as a handle."""
SKIN = 4.0
"""Reaches below seen surface that are inside of a body."""
SYMMETRIES = 3
"""Mirror planes of a body that are used, one after the other."""

Looks = list[tuple[Camera, Tensor, Tensor]]
"""What cameras of a capture saw: small pictures of depth [H, W] m, and of the least there and a pixel around; infinite
where they saw through all."""


@dataclass(frozen=True)
class Surface:
    """Points on what was seen: places and unit normals [P, 3] towards the cameras, colours [P, 3]."""

    points: Tensor
    normals: Tensor
    colors: Tensor

    def select(self, keep: Tensor) -> Surface:
        return Surface(self.points[keep], self.normals[keep], self.colors[keep])


def looks(world: World) -> Looks:
    """Depths of a world as captured."""
    pictures = []
    for view in views(world, count=VIEWS, max_side=VIEW_SIDE):
        camera = replace(view, distortion=None, motion=None, shutter=None)
        shown = render(world, None, camera)
        depth = torch.where(shown.alpha > OPAQUE, shown.median_depth, torch.inf)
        pictures.append((camera, depth, -torch.nn.functional.max_pool2d(-depth[None], 3, 1, 1)[0]))
    return pictures


def mirrored(own: Splats, others: Splats, seen: Looks, spacing: float) -> Splats:
    """Copies of a body's splats by its symmetries, where nothing of it is and nobody saw that nothing is.

    Args:
        own: N opaque splats of one body, Z up, support at z = 0.
        others: those of everything else; none are put where they stand above the support.
        seen: by the cameras.
        spacing: m between the body's splats.

    Returns:
        Splats of provenance COMPLETED, none if no symmetry is believed.
    """
    reach, whole = REACH * spacing, own
    surface = _surface(own, seen, reach)
    if surface is None:
        return own.select(torch.zeros(len(own), dtype=torch.bool))
    judge = _Judge(surface, others, seen, reach)
    for _ in range(SYMMETRIES):
        found = _best(judge, _points(whole, reach)[0])
        if found is None:
            break
        family, told = found
        # A handle goes not round, nor what is left of shade at the foot.
        for copies in family.copies(told, own.select(~judge.odd(family, told, own))):
            kept = (copies.means[:, 2] > reach) & judge.hidden(copies.means.double())
            around = cKDTree(_points(whole, reach)[0].numpy())
            kept &= torch.from_numpy(around.query(copies.means.numpy())[0] > reach)
            whole = joined([whole, copies.select(kept)])
        if not family.mirrors:
            break
    return whole.select(torch.arange(len(whole)) >= len(own))


class _Judge:
    """How well the images of a body's seen surface agree with all that was seen; `reach` is in m."""

    def __init__(self, surface: Surface, others: Splats, seen: Looks, reach: float) -> None:
        standing = (others.means[:, 2] > 2 * reach) & (others.opacities > OPAQUE)
        self.others = cKDTree(others.means[standing].double().numpy())
        self.seen, self.reach, self.surface = seen, reach, surface
        self.some = surface.select(torch.linspace(0, len(surface.points) - 1, POINTS).round().long().unique())
        self.walls = self.some.normals[:, 2].abs() < LEVEL
        self.tree = cKDTree(surface.points.numpy())

    def free(self, points: Tensor) -> Tensor:
        """[P] bool, where something else is or where a camera saw that nothing is."""
        free = torch.from_numpy(np.isfinite(self.others.query(points.numpy(), distance_upper_bound=self.reach)[0]))
        for camera, _, least in self.seen:
            free |= in_front(camera, least, points) > self.reach
        return free

    def hidden(self, points: Tensor) -> Tensor:
        """[P] bool, points that no camera saw, and where nothing else is."""
        hidden = ~self.free(points)
        for camera, depth, _ in self.seen:
            hidden &= in_front(camera, depth, points) < -self.reach
        return hidden

    def agreement(
        self, family: Family, told: Tensor, points: Surface, slack: float = 1.0
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Images [K, M, P, 3] of points under K symmetries; of each [K, M, P] how nearly it falls on seen surface of
        its colour, 0 to 1, whether it does, and whether it falls right below seen surface."""
        images = family.images(told, points.points)
        facing = torch.einsum("kmij,pj->kmpi", family.matrices(told), points.normals)
        reach = slack * self.reach
        most = max(SKIN, slack) * self.reach
        away, nearest = self.tree.query(images.flatten(0, 2).numpy(), distance_upper_bound=most)
        there = self.surface.select(torch.from_numpy(nearest).clamp(max=len(self.surface.points) - 1))
        apart = torch.from_numpy(away).view(images.shape[:3])
        off = ((images.flatten(0, 2) - there.points) * there.normals).sum(dim=1).view(apart.shape)
        along = (facing * there.normals.view(images.shape)).sum(dim=3)
        alike = (there.colors.view(images.shape) - points.colors).abs().amax(dim=3) < ALIKE
        fits = (apart < reach) & (along > ALIGNED)
        near = (1 - off.abs() / reach).clamp(min=0) * (fits & alike)
        # What meets the seen surface at an angle, or is the other face of a thin wall, may well lie there.
        inside = ~fits & apart.isfinite() & (apart > reach) & (off < -0.7 * apart) & (along > 0.5)
        return images, near, fits & alike, inside

    def odd(self, family: Family, told: Tensor, splats: Splats) -> Tensor:
        """[N] bool, splats that one symmetry [3] takes more often to where nothing can be than to seen surface."""
        images, _, hit, inside = self.agreement(family, told[None], self.surface)
        wrong = inside.clone()
        wrong[~hit] |= self.free(images[~hit])
        odd = (wrong & ~hit).sum(dim=(0, 1)) > hit.sum(dim=(0, 1))
        return odd[torch.from_numpy(self.tree.query(splats.means.numpy())[1])]

    def values(self, family: Family, told: Tensor, covered: Tensor | None = None, slack: float = 1.0) -> Tensor:
        """[K] how much of the walls agrees less what cannot be; 0 for symmetries that are not believed, or add nothing
        to what is covered [C, 3]."""
        images, near, hit, inside = self.agreement(family, told, self.some, slack)
        walls = self.walls
        good = hit[:, :, walls].double().mean(dim=(1, 2)) >= (MIRRORED if family.mirrors else TURNING)
        if covered is not None:
            away = cKDTree(covered.numpy()).query(images.flatten(0, 2).numpy(), distance_upper_bound=self.reach)[0]
            bare = torch.from_numpy(np.isinf(away)).view(hit.shape) & ~hit & ~inside & walls
            bare &= (good & (bare.double().mean(dim=(1, 2)) >= WORTH))[:, None, None]
            new = torch.zeros_like(bare)
            new[bare] = self.hidden(images[bare])
            good &= new.double().mean(dim=(1, 2)) >= WORTH
        wrong = inside & good[:, None, None]
        open_ = ~hit & ~inside & good[:, None, None]
        wrong[open_] = self.free(images[open_])
        # Of revolutions, what goes not round is left out: it has nothing to say of the rest unless it is much.
        odd = (wrong.sum(dim=1) > hit.sum(dim=1)) & torch.tensor(not family.mirrors)
        good &= odd.double().mean(dim=1) <= ODD
        false = (wrong & ~odd[:, None]).double().mean(dim=(1, 2))
        return torch.where(good & (false <= slack * REFUTED), near[:, :, walls].mean(dim=(1, 2)) - false, 0.0)


def _best(judge: _Judge, covered: Tensor) -> tuple[Family, Tensor] | None:
    """The symmetry [3] that agrees best with what was seen and adds to what is covered [C, 3]; None without one."""
    points = judge.surface.points
    size = (points.amax(dim=0) - points.amin(dim=0))[:2]
    step = torch.cat([torch.tensor([torch.pi / ANGLES]), size / OFFSETS]) / 2
    moves = torch.cat([torch.zeros(1, 3), torch.eye(3), -torch.eye(3)]).double()
    for family, told in _candidates(judge.surface):
        values = judge.values(family, told, covered, COARSE)
        most = PLANES if family.mirrors else AXES
        told = told[values.topk(min(most, int((values > 0).sum()))).indices]
        for part in range(ROUNDS):
            if not len(told):
                break
            tried = told[:, None] + moves * step * 0.5**part
            slack = COARSE ** (1 - part / (ROUNDS - 1))
            near = judge.agreement(family, tried.flatten(0, 1), judge.some, slack)[1]
            fits = near[:, :, judge.walls].mean(dim=(1, 2)).view(tried.shape[:2])
            told = tried[torch.arange(len(told)), fits.argmax(dim=1)]
        values = judge.values(family, told, covered) if len(told) else torch.zeros(0)
        for index in values.argsort(descending=True).tolist():
            if values[index] <= 0:
                break
            around = _neighbours(family, told[index], judge.reach, float(size.max()))
            if bool((judge.values(family, around) <= (1 - SHARP) * values[index]).all()):
                return family, told[index]
    return None


def _neighbours(family: Family, told: Tensor, reach: float, size: float) -> Tensor:
    """[4, 3] symmetries that move images by about two reaches."""
    if family.mirrors:
        normal = torch.stack([torch.zeros_like(told[0]), told[0].cos(), told[0].sin()])
        moves = torch.stack([normal * reach, torch.tensor([4 * reach / size, 0.0, 0.0]).to(told)])
    else:
        moves = torch.eye(3)[1:].to(told) * 2 * reach
    return told + torch.cat([moves, -moves])


def _surface(own: Splats, seen: Looks, cell: float) -> Surface | None:
    """What cameras saw of a body; None where that is too little, or has too few walls, to tell a symmetry."""
    points, owners = _points(own, cell)
    outward = torch.zeros_like(points)
    for camera, depth, _ in seen:
        shown = in_front(camera, depth, points).abs() < cell
        towards = torch.nn.functional.normalize(camera.world_from_camera[:3].double() - points, dim=1)
        outward += torch.where(shown[:, None], towards, 0.0)
    shown = outward.norm(dim=1) > 0
    points, owners, outward = points[shown], owners[shown], outward[shown]
    if len(points) < 4 * NEIGHBOURS:
        return None
    near = points[torch.from_numpy(cKDTree(points.numpy()).query(points.numpy(), k=NEIGHBOURS)[1])]
    off = near - near.mean(dim=1, keepdim=True)
    normals = torch.linalg.eigh(off.mT @ off).eigenvectors[:, :, 0]
    normals = normals * torch.where((normals * outward).sum(dim=1, keepdim=True) < 0, -1.0, 1.0)
    if (normals[:, 2].abs() < LEVEL).double().mean() < WALLS:
        return None
    return Surface(points, normals, 0.5 + C0 * own.sh[owners, 0])


def _points(splats: Splats, cell: float) -> tuple[Tensor, Tensor]:
    """Points [P, 3] on splats, one a cell, and the splats that they lie on [P]."""
    spread = sample(splats, torch.ones(len(splats), dtype=torch.bool))
    first = np.unique((spread.points / cell).floor().long().numpy(), axis=0, return_index=True)[1]
    return spread.points[first].double(), spread.owners[first]


def _candidates(surface: Surface) -> list[tuple[Family, Tensor]]:
    """Revolutions about the axes that a surface may have, and mirrors across it."""
    points = surface.points
    axes = _axes(surface)
    angles = torch.arange(ANGLES).double() * torch.pi / ANGLES
    across = torch.stack([angles.cos(), angles.sin()], dim=1)
    along = points[:, :2] @ across.T
    places = torch.lerp(along.amin(dim=0), along.amax(dim=0), torch.linspace(0.1, 0.9, OFFSETS).double()[:, None])
    places = torch.cat([places, axes @ across.T])
    middle = axes[0] - (axes[0] @ across.T)[:, None] * across
    planes = torch.cat([angles.expand(len(places), -1)[..., None], middle + places[..., None] * across], dim=2)
    size = (points.amax(dim=0) - points.amin(dim=0))[:2]
    nearby = torch.cartesian_prod(*[torch.linspace(-AROUND, AROUND, 3).double()] * 2) * size
    about = torch.nn.functional.pad((axes[:, None] + nearby).flatten(0, 1), (1, 0))
    return [(Family(False), about), (Family(True), planes.flatten(0, 1))]


def _axes(surface: Surface) -> Tensor:
    """[2, 2] m, the middle of points, and where their normals pass nearest by: a round body's axis."""
    places = surface.points[:, :2]
    middle = (places.amin(dim=0) + places.amax(dim=0)) / 2
    aside = surface.normals[:, [1, 0]] * torch.tensor([-1.0, 1.0]).double()
    off = aside[:, :, None] * aside[:, None] + 1e-3 * torch.eye(2)
    passed = torch.einsum("nij,nj->i", off, places - middle)
    return torch.stack([middle, middle + torch.linalg.solve(off.sum(dim=0), passed)])
