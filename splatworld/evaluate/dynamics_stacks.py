"""Rows of the suite `dynamics` about stacks: whether they stand, and who stands on whom when they were pushed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from splatworld.dynamics.library import Batch
from splatworld.dynamics.losses import start
from splatworld.dynamics.model import DynamicsModel
from splatworld.dynamics.step import act
from splatworld.dynamics.touch import travelled
from splatworld.evaluate.dynamics_metrics import errors, movers
from splatworld.evaluate.dynamics_rollouts import Rollouts, mujoco, network, stacked, still, true
from splatworld.evaluate.dynamics_sets import TestSet, load_set
from splatworld.evaluate.report import Line, line
from splatworld.geometry.contacts import contacts, near_pairs
from splatworld.simulate.episodes.redraw import rerun, scene_at

LABELS = {
    "stack pushed": "stacks of 4, bottom pushed",
    "stack pushed held-out": "stacks of 4 held-out shapes, bottom pushed",
}
REDRAWS = 4
MARGIN = 3.0
"""Points by which contact orders may be worse than those of a redraw in MuJoCo."""
TOUCHING, UPWARD = 0.003, 0.5
"""m, and of a contact's normal, from which a body stands on another."""
MINUTE = 600
"""Actions."""
STANDS, UPRIGHT = 0.01, 5.0
"""m and degrees by which a body of a stack that stands may be off."""
NUDGE = (0.02, 0.2)
"""m/s and rad/s, standard deviation of the twists that wake a stack."""


def stack_lines(model: DynamicsModel, name: str, count: int, say: Callable[..., object]) -> list[Line]:
    """Rows of one of `LABELS`: contact orders against those of MuJoCo redrawn."""
    test_set, label = load_set(name, count, say), LABELS[name]
    batch = test_set.batch(0, test_set.actions)
    truth = true(batch)
    happened, which = standing(batch, truth), movers(test_set, truth)
    say(f"{label}: predictions")
    found = network(model, batch)
    say(f"{label}: {REDRAWS} redraws in MuJoCo")
    redrawn = [mujoco(test_set, "redrawn", 0, test_set.actions, seed=k) for k in range(REDRAWS)]
    own, before = standing(batch, found), standing(batch, still(batch))
    floor = sum(_same(standing(batch, each), happened) for each in redrawn) / REDRAWS
    return [
        line(f"{label}: who stands on whom at the end, of {len(happened)}", _same(own, happened), "%",
             f">= {floor - MARGIN:.1f}" if name == "stack pushed" else None,
             f"MuJoCo redrawn {floor:.1f}, nothing moves {_same(before, happened):.1f}"),
        line(f"{label}: position at the end, median of {int(which.sum())}", errors(found, truth, which).place_mm(),
             "mm", None, f"MuJoCo redrawn {errors(redrawn[0], truth, which).place_mm():.1f}"),
    ]  # fmt: skip


def alone_lines(model: DynamicsModel, count: int, say: Callable[..., object], *, actions: int = MINUTE) -> list[Line]:
    """Whether stacks stand for long before anything pushes them, as they are and after a nudge."""
    test_set = load_set("stack pushed", count, say)
    batch, seconds = test_set.batch(0, 1), actions / 10
    twists = torch.zeros_like(batch.twists[:, 0])
    say(f"stacks left alone for {seconds:g} s")
    left = _upright(batch, _after(model, batch, twists, actions))
    random = torch.Generator().manual_seed(0)
    drawn = torch.randn(twists.shape, generator=random).double() * torch.tensor([NUDGE[0]] * 3 + [NUDGE[1]] * 3)
    twists = torch.where(batch.scene.free[..., None], drawn, 0.0)
    say(f"stacks nudged, for {seconds:g} s")
    nudged = _upright(batch, _after(model, batch, twists, actions))
    oracle = _upright(batch, _oracle_after(test_set, batch, twists, actions))
    return [
        line(f"stacks of 4 left alone: stand after {seconds:g} s, of {count}", 100 * _mean(left), "%", ">= 100"),
        line(f"stacks of 4 nudged: stand after {seconds:g} s", 100 * _mean(nudged), "%", None,
             f"oracle {100 * _mean(oracle):.1f}"),
    ]  # fmt: skip


def standing(batch: Batch, found: Rollouts) -> Tensor:
    """[N, 10, 10] bool, whether a body of the batch (the table first) stands on another at the end."""
    scene = batch.scene
    stack, ids, _ = stacked(batch, found.poses[:, -1:], found.tools[:, -1:])
    # The tool carries nothing.
    pairs = scene.pairs[scene.pairs[:, 1] < stack.shape[1] - 1]
    near = near_pairs(scene.solids.shapes, stack, shape_ids=ids, pairs=pairs, reach=TOUCHING)
    touching = contacts(scene.solids.shapes, stack, shape_ids=ids, candidates=near, reach=TOUCHING)
    up = torch.where(touching.distance < TOUCHING, touching.normal[..., 2], 0.0)
    state, a, b = touching.pairs.unbind(-1)
    on = torch.zeros(len(stack), stack.shape[1], stack.shape[1], dtype=torch.bool)
    on[state, a, b] = up.amax(-1) > UPWARD
    on[state, b, a] = up.amin(-1) < -UPWARD
    return on


def _same(found: Tensor, truth: Tensor) -> float:
    """% of states in which all stand as in the truth."""
    return 100 * _mean((found == truth).flatten(1).all(-1))


@torch.no_grad()
def _after(model: DynamicsModel, batch: Batch, twists: Tensor, actions: int) -> Tensor:
    """Poses [N, 10, 7] after so many actions that move no tool."""
    now = start(batch.scene, batch.poses[:, 0], twists)
    for _ in range(actions):
        now = act(model, batch.scene, now, now.poses).moving
    return now.poses


def _oracle_after(test_set: TestSet, batch: Batch, twists: Tensor, actions: int) -> Tensor:
    poses = batch.poses[:, 0].clone()
    for number in range(len(poses)):
        scene = scene_at(test_set.episodes, number, 0, step=test_set.config.step)
        nudged = replace(scene, twists=twists[number, 1 : 1 + len(scene)].numpy())
        again = rerun(nudged, torch.zeros(actions, 4))
        poses[number, 1 : 1 + len(scene)] = torch.from_numpy(again.poses[-1])
    return poses


def _upright(batch: Batch, poses: Tensor) -> Tensor:
    """[N] bool, whether all that was in the batch's first states is there still."""
    gap = travelled(batch.poses[:, 0], poses)
    off = (gap[..., :3].norm(dim=-1) > STANDS) | (torch.rad2deg(gap[..., 3:5].norm(dim=-1)) > UPRIGHT)
    return ~(off & batch.scene.free).any(-1)


def _mean(flags: Tensor) -> float:
    return float(flags.double().mean())
