"""How hard bodies press on each other, from how their motion is predicted to change."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.latents import DENSITY, FRICTION, MASS, SUPPORT_FRICTION, TOOL_FRICTION
from splatworld.core.robot import ACTION_SECONDS
from splatworld.core.world import World
from splatworld.geometry.mesh import mass_properties
from splatworld.plan.answers import Touches

FRICTION_STD = 0.5
"""Relative: what an unknown friction makes of an impulse."""
SLIDING = 0.005
"""m/s from which on surfaces slide: friction then opposes them."""
ROUNDS = 200
EVEN = 1e-3
"""How much less an even load on all contacts counts than a momentum that fits."""


@dataclass(frozen=True)
class Pressed:
    """How the motion of S states' bodies changed.

    Attributes:
        before, after: [S, B, 6] twists at the beginning and the end of the action.
        along: [S, B, 6] m/s and rad/s in the mean, which tells what slides.
        poses: [S, B, 7] at its end.
        latents: [S, B, 8] what is believed of the bodies.
        seconds: [S] that it lasts; None for single states, which are held as they are for an action's time.
    """

    before: Tensor
    after: Tensor
    along: Tensor
    poses: Tensor
    latents: Tensor
    seconds: Tensor | None


def impulses(world: World, weights: tuple[Tensor, Tensor], pressed: Pressed, found: Touches) -> tuple[Tensor, Tensor]:
    """Normal impulses [C] N s of contacts, and their standard deviations.

    Masses and frictions are those that the latents tell. The least squares fit, none negative, of what the contacts
    of a body give it to its change of momentum without gravity; where surfaces slide, friction goes with the normal
    impulse. Accelerated projected gradients (Beck and Teboulle, "A fast iterative shrinkage-thresholding algorithm",
    2009). Bodies that are held (static ones, the robot) take any impulse. The deviation holds what does not fit, and
    what friction is unknown.

    Args:
        world: its gravity and kinds of bodies.
        weights: of its bodies, as `body_weights` gives them.
        pressed: how motion changed.
        found: the contacts.
    """
    count = len(found)
    if not count:
        return torch.zeros(0), torch.zeros(0)
    free = torch.tensor([body.kind in ("rigid", "deformable", "articulated") for body in world.bodies])
    told = torch.tensor([bool(body.mass) for body in world.bodies])
    heavier = torch.where(told, 1.0, pressed.latents[..., MASS].exp())
    mass, inertia = heavier * weights[0], heavier[..., None, None] * weights[1]
    states, bodies = pressed.before.shape[:2]
    seconds = torch.full((states,), ACTION_SECONDS) if pressed.seconds is None else pressed.seconds
    turned = pose.quat_to_matrix(pressed.poses[..., 3:].float())
    change = pressed.after - pressed.before
    lift = -seconds[:, None, None] * world.gravity.float()
    linear = mass[..., None] * (change[..., :3] + lift)
    own = (turned.transpose(-1, -2) @ change[..., 3:, None])[..., 0]
    angular = (turned @ (inertia @ own[..., None]))[..., 0]
    # In units of the root of energy: momentum by the root of mass, moments by the root of the mean inertia.
    root = mass.clamp(min=1e-6).sqrt()[..., None]
    turning = (inertia.diagonal(dim1=-2, dim2=-1).mean(-1)).clamp(min=1e-9).sqrt()[..., None]
    wanted = (torch.cat([linear / root, angular / turning], dim=-1) * free[:, None]).reshape(-1, 6)
    along = _directions(world, pressed, found)
    at = (found.state[:, None], found.bodies)
    rows = (found.state[:, None] * bodies + found.bodies).long()
    arms = found.point[:, None] - pressed.poses[found.state[:, None], found.bodies, :3].float()
    both = torch.stack([along, -along], dim=1)
    moment = torch.linalg.cross(arms, both)
    given = torch.cat([both / root[at], moment / turning[at]], dim=-1)
    given = given * free[found.bodies][..., None]

    def fits(j: Tensor) -> Tensor:
        total = torch.zeros_like(wanted)
        return total.index_add_(0, rows.reshape(-1), (j[:, None, None] * given).reshape(-1, 6))

    size = given.square().sum((-1, -2))
    even = EVEN * size.clamp(min=1e-12)
    # No eigenvalue exceeds the greatest sum of what the contacts of a body share.
    shared = torch.zeros(len(wanted)).index_add_(0, rows.reshape(-1), given.square().sum(-1).reshape(-1))
    step = 1 / (shared[rows].amax(-1) * 2 + even).clamp(min=1e-12)
    j = momentum = torch.zeros(count)
    pace = 1.0
    for _ in range(ROUNDS):
        rest = fits(momentum) - wanted
        slope = (given * rest[rows]).sum((-1, -2)) + even * momentum
        after = (momentum - step * slope).clamp(min=0)
        faster = (1 + (1 + 4 * pace * pace) ** 0.5) / 2
        momentum, j, pace = after + (pace - 1) / faster * (after - j), after, faster
    rest = (fits(j) - wanted)[rows].square().sum((-1, -2)).sqrt()
    return j, ((FRICTION_STD * j).square() + (rest / size.clamp(min=1e-12).sqrt()).square()).sqrt()


def _directions(world: World, pressed: Pressed, found: Touches) -> Tensor:
    """[C, 3] of the impulse on the first body for each N s along the normal: with friction where surfaces slide."""
    arms = found.point[:, None] - pressed.poses[found.state[:, None], found.bodies, :3].float()
    twists = pressed.along[found.state[:, None], found.bodies]
    speed = twists[..., :3] + torch.linalg.cross(twists[..., 3:], arms)
    slide = speed[:, 0] - speed[:, 1]
    slide = slide - (slide * found.normal).sum(-1, keepdim=True) * found.normal
    pace = slide.norm(dim=-1, keepdim=True)
    return found.normal - torch.where(pace > SLIDING, _friction(world, pressed, found) / pace, 0.0) * slide


def _friction(world: World, pressed: Pressed, found: Touches) -> Tensor:
    """[C, 1] coefficients: with the robot, with what stands, and between two free bodies, of which nothing is known."""
    robot, free = (torch.tensor([body.kind == kind for body in world.bodies]) for kind in ("robot", "rigid"))
    known = pressed.latents[found.state[:, None], found.bodies]
    partner = found.bodies.flip(-1)
    which = torch.where(robot[partner], known[..., TOOL_FRICTION], known[..., SUPPORT_FRICTION])
    one = free[found.bodies] & ~free[partner]
    return FRICTION * torch.where(one, which, 0.0).sum(-1, keepdim=True).exp()


def body_weights(world: World) -> tuple[Tensor, Tensor]:
    """[B] kg and [B, 3, 3] kg m^2, by volume where nobody knows them."""
    mass, inertia = torch.zeros(len(world.bodies)), torch.eye(3).repeat(len(world.bodies), 1, 1)
    for index, body in enumerate(world.bodies):
        if body.mass and body.inertia is not None:
            mass[index], inertia[index] = body.mass, body.inertia.float()
        elif body.mesh is not None and index:
            weight, _, turning = mass_properties(body.mesh, DENSITY)
            mass[index], inertia[index] = body.mass or weight, turning.float() * ((body.mass or weight) / weight)
    return mass, inertia
