"""gym-pusht as an outside reality: another physics engine, in the plane, that nothing here was trained on.

512 pixels are 0.5 m. Its y axis points down, ours up: the world is its picture upside down, which mirrors bodies too.
The agent is a disc on a spring; it is commanded such that it is at the end of each action where our tool would be.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.checks import InputError
from splatworld.core.rollout import Rollout
from splatworld.core.state import State
from splatworld.core.world import World, rest_state
from splatworld.dynamics.predict import predict
from splatworld.evaluate.planning_models import stacked
from splatworld.plan.config import PlanConfig
from splatworld.plan.goals import Goal, pose_aim
from splatworld.plan.plan import Planner
from splatworld.plan.proposals import PushConfig
from splatworld.plan.search import Dynamics
from splatworld.robot import primitives
from splatworld.robot.model import Link, RobotModel
from splatworld.robot.place import add_links, add_robot, metric_world
from splatworld.robot.tools import cylinder_pusher

METRES = 0.5 / 512
"""m a pixel."""
SIZE = 512
PARTS = ((-60, 0, 60, 30), (-15, 30, 15, 120))
"""The T's two boxes in its own frame: x, y from and to, pixels."""
AGENT = 15
WALL = 7
"""Pixels from the edge to the inside of the walls."""
TALL = 0.04
"""m that the T is tall, and its table does not know."""
BLOCK = 2
"""In the world: background, walls, T, tool."""
ACTIONS = 300
HOLD = 4


def spring() -> tuple[float, float]:
    """Of the way to its target that the agent goes from rest in an action; and s that its velocity counts in one."""
    found = []
    for place, speed, target in ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0)):
        for _ in range(10):  # as gym-pusht steps
            speed += (100 * (target - place) - 20 * speed) * 0.01
            place += speed * 0.01
        found.append(place)
    return found[0], found[1]


def center() -> np.ndarray:
    """[2] pixels, the T's centre of area in its own frame."""
    areas = np.array([(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in PARTS], float)
    middles = np.array([((x0 + x1) / 2, (y0 + y1) / 2) for x0, y0, x1, y1 in PARTS])
    return areas @ middles / areas.sum()


def pusht_world() -> World:
    """Walls, the T with its centre at the origin, and a rod as thick as the agent."""
    world, inside = metric_world(), SIZE - 2 * WALL
    walls = []
    for x, y, wide, deep in ((-10, 0, 20, inside), (inside + 10, 0, 20, inside), (0, -10, inside, 20),
                             (0, inside + 10, inside, 20)):  # fmt: skip
        middle = (x if wide == 20 else inside / 2, y if deep == 20 else inside / 2)
        walls.append(_box(middle[0] + WALL, middle[1] + WALL, wide, deep))
    still = pose.identity(dtype=torch.float64)
    world = _added(world, "walls", tuple(walls), "static", still)
    x, y = center()
    boxes = [_box((x0 + x1) / 2 - x, (y0 + y1) / 2 - y, x1 - x0, y1 - y0) for x0, y0, x1, y1 in PARTS]
    lowered = tuple(primitives.joined([box]) for box in boxes)
    world = _added(world, "T", lowered, "rigid", still)  # type: ignore[arg-type]
    rod = cylinder_pusher(radius=AGENT * METRES, length=0.06)
    return add_robot(world, rod, base_pose=torch.tensor([0.1, -0.1, 0.005, 1, 0, 0, 0], dtype=torch.float64), splats=20)


def _box(x: float, y: float, wide: float, deep: float) -> Any:
    """A box over a rectangle, middle and size in pixels, mirrored."""
    from splatworld.geometry.mesh import transform_mesh

    place = torch.tensor([x * METRES, -y * METRES, TALL / 2, 1, 0, 0, 0], dtype=torch.float64)
    return transform_mesh(primitives.box((wide * METRES, deep * METRES, TALL)), place)


def _added(world: World, name: str, parts: tuple[Any, ...], kind: str, at: Tensor) -> World:
    whole = primitives.joined(list(parts))
    middle = torch.tensor([0, 0, TALL / 2 if kind == "rigid" else 0.0], dtype=torch.float64)
    link = Link(name, whole, parts, 0.0, middle, None)
    return add_links(world, RobotModel(name, (link,), ()), at, {}, kinds=(kind, kind), splats=50)[0]


class PushtEnv:
    """gym-pusht behind the interface of an environment; states are those of `world`.

    Attributes:
        world: what a planner is told.
        coverage: of the goal by the T now, 0 to 1.
    """

    def __init__(self) -> None:
        """Raises InputError: gym-pusht is not installed."""
        try:
            from gym_pusht.envs import PushTEnv
        except ImportError as error:
            raise InputError(
                "gym-pusht is not installed; `pip install splatworld[pusht]`, then `pip install --no-deps "
                "gym-pusht==0.1.8` (its OpenCV would replace ours)."
            ) from error
        self.world = pusht_world()
        self._env = PushTEnv()
        self._rest = rest_state(self.world)
        self.coverage = 0.0
        self._steps = 0
        self._share, self._carry = spring()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Tensor, dict[str, Any]]:
        """Begin as gym-pusht does with a seed."""
        self._env.reset(seed=seed, options=options)
        self._steps, self.coverage = 0, float(self._env._get_coverage())
        return self.state.world_from_body, {}

    def step(self, action: np.ndarray) -> tuple[Tensor, float, bool, bool, dict[str, Any]]:
        """An end-effector action [6] of 0.1 s, of which x and y count."""
        env = self._env
        here, speed = np.array(env.agent.position), np.array(env.agent.velocity)
        way = np.array([action[0], -action[1]]) / METRES
        target = np.clip(here + (way - self._carry * speed) / self._share, 0, SIZE)
        _, _, done, _, info = env.step(target)
        self.coverage, self._steps = float(info["coverage"]), self._steps + 1
        return self.state.world_from_body, self.coverage, bool(done), self._steps >= ACTIONS, {}

    @property
    def state(self) -> State:
        """Now, as the world has it."""
        env, rest = self._env, self._rest
        poses, twists = rest.world_from_body.clone(), torch.zeros_like(rest.twists)
        poses[BLOCK] = world_pose(np.array(env.block.position), env.block.angle)
        x, y = env.agent.position
        poses[-1, :2] = torch.tensor([x * METRES, -y * METRES])
        return replace(rest, world_from_body=poses, twists=twists, time=torch.tensor(0.1 * self._steps).double())

    def put(self, state: State) -> None:
        """Begin anew in a single state of the world, at rest."""
        x, y = (state.world_from_body[-1, :2] / METRES).tolist()
        place, angle = pixel_pose(state.world_from_body[BLOCK])
        env = self._env
        env.agent.position, env.agent.velocity = (x, -y), (0.0, 0.0)
        env.block.angle = angle
        env.block.position = tuple(place)
        env.block.velocity, env.block.angular_velocity = (0.0, 0.0), 0.0
        env.space.reindex_shapes_for_body(env.block)
        env.space.reindex_shapes_for_body(env.agent)


