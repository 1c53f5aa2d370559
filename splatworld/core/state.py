"""All that moves. Small, Markov, with any leading batch."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from splatworld.core.checks import check_shape

LATENTS = 8
"""Numbers of the belief about a body's mass, friction and the like."""


@dataclass(frozen=True)
class State:
    """What a world looks like at one instant.

    Attributes:
        world_from_body: [..., B, 7] poses.
        twists: [..., B, 6] linear velocity of the origin in m/s, then angular velocity in rad/s, world axes.
        nodes: [..., M, 7] poses of the nodes of deformable bodies.
        node_velocities: [..., M, 6] m/s and rad/s.
        joints: [..., J] rad or m; the authority for bodies with a parent.
        joint_velocities: [..., J] rad/s or m/s.
        latents: [..., B, 8] belief about mass, friction, ...
        awake: [..., B] bool.
        time: [...] s.
    """

    world_from_body: Tensor
    twists: Tensor
    nodes: Tensor
    node_velocities: Tensor
    joints: Tensor
    joint_velocities: Tensor
    latents: Tensor
    awake: Tensor
    time: Tensor

    def __post_init__(self) -> None:
        batch = tuple(self.time.shape)
        bodies, nodes = self.world_from_body.shape[-2], self.nodes.shape[-2]
        check_shape("State", "world_from_body", self.world_from_body, (*batch, bodies, 7))
        check_shape("State", "twists", self.twists, (*batch, bodies, 6))
        check_shape("State", "nodes", self.nodes, (*batch, nodes, 7))
        check_shape("State", "node_velocities", self.node_velocities, (*batch, nodes, 6))
        check_shape("State", "joints", self.joints, (*batch, "J"))
        check_shape("State", "joint_velocities", self.joint_velocities, tuple(self.joints.shape))
        check_shape("State", "latents", self.latents, (*batch, bodies, LATENTS))
        check_shape("State", "awake", self.awake, (*batch, bodies))

    @property
    def batch(self) -> tuple[int, ...]:
        return tuple(self.time.shape)

    def __getitem__(self, index: object) -> State:
        """Index the leading batch."""
        return State(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def to(self, device: torch.device | str) -> State:
        """The same state in the memory of a device."""
        return State(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})
