"""How far a prediction is from what happened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import huber_loss

from splatworld.core import pose
from splatworld.core.robot import ACTION_SECONDS
from splatworld.dynamics import frame
from splatworld.dynamics.features import SPEED, SPIN
from splatworld.dynamics.islands import find_islands
from splatworld.dynamics.library import Batch
from splatworld.dynamics.model import DynamicsModel
from splatworld.dynamics.scene import Scene
from splatworld.dynamics.step import SUBSTEPS, Look, Moving, Predicted, Variation, act, look
from splatworld.dynamics.touch import find_touches, moved, travelled
from splatworld.episodes import SUBSTATES

POINT = 0.001
"""m off that are one unit of loss."""
TWIST_SHARE = 0.3
TOLD = 0.5
"""Share of scenes whose bodies' latents are the true ones, the others' are 0."""
DRAWN_TO = 20.0
"""Units of loss beyond which a body in a rollout no longer counts: it has gone another way."""

assert SUBSTEPS == SUBSTATES


@dataclass(frozen=True)
class Noise:
    """Standard deviations of what is added to inputs, so that a rollout's own errors look familiar.

    Attributes:
        place: m.
        turn: rad.
        speed: m/s.
        spin: rad/s.
    """

    place: float = 0.0007
    turn: float = 0.0105
    speed: float = 0.005
    spin: float = 0.03


def disturbed(batch: Batch, at: Tensor, noise: Noise, generator: torch.Generator) -> Moving:
    """The bodies of a batch at states [S] of its stretches, free ones a little off; half of the scenes are left.

    Of half of the scenes it is told what is true of the bodies: what a network learns of contacts there, without having
    to guess, serves it elsewhere, and it learns what to make of beliefs.
    """
    rows = torch.arange(len(at))
    poses, twists = batch.poses[rows, at], batch.twists[rows, at]
    strength = torch.rand(len(at), 1, 1, generator=generator).double().mul(2).sub(1).clamp(min=0)
    scale = torch.tensor([noise.place] * 3 + [noise.turn] * 3 + [noise.speed] * 3 + [noise.spin] * 3).double()
    drawn = torch.randn(*poses.shape[:2], 12, generator=generator).double() * scale * strength
    drawn = torch.where((batch.scene.free & (twists != 0).any(-1))[..., None], drawn, 0.0)
    told = torch.rand(len(at), 1, 1, generator=generator) < TOLD
    latents = torch.where(told, batch.latents, 0.0).to(poses)
    return replace(start(batch.scene, moved(poses, drawn[..., :6]), twists + drawn[..., 6:]), latents=latents)


def start(scene: Scene, poses: Tensor, twists: Tensor) -> Moving:
    """Bodies of which nothing else is known."""
    none = torch.zeros(*poses.shape[:2], 6, dtype=poses.dtype)
    return Moving(poses, twists, torch.zeros(*poses.shape[:2], 8), none, scene.free)


def body_loss(scene: Scene, at: tuple[Tensor, Tensor], poses: Tensor, twists: Tensor, truth: Moving) -> Tensor:
    """[..., N] Huber's loss on surface points and twists of bodies at (states, bodies) [N].

    Args:
        scene: of S states.
        at: which bodies.
        poses, twists: [..., N, 7] and [..., N, 6] as predicted.
        truth: what happened.
    """
    probes = scene.of_bodies(scene.solids.probes, at).double()
    there, actual = truth.poses[at], truth.twists[at]
    gap = pose.transform(poses[..., None, :], probes) - pose.transform(there[:, None], probes)
    points = _huber(gap.norm(dim=-1) / POINT).mean(-1)
    unit = actual.new_tensor([SPEED] * 3 + [SPIN] * 3)
    return points + TWIST_SHARE * _huber((twists - actual) / unit).mean(-1)


def single_loss(said: Predicted, sight: Sight) -> Tensor:
    """Mean loss of one step; each member leaves out every other sixth episode."""
    members = len(said.members)
    poses = moved(sight.before.poses[said.at], said.members[..., :6].double())
    loss = body_loss(sight.scene, said.at, poses, said.members[..., 6:].double(), sight.truth)
    keep = (sight.numbers[said.at[0]] % (2 * members))[None] != torch.arange(members)[:, None]
    return (loss * keep).sum() / keep.sum().clamp(min=1)


def likelihood_loss(said: Predicted, sight: Sight) -> Tensor:
    """Mean negative log-likelihood of one step under each member's Gaussian; means are constants."""
    way = travelled(sight.before.poses[said.at], sight.truth.poses[said.at])
    actual = torch.cat([way, sight.truth.twists[said.at]], dim=-1).float()
    gap = actual - said.members.detach()
    local = frame.to_local(said.heading[:, None], gap.unflatten(-1, (4, 3))).flatten(-2)
    bounded = local.square().clamp(max=1.0)  # m, rad: a body that fell the other way says nothing about its spread
    return 0.5 * (said.log_variance + bounded * torch.exp(-said.log_variance)).mean()