def world_pose(position: np.ndarray, angle: float) -> Tensor:
    """[7] of our T from where gym-pusht has the origin of its T, pixels, and its angle, rad."""
    c, s = np.cos(angle), np.sin(angle)
    middle = position + np.array([[c, -s], [s, c]]) @ center()
    half = -angle / 2
    return torch.tensor(
        [middle[0] * METRES, -middle[1] * METRES, TALL / 2, np.cos(half), 0, 0, np.sin(half)], dtype=torch.float64
    )


def pixel_pose(world_from_block: Tensor) -> tuple[np.ndarray, float]:
    """The inverse of `world_pose`."""
    x, y, _, w, _, _, z = world_from_block.tolist()
    angle = -2 * np.arctan2(z, w)
    c, s = np.cos(angle), np.sin(angle)
    return np.array([x, -y]) / METRES - np.array([[c, -s], [s, c]]) @ center(), float(angle)


class PymunkModel:
    """gym-pusht itself as the dynamics of its world: what a planner could have at best."""

    def __init__(self) -> None:
        self._env = PushtEnv()
        self._env.reset(seed=0)

    def __call__(self, world: World, state: State, actions: Tensor) -> Rollout:
        """Rollouts of states [N] under actions [N, T, A]."""
        rows = []
        for row in range(len(actions)):
            self._env.put(state[row])
            states = [state[row]]
            for action in actions[row].numpy():
                self._env.step(action)
                states.append(self._env.state)
            rows.append(stacked(actions[row], states))
        poses = {name: torch.stack([getattr(each.states, name) for each in rows]) for name in vars(state)}
        return Rollout(actions, State(**poses), "")


def goal_of(env: PushtEnv) -> Goal:
    """Where gym-pusht wants its T, to a millimetre."""
    x, y, angle = env._env.goal_pose
    target = world_pose(np.array([x, y]), angle)
    return Goal((pose_aim(env.world, BLOCK, target, position=1e-3, angle=0.01),))


def plan_config(seed: int) -> PlanConfig:
    """Options for it: the rod stays down, pushes are short near the goal, and time costs little."""
    edge = (WALL + AGENT + 1) * METRES
    box = ((edge, edge - SIZE * METRES, 0.0), (SIZE * METRES - edge, -edge, 1.0))
    push = PushConfig(shortest=0.001, speed=0.15)
    return PlanConfig(lift=False, workspace=box, time_cost=0.0005, noise=0.001, push=push, seed=seed)


def play(seed: int, model: str) -> dict[str, Any]:
    """One episode; `model` is "network", "pymunk", or "still", which stands still."""
    env = PushtEnv()
    env.reset(seed=seed)
    dynamics: Dynamics = PymunkModel() if model == "pymunk" else predict
    planner = Planner(env.world, goal_of(env), dynamics=dynamics, config=plan_config(seed))
    best, done, count, last = env.coverage, False, 0, []
    while not done and count < ACTIONS:
        found = planner.plan(env.state) if model != "still" else None
        actions = found.actions[:HOLD].numpy() if found is not None and len(found) else np.zeros((1, 6))
        for action in actions:
            _, _, done, truncated, _ = env.step(action)
            best, count = max(best, env.coverage), count + 1
            last.append(env.coverage)
            if done or truncated:
                break
    return {"success": bool(done), "coverage": best, "actions": count, "last": env.coverage}
