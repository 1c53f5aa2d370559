"""One action: tools go where they are commanded, bodies follow."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from splatworld.core.robot import ACTION_SECONDS
from splatworld.dynamics import frame
from splatworld.dynamics.action import act_bodies
from splatworld.dynamics.coasting import coast
from splatworld.dynamics.features import Around, look_around
from splatworld.dynamics.islands import find_islands, still
from splatworld.dynamics.model import DynamicsModel
from splatworld.dynamics.network import read_motion
from splatworld.dynamics.projection import project
from splatworld.dynamics.scene import Kind, Scene
from splatworld.dynamics.sweep import sweep_tools
from splatworld.dynamics.touch import Touch, find_touches, moved, travelled

SUBSTEPS = 5
"""Short steps an action."""
CREEP_SPEED, CREEP_SPIN = 0.02, 0.2
"""m/s and rad/s below which a body on a support creeps."""


@dataclass(frozen=True)
class Moving:
    """What one step reads and writes of S states.

    Attributes:
        poses: [S, B, 7].
        twists: [S, B, 6].
        latents: [S, B, 8].
        variance: [S, B, 6] m^2 and rad^2 of the poses, world axes.
        awake: [S, B] bool, bodies whose support may have changed since they were last looked at.
    """

    poses: Tensor
    twists: Tensor
    latents: Tensor
    variance: Tensor
    awake: Tensor


@dataclass(frozen=True)
class Variation:
    """How training predicts.

    Attributes:
        mirror: [S] bool, by way of the mirror image.
        member: [S] int64, which member moves the bodies; else it is the mean of all.
    """

    mirror: Tensor
    member: Tensor


@dataclass(frozen=True)
class Step:
    """The outcome of one action.

    Attributes:
        moving: afterwards.
        done: [S] fraction of the tools' way that was possible.
        failed: [S] bool, where a prediction was not finite; `moving` is then as before.
    """

    moving: Moving
    done: Tensor
    failed: Tensor


def act(
    model: DynamicsModel, scene: Scene, before: Moving, ends: Tensor, *, variation: Variation | None = None
) -> Step:
    """One action of 0.1 s.

    Args:
        model: the network.
        scene: of S states.
        before: their bodies.
        ends: [S, B, 7] where tools are commanded to; rows of other bodies are not read.
        variation: see there.
    """
    if variation is None and not _learns(model, before):
        return _act_without_gradients(model, scene, before, ends)
    done, way, ends = sweep_tools(scene, before.poses, ends)
    islands = find_islands(scene, before.poses, before.twists, ends, ACTION_SECONDS, unsure=before.awake)
    coarse = islands.awake & ~islands.fine
    now, failed = before, torch.zeros(len(done), dtype=torch.bool)
    squeezed = torch.zeros_like(done)
    if bool(coarse.any()):
        now, failed, squeezed = advance(model, scene, now, ends, coarse, ACTION_SECONDS, way=way, variation=variation)
    if bool(islands.fine.any()):
        now, start = replace(now, poses=_with_tools(scene, now.poses, before.poses)), before.poses.detach()
        for k in range(SUBSTEPS):
            to = ends if k == SUBSTEPS - 1 else moved(start, (k + 1) / SUBSTEPS * way)
            now, bad, left = advance(
                model, scene, now, to, islands.fine, ACTION_SECONDS / SUBSTEPS, way=way, variation=variation
            )
            failed = failed | bad
        squeezed = torch.maximum(squeezed, left)
    now = replace(now, twists=_calmed(before.twists, now.twists, coarse & ~islands.driven))
    touched = islands.awake | (scene.free & (now.poses != before.poses).any(-1))
    slow = touched & still(now.twists)
    now = replace(now, twists=torch.where(slow[..., None], 0.0, now.twists), awake=touched)
    # What is pinched between the tool and something that does not give way stops the tool where it is free.
    if bool((squeezed > 0).any()):
        stopped = moved(before.poses.detach(), (1 - squeezed)[:, None, None] * way)
        ends = torch.where((squeezed > 0)[:, None, None], stopped, ends)
        # It has room again, which it did not have before.
        pinched = islands.awake & (squeezed > 0)[:, None]
        now = replace(now, poses=project(scene, _with_tools(scene, now.poses, ends), pinched)[0])
    now = replace(now, poses=_with_tools(scene, now.poses, ends))
    return Step(_where(failed, before, now), done * (1 - squeezed) * ~failed, failed)


def _act_without_gradients(model: DynamicsModel, scene: Scene, before: Moving, ends: Tensor) -> Step:
    """The same by native code alone."""
    poses, twists, variance, awake, done, failed = act_bodies(
        model, scene, before.poses, before.twists, before.latents, before.variance, ends, before.awake,
        seconds=ACTION_SECONDS, substeps=SUBSTEPS, creep=(CREEP_SPEED, CREEP_SPIN),
    )  # fmt: skip
    return Step(Moving(poses, twists, before.latents, variance, awake), done, failed)


def advance(
    model: DynamicsModel,
    scene: Scene,
    before: Moving,
    ends: Tensor,
    wanted: Tensor,
    seconds: float,
    *,
    way: Tensor,
    variation: Variation | None = None,
) -> tuple[Moving, Tensor, Tensor]:
    """One step of some bodies.

    Args:
        model: the network.
        scene: of S states.
        before: their bodies.
        ends: [S, B, 7] where tools end.
        wanted: [S, B] bool, bodies to predict; others stay unless they are run into.
        seconds: how long the step is.
        way: [S, B, 6] m and rad of tools during the action.
        variation: see there.

    Returns:
        The bodies afterwards; [S] bool where a prediction was not finite (there nothing moved); and [S] the fraction of
        their way that tools must give back, for bodies that could not give way.
    """
    prediction = predict_motion(model, scene, before, ends, wanted, seconds, variation=variation)
    at, motion, twist, variance = prediction.at, prediction.motion, prediction.twist, prediction.variance
    finite = torch.isfinite(motion).all(-1) & torch.isfinite(twist).all(-1) & torch.isfinite(variance).all(-1)
    failed = torch.zeros(len(ends), dtype=torch.bool)
    if not bool(finite.all()):
        failed[at[0][~finite]] = True
        keep = ~failed[at[0]]
        at, motion, twist, variance = (at[0][keep], at[1][keep]), motion[keep], twist[keep], variance[keep]
        wanted = wanted & ~failed[:, None]
    shift = torch.zeros_like(before.twists).index_put(at, motion.to(before.twists))
    poses, squeezed = project(scene, _with_tools(scene, before.poses, ends), wanted, motion=shift, way=way)
    twists = before.twists.index_put(at, twist.to(before.twists))
    sigma, step = before.variance[at].sqrt(), variance.to(before.variance)
    pace = int(seconds < ACTION_SECONDS)
    step = model.config.scale[pace] * step
    grown = before.variance[at] + step + 2 * model.config.correlation[pace] * sigma * step.sqrt()
    now = Moving(poses, twists, before.latents, before.variance.index_put(at, grown), before.awake)
    return now, failed, squeezed


@dataclass(frozen=True)
class Predicted:
    """What the network says of N bodies, world axes, before projection.

    Attributes:
        at: states [N] and bodies [N].
        motion: [N, 6] m and rad during the step.
        twist: [N, 6] m/s and rad/s after it.
        variance: [N, 6] of the motion.
        members: [M, N, 12] motion and twist of each member.
        log_variance: [M, N, 12] in the bodies' local frames.
        heading: [N, 2] of these frames.
    """

    at: tuple[Tensor, Tensor]
    motion: Tensor
    twist: Tensor
    variance: Tensor
    members: Tensor
    log_variance: Tensor
    heading: Tensor


@dataclass(frozen=True)
class Look:
    """What is seen of N bodies of S states before the network has its say.

    Attributes:
        around: the bodies.
        tools: [S, B, 6] m and rad, world axes, how tools move during the step.
    """

    around: Around
    tools: Tensor


def look(scene: Scene, touch: Touch, before: Moving, ends: Tensor, seconds: float) -> Look:
    """See what the network reads of the bodies of `touch`; other arguments as of `advance`."""
    tools = torch.where(scene.tool[..., None], travelled(before.poses.detach(), ends).float(), 0.0)
    alone = coast(scene, touch, before.poses, before.twists, before.latents, ends, seconds)
    return Look(look_around(scene, touch, alone, before.poses, before.twists, before.latents, seconds), tools)


def predict_motion(
    model: DynamicsModel,
    scene: Scene,
    before: Moving,
    ends: Tensor,
    wanted: Tensor,
    seconds: float,
    *,
    variation: Variation | None = None,
) -> Predicted:
    """What the network says of some bodies; arguments as of `advance`."""
    touch = find_touches(scene, before.poses, ends, wanted)
    if variation is None and not _learns(model, before):
        alone = coast(scene, touch, before.poses, before.twists, before.latents, ends, seconds)
        said = read_motion(model, scene, touch, alone, before.poses, before.twists, before.latents, ends, seconds)
        return Predicted((touch.state, touch.body), *said)
    return foresee(model, look(scene, touch, before, ends, seconds), variation=variation)


def foresee(model: DynamicsModel, seen: Look, *, variation: Variation | None = None) -> Predicted:
    """What the network says of the bodies that it sees, by torch."""
    around, tools = seen.around, seen.tools
    touch = around.touch
    at = (touch.state, touch.body)
    coasting = frame.twists_to_world(around.heading, around.coasting)
    flip = None if variation is None else variation.mirror[touch.state]
    said = model(around, tools.index_put(at, coasting), mirror=flip)
    neighbours = (touch.kind == Kind.FREE) & (touch.weight > 0)
    for _ in range(model.config.rounds - 1):
        if not bool(neighbours.any()):
            break
        meant = frame.twists_to_world(around.heading, _chosen(said.displacement, touch.state, variation))
        said = model(around, tools.index_put(at, meant), mirror=flip)
    both = torch.cat([said.displacement, said.twist], dim=-1)
    world = frame.to_world(around.heading[:, None], both.unflatten(-1, (4, 3))).flatten(-2)
    mean = _chosen(world, touch.state, variation)
    local = said.log_variance[..., :6].exp().mean(0) + both[..., :6].var(0, unbiased=False)
    return Predicted(at, mean[:, :6], mean[:, 6:], _turn_variance(around.heading, local), world, said.log_variance,
                     around.heading)  # fmt: skip


def _learns(model: DynamicsModel, before: Moving) -> bool:
    """Whether gradients are wanted, or the network is elsewhere: then torch does the reading."""
    if model.units.device.type != "cpu":
        return True
    if not torch.is_grad_enabled():
        return False
    inputs = (before.poses, before.twists, before.latents, *model.parameters())
    return any(value.requires_grad for value in inputs)


def _chosen(values: Tensor, state: Tensor, variation: Variation | None) -> Tensor:
    """Of values [M, N, ...] the mean over members, or those of the member that moves each body's state [N]."""
    if variation is None:
        return values.mean(0)
    return values[variation.member[state], torch.arange(len(state))]