@dataclass(frozen=True)
class Sight:
    """One step of some bodies of a batch: what is seen before it, and what happened.

    Attributes:
        look: at N of the bodies.
        scene: of S states.
        before: as they are seen.
        truth: afterwards.
        numbers: [S] int64, of which episode each state is.
    """

    look: Look
    scene: Scene
    before: Moving
    truth: Moving
    numbers: Tensor


def see(batch: Batch, noise: Noise, generator: torch.Generator) -> list[Sight]:
    """The first action of a batch as whole and short steps of the bodies that take such."""
    scene, rows = batch.scene, torch.arange(len(batch.numbers))
    ends = batch.poses[:, SUBSTATES]
    islands = find_islands(scene, batch.poses[:, 0], batch.twists[:, 0], ends, ACTION_SECONDS, unsure=scene.free)
    found = []
    for pace, substates in ((islands.awake & ~islands.fine, SUBSTATES), (islands.fine, 1)):
        if not bool(pace.any()):
            continue
        at = torch.randint(SUBSTATES // substates, (len(rows),), generator=generator)
        before = disturbed(batch, at, noise, generator)
        truth = start(scene, batch.poses[rows, at + substates], batch.twists[rows, at + substates])
        touch = find_touches(scene, before.poses, truth.poses, pace)
        seen = look(scene, touch, before, truth.poses, ACTION_SECONDS * substates / SUBSTATES)
        found.append(Sight(seen, scene, before, truth, batch.numbers))
    return found


def follow(model: DynamicsModel, batch: Batch, now: Moving, *, variation: Variation | None = None) -> Iterator[Moving]:
    """The bodies of a batch at the ends of its actions; they go on from where they came, tools from where they were."""
    tools = batch.scene.tool[..., None]
    for t in range(0, batch.poses.shape[1] - 1, SUBSTATES):
        placed = replace(now, poses=torch.where(tools, batch.poses[:, t], now.poses))
        now = act(model, batch.scene, placed, batch.poses[:, t + SUBSTATES], variation=variation).moving
        yield now


def rollout_loss(model: DynamicsModel, batch: Batch, noise: Noise, variation: Variation,
                 generator: torch.Generator) -> Tensor:  # fmt: skip
    """Mean loss at the ends of all actions of a batch."""
    zero = torch.zeros(len(batch.numbers), dtype=torch.int64)
    begin = disturbed(batch, zero, noise, generator)
    total, count = torch.zeros((), dtype=torch.float64), 0
    for t, now in enumerate(follow(model, batch, begin, variation=variation)):
        poses, ends = batch.poses[:, t * SUBSTATES], batch.poses[:, (t + 1) * SUBSTATES]
        truth = start(batch.scene, ends, batch.twists[:, (t + 1) * SUBSTATES])
        moving = batch.scene.free & (now.awake | (ends != poses).any(-1))
        states, bodies = moving.nonzero().unbind(-1)
        at = (states, bodies)
        loss = body_loss(batch.scene, at, now.poses[at], now.twists[at], truth)
        total = total + torch.where(loss < DRAWN_TO, loss, DRAWN_TO).sum()
        count += len(loss)
    return total / max(count, 1)


def _huber(error: Tensor) -> Tensor:
    return huber_loss(error, torch.zeros_like(error), reduction="none")
