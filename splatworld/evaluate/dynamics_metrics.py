"""How far predicted episodes are from what happened, how sure they were, and what became of the bodies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from splatworld.core import pose
from splatworld.dynamics.library import Batch
from splatworld.dynamics.touch import travelled
from splatworld.evaluate.dynamics_rollouts import Rollouts, stacked
from splatworld.evaluate.dynamics_sets import TestSet
from splatworld.geometry.contacts import contacts, near_pairs

MOVED = 0.01
"""m that a body must truly get from its place to be counted."""
INTERVAL = 1.645
"""Standard deviations on each side that hold 90 %."""
NEAR = 0.003
"""m at which two bodies count as touching."""
BETWEEN = 5
"""Places an action at which bodies on their way are looked at."""
SAME_SIDE = 30.0
"""Degrees within which two poses lie on the same side."""
ROUND = ("cylinder", "turned")
"""Families of shapes that are the same however they are turned about their z axis."""


@dataclass(frozen=True)
class Errors:
    """Of M bodies at one moment.

    Attributes:
        place: [M] m.
        turn: [M] degrees.
    """

    place: Tensor
    turn: Tensor

    def place_mm(self, share: float = 0.5) -> float:
        """A quantile of the positions' errors, mm."""
        return 1e3 * float(np.quantile(self.place.numpy(), share)) if len(self.place) else float("nan")

    def turn_degrees(self, share: float = 0.5) -> float:
        """A quantile of the orientations' errors, degrees."""
        return float(np.quantile(self.turn.numpy(), share)) if len(self.turn) else float("nan")


def movers(test_set: TestSet, truth: Rollouts) -> Tensor:
    """[N, 8] bool, bodies that truly got farther than `MOVED` from where they were."""
    way = (truth.poses[..., :3] - truth.poses[:, :1, :, :3]).norm(dim=-1).amax(1)
    return test_set.free & (way > MOVED)


def errors(found: Rollouts, truth: Rollouts, which: Tensor, action: int = -1) -> Errors:
    """Errors of bodies `which` [N, 8] after an action."""
    gap = travelled(truth.poses[:, action][which], found.poses[:, action][which])
    return Errors(gap[:, :3].norm(dim=-1), torch.rad2deg(gap[:, 3:].norm(dim=-1)))


def joined(parts: list[Errors]) -> Errors:
    """All of them."""
    return Errors(torch.cat([each.place for each in parts]), torch.cat([each.turn for each in parts]))


@dataclass(frozen=True)
class Spreads:
    """How predicted standard deviations and errors go together.

    Attributes:
        held: share of coordinates x and y whose error lies within the 90 % interval.
        correlation: Spearman's, of a body's standard deviation and its error.
        typical: m, median standard deviation.
    """

    held: float
    correlation: float
    typical: float


def spreads(found: Rollouts, truth: Rollouts, which: Tensor, action: int = -1) -> Spreads:
    """Of bodies `which` [N, 8] after an action."""
    gap = (found.poses[:, action, :, :2] - truth.poses[:, action, :, :2])[which]
    std = found.std[:, action, :, :2][which].double()
    size = std.norm(dim=-1)
    rank = spearmanr(size.numpy(), gap.norm(dim=-1).numpy()).statistic
    held = (gap.abs() <= INTERVAL * std).double().mean()
    return Spreads(float(held), float(rank), float(size.median()))


def energy(test_set: TestSet, found: Rollouts) -> Tensor:
    """[N, T + 1] J of all bodies that can move, with their true masses, as uniform solids."""
    truth, free = test_set.episodes.truth, test_set.free
    mass = (truth.mass * free).double()[:, None]
    inertia = (truth.inertia * free[..., None, None]).double()[:, None]
    spin = pose.rotate(pose.conjugate_quat(found.poses[..., 3:]), found.twists[..., 3:].double())
    kinetic = 0.5 * mass * found.twists[..., :3].double().square().sum(-1)
    kinetic = kinetic + 0.5 * (spin * (inertia @ spin[..., None])[..., 0]).sum(-1)
    return (kinetic + 9.81 * mass * found.poses[..., 2]).sum(-1)


