"""What of a world was seen from how many sides, where the camera was, and what to film better next time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.camera import Camera, project, resize, unproject
from splatworld.core.clip import PosedClip
from splatworld.core.world import World
from splatworld.render.render import render

SIDE = 160
"""Longest side, px, of the depth pictures that decide what hides what."""
MOST_VIEWS = 120
"""Training frames looked at; a longer capture is sampled evenly."""
TOLERANCE = 0.05
"""Share of the depth by which a point may lie behind the surface and still be on it."""
APART = 8.0
"""Degrees by which two directions differ when they count as two: enough to measure a depth to a few percent."""
SIDES = 4
"""Directions that are counted; a surface seen from so many is well known."""
SECTORS, BANDS = 12, ((-90, -15, "from below"), (-15, 30, "level"), (30, 60, "from above"), (60, 90, "from the top"))
"""Cells of the view sphere: sectors of azimuth, bands of elevation in degrees."""


@dataclass(frozen=True)
class Coverage:
    """How a world was seen by its training frames.

    Attributes:
        directions: [N] int64, directions at least `APART` degrees apart from which each splat was seen, up to `SIDES`.
        surface: [N] weight of each splat as a piece of surface: opacity times its two longest axes.
        center: [3] the middle of what the cameras see.
        inward: whether the cameras look towards `center`; else they look away from it, as in a room.
        azimuth, elevation: [T] degrees of the training cameras as seen from `center`, or of where they look.
        unseen: held-out frame -> share of its pixels that fewer than two training frames saw.
    """

    directions: Tensor
    surface: Tensor
    center: Tensor
    inward: bool
    azimuth: Tensor
    elevation: Tensor
    unseen: dict[str, float]

    def share(self, least: int, most: int) -> float:
        """Share of the surface seen at all that was seen from `least` to `most` directions.

        Splats that no view sees lie beneath others; they are no surface.
        """
        hit = (self.directions >= least) & (self.directions <= most)
        return float(self.surface[hit].sum() / self.surface[self.directions > 0].sum().clamp(min=1e-30))

    def filmed(self) -> list[list[bool]]:
        """[band][sector] whether a camera was there."""
        cells = [[False] * SECTORS for _ in BANDS]
        for azimuth, elevation in zip(self.azimuth.tolist(), self.elevation.tolist(), strict=True):
            band = next(i for i, (_, high, _) in enumerate(BANDS) if elevation <= high)
            cells[band][int(azimuth % 360 / (360 / SECTORS)) % SECTORS] = True
        return cells

    def summary(self) -> dict[str, Any]:
        """The figures as they go into `metrics.json`."""
        return {
            "surface_seen_from": {
                "1": self.share(1, 1),
                "2-3": self.share(2, 3),
                "4+": self.share(4, SIDES),
            },
            "cameras_look": "inward" if self.inward else "outward",
            "center": self.center.tolist(),
            "unfilmed": self._unfilmed(),
            "held_out_unseen": self.unseen,
        }

    def _unfilmed(self) -> dict[str, list[list[float]]]:
        """Band -> [from, to] degrees of azimuth without a camera; may pass through 0."""
        wide = 360 / SECTORS
        return {
            name: [[start * wide, (start + length) * wide % 360 or 360.0] for start, length in _gaps(row)]
            for (_, _, name), row in zip(BANDS, self.filmed(), strict=True)
        }


def measure_coverage(world: World, posed: PosedClip) -> Coverage:
    """See what every training frame of `posed` saw of a world that was fitted to it."""
    train = torch.nonzero(~posed.clip.held_out).squeeze(-1)
    if len(train) > MOST_VIEWS:
        train = train[torch.linspace(0, len(train) - 1, MOST_VIEWS).round().long()]
    frames = train.tolist()
    views = [_Seen(world, _small(posed.cameras[frame])) for frame in frames]
    splats = world.splats
    unseen = {}
    for frame in torch.nonzero(posed.clip.held_out).squeeze(-1).tolist():
        points = _Seen(world, _small(posed.cameras[frame])).surface()
        count = sum((view.sees(points).long() for view in views), torch.zeros(len(points), dtype=torch.int64))
        unseen[posed.clip.names[frame]] = float((count < 2).float().mean()) if len(points) else 1.0
    longest = splats.scales.sort(dim=-1).values[:, 1:].prod(dim=-1)
    # A few huge splats far out must not outweigh the scene.
    surface = splats.opacities * longest.clamp(max=float(torch.quantile(longest, 0.99))) if len(splats) else longest
    centers = torch.stack([posed.cameras[frame].world_from_camera[:3] for frame in frames]).double()
    axes = torch.stack([_axis(posed.cameras[frame]) for frame in frames])
    center = _middle(views)
    ahead = torch.nn.functional.normalize(center - centers, dim=-1)
    inward = float((ahead * axes).sum(dim=-1).median()) > 0.5
    away = centers - center if inward else axes
    return Coverage(
        directions=_directions(splats.means, views),
        surface=surface,
        center=center,
        inward=inward,
        azimuth=torch.rad2deg(torch.atan2(away[:, 1], away[:, 0])) % 360,
        elevation=torch.rad2deg(torch.atan2(away[:, 2], away[:, :2].norm(dim=-1))),
        unseen=unseen,
    )


class _Seen:
    """What one camera sees: its depth picture."""

    def __init__(self, world: World, camera: Camera) -> None:
        self.camera = camera
        self.depth = render(world, None, camera).median_depth
        self.position = camera.world_from_camera[:3].float()

    def sees(self, points: Tensor) -> Tensor:
        """[P] bool: points [P, 3] inside the picture with nothing solid before them."""
        pixels, depth = project(self.camera, points.to(self.camera.world_from_camera.dtype))
        size = torch.tensor(self.camera.size)
        inside = (depth > 1e-6) & ((pixels >= 0) & (pixels < size)).all(dim=-1)
        column, row = torch.where(inside[:, None], pixels, torch.zeros_like(pixels)).long().unbind(-1)
        before = self.depth[row, column]
        return inside & ((before == 0) | (depth <= (1 + TOLERANCE) * before))

    def surface(self) -> Tensor:
        """[P, 3] points of the pixels that show something solid."""
        row, column = torch.nonzero(self.depth > 0).unbind(-1)
        pixels = torch.stack([column, row], dim=-1) + 0.5
        return unproject(self.camera, pixels.to(self.camera.focal.dtype), self.depth[row, column].to(pixels.dtype))


def _small(camera: Camera) -> Camera:
    factor = min(1.0, SIDE / max(camera.size))
    return resize(camera, (max(1, round(camera.width * factor)), max(1, round(camera.height * factor))))


def _directions(points: Tensor, views: list[_Seen]) -> Tensor:
    """[N] how many directions, `APART` degrees apart, each point was seen from; counted greedily in frame order."""
    limit = torch.cos(torch.deg2rad(torch.tensor(APART)))
    kept = torch.zeros(len(points), SIDES, 3)
    count = torch.zeros(len(points), dtype=torch.int64)
    for view in views:
        toward = torch.nn.functional.normalize(view.position - points, dim=-1)
        new = view.sees(points) & (count < SIDES)
        new &= (kept * toward[:, None]).sum(dim=-1).amax(dim=-1) < limit
        rows = torch.nonzero(new).squeeze(-1)
        kept[rows, count[rows]] = toward[rows]
        count[rows] += 1
    return count


def _axis(camera: Camera) -> Tensor:
    """[3] where the camera looks."""
    return pose.rotate(camera.world_from_camera[3:].double(), torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))


def _middle(views: list[_Seen]) -> Tensor:
    """[3] median of the surface points of all views, coordinate by coordinate."""
    points = torch.cat([view.surface()[::17].double() for view in views])
    return points.median(dim=0).values if len(points) else torch.zeros(3, dtype=torch.float64)


def _gaps(row: list[bool]) -> list[tuple[int, int]]:
    """(start, length) of the runs of False on a ring; the whole ring is one run from 0."""
    count = len(row)
    if not any(row):
        return [(0, count)]
    first = row.index(True)
    gaps, start = [], None
    for step in range(1, count + 1):
        at = (first + step) % count
        if not row[at] and start is None:
            start = at
        elif row[at] and start is not None:
            gaps.append((start, (at - start) % count))
            start = None
    return gaps
