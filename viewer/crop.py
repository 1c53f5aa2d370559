"""A box outside of which splats are left out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from splatworld.bodies.numbering import selected
from splatworld.core import pose
from splatworld.core.world import World
from splatworld.viewer.splats import SplatArrays


@dataclass(frozen=True)
class Box:
    """A part of space; what rests outside of it can be left out.

    Attributes:
        low, high: [3] corners in the world's unit; infinite where it has no border.
    """

    low: np.ndarray
    high: np.ndarray

    def holds(self, points: np.ndarray) -> np.ndarray:
        """[N] bool: which of some points [N, 3] lie in it."""
        return np.all((points > self.low) & (points < self.high), axis=1)


def clipped(arrays: dict[int, SplatArrays], world: World, box: Box, whole: set[int]) -> dict[int, SplatArrays]:
    """Of bodies' splats those that rest in a box; all of those of the bodies `whole`, and no body that has none."""
    found = {}
    for index, part in arrays.items():
        if index in whole:
            found[index] = part
            continue
        places = torch.from_numpy(part.centers).double() * part.scale
        keep = box.holds(pose.transform(world.bodies[index].rest_pose.double(), places).numpy())
        names = ("centers", "covariances", "colors", "opacities", "completed")
        if keep.any():
            found[index] = replace(part, **{name: getattr(part, name)[keep] for name in names})
    return found


def limited(world: World, shown: set[int], box: Box | None, whole: set[int]) -> World:
    """The world with the splats alone that are drawn: of the bodies `shown`, and in a box as of `clipped`."""
    ids = world.splats.body_ids
    keep = torch.isin(ids, torch.tensor(sorted(shown), dtype=ids.dtype))
    if box is not None:
        inside = torch.from_numpy(box.holds(world.splats.means.numpy()))
        keep &= inside | torch.isin(ids, torch.tensor(sorted(whole), dtype=ids.dtype))
    return world if bool(keep.all()) else selected(world, keep)


def extent(means: Tensor) -> tuple[Tensor, Tensor]:
    """Corners of the box of the middle 98 % of the splats; strays far out say nothing of a scene's size."""
    finite = means[means.isfinite().all(dim=-1)]
    if not len(finite):
        return torch.zeros(3), torch.ones(3)
    ordered = finite.sort(dim=0).values
    return ordered[int(0.01 * (len(ordered) - 1))], ordered[int(0.99 * (len(ordered) - 1))]
