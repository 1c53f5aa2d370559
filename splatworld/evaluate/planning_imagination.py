"""Whether the world tells good policies from bad ones: scripted pushers of graded aim, there and in the oracle."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from splatworld.core.state import State
from splatworld.core.world import World
from splatworld.dynamics.predict import stream
from splatworld.evaluate.planning_oracle import FIRST, OracleEnv
from splatworld.evaluate.planning_tasks import Task, draw_task
from splatworld.geometry.shapes import pack_shapes
from splatworld.plan.commands import actions_along, expanded
from splatworld.plan.config import PlanConfig
from splatworld.plan.goals import Goal
from splatworld.plan.proposals import Pushes, lay_out
from splatworld.plan.site import look

POLICIES = {"exact": 0.0, "off by 25 degrees": 25.0, "off by 50 degrees": 50.0, "off by 80 degrees": 80.0,
            "away": 180.0}  # fmt: skip
"""Name -> degrees by which a policy aims beside the goal."""
PUSHES = 4
NUMBERS = 1000
"""Tasks from this number on, apart from those of the planner."""


class Reality(Protocol):
    """Where a policy acts."""

    @property
    def state(self) -> State:
        """Now."""

    def step(self, action: Any) -> Any:
        """An action [A]."""


class Imagined:
    """The world as the network thinks it goes on."""

    def __init__(self, world: World, state: State) -> None:
        self._running = stream(world, state)

    @property
    def state(self) -> State:
        return self._running.state

    def step(self, action: np.ndarray) -> State:
        return self._running.step(torch.from_numpy(action))


def scores(number: int) -> dict[str, Any]:
    """How much nearer each policy brings the body of a task, as a share of the way, in the world and in the oracle."""
    task = draw_task("push", NUMBERS + number)
    found: dict[str, Any] = {}
    for name, degrees in POLICIES.items():
        side = 1 if number % 2 else -1
        env = OracleEnv(task.scene)
        env.reset()
        goal = task.goal(env.world)
        imagined = Imagined(env.world, env.state)
        found[name] = [follow(place, env.world, task, goal, side * np.deg2rad(degrees)) for place in (imagined, env)]
    return found


def follow(place: Reality, world: World, task: Task, goal: Goal, beside: float) -> float:
    """Push the body towards the goal, some rad beside it, again and again; the share of the way that is gained."""
    target = torch.from_numpy(task.targets[0, :2])
    first = _distance(place.state, target)
    for _ in range(PUSHES):
        for action in _push(place.state, world, goal, beside):
            place.step(action)
    return float(np.clip(1 - _distance(place.state, target) / first, -1, 1))


def _push(state: State, world: World, goal: Goal, beside: float) -> np.ndarray:
    """[H, A] actions of one push through the middle of the body; none where the tool cannot get there."""
    config = PlanConfig()
    site = look(world, pack_shapes(world), state, goal, config)
    way = site.ground.targets[FIRST] - site.ground.origins[FIRST]
    one = np.ones(1)
    heading = one * (np.arctan2(way[1], way[0]) + beside)
    length = one * np.clip(np.linalg.norm(way), 0.005, config.push.longest)
    push = Pushes(one.astype(int) * FIRST, heading, 0 * one, length, 0 * one, one < 0, 0 * one)
    stroke = lay_out(push, site.ground, config.push)
    if not np.isfinite(site.lengths(stroke.starts, stroke.travel))[0]:
        return np.zeros((0, 6))
    places = np.concatenate([stroke.places[0], np.full((config.push.steps, 1), site.height)], axis=1)
    whole = np.concatenate([site.way(stroke.starts[0], float(stroke.travel[0])), places])
    return actions_along(world, expanded(state, 1), torch.from_numpy(whole)[None])[0].numpy()


def _distance(state: State, target: Tensor) -> float:
    return float((state.world_from_body[FIRST, :2] - target).norm())


def agreement(results: list[dict[str, Any]]) -> tuple[float, float]:
    """Pearson's correlation of the policies' mean scores in world and oracle, and their mean maximum rank violation.

    Li et al., "Evaluating real-world robot manipulation policies in simulation" (2024), equation 2: for each policy the
    largest difference in the oracle to one that the world ranks on the wrong side of it.
    """
    table = np.array([[result[name] for name in POLICIES] for result in results]).mean(axis=0)
    imagined, real = table[:, 0], table[:, 1]
    wrong = (imagined[:, None] < imagined[None]) != (real[:, None] < real[None])
    violation = np.where(wrong, np.abs(real[:, None] - real[None]), 0.0).max(axis=1).mean()
    return float(np.corrcoef(imagined, real)[0, 1]), float(violation)


def bootstrap(results: list[dict[str, Any]], draws: int = 1000) -> tuple[tuple[float, float], tuple[float, float]]:
    """95 % intervals of both figures of `agreement`, over tasks drawn again."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(draws):
        rows = rng.integers(len(results), size=len(results))
        found.append(agreement([results[row] for row in rows]))
    low, high = np.nanquantile(np.array(found), [0.025, 0.975], axis=0)
    return (float(low[0]), float(high[0])), (float(low[1]), float(high[1]))
