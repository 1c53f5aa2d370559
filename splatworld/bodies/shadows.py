"""Shadows that go along with bodies: taken off the support where they were captured, cast again where a body is now.

A shadow is a body of its own for as long as pictures are made: black splats close to the support, as opaque as the
shadow is deep, that follow the body that casts them along the support and never turn, for the light does not. A body
that turns, falls or rises keeps the shadow it had.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from splatworld.bodies.floor import Floor, floor_of
from splatworld.bodies.remove import uncovered
from splatworld.core import pose
from splatworld.core.body import Body
from splatworld.core.splats import Provenance, Splats, joined
from splatworld.core.state import State
from splatworld.core.world import World, rest_state
from splatworld.render.sh import C0

SPACING = 0.006
"""m between shadow splats."""
SPREAD = 0.9
"""Their standard deviation, in spacings."""
HEIGHT = 0.004
"""m above the support: over the splats that show it, which lie a few millimetres above and below."""
FAINTEST = 0.02
"""Natural log of how dark a shadow splat makes the support, at least."""


@dataclass(frozen=True)
class MovingShadows:
    """A world to be rendered in states in which some of its bodies are elsewhere.

    Attributes:
        world: bare where these bodies stood, and a body more for each shadow, at its end.
        casters: [S] whose shadows these are.
    """

    world: World
    casters: tuple[int, ...]

    def state(self, state: State) -> State:
        """The state [...] of `world` that shows `state` of the world it was made of."""
        if not self.casters:
            return state
        own = state.world_from_body
        rest = torch.stack([self.world.bodies[index].rest_pose for index in self.casters]).to(own)
        poses = self._rest(own).expand(*own.shape[:-2], -1, -1).clone()
        poses[..., :2] += (own[..., list(self.casters), :] - rest)[..., :2]
        still = torch.zeros_like(poses[..., :6])
        latents = state.latents.new_zeros(*own.shape[:-2], len(self.casters), state.latents.shape[-1])
        awake = torch.zeros_like(poses[..., 0], dtype=torch.bool)
        return replace(
            state,
            world_from_body=torch.cat([own, poses], dim=-2),
            twists=torch.cat([state.twists, still.to(state.twists)], dim=-2),
            latents=torch.cat([state.latents, latents], dim=-2),
            awake=torch.cat([state.awake, awake], dim=-1),
        )

    def _rest(self, like: Tensor) -> Tensor:
        shadows = self.world.bodies[len(self.world.bodies) - len(self.casters) :]
        return torch.stack([body.rest_pose for body in shadows]).to(like)


def moving_shadows(world: World, bodies: list[int]) -> MovingShadows:
    """Make ready to render a world whose bodies move.

    Args:
        world: completed, in metres, support near z = 0.
        bodies: numbers of those that move; they must stand where they were captured.
    """
    if not bodies:
        return MovingShadows(world, ())
    floor, bare = _seen_floor(world), uncovered(world, bodies)
    if floor is None or world.skin is not None:
        return MovingShadows(bare, ())
    splats = [bare.splats]
    shadows: list[Body] = []
    casters: list[int] = []
    for index in bodies:
        made = _shadow(floor, index, len(world.bodies) + len(casters), bare.splats)
        if made is not None:
            splats.append(made)
            shadows.append(Body(f"{world.bodies[index].name}'s shadow", "static", pose.identity(dtype=torch.float64)))
            casters.append(index)
    grown = replace(bare, splats=joined(splats), bodies=(*bare.bodies, *shadows), prior_latents=None)
    return MovingShadows(grown, tuple(casters))


def shadows_of(world: World, states: list[State]) -> MovingShadows:
    """The world, ready to show these states [...]: what moved in them leaves no hole and no shadow behind."""
    rest = rest_state(world).world_from_body
    moved: set[int] = set()
    for state in states:
        away = (state.world_from_body != rest.to(state.world_from_body)).any(-1).reshape(-1, len(rest)).any(0)
        moved |= set(away.nonzero()[:, 0].tolist())
    return moving_shadows(world, [index for index in sorted(moved) if world.bodies[index].kind == "rigid"])


def _seen_floor(world: World) -> Floor | None:
    seen = world.splats.provenance != int(Provenance.COMPLETED)
    return floor_of(replace(world, splats=world.splats.select(seen), skin=None))


def _shadow(floor: Floor, index: int, number: int, like: Splats) -> Splats | None:
    """Splats of body `number` that darken the support as body `index` did; None where no shadow of it was found."""
    own = floor.caster == index
    core = own & (floor.shade.mean(axis=2) > 0)
    if not core.any():
        return None
    # Rims, where shade and light could not be told, and the body's foot are as dark as the shadow next to them.
    away, (row, column) = ndimage.distance_transform_edt(~core, return_indices=True)
    depth = floor.shade.mean(axis=2)[row, column]
    full = own & ((away * floor.cell < SPACING) | floor.hidden | ndimage.binary_closing(core, iterations=4))
    depth = ndimage.gaussian_filter(np.where(full, depth, 0), SPACING / 2 / floor.cell)
    step = SPACING / floor.cell
    rows, columns = (np.arange(0, n, step).astype(int) for n in depth.shape)
    picked = depth[np.ix_(rows, columns)]
    i, j = np.nonzero(picked > FAINTEST)
    if not len(i):
        return None
    x, y = floor.low[:, None] + (np.stack([columns[j], rows[i]]) + 0.5) * floor.cell
    count = len(x)
    # So many overlap that their transmittances multiply to exp(-depth).
    opacity = 1 - np.exp(-picked[i, j] / (2 * np.pi * SPREAD**2))
    sh = torch.zeros(count, like.sh.shape[1], 3)
    sh[:, 0] = -0.5 / C0
    scales = torch.tensor([SPREAD * SPACING, SPREAD * SPACING, 0.001]).log()
    quats = torch.zeros(count, 4)
    quats[:, 0] = 1
    return Splats(
        means=torch.from_numpy(np.stack([x, y, np.full(count, floor.height + HEIGHT)], axis=1)).float(),
        log_scales=scales.repeat(count, 1),
        quats=quats,
        opacity_logits=torch.logit(torch.from_numpy(opacity).float()),
        sh=sh,
        body_ids=torch.full((count,), number, dtype=like.body_ids.dtype),
        provenance=torch.full((count,), int(Provenance.COMPLETED), dtype=like.provenance.dtype),
    )
