"""A rollout's states at any time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.checks import InputError, check_finite
from splatworld.core.rollout import Rollout
from splatworld.core.state import State

SLACK = 1e-6
"""s by which a time may lie outside a rollout, for rounding."""


@dataclass(frozen=True)
class Instant:
    """What moves, at some times; batch [*plans, *times].

    Attributes:
        poses: [..., B, 7].
        nodes: [..., M, 7].
        twists: [..., B, 6].
        std: [..., B, 6] of the poses, m and rad.
        alive: [...] bool, False after a prediction broke down.
        latents: [..., B, 8] what is believed of the bodies.
    """

    poses: Tensor
    nodes: Tensor
    twists: Tensor
    std: Tensor
    alive: Tensor
    latents: Tensor

    @property
    def batch(self) -> tuple[int, ...]:
        return tuple(self.alive.shape)


class Timeline:
    """The instants of N plans with K states each, or of states that stand for themselves.

    Attributes:
        plans: the batch of plans.
        times: [K] s since the beginning; None where there is a single state.
        batch: as without a time: [*plans, K], or [*plans].
    """

    def __init__(self, source: Rollout | State) -> None:
        states = source.states if isinstance(source, Rollout) else source
        check_finite("Prediction", "world_from_body", states.world_from_body.detach())
        check_finite("Prediction", "nodes", states.nodes.detach())
        poses = states.world_from_body
        std = source.std if isinstance(source, Rollout) else None
        if std is None:
            std = torch.zeros((*poses.shape[:-1], 6), dtype=torch.float32, device=poses.device)
        check_finite("Prediction", "std", std)
        alive = torch.ones(states.batch, dtype=torch.bool, device=poses.device)
        self.times: Tensor | None = None
        self.plans = states.batch
        if isinstance(source, Rollout):
            count = states.batch[-1]
            self.plans = states.batch[:-1]
            time = states.time.reshape(-1, count)[0].detach().double().cpu()
            self.times = time - time[0]
            if not bool((self.times.diff() > 0).all()):
                raise InputError("Prediction: the rollout's times do not increase; give states in their order.")
            if source.stopped is not None:
                alive = torch.arange(count, device=poses.device) <= source.stopped[..., None]
        self._all = Instant(poses, states.nodes, states.twists, std, alive, states.latents)

    @property
    def batch(self) -> tuple[int, ...]:
        return self._all.batch

    def at(self, owner: str, t: float | Tensor | None) -> Instant:
        """The instants at times t, [*plans, *t.shape]: those of the states, or between two of them.

        Places move straight on, quaternions along the chord.

        Raises:
            InputError: a time outside the rollout, or of a single state.
        """
        if t is None:
            return self._all
        if self.times is None:
            raise InputError(f"{owner}: t is given, but the prediction is of a single state; leave t out.")
        wanted = torch.as_tensor(t, dtype=torch.float64).detach().cpu()
        last = float(self.times[-1])
        if not bool(((wanted >= -SLACK) & (wanted <= last + SLACK)).all()):
            raise InputError(f"{owner}: t is {_shown(wanted)} s, expected 0 to {last:g} s as in the rollout.")
        flat = wanted.reshape(-1)
        nearest = (self.times - flat[:, None]).abs().argmin(-1)
        if bool(((self.times[nearest] - flat).abs() <= SLACK).all()):
            return self._pick(nearest, wanted.shape)
        later = torch.searchsorted(self.times, flat).clamp(1, len(self.times) - 1)
        start, end = self.times[later - 1], self.times[later]
        share = ((flat - start) / (end - start)).clamp(0, 1)
        return _between(
            self._pick(later - 1, wanted.shape), self._pick(later, wanted.shape), share.reshape(wanted.shape)
        )

    def before(self, owner: str, t: float | Tensor | None) -> tuple[Instant, Instant, Tensor]:
        """The states at the beginning and the end of the actions in which times t lie, and their lengths [*times] s.

        A state between two actions belongs to the one that ends there, the first to the one that begins there.
        """
        assert self.times is not None
        self.at(owner, t)
        wanted = self.times if t is None else torch.as_tensor(t, dtype=torch.float64).detach().cpu()
        later = torch.searchsorted(self.times, wanted.reshape(-1) - SLACK).clamp(1, len(self.times) - 1)
        length = (self.times[later] - self.times[later - 1]).reshape(wanted.shape)
        return self._pick(later - 1, wanted.shape), self._pick(later, wanted.shape), length

    def _pick(self, index: Tensor, shape: torch.Size) -> Instant:
        axis = len(self.plans)
        index = index.to(self._all.alive.device)

        def picked(value: Tensor) -> Tensor:
            return value.index_select(axis, index).reshape((*self.plans, *shape, *value.shape[axis + 1 :]))

        return Instant(**{name: picked(value) for name, value in vars(self._all).items()})


def _between(a: Instant, b: Instant, share: Tensor) -> Instant:
    share = share.to(a.poses)

    def mixed(x: Tensor, y: Tensor, axes: int) -> Tensor:
        return x + share.to(x).reshape(*share.shape, *(1,) * axes) * (y - x)

    def posed(x: Tensor, y: Tensor) -> Tensor:
        near = torch.where((x[..., 3:] * y[..., 3:]).sum(-1, keepdim=True) < 0, -y[..., 3:], y[..., 3:])
        quat = pose.normalize_quat(mixed(x[..., 3:], near, 2))
        return torch.cat([mixed(x[..., :3], y[..., :3], 2), quat], dim=-1)

    return Instant(
        poses=posed(a.poses, b.poses),
        nodes=posed(a.nodes, b.nodes),
        twists=mixed(a.twists, b.twists, 2),
        std=torch.maximum(a.std, b.std),
        alive=a.alive & b.alive,
        latents=a.latents,
    )


def _shown(times: Tensor) -> str:
    values = times.reshape(-1)
    return f"{float(values[0]):g}" if len(values) == 1 else f"{float(values.min()):g} to {float(values.max()):g}"
