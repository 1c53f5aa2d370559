"""Which splats are bodies, from both kinds of evidence: how high things lie, and how pictures part them.

What heights tell and what looks tell is weighed at one scale, the roughness of the support. On a smooth one heights say
nearly all: what stands up is a body, what lies in it is none, whatever it looks like. On a rough one they say little,
and looks fill in.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from splatworld.bodies.config import SegmentConfig
from splatworld.bodies.consensus import AGREED, Looks
from splatworld.bodies.feet import with_feet
from splatworld.bodies.heights import Ground, clusters, owned
from splatworld.bodies.surface import sample
from splatworld.bodies.touch import touching
from splatworld.core.camera import Camera
from splatworld.core.splats import Splats

ENOUGH = 2.0
"""How many times as high as the roughness a cluster lies, at least; that its splats look like no support counts for
one time."""
AROUND = 10
"""Cells around a thing within which the support tells its height, and splats are its neighbours."""
UNDECIDED = -1
"""In place of the body's number, of what is too small or too little seen to be one of its own."""
SURELY = 2.0
"""How many times as much of a group's outline is against the support as for a body, for it to be one for sure."""
TOUCH = 2
"""Cells within which things that pictures show side by side touch."""


@dataclass(frozen=True)
class Scene:
    """The evidence.

    Attributes:
        splats: N splats, support at z = 0.
        weights: [N] share of the pictures that each takes.
        solid: [N] bool, those that build clusters; fainter ones may belong to a body.
        ground: the support.
        looks: what pictures say.
        config: lengths in the world's units.
        cameras: of the pictures.
    """

    splats: Splats
    weights: Tensor
    solid: Tensor
    ground: Ground
    looks: Looks
    config: SegmentConfig
    cameras: list[Camera]

    def bodies(self) -> Tensor:
        """Labels [N] of the bodies, largest first from 1; 0 for the rest.

        1. A cluster by heights is a body if it stands on the support and is clearly higher than that is rough.
        2. A group by looks that the support surrounds parts the cluster that holds it, unless the support is so even
           that heights tell for sure what is one.
        3. Of a group that lies mostly in a cluster, what is higher than half the roughness belongs to that; what such a
           group shows beyond is shadow. A cluster that lies mostly in a group takes all of it.
        4. What heights tell nothing of is a body if the support surrounds it and does not show it to be flat: as high
           as the support around it, up to the lowest height of a body.
        5. What touches mostly one body is part of it, as the screen of a laptop; what is surely a body stays apart.
        6. What is too low to tell but lies below a body's outline and looks unlike the support belongs to it.
        """
        parts = self._clusters()
        parts = torch.where(torch.isin(parts, torch.tensor(self._parted(parts))), 0, parts)
        count = int(parts.max()) + 1
        names = list(range(count))  # of each part the body it belongs to, 0 for none
        sure = list(range(1, count))  # bodies that stay apart
        height = self.splats.means[:, 2]
        for group in self._by_size(self.looks.groups):
            whole = self.looks.groups == group
            rest = whole & (parts == 0)
            told = torch.bincount(parts[whole], weights=self.weights[whole], minlength=len(names))
            told[0] = 0
            most = int(told.argmax())
            if float(told[most]) > AGREED * float(self.weights[whole].sum()):
                parts[rest & (height > self.ground.rough / 2) & (height < self.ground.rough)] = most
                continue
            if self._flat(rest):
                continue
            if not self._heavy(rest) or not self._sized(rest):
                if float(self.looks.surrounded[group]) <= self.config.surrounded:
                    names.append(UNDECIDED)
                    parts[rest] = len(names) - 1
                continue
            if most and float(told[most]) > AGREED * float(self.weights[parts == most].sum()):
                names.append(names[most])
            else:
                raised = rest & (height > self.ground.rough)
                floats = float(self.weights[raised].sum()) > AGREED * float(self.weights[rest].sum())
                floats = floats and not self._low(sample(self.splats, raised).points)
                around = float(self.looks.surrounded[group])
                names.append(len(names) if not floats and around > self.config.surrounded else 0)
                if names[-1] and around > SURELY * self.config.surrounded:
                    sure.append(names[-1])
            parts[rest] = len(names) - 1
        labels = torch.tensor(self._joined(parts, names, sure))[parts]
        labels = with_feet(
            self.splats,
            labels,
            solid=self.solid,
            raised=self.looks.raised,
            rough=self.ground.rough,
            cell=self.config.cell,
        )
        ranks = {label: rank for rank, label in enumerate(self._by_size(labels), 1)}
        return torch.tensor([ranks.get(label, 0) for label in range(len(names))])[labels]

    @cached_property
    def _level(self) -> tuple[cKDTree, Tensor]:
        """Where splats of the support lie, in the plane, and how high."""
        own = (self.looks.groups == 0) & (self.splats.means[:, 2].abs() < self.ground.rough) & (self.weights > 0)
        own &= self.ground.over.inside(self.splats.means)
        return cKDTree(self.splats.means[own, :2].numpy()), self.splats.means[own, 2]

    def _clusters(self) -> Tensor:
        """[N] numbers of the clusters that are bodies by their heights, 0 elsewhere."""
        config, ground = self.config, self.ground
        above = sample(self.splats, self.solid)
        height = above.points[:, 2]
        near = ground.over.near(above.points, config.around)
        above = above.select((height > ground.rough) & (height < config.reach) & near)
        numbers = clusters(above, config.cell)
        own = owned(above, numbers, len(self.splats))
        result, count = torch.zeros_like(own), 0
        for number in self._by_size(own):
            if not self._heavy(own == number):
                break
            if self._stands(own == number, above.points[(own[above.owners] == number) & (numbers == number)]):
                count += 1
                result[own == number] = count
        return result

    def _stands(self, own: Tensor, points: Tensor) -> bool:
        """Whether a cluster is a body: over the support, near it, of a body's size, and not only a bump of it."""
        rough, weights = self.ground.rough, self.weights[own]
        total = weights.sum().clamp(min=1e-12)
        raised = float((weights * (self.splats.means[own, 2] > rough)).sum() / total)
        unlike = float((weights * self.looks.raised[own]).sum() / total)
        return (
            self._sized(own)
            and raised > AGREED
            and float(points[:, 2].median()) / rough + unlike > ENOUGH
            and self._low(points)
            and float(self.ground.over.inside(points).float().mean()) >= self.config.inside
        )

    def _parted(self, parts: Tensor) -> list[int]:
        """The clusters that looks part: most of a group that the support surrounds lies in one, with others."""
        certain = min(1.0, (self.config.lowest / max(self.ground.uneven, 1e-12)) ** 2)
        found = []
        for group in self._by_size(self.looks.groups):
            own = self.looks.groups == group
            if float(self.looks.surrounded[group]) <= max(self.config.surrounded, certain) or not self._heavy(own):
                continue
            inside = torch.bincount(parts[own], weights=self.weights[own])
            most = int(inside.argmax())
            held = float(inside[most])
            mostly_inside = held > AGREED * float(self.weights[own].sum())
            if most and mostly_inside and held < AGREED * float(self.weights[parts == most].sum()):
                found.append(most)
        return found

    def _joined(self, parts: Tensor, names: list[int], sure: list[int]) -> list[int]:
        """The body of each part, after parts most of whose contacts are with one other body have joined it.

        What heights or much support around tell to be bodies, the `sure` ones, stay apart. Contacts with what is
        undecided, or belongs to a group but no part, tell a part of a body's size nothing, as long as they are fewer
        than half. For undecided ones they count: chains of small pieces join nothing.
        """
        if len(names) == 1:
            return names
        last = len(names)
        drawn = torch.where((parts == 0) & (self.looks.groups > 0), last, parts)
        touched = touching(self.splats, drawn, last + 1, self.cameras, reach=TOUCH * self.config.cell)
        body_of = torch.tensor([*names, UNDECIDED])
        while True:
            joins = None
            for part in range(1, last):
                own = int(body_of[part])
                members = body_of == own if own > 0 else torch.arange(last + 1) == part
                along = touched[members].sum(dim=0)
                decided = body_of != UNDECIDED
                against = torch.zeros(last).index_add_(0, body_of[decided], along[decided])
                if own > 0:
                    against[own] = 0
                if own in sure:
                    against[sure] = 0
                best, told = int(against.argmax()), float(against.sum())
                unsure = float(along[~decided & ~members].sum())
                asked = told + unsure if own == UNDECIDED else told
                if best and float(against[best]) > AGREED * asked and told > unsure:
                    joins = members
                    body_of = torch.where(joins, best, body_of)
            if joins is None:
                return body_of[:-1].clamp(min=0).tolist()

    def _by_size(self, labels: Tensor) -> list[int]:
        """The labels above 0 that any splat has, by the weight of those, largest first."""
        sizes = torch.bincount(labels, weights=self.weights)
        return [label for label in sizes.argsort(descending=True).tolist() if label and float(sizes[label]) > 0]

    def _heavy(self, own: Tensor) -> bool:
        """Whether enough is seen of splats: the rougher the support, the larger a thing must be in both directions."""
        least = self.config.least_weight * (self.ground.rough / self.config.lowest) ** 2
        return float(self.weights[own].sum()) > min(least, self.config.enough_weight)

    def _low(self, points: Tensor) -> bool:
        """Whether points [P, 3] reach down to the support, as well as that is known."""
        return float(points[:, 2].quantile(0.01)) < 3 * self.ground.rough + self.config.cell

    def _sized(self, own: Tensor) -> bool:
        """Whether splats are of a body's size."""
        points = sample(self.splats, own & self.solid).points
        if not len(points):
            return False
        extent = float((points.quantile(0.99, dim=0) - points.quantile(0.01, dim=0)).max())
        return self.config.least_extent <= extent <= self.config.largest_extent

    def _flat(self, own: Tensor) -> bool:
        """Whether splats are shown to be lower than any body above the support around them."""
        tree, heights = self._level
        if not len(heights):
            return False
        _, index = tree.query(self.splats.means[own, :2].numpy(), k=50, distance_upper_bound=AROUND * self.config.cell)
        around = np.unique(index[index < len(heights)])
        level = float(heights[torch.from_numpy(around)].median()) if len(around) else 0.0
        return float(self.splats.means[own, 2].median()) - level + self.ground.uneven < self.config.lowest
