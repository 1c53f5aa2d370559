"""A block and a rod on a plane, and a dynamics that everybody can check by hand."""

from dataclasses import fields, replace

import torch

from splatworld.core.rollout import Rollout
from splatworld.core.state import State
from splatworld.core.world import World, rest_state
from splatworld.robot.actions import apply_action
from tests.dynamics.scenes import at, blocks

BLOCK = 1
REACH = 0.035
"""m around the block's origin in which the rod is at it."""


def block_world(*others, tool=(-0.2, 0.0)) -> tuple[World, State]:
    """A block at the origin, others beside it, and a rod at the height of pushes."""
    world = blocks(at(0.0, 0.0, 0.025), *others, tool=at(*tool, 0.005))
    return world, rest_state(world)


def plain(world: World, state: State, actions: torch.Tensor) -> Rollout:
    """Bodies within 3.5 cm of the rod are moved aside until they are 3.5 cm from it, without turning."""
    now, states, rod = state, [state], world.robot.tool
    free = [k for k, body in enumerate(world.bodies) if body.kind == "rigid"]
    for t in range(actions.shape[-2]):
        after = apply_action(world, now, actions[..., t, :])
        poses = after.world_from_body.clone()
        away = poses[..., free, :2] - poses[..., None, rod, :2]
        far = away.norm(dim=-1, keepdim=True).clamp(min=1e-6)
        poses[..., free, :2] += away / far * (REACH - far).clamp(min=0)
        now = replace(after, world_from_body=poses)
        states.append(now)
    axis = actions.ndim - 2
    joined = {f.name: torch.stack([getattr(each, f.name) for each in states], dim=axis) for f in fields(State)}
    return Rollout(actions, State(**joined), "plain")


class PlainEnv:
    """A reality that is exactly as `plain` says."""

    def __init__(self, world: World, state: State) -> None:
        self._world, self._first = world, state

    def reset(self, *, seed=None, options=None):
        self.state = self._first
        return None, {}

    def step(self, action):
        rollout = plain(self._world, self.state[None], torch.from_numpy(action)[None, None])
        self.state = rollout.states[0, -1]
        return None, 0.0, False, False, {}
