"""How hard the tool presses on a body, as read off its motion, against the oracle's contact forces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from scipy.stats import spearmanr
from torch import Tensor

from splatworld.core.rollout import Rollout
from splatworld.core.world import World
from splatworld.dynamics.model import DynamicsModel
from splatworld.dynamics.predict import predict
from splatworld.episodes import TOOL
from splatworld.evaluate.dynamics_sets import load_set
from splatworld.evaluate.report import Line, line
from splatworld.plan.prediction import Prediction
from splatworld.simulate.episodes.world import to_world

SPLATS = 30
FELT = 0.01
"""N s an action from which on the oracle's impulse counts: a tenth of a newton."""
REACH = 0.003
"""m between tool and body at the end of an action in which they may have touched."""
BODY = 2
"""After background and table."""
PREDICTED = 10
"""Actions."""


@dataclass(frozen=True)
class Forces:
    """Impulses [N] N s of actions in which the oracle's is at least `FELT`."""

    found: Tensor
    right: Tensor

    @property
    def off(self) -> float:
        """Median relative error, %."""
        return 100 * float(((self.found - self.right).abs() / self.right).median())

    @property
    def rank(self) -> float:
        """Spearman's correlation."""
        return float(spearmanr(self.found.numpy(), self.right.numpy()).statistic)


def force_lines(model: DynamicsModel, count: int, say: Callable[..., object]) -> list[Line]:
    """Normal impulses between tool and body, action by action, of one pushed body.

    Nobody can tell a heavy body from a light one by how it slides under a tool that goes its way whatever it meets:
    without the mass a force is known up to a factor. So it is read both ways.
    """
    test_set = load_set("one", count, say)
    episodes = test_set.episodes
    truth = test_set.batch(0, 1).latents
    found: dict[str, list[Tensor]] = {"seen": [], "told": [], "predicted": []}
    right, right_early = [], []
    for number in range(len(episodes)):
        say(f"forces: episode {number + 1} of {len(episodes)}")
        world, rollout = to_world(test_set.folder, episodes, number, splats=SPLATS)
        latents = torch.zeros_like(rollout.states.latents)
        felt = episodes.impulses[number, :, TOOL, 0]
        found["seen"].append(_pressed(world, rollout)[felt >= FELT])
        latents[:, BODY] = truth[number, 1].to(latents)
        told = replace(rollout, states=replace(rollout.states, latents=latents))
        found["told"].append(_pressed(world, told)[felt >= FELT])
        ahead = predict(world, told.states[0], told.actions[:PREDICTED], model=model)
        early = felt[:PREDICTED]
        found["predicted"].append(_pressed(world, ahead)[early >= FELT])
        right.append(felt[felt >= FELT])
        right_early.append(early[early >= FELT])
    seen, told_so = (Forces(torch.cat(found[name]), torch.cat(right)) for name in ("seen", "told"))
    ahead_too = Forces(torch.cat(found["predicted"]), torch.cat(right_early))
    name = "contact force of the tool on a body"
    return [
        line(f"{name}, mass unknown: median error of {len(seen.right)} actions", seen.off, "%", "<= 20"),
        line(f"{name}, mass unknown: rank correlation", seen.rank, "", ">= 0.8"),
        line(f"{name}, mass and friction told: median error", told_so.off, "%", "<= 20",
             f"in predictions of 1 s {ahead_too.off:.0f}"),
        line(f"{name}, mass and friction told: rank correlation", told_so.rank, "", ">= 0.8",
             f"in predictions of 1 s {ahead_too.rank:.2f}"),
    ]  # fmt: skip


def _pressed(world: World, rollout: Rollout) -> Tensor:
    """[T] N s of the tool on the body."""
    touches = Prediction(world, rollout).contacts(reach=REACH)
    tool = len(world.bodies) - 1
    pair = (touches.bodies == torch.tensor([BODY, tool])).all(-1)
    total = torch.zeros(rollout.actions.shape[-2] + 1)
    return total.index_add_(0, touches.state[pair], touches.impulse[pair])[1:]
