"""Small worlds that the tests of dynamics share."""

from dataclasses import replace

import torch

from splatworld.core import pose
from splatworld.core.body import Body, background
from splatworld.core.state import State
from splatworld.core.world import World
from splatworld.dynamics.model import DynamicsModel
from splatworld.geometry.distance import distance_grid
from splatworld.robot.place import add_robot, metric_world
from splatworld.robot.tools import cylinder_pusher
from tests.geometry.solids import box

SIZE = (0.08, 0.06, 0.05)
MESH = box(SIZE)
GRID = distance_grid(MESH, 0.004)


def at(*place: float, yaw: float = 0.0) -> torch.Tensor:
    angle = torch.tensor(yaw / 2)
    return torch.tensor([*place, angle.cos(), 0, 0, angle.sin()], dtype=torch.float64)


def blocks(*poses: torch.Tensor, tool: torch.Tensor | None = None) -> World:
    """Equal blocks on the plane z = 0, then a rod that flies."""
    solids = [Body(f"block {i}", "rigid", p, mesh=MESH, grid=GRID) for i, p in enumerate(poses)]
    world = replace(metric_world(), bodies=(background(), *solids))
    if tool is None:
        return world
    return add_robot(world, cylinder_pusher(), base_pose=tool, splats=50)


def lively_model(seed: int = 0) -> DynamicsModel:
    """An untrained network that says something."""
    torch.manual_seed(seed)
    model = DynamicsModel()
    for head in (model.mean, model.spread):
        torch.nn.init.normal_(head.weight, std=0.03)
    return model.requires_grad_(False)


def turned(state: State, motion: torch.Tensor) -> State:
    """The state moved as a whole by a pose [7]; the background stays."""
    poses, twists = state.world_from_body.clone(), state.twists.clone()
    poses[..., 1:, :] = pose.compose(motion, poses[..., 1:, :])
    twists = pose.rotate(motion[3:], twists.unflatten(-1, (2, 3))).flatten(-2)
    return replace(state, world_from_body=poses, twists=twists)


def push(x: float, y: float = 0.0, steps: int = 1) -> torch.Tensor:
    return torch.tensor([x, y, 0, 0, 0, 0], dtype=torch.float64).expand(steps, 6)
