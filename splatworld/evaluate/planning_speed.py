"""How long replanning takes, what it costs, and whether deadlines are kept."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
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
SCENES = 5
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
        made = _planners()
        taken, joules = _replans(made, plans)
        say("speed: deadlines")
        late = _late(made, deadlines)
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


def _planners() -> list[tuple[Planner, OracleEnv]]:
    found = []
    for number in range(SCENES):
        env = OracleEnv((task := draw_task("rearrange", number)).scene)
        env.reset()
        planner = Planner(env.world, task.goal(env.world), dynamics=predict, config=PlanConfig(seed=number))
        planner.plan(env.state)  # the first one packs shapes
        found.append((planner, env))
    return found


def _replans(made: list[tuple[Planner, OracleEnv]], count: int) -> tuple[np.ndarray, float]:
    """[count] ms, and J a plan."""
    taken, busy, begin = [], time.process_time(), _counted()
    for k in range(count):
        planner, env = made[k % len(made)]
        start = time.perf_counter()
        plan = planner.plan(env.state)
        taken.append(1e3 * (time.perf_counter() - start))
        for action in plan.actions[:5].numpy():
            env.step(action)
    end = _counted()
    counted = begin is not None and end is not None and end > begin
    joules = (end - begin) / count if counted else WATTS * (time.process_time() - busy) / count  # type: ignore[operator]
    return np.array(taken), float(joules)


def _late(made: list[tuple[Planner, OracleEnv]], count: int) -> np.ndarray:
    """[count] ms after the deadline."""
    late = []
    for k in range(count):
        planner, env = made[k % len(made)]
        start = time.perf_counter()
        plan = planner.plan(env.state, deadline=DEADLINE)
        late.append(1e3 * (time.perf_counter() - start) - DEADLINE)
        for action in plan.actions[:5].numpy():
            env.step(action)
    return np.array(late)


def _counted() -> float | None:
    """J that the processor has used so far, by its own count."""
    try:
        return int(RAPL.read_text()) / 1e6
    except (OSError, ValueError):
        return None
