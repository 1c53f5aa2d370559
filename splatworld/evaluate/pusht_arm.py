"""The arm's joints in the first frames of the recording, whose trajectory is missing: found by its silhouettes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from splatworld.core import pose
from splatworld.core.state import State
from splatworld.core.world import World, frames, rest_state
from splatworld.evaluate.pusht import View
from splatworld.render import ops
from splatworld.robot.actions import driven_joints
from splatworld.robot.kinematics import forward_kinematics, inverse_kinematics

REACHES = (0.2, 0.7, 0.1), (0.0, 0.5, 0.1), (0.1, 0.25, 0.1)
"""m, where the tool is tried first: x, y, z from, to, step."""
YAWS = 4
"""Headings of half a turn tried; the hand looks the same turned by the other half."""
ELBOWS = tuple(0.2 * k for k in range(-8, 9))
"""rad, turns of the first joint about which the elbow is tried."""
REFINED = 2
"""How many of these are refined."""


def fit_joints(world: World, views: list[View], still: tuple[str, ...]) -> tuple[State, float]:
    """The state in which the robot's silhouettes match best.

    The tool, pointing down, is put on a grid of places and headings by inverse kinematics and the best is refined joint
    by joint (Nelder and Mead, "A simplex method for function minimization", 1965); then the elbow is tried on other
    sides with the tool held where it was found, and the best of these refined again.

    Args:
        world: with the robot; its rest is where inverse kinematics starts.
        views: with `moving`.
        still: names of the robot's bodies that hardly move, so that the pictures do not tell them from the background.

    Returns:
        The state, and the mean over views of the intersection over union with what could be told.
    """
    assert world.robot is not None
    arm = driven_joints(world)[:7]
    bodies = [index for index in world.robot.bodies if world.bodies[index].name not in still]
    splats = world.splats.select(torch.isin(world.splats.body_ids, torch.tensor(bodies, dtype=torch.int32)))

    def score(state: State) -> float:
        table = frames(world, state)
        return sum(_overlap(ops.rasterize(splats, table, view.camera).alpha, view.moving) for view in views) / len(
            views
        )

    columns = [world.joint_bodies.index(index) for index in arm]
    limits = [world.bodies[index].joint.limits for index in arm]  # type: ignore[union-attr]
    low, high = (np.array([limit[side] for limit in limits]) for side in (0, 1))

    def posed(values: np.ndarray) -> State:
        joints = rest_state(world).joints.clone()
        joints[columns] = torch.from_numpy(np.clip(values, low, high))
        return forward_kinematics(world, replace(rest_state(world), joints=joints))

    def refined(states: State, count: int) -> State:
        ranked = sorted(range(states.batch[0]), key=lambda k: -score(states[k]))
        found = []
        for index in ranked[:count]:
            values = states.joints[index, columns].numpy()
            for step in (0.15, 0.04):
                simplex = np.vstack([values, values + step * np.eye(len(values))])
                options = {"initial_simplex": simplex, "xatol": 1e-3, "fatol": 1e-4, "maxfev": 200}
                values = minimize(lambda v: -score(posed(v)), values, method="Nelder-Mead", options=options).x
            found.append(posed(values))
        return max(found, key=score)

    best = refined(_guesses(world, arm), 1)
    best = refined(_elbows(world, best, arm), REFINED)
    return best, score(best)


def _elbows(world: World, state: State, arm: tuple[int, ...]) -> State:
    """States [E] with the tool as it is and the first joint turned to `ELBOWS`, to which the others give way."""
    assert world.robot is not None
    swing = torch.tensor(ELBOWS, dtype=torch.float64)
    many = State(**{name: value.expand(len(swing), *value.shape) for name, value in vars(state).items()})
    joints = many.joints.clone()
    first, third = (world.joint_bodies.index(arm[k]) for k in (0, 2))
    joints[:, third] = joints[:, third] + joints[:, first] - swing  # turns the elbow back over the base
    joints[:, first] = swing
    target = many.world_from_body[:, world.robot.tool]
    return inverse_kinematics(world, replace(many, joints=joints), world.robot.tool, target, arm[1:], iterations=200)


def _guesses(world: World, arm: tuple[int, ...]) -> State:
    """States [G] with the tool upright over places of the table."""
    assert world.robot is not None
    rest = rest_state(world)
    tool = rest.world_from_body[world.robot.tool]
    x, y, z, turn = torch.meshgrid(
        *(torch.arange(*reach, dtype=torch.float64) for reach in REACHES),
        torch.arange(YAWS, dtype=torch.float64) * torch.pi / YAWS,
        indexing="ij",
    )
    places = torch.stack([x, y, z], dim=-1).reshape(-1, 3)
    still = torch.zeros(len(places), 5, dtype=torch.float64)
    turns = pose.exp(torch.cat([still, turn.reshape(-1, 1)], dim=-1))[:, 3:]
    target = torch.cat([places, pose.multiply_quats(turns, tool[3:].expand(len(places), 4))], dim=-1)
    many = State(**{name: value.expand(len(places), *value.shape) for name, value in vars(rest).items()})
    return inverse_kinematics(world, many, world.robot.tool, target, arm)


def _overlap(alpha: Tensor, moving: np.ndarray) -> float:
    told = torch.from_numpy(np.isfinite(moving))
    seen = torch.from_numpy(np.nan_to_num(moving))
    union = float(torch.maximum(alpha, seen)[told].sum())
    return float(torch.minimum(alpha, seen)[told].sum()) / union if union > 0 else 1.0
