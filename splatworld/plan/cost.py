"""What a predicted future is worth: plain callables, rollouts [..., T] in, costs [...] out, 0 at best.

A cost of 1 stands for about a metre. Predicted standard deviations count where `Uncertainty` is among the costs, and
only there: whoever sees what became of a push and plans again need not shy away from what he does not know.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.rollout import Rollout
from splatworld.core.state import State

Cost = Callable[[Rollout], Tensor]
POSITION_TOLERANCE, ANGLE_TOLERANCE = 0.02, 0.2618
"""m and rad (15 degrees) within which a pose counts as reached."""
SLIDE_TOLERANCE, HINGE_TOLERANCE = 0.01, 0.0873
"""m and rad (5 degrees) within which a joint counts as there."""


@dataclass(frozen=True)
class BodyToPose:
    """A body shall end at a pose.

    Attributes:
        body: index.
        pose: [7] world_from_body.
        radius: m that a radian counts, such as how far the body reaches; 0: any orientation will do.
        position, angle: m and rad within which it counts as reached.
    """

    body: int
    pose: Tensor
    radius: float = 0.05
    position: float = POSITION_TOLERANCE
    angle: float = ANGLE_TOLERANCE

    def __call__(self, rollout: Rollout) -> Tensor:
        away, turned = self.errors(last_state(rollout))
        return (away.square() + (self.radius * turned).square()).sqrt()

    def target(self, state: State) -> Tensor:
        """[3] m where the body shall be."""
        return self.pose[:3].double()

    def errors(self, state: State) -> tuple[Tensor, Tensor]:
        """[...] m and [...] rad that are missing."""
        now = state.world_from_body[..., self.body, :]
        turn = pose.multiply_quats(self.pose[3:].to(now), pose.conjugate_quat(now[..., 3:]))
        twist = pose.log(torch.cat([self.pose[:3].to(now) - now[..., :3], turn], dim=-1))
        return twist[..., :3].norm(dim=-1), twist[..., 3:].norm(dim=-1)

    def reached(self, state: State) -> Tensor:
        """[...] bool."""
        away, turned = self.errors(state)
        return (away <= self.position) & ((turned <= self.angle) | (self.radius == 0))


@dataclass(frozen=True)
class BodyToRegion:
    """The origin of a body shall end in a box.

    Attributes:
        body: index.
        low, high: [3] m, corners of the box.
    """

    body: int
    low: Tensor
    high: Tensor

    def __call__(self, rollout: Rollout) -> Tensor:
        return self.away(last_state(rollout))

    def target(self, state: State) -> Tensor:
        """[..., 3] m, the nearest place in the box."""
        at = state.world_from_body[..., self.body, :3].double()
        return torch.minimum(torch.maximum(at, self.low.to(at)), self.high.to(at))

    def away(self, state: State) -> Tensor:
        """[...] m to the box."""
        at = state.world_from_body[..., self.body, :3]
        return (torch.maximum(self.low.to(at) - at, at - self.high.to(at)).clamp(min=0)).norm(dim=-1)

    def reached(self, state: State) -> Tensor:
        """[...] bool."""
        return self.away(state) <= 0


@dataclass(frozen=True)
class JointTo:
    """A drawer or a door shall be open by so much.

    Attributes:
        body: index of what hangs on the joint.
        joint: its number in `State.joints`.
        value: m, or rad of a hinge.
        place: [3] m where the body's origin then is.
        lever: m that a unit of the joint counts.
        tolerance: m, or rad of a hinge.
    """

    body: int
    joint: int
    value: float
    place: Tensor
    lever: float
    tolerance: float

    def __call__(self, rollout: Rollout) -> Tensor:
        return self.lever * self.away(last_state(rollout))

    def target(self, state: State) -> Tensor:
        """[3] m where the body shall be."""
        return self.place.double()

    def away(self, state: State) -> Tensor:
        """[...] m or rad that are missing."""
        return (state.joints[..., self.joint] - self.value).abs()

    def reached(self, state: State) -> Tensor:
        """[...] bool."""
        return self.away(state) <= self.tolerance


@dataclass(frozen=True)
class Reach:
    """The tool shall end at a place.

    Attributes:
        tool: body.
        position: [3] m of its frame.
        tolerance: m.
    """

    tool: int
    position: Tensor
    tolerance: float = 0.005

    def __call__(self, rollout: Rollout) -> Tensor:
        return self.away(last_state(rollout))

    def target(self, state: State) -> Tensor:
        """[3] m where the tool shall be."""
        return self.position.double()

    def away(self, state: State) -> Tensor:
        """[...] m that are missing."""
        at = state.world_from_body[..., self.tool, :3]
        return (self.position.to(at) - at).norm(dim=-1)

    def reached(self, state: State) -> Tensor:
        """[...] bool."""
        return self.away(state) <= self.tolerance


@dataclass(frozen=True)
class KeepStill:
    """Bodies that nothing shall move: how far they get, and that they move at all.

    Attributes:
        bodies: indices.
        weight: of a metre.
        alarm: cost of any motion.
        still: m that does not count.
    """

    bodies: tuple[int, ...]
    weight: float = 5.0
    alarm: float = 0.05
    still: float = 1e-4

    def __call__(self, rollout: Rollout) -> Tensor:
        at = rollout.states.world_from_body[..., list(self.bodies), :3]
        moved = (at - at[..., :1, :, :]).norm(dim=-1).amax(dim=-2)
        return (self.weight * moved + self.alarm * (moved > self.still)).sum(dim=-1)


@dataclass(frozen=True)
class KeepUpright:
    """A body shall not end tipped, however it is turned about the vertical.

    Attributes:
        body: index.
        upright: [4] an orientation in which it is not.
        weight: m that a radian counts.
    """

    body: int
    upright: Tensor
    weight: float = 0.05

    def __call__(self, rollout: Rollout) -> Tensor:
        return self.weight * self.tipped(last_state(rollout))

    def tipped(self, state: State) -> Tensor:
        """[...] rad."""
        now = state.world_from_body[..., self.body, 3:]
        turn = pose.multiply_quats(now, pose.conjugate_quat(self.upright.to(now)).expand_as(now))
        up = pose.rotate(turn, torch.tensor([0.0, 0.0, 1.0]).to(now).expand(*now.shape[:-1], 3))
        return torch.atan2(up[..., :2].norm(dim=-1), up[..., 2])


@dataclass(frozen=True)
class Smoothness:
    """Sum of squared changes from one action to the next.

    Attributes:
        weight: of a unit of action squared.
    """

    weight: float = 0.1

    def __call__(self, rollout: Rollout) -> Tensor:
        return self.weight * rollout.actions.diff(dim=-2).square().sum(dim=(-1, -2))


@dataclass(frozen=True)
class Uncertainty:
    """The predicted standard deviation of where bodies end, m, summed over them.

    Attributes:
        weight: of a metre.
    """

    weight: float = 0.2

    def __call__(self, rollout: Rollout) -> Tensor:
        if rollout.std is None:
            return torch.zeros(rollout.states.batch[:-1], dtype=rollout.states.world_from_body.dtype)
        return self.weight * rollout.std[..., -1, :, :3].norm(dim=-1).sum(dim=-1)


def last_state(rollout: Rollout) -> State:
    """The state [...] in which a rollout ends."""
    axis = len(rollout.states.batch) - 1
    return State(**{f.name: getattr(rollout.states, f.name).select(axis, -1) for f in fields(State)})


def total(*costs: Cost) -> Cost:
    """The sum of costs."""
    return lambda rollout: torch.stack([cost(rollout) for cost in costs]).sum(dim=0)
