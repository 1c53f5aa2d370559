"""A picture of what was seen from how many sides: the scene from above, and the directions it was filmed from."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from splatworld.core import pose
from splatworld.core.clip import PosedClip
from splatworld.core.world import World
from splatworld.reconstruct.coverage import BANDS, SECTORS, Coverage

HEIGHT = 480
"""Px."""
COLORS = ((90, 90, 90), (214, 69, 65), (240, 178, 60), (240, 178, 60), (70, 160, 90))
"""RGB of a splat seen from 0, 1, 2, 3, 4 or more directions."""
PAPER, INK, FILMED = (250, 250, 248), (40, 40, 40), (188, 219, 196)
LEGEND = (("1 direction", COLORS[1]), ("2-3", COLORS[2]), ("4 or more", COLORS[4]), ("camera", INK))


def draw_coverage(world: World, posed: PosedClip, coverage: Coverage) -> np.ndarray:
    """[HEIGHT, W, 3] uint8: left the splats from above, right the view sphere unrolled."""
    gap = np.full((HEIGHT, 24, 3), PAPER, np.uint8)
    return np.hstack([_top_view(world, posed, coverage), gap, _view_sphere(coverage)])


def _top_view(world: World, posed: PosedClip, coverage: Coverage) -> np.ndarray:
    """North is +y. Splats are drawn from the lowest to the highest, cameras with a stroke where they look."""
    picture = np.full((HEIGHT, HEIGHT, 3), PAPER, np.uint8)
    train = [camera for camera, held in zip(posed.cameras, posed.clip.held_out.tolist(), strict=True) if not held]
    cameras = torch.stack([camera.world_from_camera for camera in train]).double()
    means = world.splats.means.double()
    if len(means):
        low, high = _extent(means, cameras[:, :3], coverage.center)
        unit = (HEIGHT - 60) / float((high - low).max())

        def place(points: torch.Tensor) -> np.ndarray:
            flat = (points[:, :2] - (low + high) / 2) * unit * torch.tensor([1.0, -1.0], dtype=torch.float64)
            return (flat + HEIGHT / 2).round().long().numpy()

        order = torch.argsort(means[:, 2], stable=True)
        order = order[world.splats.opacities[order] > 0.1]
        at, sides = place(means[order]), coverage.directions[order].numpy()
        inside = ((at >= 0) & (at < HEIGHT)).all(axis=1)
        picture[at[inside, 1], at[inside, 0]] = np.array(COLORS, np.uint8)[sides[inside]]
        axes = pose.rotate(cameras[:, 3:], torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
        ends = place(cameras[:, :3] + axes * 14 / unit)
        for start, end in zip(place(cameras[:, :3]).tolist(), ends.tolist(), strict=True):
            cv2.line(picture, start, end, INK, 1, cv2.LINE_AA)
            cv2.circle(picture, start, 3, INK, -1, cv2.LINE_AA)
    picture[:30] = PAPER
    _write(picture, "from above: seen from", (10, 20))
    left = 175
    for words, color in LEGEND:
        cv2.circle(picture, (left, 16), 5, color, -1, cv2.LINE_AA)
        _write(picture, words, (left + 9, 20))
        left += 24 + 7 * len(words)
    return picture


def _extent(means: torch.Tensor, cameras: torch.Tensor, center: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Lowest and highest x, y that are shown: all cameras and most splats, but not what lies far behind."""
    reach = 2.5 * (cameras[:, :2] - center[:2]).norm(dim=-1).max()
    near = means[(means[:, :2] - center[:2]).norm(dim=-1) <= reach, :2]
    points = torch.cat([near, cameras[:, :2]]) if len(near) else cameras[:, :2]
    low, high = points.quantile(0.02, dim=0), points.quantile(0.98, dim=0)
    low, high = torch.minimum(low, cameras[:, :2].amin(dim=0)), torch.maximum(high, cameras[:, :2].amax(dim=0))
    return low, torch.maximum(high, low + 1e-6)


def _view_sphere(coverage: Coverage) -> np.ndarray:
    """Azimuth to the right, elevation upwards; cells with a camera are green."""
    width = HEIGHT + 60
    picture = np.full((HEIGHT, width, 3), PAPER, np.uint8)
    left, right, top, bottom = 46, width - 10, 40, HEIGHT - 34

    def place(azimuth: float, elevation: float) -> tuple[int, int]:
        return round(left + azimuth / 360 * (right - left)), round(bottom - (elevation + 90) / 180 * (bottom - top))

    for (low, high, name), row in zip(BANDS, coverage.filmed(), strict=True):
        for sector, filmed in enumerate(row):
            corners = place(sector * 360 / SECTORS, low), place((sector + 1) * 360 / SECTORS, high)
            if filmed:
                cv2.rectangle(picture, *corners, FILMED, -1)
            cv2.rectangle(picture, *corners, (205, 205, 205), 1)
        _write(picture, name, (left + 4, place(0, high)[1] + 14), 0.36)
        _write(picture, f"{low}", (8, place(0, low)[1] + 4))
    for azimuth in range(0, 361, 90):
        _write(picture, f"{azimuth}", (place(azimuth, 0)[0] - 10, bottom + 20))
    for azimuth, elevation in zip(coverage.azimuth.tolist(), coverage.elevation.tolist(), strict=True):
        cv2.circle(picture, place(azimuth, elevation), 3, INK, -1, cv2.LINE_AA)
    what = "directions from which the scene was filmed" if coverage.inward else "directions that were filmed"
    _write(picture, f"{what} (azimuth, elevation in degrees)", (10, 20))
    return picture


def _write(picture: np.ndarray, text: str, at: tuple[int, int], size: float = 0.42) -> None:
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, INK, 1, cv2.LINE_AA)
