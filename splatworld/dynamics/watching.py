"""What bodies are made of, from how they were seen to move."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from splatworld.core.checks import InputError, ShapeError, check_finite
from splatworld.core.latents import KNOWN
from splatworld.core.rollout import Rollout
from splatworld.core.world import World
from splatworld.dynamics.beliefs import Belief, Prior
from splatworld.dynamics.checkpoint import load_model
from splatworld.dynamics.model import DynamicsModel
from splatworld.dynamics.scene import Scene, world_scene
from splatworld.dynamics.step import Moving, act
from splatworld.dynamics.touch import travelled

MOST_STATES = 4096
"""Predicted at once."""
BROAD = 0.25
"""Share of later guesses that are drawn from the prior."""
WIDER = 1.3
"""By which later guesses are drawn wider than the best of those before lie."""
SHARED = 8.0
"""Guesses, in effect, among which weights are shared at least: the likelihood counts less where it would leave fewer,
for so few say nothing of what it leaves open."""
HALVINGS = 8
"""Of the power of a likelihood, at most."""


@dataclass(frozen=True)
class WatchConfig:
    """How latents are inferred.

    Attributes:
        particles: guesses a round.
        rounds: after the first, guesses are drawn where those before were good.
        actions: that are predicted from one observed state on; the next begins where they end.
        place, turn: m and rad, standard deviations of observed poses.
        trust: power of the likelihood; below 1 since a model errs alike in successive stretches.
        freedom: degrees of it of Student's distribution of errors.
        prior: before anything is seen.
        seed: of all draws.
    """

    particles: int = 48
    rounds: int = 4
    actions: int = 5
    place: float = 0.0005
    turn: float = 0.005
    trust: float = 0.6
    freedom: float = 4.0
    prior: Prior = field(default_factory=Prior)
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.particles, self.rounds, self.actions) < 1 or min(self.place, self.turn, self.freedom) <= 0:
            raise InputError(f"WatchConfig: {self}, expected counts of 1 or more and deviations above 0.")
        if not 0 < self.trust <= 1:
            raise InputError(f"WatchConfig: trust is {self.trust}, expected more than 0, at most 1.")


def infer_latents(
    world: World,
    rollout: Rollout,
    *,
    model: DynamicsModel | None = None,
    config: WatchConfig | None = None,
    support_height: float = 0.0,
) -> Belief:
    """What is believed of bodies after they were seen to move: friction, mass, centre of mass.

    No gradients: guesses from the prior are each played against what was observed, stretch by stretch, then others are
    drawn near the best; every guess counts by its likelihood over the density that it was drawn with (Cornuet et al.,
    "Adaptive multiple importance sampling", 2012). What was not touched keeps its prior.

    Args:
        world: whose bodies they are.
        rollout: observed states [..., T + 1], tools included; each rollout of a batch is judged by itself.
        model: None: the one that comes with the package.
        config: see there.
        support_height: as of `predict`.

    Returns:
        The belief, [..., N, B]; `belief.latents` is what a state takes.

    Raises:
        InputError: no action was observed, or numbers are not finite.
        ShapeError: bodies of another world.
    """
    states, count = rollout.states, len(world.bodies)
    given = states.world_from_body.shape[-2]
    if given != count:
        raise ShapeError(f"infer_latents: the rollout has {given} bodies, expected {count} as in the world.")
    for name in ("world_from_body", "twists"):
        check_finite("infer_latents", f"rollout.states.{name}", getattr(states, name))
    poses, twists = states.world_from_body.cpu(), states.twists.cpu()
    batch, length = poses.shape[:-3], poses.shape[-3]
    scene = world_scene(world, support_height=support_height).expand(math.prod(batch))
    shown = poses.reshape(-1, length, count, 7), twists.reshape(-1, length, count, 6)
    found = infer(load_model() if model is None else model, scene, *shown, config=config)
    return Belief(*(value.reshape(*batch, *value.shape[1:]) for value in vars(found).values()))


@torch.no_grad()
def infer(
    model: DynamicsModel, scene: Scene, poses: Tensor, twists: Tensor, *, config: WatchConfig | None = None
) -> Belief:
    """The same of S scenes at once.

    Args:
        model: the network.
        scene: of S states.
        poses: [S, T + 1, B, 7] as observed.
        twists: [S, T + 1, B, 6].
        config: see there.
    """
    config = config or WatchConfig()
    if poses.shape[1] < 2:
        raise InputError("infer_latents: no action was observed; record at least one.")
    generator = torch.Generator().manual_seed(config.seed)
    scenes, _, bodies = poses.shape[:3]
    shape = (scenes, config.particles, bodies, KNOWN)
    typical = scene.typical_mass
    # Proposals are normal for each body, in numbers of which the prior is the standard normal.
    means, roots = torch.zeros(1, scenes, bodies, KNOWN).double(), torch.eye(KNOWN).double()
    roots = roots.expand(1, scenes, bodies, KNOWN, KNOWN)
    normal = torch.zeros(scenes, 0, bodies, KNOWN).double()
    fit = torch.zeros(scenes, 0, bodies).double()
    weights = fit
    for _ in range(config.rounds):
        drawn = torch.randn(shape, generator=generator).double()
        near = means[-1, :, None] + (roots[-1, :, None] @ drawn[..., None])[..., 0]
        broad = torch.arange(config.particles) < BROAD * config.particles
        drawn = torch.where(broad[:, None, None], drawn, near)
        latents = config.prior.latents(drawn.float(), typical[:, None])
        said = _likelihood(model, scene, poses, twists, latents, config)
        normal, fit = torch.cat([normal, drawn], 1), torch.cat([fit, said], 1)
        weights = _weights(normal, fit, means, roots)
        mean = (weights[..., None] * normal).sum(1)
        gap = normal - mean[:, None]
        cov = torch.einsum("snb,snbi,snbj->sbij", weights, gap, gap)
        # The prior counts as one guess more.
        effective = 1 / weights.square().sum(1)[..., None, None]
        cov = (WIDER**2 * effective * cov + torch.eye(KNOWN).double()) / (effective + 1)
        means = torch.cat([means, mean[None]])
        roots = torch.cat([roots, torch.linalg.cholesky(cov)[None]])
    return Belief(config.prior.latents(normal.float(), typical[:, None]), weights.float(), typical)


def _weights(normal: Tensor, fit: Tensor, means: Tensor, roots: Tensor) -> Tensor:
    """[S, N, B] of guesses `normal` [S, N, B, 6] that fit [S, N, B], drawn from proposals [R, S, B, ...] in turn."""
    prior = -0.5 * normal.square().sum(-1)
    densities = []
    for mean, root in zip(means, roots, strict=True):
        inner = torch.linalg.solve_triangular(root[:, None], (normal - mean[:, None])[..., None], upper=False)[..., 0]
        size = root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        densities.append(-0.5 * inner.square().sum(-1) - size[:, None])
    # Each round drew a share from the prior and the rest from its proposal.
    near = torch.stack(densities).logsumexp(0) - math.log(len(densities))
    mixture = torch.logaddexp(prior + math.log(BROAD), near + math.log(1 - BROAD))
    power = torch.ones_like(fit[:, :1])
    for _ in range(HALVINGS):
        weights = torch.softmax(power * fit + prior - mixture, dim=1)
        few = 1 / weights.square().sum(1, keepdim=True) < min(SHARED, fit.shape[1] / 3)
        power = torch.where(few, power / 2, power)
    return torch.softmax(power * fit + prior - mixture, dim=1)


def _likelihood(
    model: DynamicsModel, scene: Scene, poses: Tensor, twists: Tensor, latents: Tensor, config: WatchConfig
) -> Tensor:
    """[S, K, B] log-likelihood of latents [S, K, B, 8]."""
    scenes, guesses = latents.shape[:2]
    actions = min(config.actions, poses.shape[1] - 1)
    starts = torch.arange(0, poses.shape[1] - actions, actions)
    rows = torch.cartesian_prod(torch.arange(scenes), starts, torch.arange(guesses))
    noise = torch.tensor([config.place] * 3 + [config.turn] * 3).double()
    total = torch.zeros(scenes, guesses, poses.shape[2]).double()
    for part in rows.split(MOST_STATES):
        at, begin, guess = part.unbind(-1)
        here = Scene(scene.solids, scene.shape_ids[at], scene.kinds[at], scene.mass[at], scene.pairs, scene.gravity)
        now = Moving(
            poses=poses[at, begin],
            twists=twists[at, begin],
            latents=latents[at, guess],
            variance=torch.zeros_like(twists[at, begin]),
            awake=here.free,
        )
        for step in range(1, actions + 1):
            now = act(model, here, now, poses[at, begin + step]).moving
            tools = torch.where(here.tool[..., None], poses[at, begin + step], now.poses)
            now = Moving(tools, now.twists, now.latents, now.variance, now.awake)
        gap = travelled(now.poses, poses[at, begin + actions]).double()
        scale = now.variance.double() + noise.square()
        error = gap.square() / scale
        free = config.freedom
        log = -0.5 * (free + 1) * torch.log1p(error / free) - 0.5 * scale.log()
        total.index_put_((at, guess), torch.where(here.free[..., None], log, 0.0).sum(-1), accumulate=True)
    return config.trust * total
