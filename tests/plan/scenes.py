"""A table of boxes whose distances are known exactly, and rollouts made by hand."""

from dataclasses import replace
from functools import cache

import torch

from splatworld.core import pose
from splatworld.core.rollout import Rollout
from splatworld.core.state import State
from splatworld.core.world import World, rest_state
from splatworld.evaluate.tabletop import SOLIDS, index, tabletop
from splatworld.plan.prediction import Prediction

SIZES = {name: size for name, size, _, _ in SOLIDS}


@cache
def world() -> World:
    return tabletop(splats=60)


def rolled(ways: dict[str, tuple[float, ...]], *, plans: int = 1, steps: int = 4, std: float = 0.0) -> Rollout:
    """Bodies go along twists [6] (m and rad, all of the way), plan k by (k + 1) / plans of it."""
    start = rest_state(world())
    share = torch.arange(1, plans + 1).double()[:, None] / plans * torch.arange(steps + 1).double() / steps
    poses = start.world_from_body.expand(plans, steps + 1, -1, -1).clone()
    twists = torch.zeros(plans, steps + 1, poses.shape[2], 6, dtype=torch.float64)
    for name, way in ways.items():
        twist = torch.tensor(way, dtype=torch.float64)
        body = index(world(), name)
        moved = pose.exp(share[..., None] * twist)
        poses[:, :, body, :3] += moved[..., :3]
        poses[:, :, body, 3:] = pose.multiply_quats(moved[..., 3:], poses[:, :, body, 3:])
        twists[:, :, body] = share[:, -1:, None] * twist / (0.1 * steps)
    return as_rollout(start, poses, twists, std)


def as_rollout(start: State, poses: torch.Tensor, twists: torch.Tensor, std: float = 0.0) -> Rollout:
    plans, count = poses.shape[:2]
    fields = {k: v.expand(plans, count, *v.shape) for k, v in vars(start).items()}
    fields |= {"world_from_body": poses, "twists": twists}
    fields["time"] = (0.1 * torch.arange(count).double()).expand(plans, count)
    actions = torch.zeros(plans, count - 1, 6, dtype=torch.float64)
    return Rollout(actions, State(**fields), "x", torch.full((*poses.shape[:3], 6), std))


def predicted(ways: dict[str, tuple[float, ...]], **options) -> Prediction:
    return Prediction(world(), rolled(ways, **options))


def box_distance(name: str, world_from_body: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Exact distance to one of the boxes."""
    local = pose.transform(pose.inverse(world_from_body), points).abs() - torch.tensor(SIZES[name]).double() / 2
    return local.clamp(min=0).norm(dim=-1) + local.amax(-1).clamp(max=0)


def exact(state_poses: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Distance to all boxes and the table; poses [..., B, 7], points [..., P, 3]."""
    found = [box_distance(n, state_poses[..., index(world(), n), None, :], points) for n in SIZES]
    return torch.stack([*found, points[..., 2].expand(found[0].shape)]).amin(0)


def with_nodes(nodes: torch.Tensor, capsules) -> World:
    """The world with a rope instead of the body `other`."""
    bodies = list(world().bodies)
    at = index(world(), "other")
    bodies[at] = replace(bodies[at], kind="deformable", node_range=(0, len(nodes)), capsules=capsules, mesh=None,
                         parts=(), grid=None)  # fmt: skip
    return replace(world(), bodies=tuple(bodies), rest_nodes=nodes)
