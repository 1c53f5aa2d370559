"""A world as an environment of gymnasium: `splatworld/World-v0`, one at a time or many in a batch.

    import gymnasium, splatworld.plan.env
    env = gymnasium.make("splatworld/World-v0", world=world, goal=goal, stream=predict.stream)

Both kinds of environment predict, they do not measure: they are the world as the dynamics thinks it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, Protocol

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from torch import Tensor

from splatworld.core.camera import Camera
from splatworld.core.checks import InputError
from splatworld.core.rollout import Rollout
from splatworld.core.state import State
from splatworld.core.world import World, rest_state
from splatworld.plan.commands import expanded, robot_of
from splatworld.plan.goals import Goal
from splatworld.render.render import render
from splatworld.render.rendering import to_bytes

NAME = "splatworld/World-v0"
MOST = 200


class Running(Protocol):
    """A world that goes on, such as `splatworld.dynamics.predict.Stream`."""

    @property
    def state(self) -> State:
        """Now; any batch."""

    def step(self, action: Tensor) -> State:
        """The state after an action [..., A]."""


Start = Callable[[World, State], Running]
"""Such as `splatworld.dynamics.predict.stream`."""


class WorldEnv(gymnasium.Env):
    """One world.

    Observations are the poses [B, 7], twists [B, 6] and joints [J] of all bodies, one after the other, float32. The
    reward of an action is minus the goal's cost after it; reaching the goal terminates.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(
        self,
        world: World,
        goal: Goal,
        stream: Start,
        *,
        state: State | None = None,
        camera: Camera | None = None,
        render_mode: str | None = None,
        most: int = MOST,
    ) -> None:
        """Set it up.

        Args:
            world: with a robot.
            goal: see `goals`.
            stream: begins to predict.
            state: where episodes begin, unless `options["state"]` of a reset says otherwise; None: at rest.
            camera: that renders; None: the first of the world's.
            render_mode: None or "rgb_array".
            most: actions after which an episode is truncated.

        Raises:
            InputError: no robot, no camera to render with, or no such mode.
        """
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise InputError(f"WorldEnv: render_mode is {render_mode!r}, expected None or 'rgb_array'.")
        self._camera = camera or next(iter(world.cameras.values()), None)
        if render_mode is not None and self._camera is None:
            raise InputError("WorldEnv: the world has no camera to render with; give one.")
        self.render_mode = render_mode
        self._world, self._goal, self._stream, self._most = world, goal, stream, most
        self._first = rest_state(world) if state is None else state
        self.observation_space, self.action_space = spaces(world)
        self._running: Running | None = None
        self._steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode; nothing in it is left to chance."""
        super().reset(seed=seed)
        self._running = self._stream(self._world, (options or {}).get("state", self._first))
        self._steps = 0
        return observed(self.state), {}

    @property
    def state(self) -> State:
        """Now."""
        if self._running is None:
            raise InputError("WorldEnv: not begun; reset first.")
        return self._running.state

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """An action [A] of 0.1 s."""
        before = self.state
        assert self._running is not None
        values = torch.from_numpy(np.asarray(action, np.float64))
        state = self._running.step(values)
        self._steps += 1
        reward = -float(self._goal(_one_step(expanded(before, 1), values[None], expanded(state, 1)))[0])
        reached = bool(self._goal.reached(state))
        return observed(state), reward, reached, self._steps >= self._most, {}

    def render(self) -> np.ndarray | None:  # type: ignore[override]
        """[H, W, 3] uint8 of what is now."""
        if self.render_mode is None or self._running is None or self._camera is None:
            return None
        return to_bytes(render(self._world, self._running.state, self._camera).image)


class WorldVectorEnv(VectorEnv):
    """Many copies of one world, predicted together.

    What happens when an episode ends is told by `autoreset`: "NextStep", the next action resets instead of acting;
    "SameStep", the observation is that of the new episode already and the last one is in `info["final_obs"]`;
    "Disabled", `reset` with `options["reset_mask"]` [N] bool resets some.
    """

    metadata: dict[str, Any] = {"render_modes": [], "render_fps": 10}  # noqa: RUF012

    def __init__(
        self,
        num_envs: int,
        world: World,
        goal: Goal,
        stream: Start,
        *,
        state: State | None = None,
        most: int = MOST,
        autoreset: str | AutoresetMode = AutoresetMode.NEXT_STEP,
    ) -> None:
        """Arguments as of `WorldEnv`."""
        if num_envs < 1:
            raise InputError(f"WorldVectorEnv: {num_envs} environments, expected at least 1.")
        self.num_envs, self._mode = num_envs, AutoresetMode(autoreset)
        self.metadata = {**self.metadata, "autoreset_mode": self._mode}
        self._world, self._goal, self._stream, self._most = world, goal, stream, most
        self._first = expanded(rest_state(world) if state is None else state, num_envs)
        self.single_observation_space, self.single_action_space = spaces(world)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._running: Running | None = None
        self._steps = np.zeros(num_envs, int)
        self._ended = np.zeros(num_envs, bool)

    def reset(  # type: ignore[override]
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin all episodes, or those of `options["reset_mask"]`."""
        super().reset(seed=seed)
        mask = np.asarray((options or {}).get("reset_mask", np.ones(self.num_envs, bool)), bool)
        if mask.shape != (self.num_envs,):
            raise InputError(f"WorldVectorEnv: reset_mask is {list(mask.shape)}, expected [{self.num_envs}].")
        self._begin(mask)
        return observed(self.state), {}

    @property
    def state(self) -> State:
        """Now, batch [N]."""
        if self._running is None:
            raise InputError("WorldVectorEnv: not begun; reset first.")
        return self._running.state

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Actions [N, A] of 0.1 s."""
        before, renewed = self.state, self._ended.copy()
        assert self._running is not None
        if self._mode == AutoresetMode.DISABLED and self._ended.any():
            raise InputError("WorldVectorEnv: an episode has ended; reset it with options['reset_mask'].")
        values = torch.from_numpy(np.asarray(actions, np.float64))
        state = self._running.step(values)
        rewards = -self._goal(_one_step(before, values, state)).double().numpy()
        self._steps += 1
        terminated, truncated = self._goal.reached(state).numpy(), self._steps >= self._most
        info: dict[str, Any] = {}
        if renewed.any():  # their action counted for nothing
            self._begin(renewed)
            rewards = np.where(renewed, 0.0, rewards)
            terminated, truncated = terminated & ~renewed, truncated & ~renewed
        self._ended = terminated | truncated
        if self._mode == AutoresetMode.SAME_STEP and self._ended.any():
            info["final_obs"], info["_final_obs"] = observed(state), self._ended.copy()
            self._begin(self._ended)
        return observed(self.state), rewards, terminated, truncated, info

    def _begin(self, mask: np.ndarray) -> None:
        """Put the masked ones back to where episodes begin."""
        now = self._first
        if self._running is not None and not mask.all():
            chosen, state = torch.from_numpy(mask), self._running.state
            pairs = {f.name: (getattr(self._first, f.name), getattr(state, f.name)) for f in fields(State)}
            now = State(**{
                name: torch.where(chosen.reshape(-1, *(1,) * (one.ndim - 1)), one, other)
                for name, (one, other) in pairs.items()
            })  # fmt: skip
        self._running = self._stream(self._world, now)
        self._steps = np.where(mask, 0, self._steps)
        self._ended = self._ended & ~mask


def spaces(world: World) -> tuple[gymnasium.spaces.Box, gymnasium.spaces.Box]:
    """Observations and actions of one environment.

    Raises:
        InputError: no robot.
    """
    action = robot_of(world).action
    size = len(observed(rest_state(world)))
    return (
        gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32),
        gymnasium.spaces.Box(action.low.numpy(), action.high.numpy(), dtype=np.float64),
    )


def observed(state: State) -> np.ndarray:
    """[..., D] float32 of states [...]."""
    parts = (state.world_from_body.flatten(-2), state.twists.flatten(-2), state.joints)
    return torch.cat([part.double() for part in parts], dim=-1).float().numpy()


def _one_step(before: State, actions: Tensor, after: State) -> Rollout:
    """The rollouts [N] of one action each."""
    both = {f.name: torch.stack([getattr(before, f.name), getattr(after, f.name)], dim=1) for f in fields(State)}
    return Rollout(actions[:, None], State(**both), "")


if NAME not in gymnasium.registry:
    gymnasium.register(NAME, entry_point=f"{__name__}:WorldEnv", vector_entry_point=f"{__name__}:WorldVectorEnv")
