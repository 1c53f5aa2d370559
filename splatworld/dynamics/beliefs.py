"""What is believed of bodies whose friction, mass and centre of mass nobody has told: a prior, or weighted guesses."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from splatworld.core.checks import InputError, ShapeError
from splatworld.core.latents import CENTER, DENSITY, FRICTION, KNOWN, MASS, SUPPORT_FRICTION, TOOL_FRICTION
from splatworld.core.state import LATENTS, State


@dataclass(frozen=True)
class Prior:
    """What household things are like before anything is seen of them.

    Attributes:
        friction: Coulomb's coefficients with what carries a body and with the tool, uniform.
        mass: kg, log-uniform.
        density: kg/m^3, to which masses are limited.
        center: how far the centre of mass lies off at most, in roots of second moments along each axis, uniform.
    """

    friction: tuple[float, float] = (0.2, 0.8)
    mass: tuple[float, float] = (0.05, 1.0)
    density: tuple[float, float] = (30.0, 8000.0)
    center: float = 0.2

    def __post_init__(self) -> None:
        for name in ("friction", "mass", "density"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise InputError(f"Prior: {name} is {low} to {high}, expected least and most, both above 0.")

    def latents(self, normal: Tensor, typical_mass: Tensor) -> Tensor:
        """Latents [..., B, 8] of standard normal numbers [..., B, 6] of bodies whose volumes weigh [..., B] kg."""
        share = torch.special.ndtr(normal)
        low, high = self.friction
        friction = torch.log((low + (high - low) * share[..., [SUPPORT_FRICTION, TOOL_FRICTION]]) / FRICTION)
        typical = typical_mass.clamp(min=1e-3)
        limits = [torch.clamp(density / DENSITY * typical, *self.mass) for density in self.density]
        least, most = (torch.log(limit / typical) for limit in limits)
        found = torch.zeros(*share.shape[:-1], LATENTS, dtype=share.dtype)
        found[..., SUPPORT_FRICTION], found[..., TOOL_FRICTION] = friction.unbind(-1)
        found[..., MASS] = least + (most - least) * share[..., MASS]
        found[..., CENTER] = self.center * (2 * share[..., CENTER] - 1)
        return found


@dataclass(frozen=True)
class Interval:
    """What is believed of a number of each body: its mean and the bounds of 90 %, all [..., B]."""

    mean: Tensor
    low: Tensor
    high: Tensor


@dataclass(frozen=True)
class Belief:
    """N weighted guesses about each body of a world.

    Attributes:
        particles: [..., N, B, 8] latents.
        weights: [..., N, B], of each body by itself; they sum to 1.
        typical_mass: [..., B] kg by volume, to which the latents' masses refer.
    """

    particles: Tensor
    weights: Tensor
    typical_mass: Tensor

    @property
    def latents(self) -> Tensor:
        """[..., B, 8] the weighted mean, as `State.latents` takes it."""
        return (self.weights[..., None] * self.particles).sum(-3)

    @property
    def support_friction(self) -> Interval:
        """With what carries each body."""
        return self._interval(FRICTION * self.particles[..., SUPPORT_FRICTION].exp())

    @property
    def tool_friction(self) -> Interval:
        """With the tool."""
        return self._interval(FRICTION * self.particles[..., TOOL_FRICTION].exp())

    @property
    def mass(self) -> Interval:
        """kg."""
        return self._interval(self.typical_mass[..., None, :] * self.particles[..., MASS].exp())

    def draw(self, count: int, *, seed: int = 0) -> Tensor:
        """Latents [count, ..., B, 8] by their weights, each body by itself."""
        generator = torch.Generator().manual_seed(seed)
        ends = self.weights.transpose(-1, -2).cumsum(-1).contiguous()
        # One draw from each of `count` equal shares of the weights, in an order of its own for each body.
        order = torch.rand(*ends.shape[:-1], count, generator=generator).argsort(-1)
        spots = (order + torch.rand(order.shape, generator=generator)) / count
        at = torch.searchsorted(ends, spots.to(ends)).clamp(max=ends.shape[-1] - 1)
        chosen = self.particles.transpose(-2, -3).gather(-2, at[..., None].expand(*at.shape, LATENTS))
        return chosen.movedim(-2, 0)

    def _interval(self, values: Tensor) -> Interval:
        """Of values [..., N, B]."""
        ordered, order = values.sort(dim=-2)
        reached = self.weights.gather(-2, order).cumsum(-2).transpose(-1, -2).contiguous()
        shares = reached.new_tensor([0.05, 0.95]).expand(*reached.shape[:-1], 2).contiguous()
        at = torch.searchsorted(reached, shares).clamp(max=values.shape[-2] - 1).transpose(-1, -2)
        low, high = ordered.gather(-2, at).unbind(-2)
        return Interval((self.weights * values).sum(-2), low, high)


def from_prior(typical_mass: Tensor, count: int, *, prior: Prior | None = None, seed: int = 0) -> Belief:
    """Equally likely guesses [..., count, B] about bodies of whom nothing is seen but their volume [..., B] kg."""
    generator = torch.Generator().manual_seed(seed)
    bodies = typical_mass.shape[-1]
    normal = torch.randn(*typical_mass.shape[:-1], count, bodies, KNOWN, generator=generator)
    particles = (prior or Prior()).latents(normal, typical_mass[..., None, :])
    return Belief(particles, torch.full(particles.shape[:-1], 1 / count), typical_mass)


def drawn(state: State, belief: Belief, samples: int, *, seed: int = 0) -> State:
    """A state with latents as they may be, a new first axis [samples, ...] over draws of a belief.

    Args:
        state: any batch.
        belief: about its bodies; without a batch, or with that of the state.
        samples: draws.
        seed: of the draws.

    Raises:
        InputError: no samples.
        ShapeError: a belief about other bodies.
    """
    if samples < 1:
        raise InputError(f"drawn: samples is {samples}, expected 1 or more.")
    bodies = state.latents.shape[-2]
    if belief.particles.shape[-2] != bodies:
        raise ShapeError(f"drawn: the belief is about {belief.particles.shape[-2]} bodies, the state has {bodies}.")
    found = belief.draw(samples, seed=seed).to(state.latents)
    gap = state.latents.ndim + 1 - found.ndim
    found = found.reshape(samples, *(1,) * gap, *found.shape[1:])
    values = {name: value.expand(samples, *value.shape) for name, value in vars(state).items()}
    return replace(State(**values), latents=found.expand_as(values["latents"]).contiguous())
