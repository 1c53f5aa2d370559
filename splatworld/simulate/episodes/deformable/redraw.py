"""The floors that a model of deformable bodies is measured against: the same scene again, its parameters not known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from splatworld.core.checks import InputError, check_choice
from splatworld.node_episodes import NodeEpisodes
from splatworld.simulate.episodes.deformable.families import Parameters, Ranges
from splatworld.simulate.episodes.deformable.physics import Physics, Scene
from splatworld.simulate.episodes.deformable.record import Episode, record
from splatworld.simulate.episodes.deformable.shapes import KINDS, Shape
from splatworld.simulate.episodes.redraw import KNOWLEDGE, tool_at


def scene_at(episodes: NodeEpisodes, number: int, action: int = 0, *, step: float = 0.004) -> Scene:
    """The scene of a stored episode as it was before one of its actions, true parameters included.

    How far a rope is twisted about itself is not stored: it begins untwisted.

    Raises:
        InputError: there is no such episode or action.
    """
    if not (0 <= number < len(episodes) and 0 <= action < episodes.actions.shape[1]):
        last = f"{len(episodes) - 1} and {episodes.actions.shape[1] - 1}"
        raise InputError(f"scene_at: episode {number}, action {action}, expected 0 to {last}.")
    count = int(episodes.mask[number].sum())
    elements = episodes.elements[number].numpy()
    kind = KINDS[int(episodes.kinds[number])]
    elements = elements[elements[:, 0] >= 0, : KINDS.index(kind) + 2]
    natural = _array(episodes.natural[number, :count])
    spacing = float(np.linalg.norm(np.diff(natural[elements[:, :2]], axis=1), axis=-1).min())
    held, obstacle = int(episodes.held[number]), int(episodes.obstacle_ids[number])
    return Scene(
        shape=Shape(kind, natural, elements, float(episodes.radius[number]), spacing),
        points=_array(episodes.points[number, action, :count]),
        velocities=_array(episodes.velocities[number, action, :count]),
        parameters=Parameters(**{name: float(value[number]) for name, value in vars(episodes.truth).items()}),
        tool=tool_at(episodes, number, action),
        held=None if held < 0 else held,
        obstacles=() if obstacle < 0 else (episodes.obstacles[obstacle],),
        obstacle_poses=_array(episodes.obstacle_poses[number : number + 1])[: int(obstacle >= 0)],
        step=step,
    )


def with_knowledge(scene: Scene, knowledge: str, ranges: Ranges, seed: int = 0) -> Scene:
    """The scene with parameters as one of `KNOWLEDGE` has them; `seed` chooses the redraw."""
    check_choice("with_knowledge", "knowledge", knowledge, KNOWLEDGE)
    if knowledge == "true":
        return scene
    if knowledge == "mean":
        return replace(scene, parameters=ranges.mean(scene.shape))
    return replace(scene, parameters=ranges.draw(scene.shape, np.random.default_rng([seed, 13])))


def rerun(scene: Scene, actions: torch.Tensor | np.ndarray) -> Episode:
    """What becomes of a scene under actions [T, 4]; its state is taken as it is, nothing settles first."""
    given = iter(np.asarray(actions, float))
    return record(Physics(replace(scene, settle=0.0)), lambda: next(given), len(actions))


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.double().numpy().copy()
