"""How `dynamics.grasping.SlipConfig` came about: fitted to what MuJoCo's bodies do in the grip.

python -m splatworld.evaluate.grasp_fit
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from splatworld.core.state import State
from splatworld.core.world import World
from splatworld.dynamics.grasping import SlipConfig, grip
from splatworld.dynamics.gripper import Gripper, find_gripper
from splatworld.dynamics.scene import Scene, world_scene
from splatworld.evaluate.dynamics_grasp import BODY, SPLATS, told
from splatworld.robot.kinematics import forward_kinematics
from splatworld.simulate.episodes.grasp_scenes import CARRIED, CLOSED, draw_grasp
from splatworld.simulate.episodes.grasps import GraspEpisode, grasp_world, recorded_states, simulate

SEED = 20264
"""Of episodes of the split train."""
EPISODES, SWEEPS = 100, 1
GRID = {
    "radius": (0.5, 0.75, 1.0, 1.5, 2.0),
    "pad": (0.0, 0.001, 0.002, 0.004, 0.006, 0.01),
    "friction": (0.85, 0.9, 0.95, 1.0, 1.05, 1.1),
    "turning": (0.2, 0.35, 0.5, 0.65, 0.8, 1.0),
    "sliding": (0.0, 0.1, 0.25, 0.5, 1.0, 2.0),
}
"""Values tried, one number after the other."""
BOUND = 0.03
"""m beyond which an error counts no more."""


@dataclass(frozen=True)
class Carried:
    """The states of one episode from which an action lifts or carries, told its parameters, and what came of them.

    Attributes:
        world, scene, gripper: the scene with a row for each of T states.
        before: T states, as they were.
        commanded: the gripper where it got next, told to be closed.
        after: [T, 3] m, the body's true places after the action.
    """

    world: World
    scene: Scene
    gripper: Gripper
    before: State
    commanded: State
    after: Tensor


def carried_episodes(count: int) -> list[Carried]:
    """Episodes of training in which fingers closed on something."""
    found = []
    for number in range(count):
        scene = draw_grasp("train", np.random.default_rng([SEED, number]))
        truth = simulate(scene)
        if truth.forces[CLOSED].min() > 0.1:
            world = grasp_world(scene, truth, splats=SPLATS)
            bodies = world_scene(world)
            found.append(_carried(world, bodies, told(world, bodies, scene.parameters), truth))
    return found


def error(episodes: Sequence[Carried], config: SlipConfig) -> float:
    """mm by which bodies are off after one action from the truth, in the mean."""
    total, count = 0.0, 0
    for each in episodes:
        found = grip(each.world, each.scene, each.gripper, each.before, each.commanded, config=config)
        poses = each.before.world_from_body if found is None else found.commanded.world_from_body
        off = (poses[:, BODY, :3] - each.after).norm(dim=-1).clamp(max=BOUND)
        total, count = total + float(off.sum()), count + len(off)
    return 1e3 * total / count


def fit(episodes: Sequence[Carried]) -> SlipConfig:
    """The best of `GRID`, one number after the other."""
    best, least = SlipConfig(), error(episodes, SlipConfig())
    for _ in range(SWEEPS):
        for name, values in GRID.items():
            for value in values:
                tried = replace(best, **{name: value})
                off = error(episodes, tried)
                if off < least:
                    best, least = tried, off
            print(f"{name}: {getattr(best, name)}, {least:.3f} mm", flush=True)
    return best


def _carried(world: World, scene: Scene, state: State, truth: GraspEpisode) -> Carried:
    steps = CARRIED - CLOSED
    gripper = find_gripper(world, scene)
    assert gripper is not None
    every = recorded_states(world, truth)
    every = replace(every, latents=state.latents.expand_as(every.latents))
    states, after = every[CLOSED:CARRIED], every[CLOSED + 1 : CARRIED + 1]
    poses = after.world_from_body.clone()
    poses[:, BODY] = states.world_from_body[:, BODY]
    commanded = forward_kinematics(world, replace(after, world_from_body=poses, joints=torch.zeros_like(after.joints)))
    return Carried(world, scene.expand(steps), gripper, states, commanded, after.world_from_body[:, BODY, :3])


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(fit(carried_episodes(EPISODES)))
