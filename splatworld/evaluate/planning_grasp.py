"""Grasp and place for the planner: one body and a gripper in the oracle behind the interface of an environment."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splatworld.core.robot import GRIP_FORCE
from splatworld.core.rollout import Rollout
from splatworld.core.state import State
from splatworld.core.world import World, rest_state
from splatworld.dynamics.predict import predict
from splatworld.evaluate.planning_models import still
from splatworld.plan.config import PlanConfig
from splatworld.plan.control import ControlConfig, control
from splatworld.plan.cost import BodyToPose, KeepUpright
from splatworld.plan.goals import Goal
from splatworld.plan.plan import Planner
from splatworld.robot.actions import idle_action
from splatworld.robot.place import STEP, TURN
from splatworld.simulate.episodes.families import FAMILIES, draw_shapes, for_split
from splatworld.simulate.episodes.footprint import yawed
from splatworld.simulate.episodes.grasp_scenes import OPENING, GraspScene, good_grasp
from splatworld.simulate.episodes.grasps import Bench, bench_world, gripper_joints, seen_state, simulate
from splatworld.simulate.episodes.shapes import stable_poses

SPLIT = "test_heldout"
SEED = 40272
TABLE = 0.2
"""m, half the side of the square in which bodies lie and shall lie."""
LEAST_WAY = 0.08
"""m from start to goal at least."""
WAITS = np.array([0.0, 0.0, 0.25, 0.0, OPENING])
"""Where the open hand waits: x, y, z m of the tips' middle, yaw, width."""
TIPPED = 0.2618
"""rad (15 degrees) that the body may lean in the end."""
LIFTED = 0.01
"""m by which the body must have been above where it lay: it shall be carried, not pushed."""
MOST = 300
"""Actions that are allowed."""
HOLD, SETTLING = 5, 5
CLOSER = 1e-4
"""m by which fingers must be told to be wider than they are, to open; else they go on pressing."""
SHOWN = 200
BODY = 2
"""Of the world: background, table, then the body."""
TRIES, GRASPS = 100, 5
"""Bodies that are drawn for a task, and grasps that are tried on each in the oracle."""
MOVING = 0.01
"""m/s from which a body is not at rest."""


class GraspEnv:
    """A body on a table and a gripper in MuJoCo; states are those of its world, actions end-effector increments.

    Attributes:
        world: what a planner is told: shapes, and the force of the grip, of the body's mass and friction nothing.
        highest: m by which the body has been above where it lay.
    """

    def __init__(self, scene: GraspScene, *, splats: int = SHOWN) -> None:
        self._scene = scene
        bench = Bench(scene)
        self._first = bench.joints
        self.world: World = bench_world(scene, bench.pose, bench.joints, splats=splats)
        self._rest = rest_state(self.world)
        self.reset()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Tensor, dict[str, Any]]:
        """The first state again."""
        self._bench, self._steps, self.highest = Bench(self._scene), 0, 0.0
        self._low = self._bench.pose[2]
        return self.state.world_from_body, {}

    def step(self, action: np.ndarray) -> tuple[Tensor, float, bool, bool, dict[str, Any]]:
        """One action of 0.1 s."""
        bench = self._bench
        _act(bench, action)
        self._steps += 1
        self.highest = max(self.highest, float(bench.pose[2] - self._low))
        return self.state.world_from_body, 0.0, False, False, {}

    @property
    def state(self) -> State:
        """Now, without noise."""
        bench, twists = self._bench, self._rest.twists.clone()
        twists[BODY] = torch.from_numpy(bench.twist)
        time = torch.tensor(0.1 * self._steps, dtype=torch.float64)
        now = replace(self._rest, twists=twists, awake=torch.ones_like(self._rest.awake), time=time)
        return seen_state(self.world, now, bench.pose, bench.joints, self._first)


def _act(bench: Bench, action: np.ndarray) -> None:
    """An action [7] as the world's robot takes it."""
    moves = np.clip(action[[0, 1, 2, 5]], [-STEP] * 3 + [-TURN], [STEP] * 3 + [TURN])
    opens = action[6] > bench.joints[4] + CLOSER
    bench.act(np.array([*moves, action[6] if opens else min(action[6], bench.target[4])]))


