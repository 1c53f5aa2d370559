"""What a world does under actions: whole rollouts, or one action after the other without end."""

from __future__ import annotations

import math
import warnings
import weakref
from dataclasses import dataclass, fields, replace
from functools import cached_property

import torch
from torch import Tensor

from splatworld.core.checks import ShapeError, check_finite
from splatworld.core.rollout import Rollout
from splatworld.core.state import State
from splatworld.core.world import World
from splatworld.dynamics.articulated import Hung, hung_bodies, swing_joints
from splatworld.dynamics.beliefs import Belief, drawn, from_prior
from splatworld.dynamics.checkpoint import load_model
from splatworld.dynamics.deformable import Nodes, act_nodes
from splatworld.dynamics.grasping import grip
from splatworld.dynamics.gripper import Gripper, find_gripper
from splatworld.dynamics.jamming import jam
from splatworld.dynamics.model import DynamicsModel
from splatworld.dynamics.nets import Net, world_net
from splatworld.dynamics.scene import Scene, world_scene
from splatworld.dynamics.step import Moving, act
from splatworld.dynamics.touch import travelled
from splatworld.robot.actions import apply_action, check_action
from splatworld.robot.kinematics import forward_kinematics
from splatworld.store import world_id


def predict(
    world: World,
    state: State,
    actions: Tensor,
    *,
    model: DynamicsModel | None = None,
    support_height: float = 0.0,
    samples: int | None = None,
    belief: Belief | None = None,
) -> Rollout:
    """Roll a world out under actions.

    Args:
        world: with metric scale.
        state: where it begins; any batch.
        actions: [..., T, A] as `world.robot.action` says, 0.1 s each; their batch broadcasts with the state's. A world
            without a robot takes actions of no numbers, [..., T, 0].
        model: None: the one that comes with the package.
        support_height: z, m, of the plane that the background stands for where it has no distance grid.
        samples: predict so many times, a new first axis of the batch, with latents drawn from `belief`: what nobody
            knows of the bodies shows as `spread`. None: once, with the state's latents.
        belief: about the bodies, as `watching.infer_latents` gives it; None: what things are like in general.

    Returns:
        States and their predicted standard deviation; how much of each action was blocked; where it broke down.

    Raises:
        ShapeError: actions or state of another shape.
        InputError: actions or a state that are not finite, or actions beyond their limits; an open mesh.
    """
    if not isinstance(actions, Tensor) or actions.ndim < 2:
        given = list(actions.shape) if isinstance(actions, Tensor) else type(actions).__name__
        raise ShapeError(f"predict: actions are {given}, expected [..., T, A]; add an axis for a single one.")
    _check_actions(world, actions)
    if samples is not None:
        state = _drawn(world, state, samples, belief, support_height)
    batch = torch.broadcast_shapes(state.batch, actions.shape[:-2])
    steps = actions.shape[-2]
    running = Stream(world, _expanded(state, batch), model=model, support_height=support_height)
    states, stds, blocked = [running.state], [running.std], []
    for t in range(steps):
        states.append(running.step(actions[..., t, :]))
        stds.append(running.std)
        blocked.append(running.blocked)
    axis = len(batch)
    joined = {f.name: torch.stack([getattr(each, f.name) for each in states], dim=axis) for f in fields(State)}
    none = torch.zeros(*batch, 0, dtype=running.std.dtype, device=running.std.device)
    return Rollout(
        actions=actions.expand(*batch, *actions.shape[-2:]),
        states=State(**joined),
        world_id=_known(world, support_height).world_id,
        std=torch.stack(stds, dim=axis),
        blocked=torch.stack(blocked, dim=axis) if blocked else none,
        stopped=running.stopped,
    )