def same_side(test_set: TestSet, found: Rollouts, truth: Rollouts, which: Tensor) -> Tensor:
    """[M] bool, whether bodies `which` [N, 8] end on the same side; of round ones their axis alone counts."""
    return alike(*(sides(test_set, each, which) for each in (found, truth)))


def sides(test_set: TestSet, found: Rollouts, which: Tensor) -> Tensor:
    """[M, 3] what is up in the end, body axes, of bodies `which` [N, 8]; of round ones turned to y = 0."""
    names = test_set.episodes.shapes
    circular = torch.tensor([name.rpartition("-")[0] in ROUND for name in names])
    rolls = circular[test_set.episodes.shape_ids[which]]
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    up = pose.rotate(pose.conjugate_quat(found.poses[:, -1][which][:, 3:]), up)
    turned = torch.stack([up[:, :2].norm(dim=-1), torch.zeros(len(up)).double(), up[:, 2]], dim=-1)
    return torch.where(rolls[:, None], turned, up)


def alike(one: Tensor, other: Tensor) -> Tensor:
    """[...] bool, whether sides [..., 3] as `sides` gives them are the same."""
    return torch.rad2deg((one * other).sum(-1).clamp(-1, 1).acos()) < SAME_SIDE


def first_contacts(batch: Batch, found: Rollouts) -> Tensor:
    """[N, 8, 8] when each two bodies that were apart first touch, fifths of an action; infinite where they never do."""
    scene, actions = batch.scene, found.poses.shape[1] - 1
    share = torch.arange(1, BETWEEN + 1).double()[:, None, None] / BETWEEN
    first, last = found.poses[:, :-1, None], found.poses[:, 1:, None]
    place = first[..., :3] + share * (last[..., :3] - first[..., :3])
    turn = first[..., 3:] + share * torch.where(
        (first[..., 3:] * last[..., 3:]).sum(-1, keepdim=True) < 0, -last[..., 3:] - first[..., 3:],
        last[..., 3:] - first[..., 3:],
    )  # fmt: skip
    between = torch.cat([place, pose.normalize_quat(turn)], dim=-1).flatten(1, 2)
    path = torch.cat([found.poses[:, :1], between], dim=1)
    tools = found.tools[:, :1].expand(-1, path.shape[1], -1)
    stack, ids, _ = stacked(batch, path, tools)
    pairs = scene.pairs[(scene.pairs[:, 0] > 0) & (scene.pairs[:, 1] < stack.shape[1] - 1)]
    near = near_pairs(scene.solids.shapes, stack, shape_ids=ids, pairs=pairs, reach=NEAR)
    touching = contacts(scene.solids.shapes, stack, shape_ids=ids, candidates=near, reach=NEAR).pairs
    length = actions * BETWEEN + 1
    moment = (touching[:, 0] % length).double()
    place_of = ((touching[:, 0] // length) * 8 + touching[:, 1] - 1) * 8 + touching[:, 2] - 1
    when = torch.full((len(path) * 64,), torch.inf, dtype=torch.float64)
    when = when.scatter_reduce(0, place_of, moment, "amin").reshape(-1, 8, 8)
    return torch.where(when > 0, when, torch.inf)  # what touched at first says nothing


def same_first_pair(found: Tensor, truth: Tensor) -> Tensor:
    """[K] bool of episodes in which bodies met: whether those that are predicted to meet first are among the first.

    Args:
        found, truth: [N, 8, 8] as `first_contacts` gives them.
    """
    mine, theirs = found.flatten(1), truth.flatten(1)
    met = torch.isfinite(theirs).any(-1) | torch.isfinite(mine).any(-1)
    mine, theirs = mine[met], theirs[met]
    chosen = theirs.gather(1, mine.argmin(-1, keepdim=True))[:, 0]
    # Two contacts within a fiftieth of a second are as good as at once.
    return torch.isfinite(mine).any(-1) & (chosen <= theirs.amin(-1) + 1)
