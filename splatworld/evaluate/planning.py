"""Suite `planning`: closed loop against realities that the planner does not know, how fast it is, what it imagines."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from splatworld.evaluate.planning_imagination import agreement, bootstrap
from splatworld.evaluate.planning_runs import Run, run_all, wilson
from splatworld.evaluate.planning_speed import speed_lines
from splatworld.evaluate.report import Line, Report, line
from splatworld.evaluate.resume import measure_parts

Progress = Callable[..., Any]
EPISODES, PEER_EPISODES = 50, 20
KINDS = {
    "push": ("push to a pose, 2 cm and 15 degrees", 95),
    "rearrange": ("rearrange three, each to 2 cm, without moving a fourth", 90),
    "grasp": ("grasp and place, 2 cm", 95),
    "drawer": ("drawer to 1 cm", 95),
    "door": ("door to 5 degrees", None),
}
"""Kind of task -> what it is called, and % that shall succeed."""
SUITES = {"grasp": "grasp", "drawer": "fixture", "door": "fixture"}
"""Kind of task -> which realities, other than the oracle's scenes."""
PEERS = {"still": "planning as if nothing moved", "mujoco": "planning with MuJoCo at mean parameters"}
SEEDS = 20
IMAGINED = 40


def run(*, quick: bool = False, long: bool = False, progress: Progress | None = None) -> Report:
    """Measure every row; episodes of the same sources that are over are not run again.

    Args:
        quick: one episode of each kind, without targets.
        long: the same as without.
        progress: called with one sentence a step.
    """
    say = progress or (lambda *_: None)
    own, peers = (1, 0) if quick else (EPISODES, PEER_EPISODES)
    parts: dict[str, Callable[[], list[Line]]] = {
        "speed": lambda: speed_lines(say, plans=5 if quick else 200, deadlines=5 if quick else 1000)
    }
    parts |= {kind: partial(closed_loop_lines, kind, own, peers, say) for kind in (["push"] if quick else KINDS)}
    parts["imagination"] = lambda: imagination_lines(2 if quick else IMAGINED, say)
    if not quick:
        parts["pusht"] = lambda: pusht_lines(SEEDS, say)
    if quick:
        lines = [each for measure in parts.values() for each in measure()]
        return Report("planning", [line(each.name, each.value, each.unit, None, each.baseline) for each in lines])
    return Report("planning", measure_parts("planning", parts, say))


def closed_loop_lines(kind: str, own: int, peers: int, say: Progress) -> list[Line]:
    """How often the goal is reached in the oracle, by ours and by the same planner with other models."""
    name, target = KINDS[kind]
    suite = SUITES.get(kind, "oracle")
    results = run_all([Run(suite, kind, "network", number) for number in range(own)], say)
    rows = [_rate(name, results, None if target is None else f">= {target}")]
    done = [result for result in results if result["success"]]
    middle = {
        key: float(np.median([each[key] for each in done])) if done else None for key in ("actions", "plan_seconds")
    }
    rows.append(line(f"{name}: actions until it is done, median", middle["actions"], "of 0.1 s"))
    for peer, called in PEERS.items():
        if peers and (suite, peer) != ("fixture", "mujoco"):
            theirs = run_all([Run(suite, kind, peer, number) for number in range(peers)], say)
            rows.append(_rate(f"{name}: {called}", theirs, None))
    return rows


def pusht_lines(seeds: int, say: Progress) -> list[Line]:
    """Mean best coverage in gym-pusht, against the same planner that may try things out in gym-pusht itself."""
    name = f"gym-pusht, mean best coverage of {seeds} seeds"
    if importlib.util.find_spec("gym_pusht") is None:
        return [line(f"{name}: gym-pusht is not installed", None, "", ">= 0.8")]
    mean = {}
    for model in ("network", "pymunk", "still"):
        results = run_all([Run("pusht", "t", model, seed) for seed in range(seeds)], say)
        mean[model] = float(np.mean([result["coverage"] for result in results]))
    told = f"pymunk as the model {mean['pymunk']:.2f}, standing still {mean['still']:.2f}"
    return [
        line(name, mean["network"], "", ">= 0.8", told),
        line("gym-pusht, against pymunk as the model", 100 * mean["network"] / mean["pymunk"], "%", ">= 90"),
    ]


def imagination_lines(tasks: int, say: Progress) -> list[Line]:
    """Whether policies rank in the world as they do in the oracle."""
    results = run_all([Run("imagination", "push", "scripted", number) for number in range(tasks)], say)
    pearson, violation = agreement(results)
    one, other = bootstrap(results)
    return [
        line(f"5 policies on {tasks} tasks, in the world and in the oracle: Pearson", pearson, "", ">= 0.9",
             f"95 % interval {one[0]:.3f} to {one[1]:.3f}"),
        line("the same: mean maximum rank violation", violation, "", "<= 0.05",
             f"95 % interval {other[0]:.3f} to {other[1]:.3f}"),
    ]  # fmt: skip


def _rate(name: str, results: list[dict[str, Any]], target: str | None) -> Line:
    wins, count = sum(result["success"] for result in results), len(results)
    low, high = wilson(wins, count)
    told = f"95 % interval {100 * low:.0f} to {100 * high:.0f} %"
    return line(f"{name}: {wins} of {count}", 100 * wins / count, "%", target, told)
