"""One action of deformable bodies: their nodes swing, are corrected by the network, and are kept together and apart."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.robot import ACTION_SECONDS
from splatworld.dynamics.edges import NodeModel, sight
from splatworld.dynamics.nets import Net
from splatworld.dynamics.scene import Scene
from splatworld.dynamics.swing import project_nodes, swing
from splatworld.geometry.node_rotations import follow_rotations

STILL = 1e-3
"""m/s above which a node moves."""
CREEP = 3e-4
"""m an action: where no node gets farther and nothing pushes, friction holds the body."""
NEAR = 0.05
"""m from a body that moves to a node's within which it may be touched."""


@dataclass(frozen=True)
class Nodes:
    """The N nodes of some states.

    Attributes:
        poses: [N, 7].
        velocities: [N, 6] m/s and rad/s, world axes.
        variance: [N] m^2 of each coordinate.
    """

    poses: Tensor
    velocities: Tensor
    variance: Tensor


def act_nodes(
    model: NodeModel | None,
    scene: Scene,
    net: Net,
    before: Nodes,
    starts: Tensor,
    ends: Tensor,
    *,
    unsure: bool = False,
) -> tuple[Nodes, Tensor, Tensor]:
    """One action of 0.1 s.

    Bodies stand in the way of nodes and push them, but are not pushed. A state whose nodes lie still, with nothing that
    moves near them, is copied bit for bit.

    Args:
        model: the network; None: nodes swing uncorrected, and nobody says how sure that is.
        scene: of S states.
        net: of the same, N nodes in all.
        before: the nodes.
        starts, ends: [S, B, 7] where all bodies start and where they end.
        unsure: nobody knows yet whether anything holds nodes up that lie still.

    Returns:
        The nodes afterwards; [S] bool, which states' nodes are awake; and [S] bool where a prediction was not finite:
        there nothing moved.
    """
    touched = _near_movers(scene, net, before.poses, starts, ends)
    wanted = touched | unsure | net.any(before.velocities[:, :3].norm(dim=-1) > STILL)
    failed = torch.zeros_like(wanted)
    if not bool(wanted.any()):
        return before, wanted, failed
    meant = foresee_nodes(model, scene, net, before, starts, ends, wanted)
    points = project_nodes(scene, net, meant.points, ends, wanted, meant.held)
    failed = net.any(~(torch.isfinite(points).all(-1) & torch.isfinite(meant.velocities).all(-1)))
    quiet = ~touched & ~net.any((points - before.poses[:, :3]).norm(dim=-1) > CREEP)
    stays = (~wanted | quiet | failed)[net.state, None]
    poses = torch.cat([points, _turned(net, points, before.poses[:, 3:])], dim=-1)
    turn = pose.multiply_quats(poses[:, 3:], pose.conjugate_quat(before.poses[:, 3:]))
    spin = pose.log(torch.cat([torch.zeros_like(points), turn], dim=-1))[:, 3:] / ACTION_SECONDS
    velocities = torch.cat([meant.velocities, spin], dim=-1)
    variance = torch.where(stays[:, 0], before.variance, _grown(model, before.variance, meant.variance))
    after = Nodes(torch.where(stays, before.poses, poses), torch.where(stays, 0.0, velocities), variance)
    return after, wanted & ~quiet, failed


@dataclass(frozen=True)
class Meant:
    """Where N nodes are said to get, before they are kept together and apart.

    Attributes:
        points, velocities: [N, 3] m and m/s.
        variance: [N] m^2 of each coordinate, of this action alone.
        held: [N] bool, nodes that go with a tool.
    """

    points: Tensor
    velocities: Tensor
    variance: Tensor
    held: Tensor


def foresee_nodes(
    model: NodeModel | None, scene: Scene, net: Net, before: Nodes, starts: Tensor, ends: Tensor, wanted: Tensor
) -> Meant:
    """What the network says of the nodes of states that are wanted; arguments as of `act_nodes`."""
    points, velocities = before.poses[:, :3], before.velocities[:, :3]
    swung = swing(scene, net, points, velocities, starts, ends, wanted, ACTION_SECONDS)
    held = swung.holder >= 0
    if model is None:
        return Meant(swung.points, swung.velocities, torch.zeros_like(before.variance), held)
    said = model(sight(net, points, velocities, swung, scene.gravity), scene.gravity)
    variance = said.log_variance.exp().to(before.variance)
    return Meant(swung.points + said.way, swung.velocities + said.velocity, torch.where(held, 0.0, variance), held)


def _grown(model: NodeModel | None, variance: Tensor, step: Tensor) -> Tensor:
    """Variances [N] after an action whose own are `step`: errors of successive actions go together."""
    if model is None:
        return variance
    step = model.config.scale * step
    return variance + step + 2 * model.config.correlation * (variance * step).sqrt()


def _turned(net: Net, points: Tensor, quats: Tensor) -> Tensor:
    """Rotations [N, 4] of nodes at points [N, 3] that had other ones."""
    rest = net.rest.to(points)
    from_rest = pose.multiply_quats(quats, pose.conjugate_quat(rest[:, 3:]))
    return pose.multiply_quats(follow_rotations(rest[:, :3], net.edges, points, from_rest), rest[:, 3:])


def _near_movers(scene: Scene, net: Net, nodes: Tensor, starts: Tensor, ends: Tensor) -> Tensor:
    """[S] bool, whether a body that moves comes near a node."""
    spheres = scene.solids.shapes.spheres[scene.shape_ids.long()].to(nodes)
    moves = (starts != ends).any(-1) & (spheres[..., 3] >= 0)
    if not bool(moves.any()):
        return torch.zeros(len(net), dtype=torch.bool)
    # The ball around the whole way.
    first, last = (pose.transform(poses, spheres[..., :3]) for poses in (starts, ends))
    middle, radius = ((first + last) / 2)[net.state], (spheres[..., 3] + (last - first).norm(dim=-1) / 2)[net.state]
    near = (nodes[:, None, :3] - middle).norm(dim=-1) < radius + NEAR
    return net.any((near & moves[net.state]).any(-1))
