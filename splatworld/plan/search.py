"""What one plan tries: candidates predicted by the dynamics, the best of them kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from splatworld.core.rollout import Rollout
from splatworld.core.state import State
from splatworld.core.world import World
from splatworld.plan import mppi
from splatworld.plan.carrying import Ways
from splatworld.plan.clock import Clock
from splatworld.plan.commands import (
    actions_along,
    actions_of_steps,
    actions_through,
    expanded,
    misplaced,
    tool_pose,
    turned_tool,
)
from splatworld.plan.config import PlanConfig
from splatworld.plan.goals import Goal
from splatworld.plan.proposals import GAP, Pushes, Strokes
from splatworld.plan.site import Site
from splatworld.robot.actions import idle_action, open_fingers, place_tool

Dynamics = Callable[[World, State, Tensor], Rollout]
"""World, states [N], actions [N, T, A] -> rollouts [N] of T + 1 states, such as `dynamics.predict.predict`."""
MISSED = 0.005
"""m by which an arm may miss where a push begins."""
STILL = 1e-3
"""m/s and rad/s up to which bodies count as still."""
WAIT = 5
"""Actions at most in which bodies that move are predicted while the tool is on its way to a push: they come to rest."""
BATCH, FIRST_BATCH = 64, 8
"""Candidates that are predicted at once at most where there is a deadline; of the first."""


@dataclass(frozen=True)
class Found:
    """The best so far.

    Attributes:
        cost: of the goal and of the tool's time, averaged over beliefs.
        spread: standard deviation of the goal's cost over beliefs.
        rollout: of the push alone, or of the whole sequence.
        strokes: the one; None of others than pushes.
        push: its numbers; None of others than pushes.
        ways: the one of a grasp, and `tried`, its number among those that were tried; None of others.
    """

    cost: float
    spread: float
    rollout: Rollout
    strokes: Strokes | None = None
    push: Pushes | None = None
    ways: Ways | None = None
    tried: int = 0


class Search:
    """Tries candidates from one state, or from several beliefs about it, while there is time.

    Attributes:
        best: None before anything possible was tried.
        count: candidates tried.
    """

    def __init__(
        self, world: World, state: State, goal: Goal, dynamics: Dynamics, config: PlanConfig, site: Site, clock: Clock
    ) -> None:
        self._world, self._goal, self._dynamics = world, goal, dynamics
        self._beliefs = state if state.batch else expanded(state, 1)
        self._config, self._site, self._clock = config, site, clock
        self.best: Found | None = None
        self.count = 0

    def try_pushes(self, pushes: Pushes, strokes: Strokes) -> np.ndarray:
        """[M] costs of the first M <= N pushes, as many as there was time for; infinite where an arm cannot get."""
        ways = self._site.lengths(strokes.starts, strokes.travel)
        seconds = ways / self._config.travel_speed + (pushes.length + GAP) / self._config.push.speed
        begins = self._begins(ways)

        def batch(rows: slice) -> np.ndarray:
            part = strokes[rows]
            rollouts, missed = self._predict(part, begins[rows])
            costs, spreads = self._judge(rollouts)
            costs = np.where(missed, np.inf, costs + self._config.time_cost * seconds[rows])
            k = int(np.argmin(costs))
            if np.isfinite(costs[k]) and (self.best is None or costs[k] < self.best.cost):
                push = pushes[rows][[k]]
                self.best = Found(
                    float(costs[k]),
                    float(spreads[k]),
                    _rollout_at(rollouts, k * len(self._beliefs.time)),
                    part[[k]],
                    push,
                )
            return costs

        return self._batches(len(pushes), batch)

    def try_ways(self, ways: Ways, heading: float) -> np.ndarray:
        """[M] costs of the first M <= N ways of a hand that is headed so now; infinite where an arm cannot get."""

        def batch(rows: slice) -> np.ndarray:
            part = ways[rows]
            starts = self._for_beliefs(torch.from_numpy(part.starts))
            states = self._repeated(len(part))
            poses = turned_tool(self._world, states, starts[:, None, :4], heading)[:, 0]
            states = open_fingers(self._world, place_tool(self._world, states, poses), starts[:, 4])
            missed = misplaced(self._world, states, poses[:, :3]).reshape(len(part), -1).amax(dim=1) > MISSED
            places = self._for_beliefs(torch.from_numpy(part.rows))
            through = turned_tool(self._world, self._repeated(len(part)), places[..., :4], heading)
            actions = actions_through(self._world, states, through, places[..., 4])
            rollouts = self._dynamics(self._world, states, actions)
            costs, spreads = self._judge(rollouts)
            costs = costs + part.doubt + self._config.time_cost * part.seconds
            costs = np.where(missed.numpy(), np.inf, costs)
            k = int(np.argmin(costs))
            if np.isfinite(costs[k]) and (self.best is None or costs[k] < self.best.cost):
                one = _rollout_at(rollouts, k * len(self._beliefs.time))
                self.best = Found(float(costs[k]), float(spreads[k]), one, ways=part[[k]], tried=rows.start + k)
            return costs

        return self._batches(len(ways), batch)

    def try_steps(self, steps: np.ndarray) -> np.ndarray:
        """[M] costs of the first M <= N sequences [N, H, A] of changes, see `actions_of_steps`."""
        actions = actions_of_steps(self._world, self._beliefs[0], torch.from_numpy(steps))

        def batch(rows: slice) -> np.ndarray:
            part = actions[rows]
            rollouts = self._dynamics(self._world, self._repeated(len(part)), self._for_beliefs(part))
            costs, spreads = self._judge(rollouts)
            k = int(np.argmin(costs))
            if np.isfinite(costs[k]) and (self.best is None or costs[k] < self.best.cost):
                self.best = Found(
                    float(costs[k]), float(spreads[k]), _rollout_at(rollouts, k * len(self._beliefs.time))
                )
            return costs

        return self._batches(len(steps), batch)

    def room(self, rounds: int) -> int:
        """Candidates for which there is time in each of so many rounds and in polishing; few while nothing is known."""
        fits = self._clock.fits()
        if fits == float("inf"):
            return 1_000_000
        # A round has its own overhead: little time is not split.
        return max(FIRST_BATCH, int(fits if fits < BATCH else fits / (rounds + 1)))

    def polish(self, count: int, rng: np.random.Generator) -> None:
        """Improve the best push by noise on its way."""
        if self.best is None or self.best.strokes is None or self.best.push is None or count < 2:
            return
        push, strokes = self.best.push, self.best.strokes
        steps = np.diff(strokes.places[0], axis=0, prepend=strokes.starts)
        moving = (np.linalg.norm(steps, axis=1) > 1e-6)[:, None]
        noisy = steps + (mppi.noisy(steps, np.full(2, self._config.noise), count - 1, rng) - steps) * moving
        self.try_pushes(push[np.zeros(len(noisy), int)], _along(strokes, noisy))

    def _batches(self, count: int, work: Callable[[slice], np.ndarray]) -> np.ndarray:
        found: list[np.ndarray] = []
        done = 0
        while done < count:
            fits = self._clock.fits()
            if fits < 1 and self.best is not None:
                break
            size = count - done
            if fits < float("inf"):
                most = FIRST_BATCH if self.best is None else BATCH
                size = max(1, min(size, most, int(fits)))
            begin = time.perf_counter()
            found.append(work(slice(done, done + size)))
            self._clock.took(time.perf_counter() - begin, size)
            done += size
        self.count += done
        return np.concatenate(found) if found else np.zeros(0)

    @cached_property
    def _waiting(self) -> State:
        """[K, W + 1] every belief while the tool does nothing; W is 0 where nothing moves."""
        beliefs = self._beliefs
        bodies = [k for k, body in enumerate(self._world.bodies) if body.kind != "robot"]
        if not bool((beliefs.twists[:, bodies].abs() > STILL).any()):
            return State(**{f.name: getattr(beliefs, f.name)[:, None] for f in fields(State)})
        idle = torch.stack([idle_action(self._world, beliefs[k]) for k in range(len(beliefs.time))]).double()
        return self._dynamics(self._world, beliefs, idle[:, None].repeat(1, WAIT, 1)).states

    def _begins(self, ways: np.ndarray) -> np.ndarray:
        """[N] which of the states of `_waiting` pushes begin in whose ways are so long, [N] m."""
        last = self._waiting.time.shape[1] - 1
        return np.minimum(np.ceil(ways / self._site.step - 1e-6), last).astype(int)

    def meanwhile(self, count: int) -> State:
        """[count] states of the first belief after each action of a way to a push, but for the tool."""
        rows = torch.arange(1, count + 1).clamp(max=self._waiting.time.shape[1] - 1)
        return State(**{f.name: getattr(self._waiting, f.name)[0, rows] for f in fields(State)})

    def _predict(self, strokes: Strokes, begins: np.ndarray) -> tuple[Rollout, np.ndarray]:
        """Rollouts of pushes, each from where and when it begins; and [N] bool whether the arm cannot get there."""
        count, rows = len(strokes.starts), torch.from_numpy(begins)
        starts, places = self._raised(strokes.starts), self._raised(strokes.places)
        waiting = self._waiting
        states = State(**{
            f.name: getattr(waiting, f.name)[:, rows].transpose(0, 1).flatten(0, 1) for f in fields(State)
        })  # fmt: skip
        starts, places = self._for_beliefs(starts), self._for_beliefs(places)
        heading = tool_pose(self._world, states)[..., 3:]
        states = place_tool(self._world, states, torch.cat([starts, heading], dim=-1))
        missed = misplaced(self._world, states, starts).reshape(count, -1).amax(dim=1) > MISSED
        return self._dynamics(self._world, states, actions_along(self._world, states, places)), missed.numpy()

    def _judge(self, rollouts: Rollout) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation [N] of the goal's cost over beliefs; what broke down counts as infinite."""
        costs = self._goal(rollouts).double()
        if rollouts.stopped is not None:
            costs = torch.where(rollouts.stopped < rollouts.actions.shape[-2], torch.inf, costs)
        costs = costs.reshape(-1, len(self._beliefs.time))
        return costs.mean(dim=1).numpy(), costs.std(dim=1, unbiased=False).numpy()

    def _repeated(self, count: int) -> State:
        """Every belief for every one of `count` candidates: [count * K]."""
        return State(**{
            f.name: (value := getattr(self._beliefs, f.name)).repeat(count, *(1,) * (value.ndim - 1))
            for f in fields(State)
        })  # fmt: skip

    def _for_beliefs(self, values: Tensor) -> Tensor:
        return values.repeat_interleave(len(self._beliefs.time), dim=0)

    def _raised(self, places: np.ndarray) -> Tensor:
        height = np.full((*places.shape[:-1], 1), self._site.height)
        return torch.from_numpy(np.concatenate([places, height], axis=-1))


def _along(strokes: Strokes, steps: np.ndarray) -> Strokes:
    """The stroke with other steps [N, T, 2]."""
    rows = strokes[np.zeros(len(steps), int)]
    return Strokes(rows.starts, rows.starts[:, None] + np.cumsum(steps, axis=1), rows.travel)


def _rollout_at(rollouts: Rollout, row: int) -> Rollout:
    """One of a batch."""
    return Rollout(
        actions=rollouts.actions[row],
        states=rollouts.states[row],
        world_id=rollouts.world_id,
        std=None if rollouts.std is None else rollouts.std[row],
        blocked=None if rollouts.blocked is None else rollouts.blocked[row],
        stopped=None if rollouts.stopped is None else rollouts.stopped[row],
    )
