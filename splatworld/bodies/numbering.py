"""What refers to bodies and nodes by number, when the numbers change."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from splatworld.core.body import Body
from splatworld.core.robot import Robot
from splatworld.core.shape import Capsules
from splatworld.core.world import Skin, World


@dataclass(frozen=True)
class Numbering:
    """New numbers for the bodies and nodes of a world.

    Attributes:
        bodies: [B] int64 new index of each body; -1 for one that is gone.
        nodes: [M] int64 new index of each node; -1 for one that is gone. Those of one body stay in a row.
        count: bodies that there are then: nodes follow them in the table of frames.
    """

    bodies: Tensor
    nodes: Tensor
    count: int

    def body(self, body: Body) -> Body:
        """A body whose parent, the leader of its joint and nodes are referred to anew; none of them may be gone."""
        joint, capsules, node_range = body.joint, body.capsules, body.node_range
        if joint is not None and joint.mimic is not None:
            joint = replace(joint, mimic=(int(self.bodies[joint.mimic[0]]), *joint.mimic[1:]))
        if capsules is not None:
            capsules = Capsules(self.nodes[capsules.ends], capsules.radii)
        if node_range is not None and node_range[0] < node_range[1]:
            node_range = (int(self.nodes[node_range[0]]), int(self.nodes[node_range[1] - 1]) + 1)
        parent = None if body.parent is None else int(self.bodies[body.parent])
        return replace(body, parent=parent, joint=joint, node_range=node_range, capsules=capsules)

    def ids(self, ids: Tensor) -> Tensor:
        """Owners [N] of splats, none of them gone."""
        return self.bodies[ids.long()].to(ids)

    def robot(self, robot: Robot | None) -> Robot | None:
        if robot is None:
            return None
        links, fingers = (tuple(int(self.bodies[i]) for i in given) for given in (robot.bodies, robot.fingers))
        return replace(robot, bodies=links, tool=int(self.bodies[robot.tool]), fingers=fingers)

    def skin(self, skin: Skin, owners: Tensor) -> Skin:
        """The skin; what hung on a frame that is gone follows the splat's owner, [N] by its new number."""
        frames = torch.cat([self.bodies, torch.where(self.nodes < 0, self.nodes, self.nodes + self.count)])
        indices = frames[skin.indices.long()]
        return Skin(torch.where(indices < 0, owners[:, None].long(), indices).to(skin.indices), skin.weights)


def skin_of(world: World, width: int) -> Skin:
    """The world's skin with room for `width` pairs a splat or more; without one, splats follow their bodies."""
    if world.skin is None:
        indices = torch.zeros(len(world.splats), width, dtype=torch.int32)
        indices[:, 0] = world.splats.body_ids.int()
        weights = torch.zeros(len(world.splats), width)
        weights[:, 0] = 1
        return Skin(indices, weights)
    more = max(0, width - world.skin.indices.shape[1])
    pad = torch.nn.functional.pad
    return Skin(pad(world.skin.indices, (0, more)).int().clone(), pad(world.skin.weights, (0, more)).float().clone())


def selected(world: World, keep: Tensor) -> World:
    """The world with the splats `keep` [N] bool alone."""
    skin = None if world.skin is None else Skin(world.skin.indices[keep], world.skin.weights[keep])
    return replace(world, splats=world.splats.select(keep), skin=skin)
