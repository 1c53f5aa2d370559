"""What overlaps is moved apart: every step ends without penetration."""

from __future__ import annotations

import torch
from torch import Tensor

from splatworld.dynamics.features import tangent
from splatworld.dynamics.scene import Kind, Scene
from splatworld.dynamics.touch import Rows, find_rows, moved
from splatworld.geometry.contacts import Contacts

SLOP = 5e-4
"""m that bodies may overlap."""
TARGET = 1.5e-4
"""m of overlap that is left where there was more, so that contacts last."""
NOTICED = 4e-4
"""m of overlap at which something is done: sampled contacts may be 0.1 mm deeper than they seem."""
LOOKS = 6
"""Contacts are found anew so many times at most."""
ITERATIONS = 32
RELAXATION = 1.6
"""Of the Jacobi iterations, below 2."""


def project(scene: Scene, poses: Tensor, free: Tensor) -> tuple[Tensor, Rows]:
    """Poses without penetration, near the given ones; static bodies and tools stay, the rest give way by mass.

    Position-based: the normal constraints of each look are solved by Jacobi iterations on non-negative multipliers,
    each body's mass split over its contacts (Tonge et al., "Mass splitting for jitter-free parallel rigid body
    simulation", 2012). Differentiable in the poses, with contact points and normals held constant.

    Args:
        scene: of S states.
        poses: [S, B, 7] with tools at their ends.
        free: [S, B] bool, bodies that moved: only they and what they run into is looked at.

    Returns:
        Poses, bit by bit the given ones where nothing overlaps, and the contacts of the last look that still overlap.
    """
    kinds = (Kind.STATIC, Kind.TOOL, Kind.FREE)
    look = free
    rows = None
    for _ in range(LOOKS):
        rows = _overlapping(find_rows(scene, poses, poses, kinds, look))
        if not len(rows.found.count):
            break
        shift = _solve(scene, poses, rows.found)
        poses = moved(poses, shift.to(poses))
        state, a, b = rows.found.pairs.unbind(-1)
        look = torch.zeros_like(free)
        look[state, a] = look[state, b] = True
        look = look & scene.free
    else:
        rows = _overlapping(find_rows(scene, poses, poses, kinds, look))
    assert rows is not None
    return poses, rows


def _overlapping(rows: Rows) -> Rows:
    deep = (rows.found.distance.amin(-1) < -NOTICED).nonzero().squeeze(-1)
    return Rows(Contacts(*[value[deep] for value in vars(rows.found).values()]), rows.phase[deep])


def _solve(scene: Scene, poses: Tensor, found: Contacts) -> Tensor:
    """[S, B, 6] float32 displacements, 0 where nothing is in the way."""
    states, bodies = scene.free.shape
    state, a, b = found.pairs.unbind(-1)
    ends = [state * bodies + a, state * bodies + b]
    inverse = scene.inverse_mass.flatten()
    volume = scene.solids.volume[scene.shape_ids.long()].flatten().clamp(min=1e-9)
    # The inertia of a ball of the body's size about each axis is near enough to share a correction out.
    spread = scene.solids.spread.diagonal(dim1=-2, dim2=-1).sum(-1)[scene.shape_ids.long()].flatten()
    turning = inverse / (2 / 3 * spread).clamp(min=1e-6) * (volume > 1e-9)
    used = (torch.arange(found.distance.shape[1]) < found.count[:, None]) & (found.distance < 0)
    arms = [found.arm_a, found.arm_b]
    levers = [torch.linalg.cross(arm, found.normal) for arm in arms]
    number = torch.zeros(states * bodies)
    for end in ends:
        number = number.index_add(0, end, used.sum(-1).float())
    signs = (1.0, -1.0)
    give = sum(
        (number[e] * inverse[e])[:, None] + (number[e] * turning[e])[:, None] * lever.square().sum(-1)
        for e, lever in zip(ends, levers, strict=True)
    )
    assert isinstance(give, Tensor)
    slopes = tangent(poses).reshape(-1, 6) if poses.requires_grad else None
    distance = found.distance
    if slopes is not None:
        distance = distance + _along(slopes, ends, found.normal, levers)
    push = torch.zeros_like(found.distance)
    total = torch.zeros(states * bodies, 6)
    for _ in range(ITERATIONS):
        gap = distance + _along(total, ends, found.normal, levers) + TARGET
        push = torch.where(used & (give > 0), (push - RELAXATION * gap / give.clamp(min=1e-9)).clamp(min=0), 0.0)
        total = torch.zeros(states * bodies, 6)
        for end, lever, sign in zip(ends, levers, signs, strict=True):
            linear = inverse[end, None] * (push[..., None] * found.normal).sum(1)
            angular = turning[end, None] * (push[..., None] * lever).sum(1)
            total = total.index_add(0, end, sign * torch.cat([linear, angular], dim=-1))
    return total.reshape(states, bodies, 6)


def _along(motion: Tensor, ends: list[Tensor], normal: Tensor, levers: list[Tensor]) -> Tensor:
    """[C, K] by how much motions [S * B, 6] of both bodies open each contact."""
    a, b = (motion[end][:, None] for end in ends)
    opened = ((a[..., :3] - b[..., :3]) * normal).sum(-1)
    return opened + (a[..., 3:] * levers[0]).sum(-1) - (b[..., 3:] * levers[1]).sum(-1)
