"""Tasks for the planner in the oracle: bodies of families that no training saw, their masses and frictions unknown."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from splatworld.core.state import State
from splatworld.core.world import World
from splatworld.evaluate.planning_oracle import FIRST, OracleEnv
from splatworld.plan.cost import BodyToPose, KeepStill
from splatworld.plan.goals import Goal, pose_aim
from splatworld.simulate.episodes.families import FAMILIES, draw_shapes, for_split, tool_numbers
from splatworld.simulate.episodes.footprint import footprint, separation, yawed
from splatworld.simulate.episodes.scene import Scene, Tool
from splatworld.simulate.episodes.shapes import shape, stable_poses
from splatworld.simulate.episodes.tools import Servo

SPLIT = "test_heldout"
SEED = 40270
TABLE = 0.2
"""m, half the side of the square in which bodies lie and shall lie."""
FORCE = 30.0
"""N of the tool's servos."""
PARKED = (0.34, 0.34, 0.005, 0.0)
"""Where the tool waits: x, y, z m, yaw."""
APART = 0.04
"""m between shadows of several bodies, at first and where they shall be: room for the tool."""
SMALL = 0.07
"""m, radius of bodies at most where there are several."""
TOUCHED = 0.002
"""m a body may move and still counts as left alone."""
TRIES = 200


@dataclass(frozen=True)
class Task:
    """What is to be done.

    Attributes:
        kind: "push" or "rearrange".
        scene: with its hidden truth.
        targets: [G, 7] where the first G bodies shall be.
        any_turn: whether they may be turned in any way.
    """

    kind: str
    scene: Scene
    targets: np.ndarray
    any_turn: bool

    @property
    def most(self) -> int:
        """Actions that are allowed."""
        return 300 if self.kind == "push" else 600

    def goal(self, world: World) -> Goal:
        """The goal in the world of the scene."""
        aims = []
        for number, target in enumerate(self.targets):
            aim = pose_aim(world, FIRST + number, torch.from_numpy(target))
            aims.append(replace(aim, radius=0.0) if self.any_turn else aim)
        others = range(FIRST + len(self.targets), FIRST + len(self.scene))
        return Goal(tuple(aims), (KeepStill(tuple(others)),) if others else ())

    def succeeded(self, env: OracleEnv, first: State, goal: Goal) -> bool:
        """Whether every aim is reached and no other body has been moved."""
        now = env.state
        others = slice(FIRST + len(self.targets), FIRST + len(self.scene))
        moved = (now.world_from_body[others, :3] - first.world_from_body[others, :3]).norm(dim=-1)
        return bool(goal.reached(now)) and bool((moved < TOUCHED).all())


def draw_task(kind: str, number: int) -> Task:
    """Task `number` of a kind: "push" one body to a place and a heading, or "rearrange" three beside a fourth."""
    count = 1 if kind == "push" else 4
    for attempt in range(TRIES):
        rng = np.random.default_rng([SEED, count, number, attempt])
        config = for_split(FAMILIES["push"], SPLIT)
        names = draw_shapes(config, SPLIT, count, rng)
        if count > 1 and max(shape(name).radius for name in names) > SMALL:
            continue
        poses, targets = _laid(names, [], rng), None
        if poses is not None:
            fixed = [footprint(shape(names[-1]), poses[-1])] if count > 1 else []
            targets = _laid(names[: max(1, count - 1)], fixed, rng, like=poses)
        if poses is None or targets is None:
            continue
        tool = Tool(
            name=f"cylinder-{rng.choice(tool_numbers(SPLIT)):02d}",
            servo=Servo(np.array([FORCE, FORCE, FORCE, 0.05 * FORCE])),
            joints=np.array(PARKED),
        )
        truth = config.ranges.draw(names, rng)
        scene = Scene(names, np.zeros(count, bool), poses, np.zeros((count, 6)), truth, tool, settle=0.4)
        return Task(kind, scene, targets, any_turn=count > 1)
    raise RuntimeError(f"no {kind} {number} found room in {TRIES} tries")


def _laid(
    names: tuple[str, ...], taken: list[np.ndarray], rng: np.random.Generator, like: np.ndarray | None = None
) -> np.ndarray | None:
    """Poses [B, 7] on the side on which each body lies lowest, apart from each other and from shadows that are taken;
    None if there is no room."""
    shadows, found = list(taken), []
    for index, name in enumerate(names):
        quats, heights, _ = stable_poses(name)
        side = int(np.argmin(heights))
        for _ in range(20):
            quat = yawed(quats[side], rng.uniform(0, 2 * np.pi)) if like is None or len(like) == 1 else like[index, 3:]
            pose = np.array([*rng.uniform(-TABLE, TABLE, 2), heights[side], *quat])
            polygon = footprint(shape(name), pose)
            if all(separation(polygon, other) > APART for other in shadows):
                break
        else:
            return None
        found.append(pose)
        shadows.append(polygon)
    return np.stack(found)


def missing(goal: Goal, state: State) -> tuple[float, float]:
    """m and rad by which the worst aim is missed."""
    aims = [aim for aim in goal.aims if isinstance(aim, BodyToPose)]
    errors = [aim.errors(state) for aim in aims]
    turns = [float(turned) for aim, (_, turned) in zip(aims, errors, strict=True) if aim.radius > 0]
    return max(float(away) for away, _ in errors), max(turns, default=0.0)