class Stream:
    """A world that goes on, action by action; what it keeps does not grow.

    Attributes:
        state: now.
        std: [..., B, 6] predicted standard deviation of the poses since the stream began, m and rad, world axes.
        blocked: [...] fraction of the last action that the robot could not carry out.
        stopped: [...] int64 actions after which a prediction broke down; the number of actions so far where none did.
    """

    def __init__(
        self, world: World, state: State, *, model: DynamicsModel | None = None, support_height: float = 0.0
    ) -> None:
        """Arguments and errors as of `predict`."""
        count = len(world.bodies)
        if state.world_from_body.shape[-2] != count:
            given = state.world_from_body.shape[-2]
            raise ShapeError(f"predict: the state has {given} bodies, expected {count} as in the world.")
        if state.nodes.shape[-2] != len(world.rest_nodes):
            given, expected = state.nodes.shape[-2], len(world.rest_nodes)
            raise ShapeError(f"predict: the state has {given} nodes, expected {expected} as in the world.")
        for name in ("world_from_body", "twists", "joints", "latents", "nodes", "node_velocities"):
            check_finite("predict", f"state.{name}", getattr(state, name))
        self._world, self._model = world, load_model() if model is None else model
        self._device = state.world_from_body.device
        flat = State(**{f.name: _flat(getattr(state, f.name), len(state.batch)).cpu() for f in fields(State)})
        self._batch, self._state = state.batch, flat
        states = len(flat.time)
        self._scene = _known(world, support_height).scene.expand(states)
        self._net = _known(world, support_height).net.expand(states)
        self._hung = _known(world, support_height).hung
        self._gripper = _known(world, support_height).gripper
        self._spread = torch.zeros(len(self._net.radius), dtype=flat.nodes.dtype)
        # Nobody knows what was done to the state before: all supports are looked at once.
        self._moving = Moving(
            poses=flat.world_from_body,
            twists=flat.twists,
            latents=flat.latents,
            variance=torch.zeros(states, count, 6, dtype=flat.twists.dtype),
            awake=self._scene.free,
        )
        self._alive = torch.ones(states, dtype=torch.bool)
        self._steps = torch.zeros(states, dtype=torch.int64)
        self._blocked = torch.zeros(states, dtype=flat.twists.dtype)

    @property
    def state(self) -> State:
        return State(**{f.name: self._out(getattr(self._state, f.name)) for f in fields(State)})

    @property
    def std(self) -> Tensor:
        variance = self._moving.variance
        if len(self._net.radius):
            # Of a deformable body that of its nodes, in the mean.
            rows = self._net.state * variance.shape[1] + self._net.body
            total = variance.new_zeros(variance.shape[0] * variance.shape[1])
            count = total.index_add(0, rows, torch.ones_like(self._spread)).clamp(min=1)
            mean = (total.index_add(0, rows, self._spread) / count).reshape(variance.shape[:2])
            variance = variance + torch.nn.functional.pad(mean[..., None].expand(-1, -1, 3), (0, 3))
        return self._out(variance.sqrt())

    @property
    def blocked(self) -> Tensor:
        return self._out(self._blocked)

    @property
    def stopped(self) -> Tensor:
        return self._out(self._steps)

    @torch.no_grad()
    def step(self, action: Tensor) -> State:
        """The state after an action [..., A] of 0.1 s; on an error nothing has changed.

        Raises:
            ShapeError: an action of another shape.
            InputError: an action that is not finite or beyond its limits.
        """
        _check_actions(self._world, action)
        before = self._state
        values = _flat(action.cpu().expand((*self._batch, action.shape[-1])), len(self._batch))
        commanded = before if self._world.robot is None else apply_action(self._world, before, values)
        share = torch.ones(len(before.time))
        if self._hung.bodies:
            commanded, share = swing_joints(self._world, self._scene, self._hung, before, commanded)
        scene, moving = self._scene, self._moving
        if self._gripper is not None:
            commanded, came = jam(self._world, scene, self._gripper, before, commanded)
            share = share * came
        if self._gripper is not None and (held := grip(self._world, scene, self._gripper, before, commanded)):
            scene, commanded = held.scene, held.commanded
        step = act(self._model, scene, moving, commanded.world_from_body)
        after = self._carried_out(scene, before, commanded, step.moving, step.done)
        after, spread, lost = self._swung(before, after)
        failed = step.failed | lost
        broken = failed & self._alive
        if bool(broken.any()):
            count = int(broken.sum())
            warnings.warn(
                f"predict: {count} of {len(broken)} rollouts stopped, the network's output is not finite; they keep "
                "their last good state.",
                RuntimeWarning,
                stacklevel=2,
            )
        alive = self._alive & ~failed
        self._state = _choose(alive, after, before)
        self._spread = torch.where(alive[self._net.state], spread, self._spread)
        self._moving = replace(
            step.moving,
            poses=self._state.world_from_body,
            twists=self._state.twists,
            variance=torch.where(alive[:, None, None], step.moving.variance, self._moving.variance),
        )
        self._blocked = torch.where(alive, 1 - step.done * share, 1.0).to(self._blocked)
        self._alive, self._steps = alive, self._steps + alive
        return self.state

    def _carried_out(self, scene: Scene, before: State, commanded: State, moving: Moving, done: Tensor) -> State:
        """The state in which the robot, and what it holds, got as far as it could."""
        share = done[:, None].to(before.joints)
        tool = scene.tool[..., None]
        twists = torch.where(tool, commanded.twists * share[..., None], moving.twists)
        whole = share == 1
        after = replace(
            before,
            world_from_body=moving.poses,
            twists=twists,
            joints=torch.where(whole, commanded.joints, before.joints + share * (commanded.joints - before.joints)),
            joint_velocities=commanded.joint_velocities * share,
            awake=moving.awake | tool[..., 0] & (moving.poses != before.world_from_body).any(-1),
            time=before.time + 0.1,
        )
        return forward_kinematics(self._world, after) if self._world.joint_bodies else after

    def _swung(self, before: State, after: State) -> tuple[State, Tensor, Tensor]:
        """With deformable bodies where they got; the variance of their nodes [N]; where they were not finite."""
        net, states = self._net, len(before.time)
        if not len(net.radius):
            return after, self._spread, torch.zeros(states, dtype=torch.bool)
        nodes = Nodes(before.nodes.flatten(0, 1), before.node_velocities.flatten(0, 1), self._spread)
        # Nobody knows what was done to the state before.
        first = not bool(self._steps.any())
        starts, ends = before.world_from_body, after.world_from_body
        now, awake, lost = act_nodes(self._model.nodes, self._scene, net, nodes, starts, ends, unsure=first)
        bodies = [i for i, body in enumerate(self._world.bodies) if body.node_range is not None]
        flags = after.awake.clone()
        flags[:, bodies] = awake[:, None]
        placed = replace(
            after,
            nodes=now.poses.reshape(before.nodes.shape),
            node_velocities=now.velocities.reshape(before.node_velocities.shape),
            awake=flags,
        )
        return placed, now.variance, lost

    def _out(self, value: Tensor) -> Tensor:
        return value.reshape(tuple(self._batch) + tuple(value.shape[1:])).to(self._device)


