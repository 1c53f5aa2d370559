"""How long replanning takes, what it costs, and whether deadlines are kept."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from splatworld import native
from splatworld.dynamics.predict import predict
from splatworld.evaluate.planning_oracle import OracleEnv
from splatworld.evaluate.planning_tasks import draw_task
from splatworld.evaluate.report import Line, line
from splatworld.plan.config import PlanConfig
from splatworld.plan.plan import Planner

CORES = 2
WATTS = 8.0
"""A busy core of a server, where the machine does not count its energy."""
RAPL = Path("/sys/class/powercap/intel-rapl:0/energy_uj")
DEADLINE = 200.0
"""ms."""
SCENES, HELD = 5, 5
"""Tasks under way at once; actions of each plan that are carried out."""
LATE = 5.0
"""ms."""


def speed_lines(say: Callable[..., object], *, plans: int, deadlines: int) -> list[Line]:
    """Whole replans of scenes with four bodies, with and without a deadline.

    Args:
        say: progress.
        plans: replans without a deadline.
        deadlines: replans with one.
    """
    cores = min(CORES, os.cpu_count() or 1)
    before, torch_before = native.get_threads(), torch.get_num_threads()
    native.set_threads(cores)
    torch.set_num_threads(1)
    try:
        say("speed: replans")
        tasks = Tasks()
        taken = np.array([tasks.plan() for _ in range(plans)])
        joules = tasks.joules / plans
        say("speed: deadlines")
        late = np.array([tasks.plan(deadline=DEADLINE) for _ in range(deadlines)]) - DEADLINE
    finally:
        native.set_threads(before)
        torch.set_num_threads(torch_before)
    name = f"replan, 256 candidates x 10 steps, 4 bodies, {cores} cores"
    how = "measured by the processor" if _counted() is not None else f"estimated, {WATTS:g} W a busy core"
    kept = 100 * float((late <= LATE).mean())
    told = f"median {np.median(late):+.1f}, latest {late.max():+.1f} ms"
    return [
        line(
            f"{name}: median of {plans}", float(np.median(taken)), "ms", "<= 150", "V-JEPA 2-AC on an RTX 4090 16,000"
        ),
        line(f"{name}: p99", float(np.quantile(taken, 0.99)), "ms", "<= 250"),
        line(f"energy of a plan, {how}", joules, "J"),
        line(f"deadline of {DEADLINE:g} ms kept within {LATE:g} ms, {deadlines} replans", kept, "%", ">= 99", told),
    ]


@dataclass
class Begun:
    """A task under way.

    Attributes:
        planner: of its goal.
        env: where it is.
        left: actions that it may still take.
    """

    planner: Planner
    env: OracleEnv
    left: int


class Tasks:
    """Tasks that are planned for in turn; one that is over gives way to the next that is drawn, so that every plan has
    something left to do.

    Attributes:
        begun: those under way.
        joules: that all plans so far took.
    """

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._turns = itertools.count()
        self.begun = [self._begin() for _ in range(SCENES)]
        self.joules = 0.0

    def plan(self, *, deadline: float | None = None) -> float:
        """ms that the next plan takes; the first of its actions are carried out then."""
        place = next(self._turns) % SCENES
        task = self.begun[place]
        counted, busy, start = _counted(), time.process_time(), time.perf_counter()
        plan = task.planner.plan(task.env.state, deadline=deadline)
        taken, busy, after = time.perf_counter() - start, time.process_time() - busy, _counted()
        grown = counted is not None and after is not None and after > counted
        self.joules += after - counted if grown else WATTS * busy  # type: ignore[operator]
        for action in plan.actions[:HELD].numpy():
            task.env.step(action)
        task.left -= HELD
        if plan.infeasible is not None or task.left <= 0 or task.planner.is_done(task.env.state):
            self.begun[place] = self._begin()
        return 1e3 * taken

    def _begin(self) -> Begun:
        number = next(self._numbers)
        env = OracleEnv((task := draw_task("rearrange", number)).scene)
        env.reset()
        planner = Planner(env.world, task.goal(env.world), dynamics=predict, config=PlanConfig(seed=number))
        planner.plan(env.state)  # the first one packs shapes
        return Begun(planner, env, task.most)


def _counted() -> float | None:
    """J that the processor has used so far, by its own count."""
    try:
        return int(RAPL.read_text()) / 1e6
    except (OSError, ValueError):
        return None