class MujocoGrasp:
    """MuJoCo as the dynamics of a scene's world, at the mean of what bodies weigh and how they rub, one candidate after
    the other."""

    def __init__(self, scene: GraspScene) -> None:
        self._bench = Bench(replace(scene, parameters=for_split(FAMILIES["push"], SPLIT).ranges.mean((scene.shape,))))
        self._first = scene.start

    def __call__(self, world: World, state: State, actions: Tensor) -> Rollout:
        """Rollouts of states [N] under actions [N, T, 7]."""
        bench, seen = self._bench, []
        for row, way in enumerate(actions.numpy()):
            now = state[row]
            joints = gripper_joints(world, now, self._first)
            # Fingers that are told to shut press already.
            bench.set(now.world_from_body[BODY].numpy(), now.twists[BODY].numpy(), joints, min(joints[4], way[0, 6]))
            seen.append(np.concatenate([bench.pose, bench.twist, bench.joints]))
            for action in way:
                _act(bench, action)
                seen.append(np.concatenate([bench.pose, bench.twist, bench.joints]))
        count, steps = actions.shape[:2]
        poses, speeds, joints = np.split(np.array(seen).reshape(count, steps + 1, -1), [7, 13], axis=-1)
        many = State(**{
            name: value[:, None].repeat(1, steps + 1, *(1,) * (value.ndim - 1)) for name, value in vars(state).items()
        })  # fmt: skip
        many.twists[..., BODY, :] = torch.from_numpy(speeds)
        return Rollout(actions, seen_state(world, many, poses, joints, self._first), "")


def draw_task(number: int) -> tuple[GraspScene, np.ndarray]:
    """A body by chance that the gripper can hold in the oracle, the hand waiting open, and [2] m where it shall be."""
    for attempt in range(TRIES):
        rng = np.random.default_rng([SEED, number, attempt])
        config = for_split(FAMILIES["push"], SPLIT)
        name = draw_shapes(config, SPLIT, 1, rng)[0]
        truth = config.ranges.draw((name,), rng)
        quats, heights, weights = stable_poses(name)
        side = rng.choice(len(quats), p=weights)
        quat = yawed(quats[side], rng.uniform(0, 2 * np.pi))
        lying = np.array([*rng.uniform(-TABLE, TABLE, 2), heights[side], *quat])
        place = rng.uniform(-TABLE, TABLE, 2)
        tried = [good_grasp(name, lying, truth, rng) for _ in range(GRASPS)]
        if np.linalg.norm(place - lying[:2]) < LEAST_WAY or not any(each and simulate(each).held for each in tried):
            continue
        return GraspScene(name, lying, truth, "good", GRIP_FORCE, WAITS, np.zeros((0, 5))), place
    raise RuntimeError(f"no body of {TRIES} for task {number} can be held")


def goal_of(world: World, first: State, place: np.ndarray) -> Goal:
    """The body at a place [2], standing as it stands in the first state, turned in any way."""
    pose = first.world_from_body[BODY].clone()
    pose[:2] = torch.from_numpy(place)
    return Goal((BodyToPose(BODY, pose, radius=0.0),), (KeepUpright(BODY, pose[3:]),))


def play(model: str, number: int) -> dict[str, Any]:
    """One task under the planner."""
    scene, place = draw_task(number)
    env = GraspEnv(scene)
    first, begin = env.state, time.perf_counter()
    goal = goal_of(env.world, first, place)
    config = ControlConfig(plan=PlanConfig(seed=number), hold=HOLD, most=MOST)
    dynamics = MujocoGrasp(scene) if model == "mujoco" else {"network": predict, "still": still}[model]
    outcome = control(env, env.world, goal, dynamics=dynamics, config=config)
    for _ in range(SETTLING):
        env.step(idle_action(env.world, env.state).numpy())
    state = env.state
    aim, upright = goal.aims[0], goal.keeps[0]
    assert isinstance(aim, BodyToPose)
    assert isinstance(upright, KeepUpright)
    tipped = float(upright.tipped(state))
    resting = float(state.twists[BODY, :3].norm()) < MOVING
    done = Planner(env.world, goal, dynamics=still).is_done(state)
    return {
        "success": done and resting and tipped < TIPPED and env.highest > LIFTED,
        "reason": outcome.reason,
        "actions": outcome.actions,
        "plans": len(outcome.seconds),
        "plan_seconds": float(np.median(outcome.seconds)) if outcome.seconds else 0.0,
        "seconds": time.perf_counter() - begin,
        "away_mm": 1e3 * float(aim.errors(state)[0]),
        "tipped_degrees": float(np.degrees(tipped)),
        "lifted_mm": 1e3 * env.highest,
        "shape": scene.shape,
    }
