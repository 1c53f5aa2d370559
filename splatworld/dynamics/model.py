"""The network: contacts are read one by one and pooled, then a body's next motion follows as a residual."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from splatworld.core.checks import InputError
from splatworld.dynamics.edges import NodeModel
from splatworld.dynamics.features import (
    BODY_FEATURES,
    BODY_MIRROR,
    CONTACT_FEATURES,
    CONTACT_MIRROR,
    TWIST_MIRROR,
    Around,
    contact_features,
)

DISPLACEMENT = (0.01, 0.01, 0.01, 0.1, 0.1, 0.1)
TWIST = (0.1, 0.1, 0.1, 1.0, 1.0, 1.0)
"""What one unit of the network's output means: m and rad in 0.1 s, m/s and rad/s."""
LEAST_LOG, MOST_LOG = -14.0, 4.0
"""Bounds of log-variances, in these units."""
FIRST_LOG = -4.0
"""What they begin with: 1.4 mm. Had they to come down from a whole unit, they would stay too large."""


@dataclass(frozen=True)
class ModelConfig:
    """How large the network is.

    Attributes:
        members: networks of the ensemble, evaluated together.
        contact: widths of the layers that read a contact.
        trunk: widths of the layers that read a body.
        rounds: passes over the contact graph; in the second, bodies see how their neighbours move.
        scale: of predicted variances: of whole actions, and of short steps.
        correlation: of the errors of successive steps, by which these are summed; likewise.
    """

    members: int = 3
    contact: tuple[int, ...] = (64, 64)
    trunk: tuple[int, ...] = (192, 128, 128)
    rounds: int = 2
    scale: tuple[float, float] = (1.0, 1.0)
    correlation: tuple[float, float] = (0.5, 0.5)

    def __post_init__(self) -> None:
        if min(self.members, self.rounds, *self.contact, *self.trunk) < 1:
            raise InputError(f"ModelConfig: {self}, expected members, rounds and widths of 1 or more.")
        if len(self.scale) != 2 or not all(0 < each < float("inf") for each in self.scale):
            raise InputError(f"ModelConfig: scale is {self.scale}, expected two numbers above 0.")
        if len(self.correlation) != 2 or not all(0 <= each <= 1 for each in self.correlation):
            raise InputError(f"ModelConfig: correlation is {self.correlation}, expected two numbers from 0 to 1.")


class Layer(nn.Module):
    """One linear layer of every member: [M or 1, N, I] -> [M, N, O]."""

    def __init__(self, members: int, inputs: int, outputs: int, *, scale: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(members, inputs, outputs) * scale / inputs**0.5)
        self.bias = nn.Parameter(torch.zeros(members, 1, outputs))

    def forward(self, values: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, values.expand(len(self.weight), -1, -1), self.weight)


@dataclass(frozen=True)
class Motion:
    """How N bodies move in a step, local frames, one row a member.

    Attributes:
        displacement: [M, N, 6] m and rad.
        twist: [M, N, 6] m/s and rad/s after the step.
        log_variance: [M, N, 12] of displacement and twist, in m, rad, m/s and rad/s.
    """

    displacement: Tensor
    twist: Tensor
    log_variance: Tensor


class DynamicsModel(nn.Module):
    """An ensemble of contact networks.

    What a body does without contacts is exact: it flies. All else is a residual on how it would coast, times a
    gate that is 0 without contact. Everything is seen in a frame that turns with the body about z, which makes
    predictions equivariant under turns of the world about z.
    """

    units: Tensor
    contact_mirror: Tensor
    body_mirror: Tensor
    twist_mirror: Tensor
    nodes: NodeModel | None

    def __init__(self, config: ModelConfig | None = None, nodes: NodeModel | None = None) -> None:
        """
        Args:
            config: sizes.
            nodes: the network of deformable bodies; without one they swing uncorrected.
        """
        super().__init__()
        self.config = config = config or ModelConfig()
        self.nodes = nodes
        widths = (CONTACT_FEATURES, *config.contact)
        self.reader = nn.ModuleList(Layer(config.members, a, b) for a, b in pairwise(widths))
        widths = (BODY_FEATURES + 2 * config.contact[-1], *config.trunk)
        self.trunk = nn.ModuleList(Layer(config.members, a, b) for a, b in pairwise(widths))
        self.mean = Layer(config.members, widths[-1], 12, scale=0.1)
        self.spread = Layer(config.members, widths[-1], 12, scale=0.1)
        nn.init.constant_(self.spread.bias, FIRST_LOG)
        self.register_buffer("units", torch.tensor((*DISPLACEMENT, *TWIST)), persistent=False)
        for name, signs in (("contact", CONTACT_MIRROR), ("body", BODY_MIRROR), ("twist", TWIST_MIRROR)):
            self.register_buffer(f"{name}_mirror", signs.clone(), persistent=False)

    def forward(self, around: Around, motion: Tensor, *, mirror: Tensor | None = None) -> Motion:
        """The motion of the bodies of `around`.

        Args:
            around: what surrounds them.
            motion: [S, B, 6] displacements of everything during the step, as far as they are known.
            mirror: [N] bool, predict by way of the mirror image.
        """
        device = self.units.device
        contacts, bodies = contact_features(around, motion).to(device), around.body.to(device)
        weight = around.touch.weight.to(device)[..., None]
        signs = None
        if mirror is not None:
            flip = mirror.to(device)
            contacts = torch.where(flip[:, None, None], contacts * self.contact_mirror, contacts)
            bodies = torch.where(flip[:, None], bodies * self.body_mirror, bodies)
            signs = torch.where(flip[:, None], self.twist_mirror.repeat(2), 1.0)
        raw, log_variance = self._heads(contacts, weight, bodies)
        raw = raw if signs is None else raw * signs
        home = around.gate.device
        span = around.body[:, 21:22]
        raw, log_variance = (raw * self.units).to(home), (log_variance + 2 * self.units.log()).to(home)
        step = around.gate[:, None] * raw
        return Motion(
            displacement=around.coasting + step[..., :6] * span,
            twist=around.coasting_twist + step[..., 6:],
            log_variance=torch.cat([log_variance[..., :6] + 2 * span.log(), log_variance[..., 6:]], dim=-1),
        )

    def _heads(self, contacts: Tensor, weight: Tensor, bodies: Tensor) -> tuple[Tensor, Tensor]:
        count, slots = contacts.shape[:2]
        values = contacts.flatten(0, 1)[None]
        for layer in self.reader:
            values = functional.silu(layer(values))
        values = values.unflatten(1, (count, slots)) * weight
        members = len(values)
        pooled = [values.sum(2) / 4, values.amax(2), bodies.expand(members, -1, -1)]
        values = torch.cat(pooled, dim=-1)
        for layer in self.trunk:
            values = functional.silu(layer(values))
        return self.mean(values), self.spread(values.detach()).clamp(LEAST_LOG, MOST_LOG)
