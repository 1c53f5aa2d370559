"""What a planner may take for the dynamics: the network, nothing moves, or MuJoCo that does not know the parameters."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from splatworld.core.rollout import Rollout
from splatworld.core.state import State
from splatworld.core.world import World
from splatworld.dynamics.predict import predict
from splatworld.evaluate.planning_oracle import FIRST
from splatworld.plan.search import Dynamics
from splatworld.robot.actions import apply_action
from splatworld.simulate.episodes.families import FAMILIES
from splatworld.simulate.episodes.physics import Physics, build
from splatworld.simulate.episodes.redraw import with_knowledge
from splatworld.simulate.episodes.scene import Scene
from splatworld.simulate.episodes.world import tool_poses

MODELS = ("network", "still", "mujoco")


def model_of(name: str, scene: Scene) -> Dynamics:
    """One of `MODELS` for a scene."""
    if name == "network":
        return predict
    return still if name == "still" else MujocoModel(build(replace(with_knowledge(scene, "mean", RANGES), settle=0.0)))


RANGES = FAMILIES["push"].ranges


def still(world: World, state: State, actions: Tensor) -> Rollout:
    """The robot moves, bodies do not."""
    states = [state]
    for t in range(actions.shape[-2]):
        states.append(apply_action(world, states[-1], actions[..., t, :]))
    return stacked(actions, states)


@dataclass(frozen=True)
class MujocoModel:
    """MuJoCo as the dynamics of a scene's world, one candidate after the other.

    Attributes:
        physics: of the scene as it is believed to be.
    """

    physics: Physics

    def __call__(self, world: World, state: State, actions: Tensor) -> Rollout:
        """Rollouts of states [N] under actions [N, T, A]."""
        count, steps = actions.shape[:2]
        poses = state.world_from_body[:, None].repeat(1, steps + 1, 1, 1)
        twists = state.twists[:, None].repeat(1, steps + 1, 1, 1)
        given = actions[..., [0, 1, 2, 5]].numpy()
        for row in range(count):
            self._set(state.world_from_body[row].numpy(), state.twists[row].numpy())
            for t in range(steps):
                for _ in self.physics.act(given[row, t]):
                    pass
                poses[row, t + 1, FIRST:-1] = torch.from_numpy(self.physics.poses)
                twists[row, t + 1, FIRST:-1] = torch.from_numpy(self.physics.twists)
                poses[row, t + 1, -1] = tool_poses(torch.from_numpy(self.physics.joints))
        plain = {
            f.name: getattr(state, f.name)[:, None].expand(count, steps + 1, *getattr(state, f.name).shape[1:])
            for f in fields(State)
        }
        return Rollout(actions, State(**{**plain, "world_from_body": poses, "twists": twists}), "")

    def _set(self, poses: np.ndarray, twists: np.ndarray) -> None:
        tool, speed = poses[-1], twists[-1]
        joints = np.array([*tool[:3], 2 * np.arctan2(tool[6], tool[3])])
        self.physics.set_state(poses[FIRST:-1], twists[FIRST:-1], joints, speed[[0, 1, 2, 5]])


def stacked(actions: Tensor, states: list[State]) -> Rollout:
    """The rollout of states [..., ] one after the other."""
    axis = actions.ndim - 2
    joined = {f.name: torch.stack([getattr(each, f.name) for each in states], dim=axis) for f in fields(State)}
    return Rollout(actions, State(**joined), "")
