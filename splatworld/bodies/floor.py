"""The support as a picture from above: what of it was seen, what bodies hide, and where they cast their shadows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from splatworld.bodies.inpaint import inpaint, interpolate
from splatworld.bodies.surface import sample
from splatworld.core import pose
from splatworld.core.camera import Camera
from splatworld.core.world import World
from splatworld.render.ops import rasterize

ALTITUDE = 200.0
"""Distance of the camera that stands for one at infinity, in widths of the picture."""
LARGEST = 1024
"""Most cells along a side."""
KNOWN = 0.5
"""Opacity from which a cell of the support was seen."""
DARKER = 0.12
"""Natural log of how much darker than around it a shadow is, at least."""
TEXTURE = 0.15
"""Natural log by which a support's texture is brighter than its mean, at most."""
SAME_HUE = 0.08
"""Most that the shares of red, green and blue differ between shade and light."""


@dataclass(frozen=True)
class Floor:
    """The support from above; rows run along y, columns along x.

    Attributes:
        low: [2] m, x and y of the corner of cell (0, 0).
        cell: m.
        height: m, z of the support.
        colors: [Y, X, 3] float32, as rendered without bodies; 0 where not known.
        known: [Y, X] bool, seen.
        hidden: [Y, X] bool, below bodies or enclosed by what was seen.
        shade: [Y, X, 3] float32, depth of bodies' shadows: colours times exp(shade) are lit.
        rim: [Y, X] bool, around bodies' feet and shadows, where neither light nor shade can be told.
        caster: [Y, X] int32, the body whose foot, shadow or rim a cell lies in, 0 for none.
    """

    low: np.ndarray
    cell: float
    height: float
    colors: np.ndarray
    known: np.ndarray
    hidden: np.ndarray
    shade: np.ndarray
    rim: np.ndarray
    caster: np.ndarray

    @cached_property
    def bare(self) -> np.ndarray:
        """[Y, X, 3] float32 colours as if there were no bodies: shadows lit, feet and rims filled."""
        return inpaint(self.colors * np.exp(self.shade), self.known & ~self.rim, self.hidden | self.rim)

    def index(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rows and columns of points [P, 2 or 3], and whether they lie in the picture; indices outside are clamped."""
        at = ((points[:, :2].double() - torch.from_numpy(self.low)) / self.cell).floor().long()
        rows, columns = self.known.shape
        inside = ((at >= 0) & (at < torch.tensor([columns, rows]))).all(dim=1)
        return at[:, 1].clamp(0, rows - 1), at[:, 0].clamp(0, columns - 1), inside


def floor_of(world: World, *, cell: float = 0.003, tolerance: float = 0.012, margin: float = 0.25) -> Floor | None:
    """Look at the support around the bodies from above.

    Args:
        world: Z up, support near z = 0, with bodies.
        cell: m.
        tolerance: m, how far off the plane splats of the support may lie.
        margin: m around the bodies.

    Returns:
        None where no body stands on anything that was seen.
    """
    splats = world.splats
    ids = splats.body_ids
    height = splats.means[:, 2]
    ground = (ids == 0) & (height < tolerance) & (height > -3 * tolerance) & (splats.opacities > 0.05)
    standing = (ids > 0) & (splats.opacities > 0.2)
    if not bool(ground.any()) or not bool(standing.any()):
        return None
    feet = splats.means[standing]
    low = feet[:, :2].quantile(0.001, dim=0).double().numpy() - margin
    high = feet[:, :2].quantile(0.999, dim=0).double().numpy() + margin
    cell = max(cell, float((high - low).max()) / LARGEST)
    columns, rows = (int(n) for n in np.ceil((high - low) / cell))
    below = splats.select(ground)
    camera = _from_above(low, cell, (columns, rows))
    with torch.no_grad():
        shown = rasterize(below, pose.identity(len(world.bodies)), camera, sh_degree=0)
    # The camera's picture runs along -y.
    colors = shown.image.flip(0).clamp(0, 1).numpy()
    alpha = shown.alpha.flip(0).numpy()
    known = alpha > KNOWN
    colors = np.where(known[..., None], colors / np.maximum(alpha, KNOWN)[..., None], 0).astype(np.float32)
    seen = Floor(low, cell, float(below.means[:, 2].median()), colors, known, ~known,
                 np.zeros_like(colors), ~known, np.zeros((rows, columns), dtype=np.int32))  # fmt: skip
    owners = _footprints(world, seen, standing)
    under = owners > 0
    known = known & ~ndimage.binary_erosion(under, iterations=2)
    hidden = ndimage.binary_fill_holes(known | under) & ~known
    seen = replace(seen, known=known, hidden=hidden)
    shade, rim, caster = _shadows(seen, owners)
    return replace(seen, shade=shade, rim=rim, caster=caster)


def _from_above(low: np.ndarray, cell: float, size: tuple[int, int]) -> Camera:
    width = cell * max(size)
    eye = np.array([*(low + cell * np.array(size) / 2), ALTITUDE * width])
    down = pose.matrix_to_quat(torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)))
    focal = torch.full((2,), ALTITUDE * width / cell, dtype=torch.float64)
    return Camera(focal, torch.tensor(size).double() / 2, size, torch.cat([torch.from_numpy(eye), down]))


def _footprints(world: World, floor: Floor, standing: Tensor) -> np.ndarray:
    """[Y, X] int32, the body above each cell, 0 for none; holes within a body's outline count as below it."""
    samples = sample(world.splats, standing)
    rows, columns, inside = floor.index(samples.points)
    owners = np.zeros(floor.known.shape, dtype=np.int32)
    ids = world.splats.body_ids[samples.owners]
    for index in ids.unique().tolist():
        own = inside & (ids == index)
        mask = np.zeros_like(floor.known)
        mask[rows[own].numpy(), columns[own].numpy()] = True
        owners[ndimage.binary_fill_holes(ndimage.binary_closing(mask, iterations=2))] = index
    return owners


def _shadows(floor: Floor, owners: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`shade`, `rim` and `caster` of a floor.

    A shadow is darker than the support further off and of the same hue, and hangs together with a body's foot. Inside,
    the light is taken to change slowly, so that the texture stays.
    """
    step = max(1, round(0.004 / floor.cell))
    log = np.log(np.maximum(floor.colors, 0.02))
    value = log.mean(axis=2, keepdims=True)
    seen = floor.known & ~ndimage.binary_dilation(owners > 0, iterations=1)
    around = _surrounding(value, seen, floor.cell)
    share = floor.colors / np.maximum(floor.colors.sum(axis=2, keepdims=True), 1e-3)
    hue = np.abs(share - _surrounding(share, seen, floor.cell)).max(axis=2) < SAME_HUE
    soft = _masked_blur(value, seen, 2 * step)
    dark = ((around - soft)[..., 0] > DARKER) & hue & seen
    dark = ndimage.binary_opening(dark, iterations=step)
    dark = _as_dark_as_at_the_foot(dark, (around - soft)[..., 0], owners)
    feet = ndimage.binary_dilation(owners > 0, iterations=3 * step)
    numbers, _ = ndimage.label(dark | feet)
    cast = np.isin(numbers, np.unique(numbers[owners > 0])) & dark
    _, (row, column) = ndimage.distance_transform_edt(owners == 0, return_indices=True)
    reach = ndimage.binary_dilation(cast, iterations=4 * step)
    lit = interpolate(log, floor.known & ~reach & ~feet)
    depth = _masked_blur(np.maximum(lit - log, 0), cast, 3 * step)
    core = ndimage.binary_erosion(cast, iterations=step)
    # No cell may come out brighter than around the shadow, but for its texture.
    shade = np.minimum(depth, np.maximum(lit - log, 0) + TEXTURE) * core[..., None]
    edge = reach & ~core & ndimage.binary_dilation(~cast, iterations=3 * step)
    rim = (edge | ndimage.binary_dilation(owners > 0, iterations=3 * step)) & floor.known
    wide = np.where(rim | core | (owners > 0), owners[row, column], 0)
    return shade.astype(np.float32), rim, wide.astype(np.int32)


def _as_dark_as_at_the_foot(dark: np.ndarray, depth: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """What is left of dark cells where a body's shadow must stay half as dark as it is near the body."""
    away, (row, column) = ndimage.distance_transform_edt(owners == 0, return_indices=True)
    nearest = owners[row, column]
    kept = np.zeros_like(dark)
    for index in np.unique(owners[owners > 0]):
        own = dark & (nearest == index)
        near = own & (away <= max(4, float(np.sqrt((owners == index).sum())) / 2))
        if near.any():
            kept |= own & (depth > 0.5 * np.quantile(depth[near], 0.8))
    return kept


def _surrounding(values: np.ndarray, seen: np.ndarray, cell: float) -> np.ndarray:
    """What is usual around each cell: medians over tiles of 12 cm, smooth in between."""
    side = max(8, round(0.12 / cell))
    rows, columns = seen.shape
    shape = (-(-rows // side), -(-columns // side))
    table = np.zeros((*shape, values.shape[2]), dtype=np.float32)
    full = np.zeros(shape, dtype=bool)
    for i in range(shape[0]):
        for j in range(shape[1]):
            window = (slice(max(0, (i - 1) * side), (i + 2) * side), slice(max(0, (j - 1) * side), (j + 2) * side))
            inside = values[window][seen[window]]
            if len(inside) > side * side / 8:
                table[i, j], full[i, j] = np.quantile(inside, 0.6, axis=0), True
    table = interpolate(table, full)
    return cv2.resize(table, (columns, rows), interpolation=cv2.INTER_LINEAR).reshape(rows, columns, -1)


def _masked_blur(values: np.ndarray, mask: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian means over the cells of the mask alone, continued outward."""
    weight = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), sigma)[..., None]
    sums = cv2.GaussianBlur((values * mask[..., None]).astype(np.float32), (0, 0), sigma).reshape(values.shape)
    return sums / np.maximum(weight, 1e-4)
