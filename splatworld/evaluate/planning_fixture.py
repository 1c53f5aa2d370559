"""Drawers and doors for the planner: a cabinet in the oracle behind the interface of an environment."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splatworld.core.state import State
from splatworld.core.world import rest_state
from splatworld.dynamics.predict import predict
from splatworld.evaluate.planning_models import still
from splatworld.plan.config import PlanConfig
from splatworld.plan.control import ControlConfig, control
from splatworld.plan.goals import Goal, joint_aim
from splatworld.robot.kinematics import forward_kinematics
from splatworld.simulate.episodes.fixtures import Fixture, act, draw_fixture, fixture_model, fixture_world
from splatworld.simulate.episodes.tools import MAX_SPEED, Servo
from splatworld.simulate.episodes.world import tool_poses

SEED = 40271
FORCE = 60.0
"""N of the tool's servos."""
PARKED = (-0.4, 0.35, 0.01, 0.0)
"""Where the tool waits: x, y, z m, yaw."""
APART = 0.3
"""Of the joint's range by which start and goal differ at least."""
MOST = 200
"""Actions that are allowed."""
HOLD = 5
MODELS = {"network": predict, "still": still}


class FixtureEnv:
    """A drawer or a door in MuJoCo; states are those of its world, actions end-effector increments.

    Attributes:
        world: what a planner is told: shapes and the joint, of resistances nothing.
    """

    def __init__(self, fixture: Fixture) -> None:
        self._fixture, self.world = fixture, fixture_world(fixture)
        self._rest = rest_state(self.world)
        self.reset()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Tensor, dict[str, Any]]:
        """The first state again."""
        self._model, self._data = fixture_model(self._fixture)
        self._target = self._fixture.tool.joints.copy()
        self._steps = 0
        return self.state.joints, {}

    def step(self, action: np.ndarray) -> tuple[Tensor, float, bool, bool, dict[str, Any]]:
        """One action of 0.1 s."""
        values = np.clip([*action[:3], action[5]], -0.1 * MAX_SPEED, 0.1 * MAX_SPEED)
        self._target = act(self._fixture, self._model, self._data, self._target, values)
        self._steps += 1
        return self.state.joints, 0.0, False, False, {}

    @property
    def state(self) -> State:
        """Now, without noise."""
        data = self._data
        tool = np.array([data.joint(name).qpos[0] for name in ("x", "y", "z", "yaw")])
        speeds = [float(data.joint(name).qvel[0]) for name in ("x", "y", "z", "yaw")]
        poses, twists = self._rest.world_from_body.clone(), self._rest.twists.clone()
        poses[-1] = tool_poses(torch.from_numpy(tool))
        twists[-1] = torch.tensor([*speeds[:3], 0.0, 0.0, speeds[3]], dtype=torch.float64)
        leaf = data.joint("leaf")
        now = replace(
            self._rest,
            world_from_body=poses,
            twists=twists,
            joints=torch.from_numpy(leaf.qpos.copy()),
            joint_velocities=torch.from_numpy(leaf.qvel.copy()),
            awake=torch.ones_like(self._rest.awake),
            time=torch.tensor(0.1 * self._steps, dtype=torch.float64),
        )
        return forward_kinematics(self.world, now)


def draw_task(kind: str, number: int) -> tuple[Fixture, float]:
    """A fixture by chance, its tool parked beside it, and the value that its joint shall have."""
    rng = np.random.default_rng([SEED, number])
    drawn = draw_fixture(kind, "test_known", rng)
    high = drawn.limits[1]
    value = drawn.start
    while abs(value - drawn.start) < APART * high:
        value = rng.uniform(0.02, 0.95) * high
    servo = Servo(np.array([FORCE, FORCE, FORCE, 0.05 * FORCE]))
    return replace(drawn, tool=replace(drawn.tool, servo=servo, joints=np.array(PARKED))), value


def play(kind: str, model: str, number: int) -> dict[str, Any]:
    """One task under the planner."""
    fixture, value = draw_task(kind, number)
    env = FixtureEnv(fixture)
    first, begin = env.state, time.perf_counter()
    leaf = env.world.joint_bodies[0]
    goal = Goal((joint_aim(env.world, first, leaf, value),))
    config = ControlConfig(plan=PlanConfig(seed=number), hold=HOLD, most=MOST)
    outcome = control(env, env.world, goal, dynamics=MODELS[model], config=config)
    for _ in range(HOLD):
        env.step(np.zeros(6))
    return {
        "success": bool(goal.reached(env.state)),
        "reason": outcome.reason,
        "actions": outcome.actions,
        "plans": len(outcome.seconds),
        "plan_seconds": float(np.median(outcome.seconds)) if outcome.seconds else 0.0,
        "seconds": time.perf_counter() - begin,
        "range": fixture.limits[1],
        "start": float(first.joints[0]),
        "wanted": value,
        "ended": float(env.state.joints[0]),
    }