def spread(rollout: Rollout) -> Tensor:
    """[..., T + 1, B, 6] standard deviation of bodies' poses over a rollout's samples, its first axis.

    m and rad, world axes, about the mean place and the turn of the first sample. It holds what draws differ by; how
    unsure each is by itself is its `std`.
    """
    poses = rollout.states.world_from_body
    gap = travelled(poses[:1].expand_as(poses), poses)
    return gap.std(0, unbiased=False)


def stream(
    world: World,
    state: State,
    *,
    model: DynamicsModel | None = None,
    support_height: float = 0.0,
    samples: int | None = None,
    belief: Belief | None = None,
) -> Stream:
    """Begin an endless rollout; arguments and errors as of `predict`."""
    if samples is not None:
        state = _drawn(world, state, samples, belief, support_height)
    return Stream(world, state, model=model, support_height=support_height)


def _drawn(world: World, state: State, samples: int, belief: Belief | None, support_height: float) -> State:
    if belief is None:
        belief = from_prior(_known(world, support_height).scene.typical_mass[0], max(samples, 1))
    return drawn(state, belief, samples)


def _check_actions(world: World, actions: Tensor) -> None:
    if world.robot is not None:
        check_action(world.robot.action, actions)
    elif not isinstance(actions, Tensor) or actions.ndim < 1 or actions.shape[-1] != 0:
        given = list(actions.shape) if isinstance(actions, Tensor) else type(actions).__name__
        raise ShapeError(f"predict: actions are {given}, expected [..., 0] as the world has no robot; use add_robot.")


def _expanded(state: State, batch: torch.Size) -> State:
    tails = {f.name: getattr(state, f.name).shape[len(state.batch) :] for f in fields(State)}
    one = (1,) * (len(batch) - len(state.batch))
    return State(
        **{
            name: value.reshape(one + tuple(value.shape)).expand(tuple(batch) + tuple(tails[name]))
            for name, value in vars(state).items()
        }
    )


def _flat(value: Tensor, batch: int) -> Tensor:
    return value.reshape(math.prod(value.shape[:batch]), *value.shape[batch:])


def _choose(mask: Tensor, one: State, other: State) -> State:
    if bool(mask.all()):
        return one
    pairs = {f.name: (getattr(one, f.name), getattr(other, f.name)) for f in fields(State)}
    return State(**{k: torch.where(mask.reshape(-1, *(1,) * (a.ndim - 1)), a, b) for k, (a, b) in pairs.items()})


@dataclass(frozen=True)
class _Known:
    """What is computed of a world once, kept as long as the world lives."""

    world: weakref.ref[World]
    support_height: float
    scene: Scene

    @cached_property
    def net(self) -> Net:
        world = self.world()
        assert world is not None
        return world_net(world)

    @cached_property
    def hung(self) -> Hung:
        world = self.world()
        assert world is not None
        return hung_bodies(world, self.scene)

    @cached_property
    def gripper(self) -> Gripper | None:
        world = self.world()
        assert world is not None
        return find_gripper(world, self.scene)

    @cached_property
    def world_id(self) -> str:
        world = self.world()
        assert world is not None
        return world_id(world)


_worlds: dict[int, _Known] = {}


def _known(world: World, support_height: float) -> _Known:
    known = _worlds.get(id(world))
    if known is None or known.world() is not world or known.support_height != support_height:
        key = id(world)
        gone = weakref.ref(world, lambda _: _worlds.pop(key, None))
        known = _Known(gone, support_height, world_scene(world, support_height=support_height))
        _worlds[key] = known
    return known
