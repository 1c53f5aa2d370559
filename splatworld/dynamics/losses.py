"""How far a prediction is from what happened."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import huber_loss

from splatworld.core import pose
from splatworld.dynamics import frame
from splatworld.dynamics.features import SPEED, SPIN
from splatworld.dynamics.library import Batch
from splatworld.dynamics.model import DynamicsModel
from splatworld.dynamics.scene import Scene
from splatworld.dynamics.step import SUBSTEPS, Moving, Predicted, Variation, act, predict_motion
from splatworld.dynamics.touch import moved, travelled
from splatworld.episodes import SUBSTATES

POINT = 0.002
"""m off that are one unit of loss."""
TWIST_SHARE = 0.3
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
    """The bodies of a batch at states [S] of its stretches, free ones a little off; half of the scenes are left."""
    rows = torch.arange(len(at))
    poses, twists = batch.poses[rows, at], batch.twists[rows, at]
    strength = torch.rand(len(at), 1, 1, generator=generator).double().mul(2).sub(1).clamp(min=0)
    scale = torch.tensor([noise.place] * 3 + [noise.turn] * 3 + [noise.speed] * 3 + [noise.spin] * 3).double()
    drawn = torch.randn(*poses.shape[:2], 12, generator=generator).double() * scale * strength
    drawn = torch.where((batch.scene.free & (twists != 0).any(-1))[..., None], drawn, 0.0)
    return start(batch.scene, moved(poses, drawn[..., :6]), twists + drawn[..., 6:])


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


def single_loss(said: Predicted, scene: Scene, before: Moving, truth: Moving, numbers: Tensor) -> Tensor:
    """Mean loss of one step; each member leaves out every other sixth episode."""
    members = len(said.members)
    poses = moved(before.poses[said.at], said.members[..., :6].double())
    loss = body_loss(scene, said.at, poses, said.members[..., 6:].double(), truth)
    keep = (numbers[said.at[0]] % (2 * members))[None] != torch.arange(members)[:, None]
    return (loss * keep).sum() / keep.sum().clamp(min=1)


def likelihood_loss(said: Predicted, before: Moving, truth: Moving) -> Tensor:
    """Mean negative log-likelihood of one step under each member's Gaussian; means are constants."""
    way = travelled(before.poses[said.at], truth.poses[said.at])
    actual = torch.cat([way, truth.twists[said.at]], dim=-1).float()
    gap = actual - said.members.detach()
    local = frame.to_local(said.heading[:, None], gap.unflatten(-1, (4, 3))).flatten(-2)
    bounded = local.square().clamp(max=1.0)  # m, rad: a body that fell the other way says nothing about its spread
    return 0.5 * (said.log_variance + bounded * torch.exp(-said.log_variance)).mean()


def step_once(model: DynamicsModel, batch: Batch, pace: Tensor, seconds: float, noise: Noise, variation: Variation,
              generator: torch.Generator) -> tuple[Predicted, Moving, Moving]:  # fmt: skip
    """Predict some bodies [S, B] of a batch one step ahead: what was said, from where, and what happened."""
    states, substates = len(batch.numbers), SUBSTATES if seconds > 0.05 else 1
    at = torch.zeros(states, dtype=torch.int64)
    if substates == 1:
        at = torch.randint(SUBSTATES, (states,), generator=generator)
    before = disturbed(batch, at, noise, generator)
    rows = torch.arange(states)
    truth = start(batch.scene, batch.poses[rows, at + substates], batch.twists[rows, at + substates])
    said = predict_motion(model, batch.scene, before, truth.poses, pace, seconds, variation=variation)
    return said, before, truth


def rollout_loss(model: DynamicsModel, batch: Batch, actions: int, noise: Noise, variation: Variation,
                 generator: torch.Generator) -> Tensor:  # fmt: skip
    """Mean loss at the ends of actions, the network going on from where it came, tools from where they were."""
    zero = torch.zeros(len(batch.numbers), dtype=torch.int64)
    now = disturbed(batch, zero, noise, generator)
    total, count = torch.zeros((), dtype=torch.float64), 0
    for t in range(actions):
        tools = batch.scene.tool[..., None]
        poses, ends = batch.poses[:, t * SUBSTATES], batch.poses[:, (t + 1) * SUBSTATES]
        placed = Moving(torch.where(tools, poses, now.poses), *list(vars(now).values())[1:])
        now = act(model, batch.scene, placed, ends, variation=variation).moving
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
