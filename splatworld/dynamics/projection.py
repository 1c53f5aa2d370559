"""What overlaps is moved apart: every step ends without penetration."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from splatworld import native
from splatworld.dynamics.scene import Scene, room
from splatworld.geometry.contacts import REACH

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


def project(
    scene: Scene, poses: Tensor, free: Tensor, *, motion: Tensor | None = None, way: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Poses without penetration, near the given ones; static bodies and tools stay, the rest give way by mass.

    Position-based: the normal constraints of each look are solved by Jacobi iterations on non-negative multipliers,
    each body's mass split over its contacts (Tonge et al., "Mass splitting for jitter-free parallel rigid body
    simulation", 2012). Differentiable in poses and motion, with contact points and normals held constant.

    Args:
        scene: of S states.
        poses: [S, B, 7] with tools at their ends.
        free: [S, B] bool, bodies that moved: only they and what they run into is looked at.
        motion: [S, B, 6] m and rad, world axes, by which bodies are displaced before; None: not at all.
        way: [S, B, 6] m and rad, how tools came there; None: they did not move.

    Returns:
        Poses, bit by bit the given ones where nothing moves or overlaps; and [S] the fraction of their way that tools
        must give back, for bodies that could not give way.
    """
    still = torch.zeros(*scene.kinds.shape, 6, dtype=torch.float64)
    motion = still if motion is None else motion.double().contiguous()
    way = still if way is None else scene.numbers("ways", way, 6)
    after, squeezed = _Separated.apply(poses.double().contiguous(), motion, scene, free, way)
    return after.to(poses), squeezed


class _Separated(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, poses: Tensor, motion: Tensor, scene: Scene, free: Tensor, way: Tensor
    ) -> tuple[Tensor, Tensor]:
        kernels = native.load()
        after, squeezed = torch.empty_like(poses), torch.empty(len(poses))
        within = room(kernels.separation_room(scene.packed, 1))
        moves = scene.posed(poses), scene.numbers("motion", motion, 6), scene.flags("free", free)
        kernels.separate(scene.packed, rules(), *moves, way, within, after, squeezed)
        ctx.save_for_backward(poses, motion, free)
        ctx.scene = scene
        ctx.mark_non_differentiable(squeezed)
        return after, squeezed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_after: Tensor, _: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        """Goes the same way again, which takes less than keeping what was found on it."""
        kernels = native.load()
        poses, motion, free = ctx.saved_tensors
        by_poses, by_motion = torch.empty_like(poses), torch.empty_like(motion)
        within = room(kernels.separation_room(ctx.scene.packed, LOOKS))
        moves = poses, motion, ctx.scene.flags("free", free), by_after.contiguous()
        kernels.separate_backward(ctx.scene.packed, rules(), *moves, within, by_poses, by_motion)
        return by_poses, by_motion, None, None, None


def rules() -> Any:
    """The constants as the kernels take them."""
    return native.load().Separation(REACH, NOTICED, TARGET, SLOP, LOOKS, ITERATIONS, RELAXATION)