def _calmed(before: Tensor, after: Tensor, alone: Tensor) -> Tensor:
    """Twists [S, B, 6] after a step of which those that creep are at most half of what they were.

    Friction stops a body on a support that moves this slowly in a fraction of a step. A network need not say so,
    and what creeps on for ever never sleeps.

    Args:
        before, after: [S, B, 6].
        alone: [S, B] bool, bodies that neither fly nor tip nor collide, and that no tool moves.
    """
    was, now = (twists.unflatten(-1, (2, 3)).norm(dim=-1) for twists in (before, after))
    limit = now.new_tensor([CREEP_SPEED, CREEP_SPIN])
    creeping = alone & ((was < limit) & (now < limit)).all(-1)
    share = torch.where(creeping[..., None], (was / 2 / now.clamp(min=1e-12)).clamp(max=1.0), 1.0)
    return (after.unflatten(-1, (2, 3)) * share[..., None]).flatten(-2)


def _with_tools(scene: Scene, poses: Tensor, ends: Tensor) -> Tensor:
    return torch.where(scene.tool[..., None], ends, poses)


def _where(failed: Tensor, one: Moving, other: Moving) -> Moving:
    if not bool(failed.any()):
        return other
    pairs = zip(vars(one).values(), vars(other).values(), strict=True)
    return Moving(*[torch.where(failed.reshape(-1, *(1,) * (a.ndim - 1)), a, b) for a, b in pairs])


def _turn_variance(heading: Tensor, variance: Tensor) -> Tensor:
    """The diagonal [N, 6] in world axes of a diagonal covariance [N, 6] in the local frame."""
    squares = heading.square()
    cosine, sine = squares[:, None, 0], squares[:, None, 1]
    x, y, z = variance.unflatten(-1, (2, 3)).unbind(-1)
    return torch.stack([cosine * x + sine * y, sine * x + cosine * y, z], dim=-1).flatten(-2)
