"""One action: tools go where they are commanded, bodies follow."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from splatworld.core.robot import ACTION_SECONDS
from splatworld.dynamics import frame
from splatworld.dynamics.features import look_around
from splatworld.dynamics.islands import find_islands, still
from splatworld.dynamics.model import DynamicsModel
from splatworld.dynamics.projection import SLOP, project
from splatworld.dynamics.scene import Kind, Scene
from splatworld.dynamics.touch import Rows, between, find_rows, moved, touches, travelled
from splatworld.geometry.contacts import contacts, near_pairs

SUBSTEPS = 5
"""Short steps an action."""
CUTS = 8
"""Places along its way at which a tool is checked against what cannot move."""


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
    with torch.no_grad():
        ends = torch.where(scene.tool[..., None], ends, before.poses.detach())
        done = free_way(scene, before.poses, ends)
        ends = torch.where((done < 1)[:, None, None], between(before.poses, ends, done[:, None]), ends)
    islands = find_islands(scene, before.poses, before.twists, ends, ACTION_SECONDS, unsure=before.awake)
    coarse = islands.awake & ~islands.fine
    now, failed = before, torch.zeros(len(done), dtype=torch.bool)
    squeezed = torch.zeros_like(done)
    if bool(coarse.any()):
        now, failed, rows = advance(model, scene, now, ends, coarse, ACTION_SECONDS, variation=variation)
        squeezed = _squeezed(scene, rows, before.poses, ends)
    if bool(islands.fine.any()):
        now = replace(now, poses=_with_tools(scene, now.poses, before.poses))
        for k in range(SUBSTEPS):
            to = ends if k == SUBSTEPS - 1 else between(before.poses, ends, (k + 1) / SUBSTEPS)
            now, bad, rows = advance(
                model, scene, now, to, islands.fine, ACTION_SECONDS / SUBSTEPS, variation=variation
            )
            failed = failed | bad
        squeezed = torch.maximum(squeezed, _squeezed(scene, rows, before.poses, ends))
    touched = islands.awake | (scene.free & (now.poses != before.poses).any(-1))
    slow = touched & still(now.twists)
    now = replace(now, twists=torch.where(slow[..., None], 0.0, now.twists), awake=touched)
    # What is pinched between the tool and something that does not give way stops the tool where it is free.
    with torch.no_grad():
        stopped = between(before.poses, ends, (1 - squeezed)[:, None])
        ends = torch.where((squeezed > 0)[:, None, None], stopped, ends)
    now = replace(now, poses=_with_tools(scene, now.poses, ends))
    return Step(_where(failed, before, now), done * (1 - squeezed) * ~failed, failed)


def advance(
    model: DynamicsModel,
    scene: Scene,
    before: Moving,
    ends: Tensor,
    wanted: Tensor,
    seconds: float,
    *,
    variation: Variation | None = None,
) -> tuple[Moving, Tensor, Rows]:
    """One step of some bodies.

    Args:
        model: the network.
        scene: of S states.
        before: their bodies.
        ends: [S, B, 7] where tools end.
        wanted: [S, B] bool, bodies to predict; others stay unless they are run into.
        seconds: how long the step is.
        variation: see there.

    Returns:
        The bodies afterwards, [S] bool where a prediction was not finite (there nothing moved), and contacts that still
        overlap.
    """
    prediction = predict_motion(model, scene, before, ends, wanted, seconds, variation=variation)
    at, motion, twist, variance = prediction.at, prediction.motion, prediction.twist, prediction.variance
    finite = torch.isfinite(motion).all(-1) & torch.isfinite(twist).all(-1) & torch.isfinite(variance).all(-1)
    failed = torch.zeros(len(ends), dtype=torch.bool)
    failed[at[0][~finite]] = True
    keep = ~failed[at[0]]
    at = (at[0][keep], at[1][keep])
    shift = torch.zeros_like(before.twists).index_put(at, motion[keep].to(before.twists))
    poses = _with_tools(scene, moved(before.poses, shift.to(before.poses)), ends)
    poses, rows = project(scene, poses, wanted & ~failed[:, None])
    twists = before.twists.index_put(at, twist[keep].to(before.twists))
    sigma, step = before.variance[at].sqrt(), variance[keep].to(before.variance)
    grown = before.variance[at] + step + 2 * model.config.correlation * sigma * step.sqrt()
    now = Moving(poses, twists, before.latents, before.variance.index_put(at, grown), before.awake)
    return now, failed, rows


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
    rows = find_rows(scene, before.poses, ends, (Kind.STATIC, Kind.TOOL, Kind.FREE), wanted)
    touch = touches(scene, rows, wanted)
    around = look_around(scene, touch, before.poses, before.twists, before.latents, seconds)
    at = (touch.state, touch.body)
    tools = torch.where(scene.tool[..., None], travelled(before.poses.detach(), ends).float(), 0.0)
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


def free_way(scene: Scene, poses: Tensor, ends: Tensor) -> Tensor:
    """[S] the fraction of their way from `poses` to `ends` that tools get before they run into what cannot move.

    A tool that overlaps it already may move on as long as it gets no deeper.
    """
    states = len(poses)
    done = torch.ones(states)
    rows = (scene.tool & (ends != poses).any(-1)).any(-1).nonzero().squeeze(-1)
    if not len(rows):
        return done
    shapes, kinds = scene.solids.shapes, scene.kinds[rows]
    share = torch.linspace(0, 1, CUTS + 1)[:, None, None]
    there = between(poses[rows].detach().double(), ends[rows].detach().double(), share).flatten(0, 1)
    ids = scene.shape_ids[rows].repeat(CUTS + 1, 1)
    a, b = scene.pairs.long().unbind(-1)
    concerns = (kinds[:, a] + kinds[:, b] == Kind.STATIC + Kind.TOOL).any(0)
    near = near_pairs(shapes, there, shape_ids=ids, pairs=scene.pairs[concerns], reach=SLOP)
    state = near[:, 0] % len(rows)
    near = near[kinds[state, near[:, 1]] + kinds[state, near[:, 2]] == Kind.STATIC + Kind.TOOL]
    found = contacts(shapes, there, shape_ids=ids, candidates=near, reach=SLOP)
    deepest = torch.zeros(len(there)).scatter_reduce(0, found.pairs[:, 0], -found.distance.amin(-1), "amax")
    depths = deepest.reshape(CUTS + 1, len(rows)).T
    allowed = torch.maximum(depths[:, :1], torch.tensor(SLOP))
    deep = depths > allowed + 1e-6
    first = torch.where(deep.any(-1), deep.float().argmax(-1), CUTS + 1)
    last = (first - 1).clamp(min=0)
    at = torch.arange(len(rows))
    low, high = depths[at, last], depths[at, first.clamp(max=CUTS)]
    part_way = ((allowed[:, 0] - low) / (high - low).clamp(min=1e-9)).clamp(0, 1)
    done[rows] = torch.where(first <= CUTS, (last + part_way) / CUTS, 1.0)
    return done


def _squeezed(scene: Scene, rows: Rows, poses: Tensor, ends: Tensor) -> Tensor:
    """[S] the fraction of their way that tools must give back, for free bodies that could not give way."""
    found = rows.found
    state, a, b = found.pairs.unbind(-1)
    tool_a, tool_b = scene.tool[state, a], scene.tool[state, b]
    tool = torch.where(tool_a, a, b)
    way = travelled(poses.detach(), ends)[state, tool].float()[:, None]
    arm = torch.where(tool_a[:, None, None], found.arm_a, found.arm_b)
    sign = torch.where(tool_a, -1.0, 1.0)[:, None]
    deeper = sign * ((way[..., :3] + torch.linalg.cross(way[..., 3:].expand_as(arm), arm)) * found.normal).sum(-1)
    over = (-found.distance - SLOP).clamp(min=0)
    share = torch.where((tool_a | tool_b)[:, None] & (deeper > 1e-6), over / deeper.clamp(min=1e-6), 0.0).clamp(0, 1)
    return torch.zeros(len(poses)).scatter_reduce(0, state, share.amax(-1), "amax")


def _chosen(values: Tensor, state: Tensor, variation: Variation | None) -> Tensor:
    """Of values [M, N, ...] the mean over members, or those of the member that moves each body's state [N]."""
    if variation is None:
        return values.mean(0)
    return values[variation.member[state], torch.arange(len(state))]


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
