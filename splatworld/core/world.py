"""All that stays: splats, the bodies that own them, scale and gravity."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.body import Body, background
from splatworld.core.camera import Camera
from splatworld.core.checks import InputError, ShapeError, check_shape
from splatworld.core.robot import Robot
from splatworld.core.splats import Splats
from splatworld.core.state import LATENTS, State

MAX_WEIGHTS = 8
"""Most frames that may move one splat."""


@dataclass(frozen=True)
class Scale:
    """How long a unit of the world is.

    Attributes:
        value: metres a capture unit had before it was applied; lengths in the world are already multiplied.
        source: "none" while lengths are capture units, else what told it (marker, known_length, poses, depth, prior).
        std: relative standard deviation of `value`.
    """

    value: float = 1.0
    source: str = "none"
    std: float = float("inf")

    def __str__(self) -> str:
        if self.source == "none":
            return "unknown: lengths are capture units"
        return f"metres to +- {100 * self.std:.2g} %, from {self.source.replace('_', ' ')}"


@dataclass(frozen=True)
class Skin:
    """Which frames move a splat: up to 8 (index, weight) pairs.

    Attributes:
        indices: [N, W] int32 into the frames table (bodies first, then nodes), W <= 8.
        weights: [N, W] sum to 1; unused pairs have weight 0.
    """

    indices: Tensor
    weights: Tensor

    def __post_init__(self) -> None:
        check_shape("Skin", "indices", self.indices, ("N", "W"))
        check_shape("Skin", "weights", self.weights, tuple(self.indices.shape))
        if self.indices.shape[1] > MAX_WEIGHTS:
            raise ShapeError(f"Skin: {self.indices.shape[1]} pairs a splat, expected at most {MAX_WEIGHTS}.")


@dataclass(frozen=True)
class World:
    """A persistent world; large, never changed.

    Attributes:
        splats: the Gaussians, in the rest frame.
        bodies: who owns them; body 0 is the static background.
        gravity: [3] m/s^2; zero while up is unknown.
        scale: how metric lengths are, and who says so.
        cameras: name -> camera of the capture.
        rest_nodes: [M, 7] rest poses of the nodes of deformable bodies.
        skin: how splats hang on frames; None when each follows its body rigidly.
        robot: which bodies are the robot or tool, and what its actions mean; None without one.
        prior_latents: [B, 8] belief about each body before anything was observed.
        metrics: quality figures of the capture and the fit, as written to metrics.json.
        joint_bodies: which bodies the entries of `State.joints` belong to, in order.
    """

    splats: Splats
    bodies: tuple[Body, ...] = field(default_factory=lambda: (background(),))
    gravity: Tensor = field(default_factory=lambda: torch.zeros(3, dtype=torch.float64))
    scale: Scale = field(default_factory=Scale)
    cameras: dict[str, Camera] = field(default_factory=dict)
    rest_nodes: Tensor = field(default_factory=lambda: torch.zeros(0, 7, dtype=torch.float64))
    skin: Skin | None = None
    robot: Robot | None = None
    prior_latents: Tensor | None = None
    metrics: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.bodies:
            raise InputError("World: no bodies, expected at least the static background.")
        names = [body.name for body in self.bodies]
        if len(set(names)) != len(names):
            raise InputError(f"World: body names {names} repeat; rename the copies.")
        ids = self.splats.body_ids
        if len(ids) and (int(ids.min()) < 0 or int(ids.max()) >= len(self.bodies)):
            given = f"{int(ids.min())} to {int(ids.max())}"
            raise InputError(f"World: body_ids span {given}, expected 0 to {len(self.bodies) - 1}.")
        if self.skin is not None and self.skin.indices.shape[0] != len(self.splats):
            raise ShapeError(f"World: skin for {self.skin.indices.shape[0]} splats, expected {len(self.splats)}.")
        for body in self.bodies:
            if body.parent is not None and not 0 <= body.parent < len(self.bodies):
                raise InputError(f"World: the parent of {body.name!r} is body {body.parent}, which does not exist.")
            leader = body.joint.mimic[0] if body.joint is not None and body.joint.mimic is not None else None
            if leader is not None and leader not in self.joint_bodies:
                raise InputError(f"World: {body.name!r} follows the joint of body {leader}, which has none that moves.")
        if self.robot is not None:
            wrong = [i for i in self.robot.bodies if not (0 <= i < len(names) and self.bodies[i].kind == "robot")]
            if wrong:
                raise InputError(f"World: the robot names bodies {wrong}, expected bodies of kind 'robot'.")

    def to(self, device: torch.device | str) -> World:
        """The same world with its splats, which are what is large, in the memory of a device.

        Bodies, nodes and cameras stay on the CPU, which moves and measures them.
        """
        skin = None if self.skin is None else Skin(self.skin.indices.to(device), self.skin.weights.to(device))
        return replace(self, splats=self.splats.to(device), skin=skin)

    @property
    def joint_bodies(self) -> tuple[int, ...]:
        return tuple(i for i, body in enumerate(self.bodies) if body.joint is not None and body.joint.type != "fixed")


def rest_state(world: World) -> State:
    """The state in which the world was captured: every body at rest, asleep, at time 0."""
    count = len(world.bodies)
    hung = [joint for i in world.joint_bodies if (joint := world.bodies[i].joint) is not None]
    joints = torch.tensor([joint.rest for joint in hung], dtype=torch.float64)
    latents = world.prior_latents
    poses = torch.stack([body.rest_pose.double() for body in world.bodies])
    zeros = poses.new_zeros
    return State(
        world_from_body=poses,
        twists=zeros(count, 6),
        nodes=world.rest_nodes.double(),
        node_velocities=zeros(world.rest_nodes.shape[0], 6),
        joints=joints,
        joint_velocities=zeros(len(joints)),
        latents=zeros(count, LATENTS) if latents is None else latents.double(),
        awake=torch.zeros(count, dtype=torch.bool),
        time=zeros(()),
    )


def frames(world: World, state: State) -> Tensor:
    """The table that poses the splats: `world_from_body * inverse(rest_pose)`, bodies first, then nodes.

    Returns:
        [..., F, 7] float32, F = bodies + nodes; exactly the identity where a pose equals its rest pose bit by bit, so
        that what did not move is rendered from unrounded splats.
    """
    rest = torch.stack([body.rest_pose for body in world.bodies]).to(state.world_from_body)
    now = state.world_from_body
    if now.shape[-2] != rest.shape[0]:
        raise ShapeError(f"frames: the state has {now.shape[-2]} bodies, expected {rest.shape[0]} as in the world.")
    if world.rest_nodes.shape[0]:
        rest = torch.cat([rest, world.rest_nodes.to(rest)])
        now = torch.cat([now, state.nodes], dim=-2)
    moved = pose.compose(now, pose.inverse(rest))
    same = (now == rest).all(dim=-1, keepdim=True)
    still = pose.identity(dtype=moved.dtype, device=moved.device)
    return torch.where(same, still, moved).float()
