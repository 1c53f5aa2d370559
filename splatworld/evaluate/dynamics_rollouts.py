"""The same episodes predicted by the network, by MuJoCo that does not know the parameters, and by simple rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.robot import ACTION_SECONDS
from splatworld.dynamics.library import Batch
from splatworld.dynamics.losses import follow
from splatworld.dynamics.losses import start as begin
from splatworld.dynamics.model import DynamicsModel
from splatworld.dynamics.scene import Kind
from splatworld.dynamics.step import Moving, act
from splatworld.dynamics.touch import moved
from splatworld.episodes import SUBSTATES
from splatworld.evaluate.dynamics_sets import TestSet
from splatworld.geometry.contacts import contacts, near_pairs
from splatworld.simulate.episodes.redraw import rerun, scene_at, with_knowledge

TOUCHED = 0.002
"""m at which a body counts as touched by the tool."""


@dataclass(frozen=True)
class Rollouts:
    """N predicted episodes of T actions.

    Attributes:
        poses: [N, T + 1, 8, 7].
        twists: [N, T + 1, 8, 6].
        tools: [N, T + 1, 7] where the tool was.
        std: [N, T + 1, 8, 6] predicted standard deviation, m and rad; 0 of those who predict none.
    """

    poses: Tensor
    twists: Tensor
    tools: Tensor
    std: Tensor


def true(batch: Batch) -> Rollouts:
    """What happened."""
    return _rollouts(batch, batch.poses[:, ::SUBSTATES, 1:-1], batch.twists[:, ::SUBSTATES, 1:-1])


def still(batch: Batch) -> Rollouts:
    """Nothing moves."""
    shown = batch.poses[:, ::SUBSTATES, 1:-1]
    return _rollouts(batch, shown[:, :1].expand_as(shown), torch.zeros_like(batch.twists[:, ::SUBSTATES, 1:-1]))


def coasting(batch: Batch) -> Rollouts:
    """Everything moves on as it did."""
    twists = batch.twists[:, ::SUBSTATES, 1:-1][:, :1].expand(-1, _length(batch) + 1, -1, -1)
    seconds = ACTION_SECONDS * torch.arange(_length(batch) + 1, dtype=torch.float64)[:, None, None]
    poses = batch.poses[:, :1, 1:-1].expand(-1, len(seconds), -1, -1)
    return _rollouts(batch, moved(poses, seconds * twists), twists)


def stuck(batch: Batch) -> Rollouts:
    """A body that the tool touches moves with it from then on; all others stay."""
    scene, tools = batch.scene, batch.poses[:, ::SUBSTATES, -1]
    now, held = batch.poses[:, 0, 1:-1], torch.zeros_like(batch.scene.free[:, 1:-1])
    found = [now]
    for t in range(_length(batch)):
        carry = pose.compose(tools[:, t + 1], pose.inverse(tools[:, t]))[:, None]
        now = torch.where(held[..., None], pose.compose(carry.expand_as(now), now), now)
        found.append(now)
        everything = torch.cat([batch.poses[:, 0, :1], now, tools[:, t + 1, None]], dim=1)
        ids = scene.shape_ids
        near = near_pairs(scene.solids.shapes, everything, shape_ids=ids, pairs=scene.pairs, reach=TOUCHED)
        near = near[near[:, 2] == everything.shape[1] - 1]
        close = contacts(scene.solids.shapes, everything, shape_ids=ids, candidates=near, reach=TOUCHED)
        held = held.index_put((close.pairs[:, 0], close.pairs[:, 1] - 1), torch.tensor(True))
        held &= scene.free[:, 1:-1]
    poses = torch.stack(found, dim=1)
    return _rollouts(batch, poses, torch.zeros(*poses.shape[:3], 6).double())


RULES: dict[str, Callable[[Batch], Rollouts]] = {
    "still": still,
    "constant velocity": coasting,
    "stuck to the tool": stuck,
}


@torch.no_grad()
def network(
    model: DynamicsModel, batch: Batch, commands: Tensor | None = None, *, latents: Tensor | None = None
) -> Rollouts:
    """Bodies by the network, from where the batch begins.

    Args:
        model: the network.
        batch: first states; and the ways of the tools, where no commands are given.
        commands: [N, T, 4] increments of the tool's x, y, z and yaw that it carries out exactly, as far as it can.
        latents: [N, 10, 8] what is believed of the bodies; None: nothing.
    """
    now = begin(batch.scene, batch.poses[:, 0], batch.twists[:, 0])
    now = now if latents is None else replace(now, latents=latents)
    if commands is None:
        states = [now, *follow(model, batch, now)]
        tools = batch.poses[:, ::SUBSTATES, -1]
    else:
        states = [now, *_commanded(model, batch, now, commands.double())]
        tools = torch.stack([each.poses[:, -1] for each in states], dim=1)
    return Rollouts(
        poses=torch.stack([each.poses[:, 1:-1] for each in states], dim=1),
        twists=torch.stack([each.twists[:, 1:-1] for each in states], dim=1),
        tools=tools,
        std=torch.stack([each.variance[:, 1:-1].sqrt() for each in states], dim=1),
    )


def _commanded(model: DynamicsModel, batch: Batch, now: Moving, commands: Tensor) -> Iterator[Moving]:
    for t in range(commands.shape[1]):
        step = commands[:, t]
        way = torch.cat([step[:, :3], torch.zeros(len(step), 2).double(), step[:, 3:]], dim=-1)
        now = act(model, batch.scene, now, moved(now.poses, way[:, None])).moving
        yield now


def mujoco(test_set: TestSet, knowledge: str, start: int, actions: int, *, seed: int = 0) -> Rollouts:
    """MuJoCo again from a stored state, under the same commands, knowing the parameters as `redraw.KNOWLEDGE` says;
    `seed` chooses the redraws."""
    episodes = test_set.episodes
    batch = test_set.batch(start, actions)
    poses = batch.poses[:, ::SUBSTATES, 1:-1].clone()
    twists = batch.twists[:, ::SUBSTATES, 1:-1].clone()
    for number in range(len(episodes)):
        scene = scene_at(episodes, number, start, step=test_set.config.step)
        known = with_knowledge(scene, knowledge, test_set.config.ranges, seed=number + seed * len(episodes))
        again = rerun(known, episodes.actions[number, start : start + actions].numpy())
        count = len(scene)
        poses[number, :, :count] = torch.from_numpy(again.poses[::SUBSTATES])
        twists[number, :, :count] = torch.from_numpy(again.twists[::SUBSTATES])
    return _rollouts(batch, poses, twists)


def depths(batch: Batch, rollouts: Rollouts) -> Tensor:
    """[N, T] m, how deep a body that can move sinks into anything at the end of each action; 0 where none does."""
    scene, actions = batch.scene, rollouts.poses.shape[1] - 1
    stack, ids, kinds = stacked(batch, rollouts.poses[:, 1:], rollouts.tools[:, 1:])
    near = near_pairs(scene.solids.shapes, stack, shape_ids=ids, pairs=scene.pairs, reach=0.0)
    free = kinds == Kind.FREE
    near = near[free[near[:, 0], near[:, 1]] | free[near[:, 0], near[:, 2]]]
    found = contacts(scene.solids.shapes, stack, shape_ids=ids, candidates=near, reach=0.0)
    deepest = torch.zeros(len(stack)).scatter_reduce(0, found.pairs[:, 0], -found.distance.amin(-1), "amax")
    return deepest.reshape(-1, actions)


def stacked(batch: Batch, poses: Tensor, tools: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Poses [N * K, 10, 7], shapes and kinds [N * K, 10] of states [N, K, 8, 7] with tools [N, K, 7]."""
    length = poses.shape[1]
    table = batch.poses[:, :1, :1].expand(-1, length, -1, -1)
    stack = torch.cat([table, poses, tools[:, :, None]], dim=2).flatten(0, 1)
    ids = batch.scene.shape_ids[:, None].expand(-1, length, -1).flatten(0, 1)
    return stack, ids, batch.scene.kinds[:, None].expand(-1, length, -1).flatten(0, 1)


def _rollouts(batch: Batch, poses: Tensor, twists: Tensor) -> Rollouts:
    none = torch.zeros(*poses.shape[:3], 6)
    return Rollouts(poses.contiguous(), twists, batch.poses[:, ::SUBSTATES, -1], none)


def _length(batch: Batch) -> int:
    return (batch.poses.shape[1] - 1) // SUBSTATES
