"""The floors that a learned model is measured against: the same scene again in MuJoCo, not knowing its parameters."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch

from splatworld.core.checks import InputError, check_choice
from splatworld.episodes import SUBSTATES, Episodes
from splatworld.node_episodes import NodeEpisodes
from splatworld.simulate.episodes.physics import build
from splatworld.simulate.episodes.record import Episode, record
from splatworld.simulate.episodes.scene import Parameters, Ranges, Scene, Tool
from splatworld.simulate.episodes.tools import Servo

KNOWLEDGE = ("true", "mean", "redrawn")
"""What a rerun knows of the parameters: all, the middle of their ranges, or another draw from them."""


def scene_at(episodes: Episodes, number: int, action: int = 0, *, step: float = 0.002) -> Scene:
    """The scene of a stored episode as it was before one of its actions, true parameters included.

    Args:
        episodes: where it is stored.
        number: which episode.
        action: before which action.
        step: s of a physics step.

    Raises:
        InputError: there is no such episode or action.
    """
    if not (0 <= number < len(episodes) and 0 <= action < episodes.actions.shape[1]):
        last = f"{len(episodes) - 1} and {episodes.actions.shape[1] - 1}"
        raise InputError(f"scene_at: episode {number}, action {action}, expected 0 to {last}.")
    bodies, state = episodes.mask[number], action * SUBSTATES
    count = int(bodies.sum())
    truth = {name: _array(value[number, :count]) for name, value in vars(episodes.truth).items()}
    truth["body_friction"] = truth["body_friction"][:, :count]
    poses = _array(episodes.poses[number, state, :count])
    poses[:, 3:] /= np.linalg.norm(poses[:, 3:], axis=1, keepdims=True)
    return Scene(
        shapes=tuple(episodes.shapes[int(k)] for k in episodes.shape_ids[number, :count]),
        fixed=episodes.fixed[number, :count].numpy(),
        poses=poses,
        twists=_array(episodes.twists[number, state, :count]),
        parameters=Parameters(**truth),
        tool=tool_at(episodes, number, action),
        step=step,
    )


def tool_at(episodes: Episodes | NodeEpisodes, number: int, action: int) -> Tool | None:
    """The tool of a stored episode as it was before one of its actions; None where there was none."""
    if episodes.tool_ids[number] < 0:
        return None
    return Tool(
        name=episodes.tools[int(episodes.tool_ids[number])],
        servo=Servo(_array(episodes.force[number])),
        joints=_array(episodes.joints[number, action * SUBSTATES]),
        velocities=_array(episodes.joint_velocities[number, action * SUBSTATES]),
        target=_array(episodes.targets[number, action]),
    )


def with_knowledge(scene: Scene, knowledge: str, ranges: Ranges, seed: int = 0) -> Scene:
    """The scene with parameters as one of `KNOWLEDGE` has them; `seed` chooses the redraw."""
    check_choice("with_knowledge", "knowledge", knowledge, KNOWLEDGE)
    if knowledge == "true":
        return scene
    if knowledge == "mean":
        return replace(scene, parameters=ranges.mean(scene.shapes))
    return replace(scene, parameters=ranges.draw(scene.shapes, np.random.default_rng([seed, 11])))


def rerun(scene: Scene, actions: torch.Tensor | np.ndarray) -> Episode:
    """What becomes of a scene under actions [T, 4]; its state is taken as it is, nothing settles first."""
    given = iter(np.asarray(actions, float))
    return record(build(replace(scene, settle=0.0)), lambda: next(given), len(actions))


def action_seconds(scene: Scene, actions: torch.Tensor | np.ndarray) -> float:
    """s of computing that MuJoCo alone takes an action of 0.1 s: building and recording left out."""
    physics = build(replace(scene, settle=0.0))
    given = np.asarray(actions, float)
    begin = time.perf_counter()
    for action in given:
        for _ in physics.act(action):
            pass
    return (time.perf_counter() - begin) / len(given)


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.double().numpy().copy()
