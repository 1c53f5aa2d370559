"""Carrying plans out: look, plan, act a little, look again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from splatworld.core.checks import InputError
from splatworld.core.state import State
from splatworld.core.world import World
from splatworld.plan.commands import expanded, robot_of
from splatworld.plan.config import PlanConfig
from splatworld.plan.cost import last_state
from splatworld.plan.goals import Goal
from splatworld.plan.guard import Guard
from splatworld.plan.plan import Planner
from splatworld.plan.search import Dynamics
from splatworld.recordings import Recorder
from splatworld.robot.actions import idle_action
from splatworld.store import world_id

CALM_SPEED, CALM_SPIN = 0.01, 0.1
"""m/s and rad/s up to which bodies that are where they shall be count as there to stay."""


class Reality(Protocol):
    """What is controlled: an environment as gymnasium has them that also tells the state of the world."""

    @property
    def state(self) -> State:
        """Now; gymnasium's wrappers are looked through for it."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """The first observation and what else is known."""

    def step(self, action: np.ndarray) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """An action [A] of 0.1 s; observation, reward, terminated, truncated and what else is known."""


@dataclass(frozen=True)
class ControlConfig:
    """How to control.

    Attributes:
        plan: the planner's options.
        hold: actions that are carried out of each plan.
        latency: actions that go by while a plan is made; they are the last ones of the plan before, and the state after
            them is predicted, so that the new plan begins there.
        deadline: ms that a plan may take, the first one excepted, before which everything stands still; None: any time.
        most: actions at most.
        refusals: actions in a row that the guard may refuse before all stops.
    """

    plan: PlanConfig = field(default_factory=PlanConfig)
    hold: int = 5
    latency: int = 0
    deadline: float | None = None
    most: int = 300
    refusals: int = 10

    def __post_init__(self) -> None:
        if not 0 <= self.latency < self.hold:
            raise InputError(f"ControlConfig: hold {self.hold}, latency {self.latency}: expected 0 <= latency < hold.")
        if self.most < 1 or self.refusals < 1:
            raise InputError(f"ControlConfig: most {self.most}, refusals {self.refusals}: expected at least 1.")


@dataclass(frozen=True)
class Outcome:
    """How it ended.

    Attributes:
        reached: whether the goal was.
        reason: why it ended, in words.
        state: the last one.
        actions: how many were carried out.
        refused: how many of them the guard replaced by standing still.
        seconds: [P] s that each plan took.
    """

    reached: bool
    reason: str
    state: State
    actions: int
    refused: int
    seconds: tuple[float, ...]


def control(
    env: Reality,
    world: World,
    goal: Goal,
    *,
    dynamics: Dynamics,
    config: ControlConfig | None = None,
    stop: Callable[[State], bool] | None = None,
    log: str | Path | None = None,
) -> Outcome:
    """Act until the goal is reached, by plans over a receding horizon.

    Args:
        env: reality; reset first.
        world: what is known of it.
        goal: see `goals`.
        dynamics: as for `plan`.
        config: see there.
        stop: emergency stop, asked before every action; True leaves the robot where it is and ends.
        log: folder of a new rollout of what happened, as the viewer replays it; what was recorded stays whatever ends
            the loop.

    Raises:
        InputError: as `plan`; a reality that tells no state; a log that cannot be written.
    """
    robot_of(world)
    loop = _Loop(env, world, goal, dynamics, config or ControlConfig(), stop)
    with ExitStack() as stack:
        if log is not None:
            action = robot_of(world).action
            begun = Recorder.begin(log, loop.state, world_id=world_id(world), action=action, every=10)
            loop.recorder = stack.enter_context(begun)
        return loop.run()


class _Loop:
    def __init__(
        self,
        env: Reality,
        world: World,
        goal: Goal,
        dynamics: Dynamics,
        config: ControlConfig,
        stop: Callable[[State], bool] | None,
    ) -> None:
        self._env, self._world, self._goal, self._dynamics = env, world, goal, dynamics
        self._config, self._stop = config, stop
        self._planner = Planner(world, goal, dynamics=dynamics, config=config.plan)
        self._guard = Guard(world, config.plan.workspace)
        self.recorder: Recorder | None = None
        self._seconds: list[float] = []
        self._done = self._refused = self._in_a_row = 0
        self._over = ""
        env.reset()
        self.state = self._look()

    def run(self) -> Outcome:
        """Plan and act until it is over."""
        waiting = torch.zeros(0, len(robot_of(self._world).action), dtype=torch.float64)  # decided on, not yet done
        while not self._over:
            if self._is_reached():
                if self._is_calm():
                    break
                waiting = waiting[:0]
                self._carry_out(idle_action(self._world, self.state).double())
                continue
            ahead = self.state
            if len(waiting):
                ahead = last_state(self._dynamics(self._world, expanded(self.state, 1), waiting[None]))[0]
            # Before the first plan nothing moves yet, so that it may take its time.
            plan = self._planner.plan(ahead, deadline=self._config.deadline if self._seconds else None)
            self._seconds.append(plan.seconds)
            if plan.infeasible is not None:
                self._over = f"infeasible: {plan.infeasible}"
                break
            if not len(plan) and not len(waiting):
                plan_actions = idle_action(self._world, self.state)[None].double()  # it moves on into the goal
            else:
                plan_actions = plan.actions
            for action in waiting:
                self._act(action)
            held = plan_actions[: self._config.hold]
            now = max(1, len(held) - self._config.latency)
            for action in held[:now]:
                self._act(action)
            waiting = held[now:]
        reached = self._is_reached()
        reason = "reached" if reached else self._over
        return Outcome(reached, reason, self.state, self._done, self._refused, tuple(self._seconds))

    def _is_reached(self) -> bool:
        return self._planner.is_done(self.state)

    def _is_calm(self) -> bool:
        """Whether bodies that are where they shall be will stay there: a drawer that swings past is not done."""
        speeds = self.state.twists[list(self._goal.bodies)].unflatten(-1, (2, 3)).norm(dim=-1)
        return bool((speeds <= torch.tensor([CALM_SPEED, CALM_SPIN]).to(speeds)).all())

    def _act(self, action: Tensor) -> None:
        """One action of a plan, unless it is over or nothing is left to do."""
        if not self._over and not self._is_reached():
            self._carry_out(action)

    def _carry_out(self, action: Tensor) -> None:
        if self._stop is not None and self._stop(self.state):
            self._over = "emergency stop"
            action = idle_action(self._world, self.state).double()
        else:
            refusal = self._guard.refusal(self.state, action)
            self._in_a_row = self._in_a_row + 1 if refusal else 0
            if refusal:
                self._refused += 1
                action = idle_action(self._world, self.state).double()
                if self._in_a_row >= self._config.refusals:
                    self._over = f"emergency stop: {refusal}"
        _, _, terminated, truncated, _ = self._env.step(action.numpy())
        self.state = self._look()
        self._done += 1
        if self.recorder is not None:
            self.recorder.append(action, self.state)
        if self._over:
            return
        if terminated or truncated:
            self._over = "the environment ended"
        elif self._done >= self._config.most:
            self._over = f"not reached within {self._config.most} actions"

    def _look(self) -> State:
        state = getattr(getattr(self._env, "unwrapped", self._env), "state", None)
        if not isinstance(state, State):
            raise InputError("control: the environment has no 'state', expected one that is a State of the world.")
        return state
