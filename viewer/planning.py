"""Plans in a thread of its own, and keeps what was tried."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from splatworld.core.checks import SplatworldError
from splatworld.core.plan import Plan
from splatworld.core.rollout import Rollout
from splatworld.core.state import State
from splatworld.core.world import World
from splatworld.dynamics.predict import predict
from splatworld.plan.commands import robot_of
from splatworld.plan.config import PlanConfig
from splatworld.plan.goals import Goal
from splatworld.plan.plan import plan
from splatworld.robot.actions import idle_action


@dataclass(frozen=True)
class Tried:
    """Candidates as they were predicted, from where their pushes begin.

    Attributes:
        ways: [N, T + 1, K, 3] m of the tool, then of the bodies of the goal.
        costs: [N] as the goal counts them; infinite where a prediction broke down.
    """

    ways: np.ndarray
    costs: np.ndarray


class Stopped(Exception):
    """Nobody waits for the plan any more."""


class Planning:
    """One plan in the making.

    Attributes:
        start: the state it begins at.
        goal: what shall be.
        tried: batches of candidates so far.
        found: the plan; None before there is one.
        error: why there is none.
    """

    def __init__(
        self,
        world: World,
        state: State,
        goal: Goal,
        *,
        deadline: float,
        went_on: Callable[[float], None],
        ended: Callable[[Planning], None],
        config: PlanConfig | None = None,
    ) -> None:
        """Begin to plan.

        Args:
            world: in metres, with a robot.
            state: a single one.
            goal: what shall be.
            deadline: s to think at most.
            went_on: told the share of the candidates that was tried, in the thread.
            ended: called when there is a plan or an error, in the thread.
            config: of the planner.
        """
        self.start, self.goal = state, goal
        self.tried: list[Tried] = []
        self.found: Plan | None = None
        self.error: Exception | None = None
        self._config, self._bodies = config or PlanConfig(), [robot_of(world).tool, *goal.bodies]
        self._world, self._deadline, self._went_on, self._ended = world, deadline, went_on, ended
        self._stopped, self._done = threading.Event(), False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether it is still being thought about."""
        return not (self._done or self.stopped)

    @property
    def stopped(self) -> bool:
        """Whether it was given up."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Give it up; it ends after the batch that is being predicted."""
        self._stopped.set()

    def join(self, seconds: float) -> None:
        """Wait for the end, so many s at most."""
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=seconds)

    def _run(self) -> None:
        try:
            # What is computed of a world once is not what the first candidate takes.
            predict(self._world, self.start, idle_action(self._world, self.start)[None])
            self.found = plan(
                self._world, self.start, self.goal, dynamics=self._predicted, config=self._config,
                deadline=1000 * self._deadline,
            )  # fmt: skip
        except Stopped:
            return
        except SplatworldError as error:
            self.error = error
        except Exception as error:
            self.error = RuntimeError(f"a defect of splatworld, {type(error).__name__}: {error}")
        self._done = True
        self._ended(self)

    def _predicted(self, world: World, states: State, actions: Tensor) -> Rollout:
        """The packaged dynamics, watched."""
        if self.stopped:
            raise Stopped
        rollouts = predict(world, states, actions)
        costs = self.goal(rollouts).double().numpy().copy()
        if rollouts.stopped is not None:
            costs[rollouts.stopped.numpy() < actions.shape[-2]] = np.inf
        self.tried.append(Tried(rollouts.states.world_from_body[:, :, self._bodies, :3].numpy(), costs))
        self._went_on(min(1.0, sum(len(batch.costs) for batch in self.tried) / self._config.candidates))
        return rollouts


def all_tried(batches: list[Tried]) -> Tried | None:
    """Batches of candidates as one; None where nothing that can be was tried."""
    kept = [batch for batch in batches if np.isfinite(batch.costs).any()]
    if not kept:
        return None
    fewest = min(batch.ways.shape[1] for batch in kept)
    ways = np.concatenate([batch.ways[np.isfinite(batch.costs), :fewest] for batch in kept])
    return Tried(ways, np.concatenate([batch.costs[np.isfinite(batch.costs)] for batch in kept]))
