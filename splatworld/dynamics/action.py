"""A whole action without gradients in one pass of native code: what `step.act` says, for prediction."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from splatworld import native
from splatworld.core.state import LATENTS
from splatworld.dynamics import coasting, islands, network, projection, sweep, touch
from splatworld.dynamics.model import DynamicsModel
from splatworld.dynamics.scene import Scene


def act_bodies(
    model: DynamicsModel, scene: Scene, poses: Tensor, twists: Tensor, latents: Tensor, variance: Tensor,
    ends: Tensor, unsure: Tensor, *, seconds: float, substeps: int, creep: tuple[float, float],
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """One action of S states, a few of them at a time from beginning to end.

    Each state is computed by itself: neither threads nor the rest of the batch change a bit of it.

    Args:
        model: the network, on the CPU.
        scene: of S states.
        poses: [S, B, 7].
        twists: [S, B, 6].
        latents: [S, B, 8].
        variance: [S, B, 6] m^2 and rad^2 of the poses.
        ends: [S, B, 7] where tools are commanded to.
        unsure: [S, B] bool, bodies whose support may have changed.
        seconds: how long the action is.
        substeps: short steps that it has.
        creep: m/s and rad/s below which a body on a support creeps.

    Returns:
        Poses, twists and variance as given; awake [S, B] bool; done [S], the fraction of the tools' way that was
        possible; and failed [S] bool, where something was not finite and all is as before.
    """
    kernels, net, packed = native.load(), network.packed(model), scene.packed
    after = [torch.empty(*poses.shape[:-1], width, dtype=torch.float64) for width in (7, 6, 6)]
    awake, failed = torch.empty_like(unsure), torch.empty(len(poses), dtype=torch.bool)
    done, parts = torch.empty(len(poses)), native.get_threads()
    size = kernels.action_room(packed, net, parts)
    solids = scene.solids
    kernels.act_bodies(
        packed, _rules(model, seconds, substeps, creep), net, scene.posed(poses), scene.numbers("twists", twists, 6),
        scene.numbers("variances", variance, 6), scene.posed(ends), scene.flags("unsure", unsure),
        scene.numbers("latents", latents, LATENTS).float(), scene.typical_mass.contiguous(), solids.extremes,
        solids.spread, scene.gravity.float(), torch.empty(parts, size, dtype=torch.uint8), *after,
        awake.view(torch.uint8), done, failed.view(torch.uint8),
    )  # fmt: skip
    return after[0].to(poses), after[1].to(twists), after[2].to(variance), awake, done, failed


def _rules(model: DynamicsModel, seconds: float, substeps: int, creep: tuple[float, float]) -> Any:
    config, paces = model.config, (coasting.rules(seconds), coasting.rules(seconds / substeps))
    return native.load().ActionRules(
        seconds, substeps, sweep.rules(), islands.rules(), touch.rules(), *paces, network.scales(), projection.rules(),
        config.scale, config.correlation, *creep,
    )  # fmt: skip
