"""Which bodies have to be predicted at all, and which of them in short steps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from splatworld.dynamics.scene import Kind, Scene
from splatworld.dynamics.touch import Rows, find_rows

STILL_SPEED, STILL_SPIN = 1e-3, 1e-2
"""m/s and rad/s up to which a body counts as still."""
TOUCHING = 0.003
"""m up to which bodies hang together."""
APPROACH = 0.01
"""m that two bodies come nearer in a step from which that may be an impact."""
TIPPING = 0.5
"""rad/s about a horizontal axis from which a body tips."""
LIFTING = 0.15
"""m/s upward or downward from which a body is not just sliding."""


@dataclass(frozen=True)
class Islands:
    """What is to be done in one action.

    Attributes:
        awake: [S, B] bool, free bodies to predict.
        fine: [S, B] bool, those of them in short steps.
    """

    awake: Tensor
    fine: Tensor


def still(twists: Tensor) -> Tensor:
    """[...] bool, whether twists [..., 6] are too slow to matter."""
    slow = twists[..., :3].norm(dim=-1) <= STILL_SPEED
    return slow & (twists[..., 3:].norm(dim=-1) <= STILL_SPIN)


def find_islands(
    scene: Scene, poses: Tensor, twists: Tensor, ends: Tensor, seconds: float, *, unsure: Tensor
) -> Islands:
    """The islands of contact that hold something that moves.

    A body is awake if it moves, if it hangs together with what moves, or if nothing holds it up. Bodies are predicted
    in short steps if they, or others in their island, fly, tip, or may collide.

    Args:
        scene: of S states.
        poses: [S, B, 7].
        twists: [S, B, 6].
        ends: [S, B, 7] where tools end.
        seconds: how long the action is.
        unsure: [S, B] bool, bodies whose support may have changed; of those at rest only they are looked at.
    """
    with torch.no_grad():
        free = scene.free
        unsettled = free & ~still(twists)
        moving = unsettled | scene.tool & (ends != poses).any(-1)
        colliding = _approaching(scene, poses, twists, seconds)
        unsure = free & (unsure | unsettled) & bool(scene.gravity.any())
        loose = unsure & ~_held(scene, poses, unsure)
        linked = colliding | _linked(scene, find_rows(scene, poses, ends, (Kind.TOOL, Kind.FREE), free))
        together = _closure(linked)
        awake = free & ((together & (moving | loose)[:, None]).any(-1) | moving | loose)
        lively = (twists[..., 3:5].norm(dim=-1) > TIPPING) | (twists[..., 2].abs() > LIFTING)
        lively = free & (lively | loose | colliding.any(-1))
        # A tool that joins two islands does not make one's pace the other's.
        bodies = _closure(linked & free[:, None] & free[..., None])
        fine = awake & ((bodies & lively[:, None]).any(-1) | lively)
        return Islands(awake, fine)


def _held(scene: Scene, poses: Tensor, wanted: Tensor) -> Tensor:
    """[S, B] bool, whether a body touches something that is below the contact."""
    rows = find_rows(scene, poses, poses, (Kind.STATIC, Kind.TOOL, Kind.FREE), wanted)
    held = torch.zeros_like(scene.free)
    found = rows.found
    state, a, b = found.pairs.unbind(-1)
    touching = (found.distance < TOUCHING) & (torch.arange(found.distance.shape[1]) < found.count[:, None])
    up = found.normal[..., 2]
    lifts_a, lifts_b = (touching & (up > 0.3)).any(-1), (touching & (up < -0.3)).any(-1)
    held[state[lifts_a], a[lifts_a]] = True
    held[state[lifts_b], b[lifts_b]] = True
    return held


def _linked(scene: Scene, rows: Rows) -> Tensor:
    """[S, B, B] bool, symmetric: pairs that touch, or will as far as the tool is concerned."""
    linked = torch.zeros(*scene.free.shape, scene.free.shape[1], dtype=torch.bool)
    near = rows.found.pairs[rows.found.distance.amin(-1) < TOUCHING]
    linked[near[:, 0], near[:, 1], near[:, 2]] = True
    return linked | linked.mT


def _approaching(scene: Scene, poses: Tensor, twists: Tensor, seconds: float) -> Tensor:
    """[S, B, B] bool: free bodies whose bounding spheres could meet, and that move fast relative to each other."""
    spheres = scene.solids.shapes.spheres[scene.shape_ids.long()]
    place, radius = poses[..., :3].float(), spheres[..., :3].norm(dim=-1) + spheres[..., 3].clamp(min=0)
    velocity = twists[..., :3].float() * seconds
    way = (velocity[:, :, None] - velocity[:, None]).norm(dim=-1)
    gap = (place[:, :, None] - place[:, None]).norm(dim=-1) - radius[:, :, None] - radius[:, None]
    pairs = scene.free[:, None] & scene.free[..., None]
    return pairs & (way > APPROACH) & (gap < way)


def _closure(linked: Tensor) -> Tensor:
    """[S, B, B] bool: what hangs together through any number of links."""
    bodies = linked.shape[-1]
    reach = (linked | torch.eye(bodies, dtype=torch.bool)).float()
    for _ in range(max(1, (bodies - 1).bit_length())):
        reach = (reach @ reach).clamp(max=1)
    return reach > 0
