"""A predicted future that answers questions: how far, what is in the way, what is seen, what touches."""

from __future__ import annotations

import math
import weakref
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.camera import Camera
from splatworld.core.checks import InputError, ShapeError
from splatworld.core.rollout import Rollout
from splatworld.core.state import State
from splatworld.core.world import World
from splatworld.geometry.field import Field, pack_field
from splatworld.plan import pictures, sweeps, touching, visibility
from splatworld.plan.answers import Cloud, Distances, Estimate, Hits, Surface, Touches, View
from splatworld.plan.impulses import body_weights
from splatworld.plan.instants import Instant, Timeline
from splatworld.plan.places import Bodies, body_number, chosen_bodies, distances

FARTHEST = 10.0
"""m up to which rays are followed."""


class Prediction:
    """A rollout of a world, or one state of it, that answers questions about where things are.

    The batch of an answer is [*plans, *times]: `plans` as in the rollout, times as asked for. Without a time `t` an
    answer is about every state of the rollout, [*plans, T + 1], or about the single state. Between states, bodies move
    straight on. Places broadcast with that batch. Lengths are in m where the world has a scale, else in its units.

    Attributes:
        world: the world.
        plans: batch of the plans.
        times: [T + 1] s since the beginning; None where there is a single state.
        batch: of answers without a time.
    """

    def __init__(self, world: World, source: Rollout | State, *, support_height: float | None = 0.0) -> None:
        """Ask about a rollout or a state.

        Args:
            world: what it belongs to; its shapes are packed once, and kept as long as the world lives.
            source: any batch.
            support_height: z of an endless plane that stands for the background where that has no distance grid; None
                without.

        Raises:
            InputError: no states or plans, poses that are not finite, an open mesh.
            ShapeError: bodies or nodes of another world.
        """
        states = source.states if isinstance(source, Rollout) else source
        bodies, nodes = states.world_from_body.shape[-2], states.nodes.shape[-2]
        if bodies != len(world.bodies) or nodes != len(world.rest_nodes):
            given, wanted = f"{bodies} bodies and {nodes} nodes", f"{len(world.bodies)} and {len(world.rest_nodes)}"
            raise ShapeError(f"Prediction: the states have {given}, expected {wanted} as in the world.")
        if isinstance(source, Rollout) and source.actions.shape[-2] == 0:
            raise InputError("Prediction: the horizon is empty, the rollout has no action; give at least one.")
        if not math.prod(states.batch):
            raise InputError(f"Prediction: the batch {list(states.batch)} is empty, expected at least one plan.")
        self.world, self.source = world, source
        self._line = Timeline(source)
        self._packed = _pack(world, support_height)
        self.field = self._packed.field

    @property
    def plans(self) -> tuple[int, ...]:
        return tuple(self._line.plans)

    @property
    def times(self) -> Tensor | None:
        return self._line.times

    @property
    def batch(self) -> tuple[int, ...]:
        return self._line.batch

    @property
    def weights(self) -> tuple[Tensor, Tensor]:
        """[B] kg and [B, 3, 3] kg m^2, by volume where nobody knows them."""
        return self._packed.weights

    def pose(self, body: int | str | None = None, t: float | Tensor | None = None) -> Estimate:
        """Where bodies are: world_from_body [..., 7] of one, [..., B, 7] of all; std [..., 6] m and rad, world axes.

        Raises:
            InputError: no such body, or a time outside the rollout.
        """
        now = self._line.at("pose", t)
        value, std = now.poses, now.std
        known = now.alive[..., None].expand(value.shape[:-1])
        return self._of(body, "pose", value, std, known)

    def displacement(self, body: int | str | None = None, t: float | Tensor | None = None) -> Estimate:
        """How far bodies went since the beginning: [..., 6] of one, [..., B, 6] of all, m and rad, world axes.

        Raises:
            InputError: no such body, a time outside the rollout, or a single state.
        """
        if self.times is None:
            raise InputError("displacement: the prediction is of a single state; give a rollout.")
        now, first = self._line.at("displacement", t), self._line.at("displacement", 0.0)
        start = first.poses.reshape(*self.plans, *(1,) * (len(now.batch) - len(self.plans)), *first.poses.shape[-2:])
        turn = pose.multiply_quats(now.poses[..., 3:], pose.conjugate_quat(start[..., 3:]))
        moved = torch.cat([now.poses[..., :3] - start[..., :3], turn], dim=-1)
        known = now.alive[..., None].expand(moved.shape[:-1])
        return self._of(body, "displacement", pose.log(moved), now.std, known)

    def signed_distance(
        self, points: Tensor, t: float | Tensor | None = None, *, bodies: Bodies | None = None
    ) -> Distances:
        """How far points are from the nearest body; differentiable in points and poses, once.

        Args:
            points: [..., P, 3] m, world frame; or balls [..., P, 4], whose fourth number is the radius in m.
            t: s since the beginning, a number or [*times].
            bodies: those that count; None: all, the robot's too.

        Raises:
            ShapeError: points of another shape, or that do not fit the batch.
            InputError: numbers that are not finite, a negative radius, a time outside the rollout, no such body.
        """
        owner = "signed_distance"
        now, wanted = self._line.at(owner, t), chosen_bodies(owner, self.world, bodies)
        width = 4 if isinstance(points, Tensor) and points.ndim and points.shape[-1] == 4 else 3
        return distances(self.field, owner, "points", points, now, wanted, width=width)

    def occupancy(self, points: Tensor, t: float | Tensor | None = None, *, bodies: Bodies | None = None) -> Estimate:
        """How likely points lie inside a body, by the distance and its standard deviation; 0.5 where nothing is known.

        Arguments and errors as of `signed_distance`; differentiable like it.
        """
        found = self.signed_distance(points, t, bodies=bodies)
        inside = 0.5 * torch.erfc(found.value / (math.sqrt(2) * found.std.clamp(min=1e-6)))
        value = torch.where(found.known, inside, 0.5)
        return Estimate(value, (value * (1 - value)).clamp(min=0).sqrt().detach(), found.known)

    def swept_clearance(
        self, spheres: Tensor, dt: float | None = None, *, start: float = 0.0, bodies: Bodies | None = None
    ) -> Distances:
        """How near balls come to anything on their way, while everything else moves too.

        Entry k is about the way from instant k - 1 to k, the first about its instant alone. It is never more than the
        true clearance anywhere on the way (to the accuracy of the shapes' grids), and less by 1 mm at most up to 5 cm,
        beyond by a quarter of what is beyond.

        Args:
            spheres: [..., T, S, 4] middle (m, world frame) and radius (m) at T instants; the batch broadcasts with the
                plans. Balls move straight from one to the next.
            dt: s between instants; None: those of the rollout's states, of which T are taken from the first on.
            start: s since the beginning of the rollout, of the first instant.
            bodies: those that count; None: all but the robot's.

        Returns:
            [..., T, S]; differentiable in spheres and poses, once.

        Raises:
            ShapeError: spheres of another shape, or that do not fit the plans.
            InputError: no instants, numbers that are not finite, a negative radius, instants beyond the rollout.
        """
        owner = "swept_clearance"
        given = list(spheres.shape) if isinstance(spheres, Tensor) else type(spheres).__name__
        if not isinstance(spheres, Tensor) or spheres.ndim < 3 or spheres.shape[-1] != 4:
            raise ShapeError(f"{owner}: spheres are {given}, expected [..., T, S, 4].")
        if spheres.shape[-3] == 0:
            raise InputError(f"{owner}: spheres are {given}, the horizon is empty; give at least one instant.")
        return sweeps.sweep(self, spheres, dt, start, chosen_bodies(owner, self.world, bodies, but_robot=True))

    def raycast(
        self,
        origins: Tensor,
        directions: Tensor,
        t: float | Tensor | None = None,
        *,
        most: float = FARTHEST,
        bodies: Bodies | None = None,
    ) -> Hits:
        """Where rays meet the first body; differentiable in origins and poses at the surface met, once.

        Args:
            origins: [..., R, 3] m, world frame.
            directions: [..., R, 3] of any length but 0.
            t: as of `signed_distance`.
            most: m up to which rays are followed.
            bodies: those that count; None: all.

        Raises:
            ShapeError: rays of another shape, or that do not fit the batch.
            InputError: numbers that are not finite, a direction of no length, a time outside the rollout, no such body.
        """
        return visibility.raycast(self, origins, directions, t, most, bodies)

    def visible_fraction(self, body: int | str, camera: Camera, t: float | Tensor | None = None) -> Estimate:
        """How much of what a body turns to a camera is seen in its picture, nothing before it: 0 to 1.

        Args:
            body: name or number.
            camera: a single one.
            t: as of `signed_distance`.

        Returns:
            [...]; known where most of the lines of sight pass through space that was seen.

        Raises:
            InputError: no such body, or one without a mesh; a time outside the rollout; a batch of cameras.
        """
        return visibility.visible_fraction(self, body_number("visible_fraction", self.world, body), camera, t)

    def contacts(self, t: float | Tensor | None = None, *, reach: float = touching.TOUCHING) -> Touches:
        """Where bodies touch, how fast they near each other, and how hard they press; a gripper presses with its force.

        Args:
            t: as of `signed_distance`.
            reach: m between surfaces up to which they count as touching.

        Raises:
            InputError: a time outside the rollout, or a negative reach.
        """
        return touching.contacts(self, t, reach)

    def supported_by(self, body: int | str, t: float | Tensor | None = None) -> Estimate:
        """Which bodies a body stands on: value [..., B] bool; std [..., B] m of the gap, known [..., B].

        Raises:
            InputError: no such body, or a time outside the rollout.
        """
        return touching.supported_by(self, body_number("supported_by", self.world, body), t)

    def mesh(self, t: float | None = None, *, plan: tuple[int, ...] = ()) -> list[Surface]:
        """The bodies' meshes where they are predicted, of one plan at one time; errors as of `render`."""
        return pictures.mesh(self, self.instant("mesh", t, plan))

    def point_cloud(self, t: float | None = None, *, plan: tuple[int, ...] = ()) -> Cloud:
        """The middles of the world's opaque splats where they are predicted; errors as of `render`."""
        return pictures.point_cloud(self, self.instant("point_cloud", t, plan))

    def render(self, camera: Camera, t: float | None = None, *, plan: tuple[int, ...] = ()) -> View:
        """A picture of one plan at one time.

        Args:
            camera: undistorted.
            t: s since the beginning; None: the last state.
            plan: which of the plans; () where there is just one.

        Raises:
            InputError: a time outside the rollout, no such plan, a distorted camera.
        """
        return pictures.picture(self, self.instant("render", t, plan), camera)

    def instant(self, owner: str, t: float | None, plan: tuple[int, ...]) -> Instant:
        """The state of one plan at one time, without a batch; of None the last."""
        if self.times is not None:
            t = float(self.times[-1]) if t is None else t
        now = self._line.at(owner, t)
        if len(now.batch) != len(plan) or not all(-n <= i < n for i, n in zip(plan, now.batch, strict=False)):
            raise InputError(
                f"{owner}: plan is {plan}, expected an index into {list(now.batch)}, one plan at one time."
            )
        return Instant(**{name: value[plan] for name, value in vars(now).items()})

    def at(self, owner: str, t: float | Tensor | None) -> Instant:
        """What moves at times t; for queries that live beside this class."""
        return self._line.at(owner, t)

    def step(self, owner: str, t: float | Tensor | None) -> tuple[Instant, Instant, Tensor]:
        """The actions in which times t lie, see `Timeline.before`."""
        return self._line.before(owner, t)

    def _of(self, body: int | str | None, owner: str, value: Tensor, std: Tensor, known: Tensor) -> Estimate:
        if body is None:
            return Estimate(value, std, known)
        index = body_number(owner, self.world, body)
        return Estimate(value[..., index, :], std[..., index, :], known[..., index])


@dataclass(frozen=True)
class _Packed:
    world: weakref.ref[World]
    support_height: float | None
    field: Field

    @cached_property
    def weights(self) -> tuple[Tensor, Tensor]:
        world = self.world()
        assert world is not None
        return body_weights(world)


_packed_worlds: dict[int, _Packed] = {}


def _pack(world: World, support_height: float | None) -> _Packed:
    """What is packed of a world once, kept as long as the world lives."""
    packed = _packed_worlds.get(id(world))
    if packed is None or packed.world() is not world or packed.support_height != support_height:
        key = id(world)
        gone = weakref.ref(world, lambda _: _packed_worlds.pop(key, None))
        packed = _packed_worlds[key] = _Packed(gone, support_height, pack_field(world, support_height=support_height))
    return packed
