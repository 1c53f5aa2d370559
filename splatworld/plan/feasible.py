"""Why a goal cannot be reached, told before anything is tried."""

from __future__ import annotations

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.state import State
from splatworld.core.world import World
from splatworld.geometry.shapes import Shapes
from splatworld.plan.clearance import gaps
from splatworld.plan.config import PlanConfig
from splatworld.plan.cost import BodyToPose, Reach
from splatworld.plan.goals import Goal

OVERLAP = 0.004
"""m that bodies at their goals may overlap: shapes of captured bodies are off by millimetres."""
RAISED = 0.02
"""m by which a goal may be above or below a body that is only pushed."""
TIPPED = 0.35
"""rad by which its upright axis may differ."""


def obstacle(
    world: World, shapes: Shapes, state: State, goal: Goal, config: PlanConfig, *, lifts: bool = False
) -> str | None:
    """The first reason why a goal cannot be reached by pushing, or by lifting too, in a sentence; None as far as is
    known."""
    poses = state.world_from_body.double().clone()
    for aim in goal.aims:
        reason = _out_of_reach(world, aim.target(state), aim, config) or _not_by_pushing(world, state, aim, lifts)
        if reason is not None:
            return reason
        if isinstance(aim, BodyToPose) and aim.radius > 0:
            poses[aim.body] = aim.pose
    meant = [aim for aim in goal.aims if isinstance(aim, BodyToPose) and aim.radius > 0]
    for aim in meant:
        for other, body in enumerate(world.bodies):
            both = body.kind == "static" or any(other == each.body and other > aim.body for each in meant)
            if both and (depth := -_gap(shapes, poses, aim.body, other)) > OVERLAP:
                name = world.bodies[aim.body].name
                return f"at its goal {name!r} would be {1e3 * depth:.0f} mm inside of {body.name!r}; move the goal."
    return None


def _out_of_reach(world: World, target: Tensor, aim: object, config: PlanConfig) -> str | None:
    if config.workspace is None:
        return None
    low, high = (torch.tensor(corner, dtype=torch.float64) for corner in config.workspace)
    if bool(((target >= low) & (target <= high)).all()):
        return None
    what = "the tool" if isinstance(aim, Reach) else repr(world.bodies[aim.body].name)  # type: ignore[attr-defined]
    return f"the goal of {what}, {_shown(target)}, is out of the workspace from {_shown(low)} to {_shown(high)}."


def _not_by_pushing(world: World, state: State, aim: object, lifts: bool) -> str | None:
    if not isinstance(aim, BodyToPose):
        return None
    now, name = state.world_from_body[aim.body].double(), world.bodies[aim.body].name
    if not lifts and abs(float(aim.pose[2] - now[2])) > RAISED:
        rise = 100 * float(aim.pose[2] - now[2])
        return f"the goal of {name!r} is {rise:+.0f} cm from its height, and pushing lifts nothing."
    turn = pose.multiply_quats(aim.pose[3:], pose.conjugate_quat(now[3:]))
    up = pose.rotate(turn, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    if aim.radius > 0 and float(up[2]) < float(torch.tensor(TIPPED).cos()):
        return f"at its goal {name!r} would lie on another side; what is done turns it about the vertical only."
    return None


def _gap(shapes: Shapes, poses: Tensor, one: int, other: int) -> float:
    pair = torch.tensor([sorted((one, other))], dtype=torch.int32)
    return float(gaps(shapes, poses, pair, 1e-3))


def _shown(place: Tensor) -> str:
    return "(" + ", ".join(f"{value:.2f}" for value in place.tolist()) + ") m"
