"""Closed-loop episodes: many at once in processes of their own, each written as soon as it is over."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from splatworld import native
from splatworld.evaluate.planning_models import model_of
from splatworld.evaluate.planning_oracle import OracleEnv
from splatworld.evaluate.planning_tasks import draw_task, missing
from splatworld.evaluate.report import sources_hash
from splatworld.evaluate.resume import FOLDER
from splatworld.files import write_file
from splatworld.plan.config import PlanConfig
from splatworld.plan.control import ControlConfig, control
from splatworld.robot.actions import idle_action

SETTLING = 5
"""Actions in which nothing is done before it is looked whether the goal is reached."""
HOLD = 5
Z = 1.96
SOURCES = (
    "cuda",
    *(f"splatworld/{part}" for part in ("core", "dynamics", "geometry", "plan", "robot", "simulate")),
    *(
        f"splatworld/evaluate/{file.name}"
        for file in sorted(Path(__file__).parent.glob("planning*.py"))
        if file.name != "planning_speed.py"
    ),
)
"""What decides how an episode goes; how long plans take does not."""


@dataclass(frozen=True)
class Run:
    """One episode to run.

    Attributes:
        suite: which function runs it, a key of `RUNNERS`.
        kind: of task.
        model: what the planner takes for the dynamics.
        number: of the task.
    """

    suite: str
    kind: str
    model: str
    number: int

    @property
    def name(self) -> str:
        return f"{self.suite}-{self.kind}-{self.model}-{self.number:03d}"


def oracle_run(run: Run) -> dict[str, Any]:
    """One task in the oracle under the planner."""
    task = draw_task(run.kind, run.number)
    env = OracleEnv(task.scene)
    env.reset()
    first, goal = env.state, task.goal(env.world)
    config = ControlConfig(plan=PlanConfig(seed=run.number), hold=HOLD, most=task.most)
    begin = time.perf_counter()
    outcome = control(env, env.world, goal, dynamics=model_of(run.model, task.scene), config=config)
    for _ in range(SETTLING):
        env.step(idle_action(env.world, env.state).numpy())
    away, turned = missing(goal, env.state)
    return {
        "success": task.succeeded(env, first, goal),
        "reason": outcome.reason,
        "actions": outcome.actions,
        "plans": len(outcome.seconds),
        "plan_seconds": float(np.median(outcome.seconds)) if outcome.seconds else 0.0,
        "seconds": time.perf_counter() - begin,
        "away_mm": 1e3 * away,
        "turned_degrees": float(np.degrees(turned)),
        "shapes": list(task.scene.shapes),
    }


def pusht_run(run: Run) -> dict[str, Any]:
    """One seed of gym-pusht."""
    from splatworld.evaluate.planning_pusht import play

    return play(run.number, run.model)


def imagined_run(run: Run) -> dict[str, Any]:
    """One task of all scripted policies, in the world and in the oracle."""
    from splatworld.evaluate.planning_imagination import scores

    return scores(run.number)


def fixture_run(run: Run) -> dict[str, Any]:
    """One drawer or door."""
    from splatworld.evaluate.planning_fixture import play

    return play(run.kind, run.model, run.number)


def grasp_run(run: Run) -> dict[str, Any]:
    """One body that a gripper puts somewhere else."""
    from splatworld.evaluate.planning_grasp import play

    return play(run.model, run.number)


RUNNERS = {
    "oracle": oracle_run,
    "fixture": fixture_run,
    "grasp": grasp_run,
    "pusht": pusht_run,
    "imagination": imagined_run,
}


def run_all(
    runs: list[Run], say: Callable[..., object], *, folder: Path = FOLDER / "planning", workers: int | None = None
) -> list[dict[str, Any]]:
    """The results of runs, in order; those of the same sources that are in `folder` already are not run again.

    Args:
        runs: what to run.
        say: progress.
        folder: a file a run.
        workers: processes; None: one a core.
    """
    sources, found = sources_hash(*SOURCES), dict[str, dict[str, Any]]()
    for run in runs:
        path = folder / f"{run.name}.json"
        if path.is_file() and not sources.endswith("+changes"):
            kept = json.loads(path.read_text())
            if kept["sources"] == sources:
                found[run.name] = kept
    left = [run for run in runs if run.name not in found]
    folder.mkdir(parents=True, exist_ok=True)
    with _mapped(min(workers or os.cpu_count() or 1, max(1, len(left)))) as work:
        for name, result in work(left):
            result["sources"] = sources
            write_file(folder / f"{name}.json", json.dumps(result, indent=1) + "\n")
            found[name] = result
            say(f"{name}: {'done' if result.get('success', True) else 'failed'}", len(found), len(runs))
    return [found[run.name] for run in runs]


def wilson(successes: int, count: int) -> tuple[float, float]:
    """The interval that holds a rate with 95 % confidence (Wilson, "Probable inference", 1927)."""
    if not count:
        return 0.0, 1.0
    rate, z2 = successes / count, Z * Z
    middle = (rate + z2 / (2 * count)) / (1 + z2 / count)
    half = Z / (1 + z2 / count) * np.sqrt(rate * (1 - rate) / count + z2 / (4 * count * count))
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))


def _one(run: Run) -> tuple[str, dict[str, Any]]:
    torch.set_num_threads(1)
    native.set_threads(1)
    return run.name, RUNNERS[run.suite](run)


@contextmanager
def _mapped(workers: int) -> Iterator[Callable[[list[Run]], Iterator[Any]]]:
    """A function that runs as they come, here or in processes of their own."""
    if workers == 1:
        threads, torch_threads = native.get_threads(), torch.get_num_threads()
        try:
            yield lambda runs: map(_one, runs)
        finally:
            native.set_threads(threads)
            torch.set_num_threads(torch_threads)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield lambda runs: pool.imap_unordered(_one, runs)
