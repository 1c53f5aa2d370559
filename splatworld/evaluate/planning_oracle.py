"""Scenes of the oracle as an outside reality: MuJoCo with true parameters behind the interface of an environment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splatworld.core.state import State
from splatworld.core.world import World, rest_state
from splatworld.simulate.episodes.physics import Physics, build
from splatworld.simulate.episodes.scene import Scene
from splatworld.simulate.episodes.tools import MAX_SPEED
from splatworld.simulate.episodes.world import scene_world, tool_poses

FIRST = 2
"""Bodies of the world before those of the scene: background and table."""


class OracleEnv:
    """A scene in MuJoCo; states are those of its world, actions end-effector increments as its robot takes them.

    Attributes:
        world: what a planner is told: shapes and places, no masses and no friction.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = replace(scene, settle=max(scene.settle, 0.4))
        self._physics: Physics = build(self._scene)
        settled = replace(self._scene, poses=self._physics.poses)
        self.world: World = scene_world(settled)
        self._rest = rest_state(self.world)
        self._first = (self._physics.poses, self._physics.twists, self._physics.joints, np.zeros(4))
        self._steps = 0

    @property
    def physics(self) -> Physics:
        return self._physics

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Tensor, dict[str, Any]]:
        """The first state again."""
        self._physics.set_state(*self._first)
        self._steps = 0
        return self.state.world_from_body, {}

    def step(self, action: np.ndarray) -> tuple[Tensor, float, bool, bool, dict[str, Any]]:
        """One action of 0.1 s."""
        values = np.array([*action[:3], action[5]])
        for _ in self._physics.act(np.clip(values, -0.1 * MAX_SPEED, 0.1 * MAX_SPEED)):
            pass
        self._steps += 1
        return self.state.world_from_body, 0.0, False, False, {}

    @property
    def state(self) -> State:
        """Now, as the world has it; the truth about bodies, without noise."""
        physics, rest = self._physics, self._rest
        poses, twists = rest.world_from_body.clone(), rest.twists.clone()
        poses[FIRST:-1] = torch.from_numpy(physics.poses)
        twists[FIRST:-1] = torch.from_numpy(physics.twists)
        poses[-1] = tool_poses(torch.from_numpy(physics.joints))
        speeds = physics.joint_velocities
        twists[-1] = torch.tensor([*speeds[:3], 0.0, 0.0, speeds[3]], dtype=torch.float64)
        asleep = torch.from_numpy(physics.asleep)
        awake = torch.cat([torch.zeros(FIRST, dtype=torch.bool), ~asleep, torch.ones(1, dtype=torch.bool)])
        time = torch.tensor(0.1 * self._steps, dtype=torch.float64)
        return replace(rest, world_from_body=poses, twists=twists, awake=awake, time=time)
