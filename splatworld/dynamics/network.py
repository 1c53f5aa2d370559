"""Prediction without gradients: features and all members' layers in one pass of native code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn.functional import pad

from splatworld import native
from splatworld.core.state import LATENTS
from splatworld.dynamics import features
from splatworld.dynamics.coasting import Coasting
from splatworld.dynamics.model import LEAST_LOG, MOST_LOG, DynamicsModel, Layer
from splatworld.dynamics.scene import Scene, room
from splatworld.dynamics.touch import Touch

VECTOR = 16
"""Widths of layers are filled up with zeros to multiples of this."""


def read_motion(
    model: DynamicsModel, scene: Scene, touch: Touch, coasting: Coasting, poses: Tensor, twists: Tensor,
    latents: Tensor, ends: Tensor, seconds: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """What a network says of N bodies, the same as by `look_around` and the network itself, to rounding.

    Each body is computed by itself: neither threads nor the rest of the batch change a bit of it.

    Args:
        model: the network, on the CPU.
        scene: of S states.
        touch: of N bodies.
        coasting: theirs.
        poses: [S, B, 7].
        twists: [S, B, 6].
        latents: [S, B, 8].
        ends: [S, B, 7] where tools end.
        seconds: how long the step is.

    Returns:
        Motion, twist and variance [N, 6], motion and twist of each member [M, N, 12], their log-variance [M, N, 12],
        heading [N, 2]; see `Predicted`.
    """
    kernels, network = native.load(), packed(model)
    count, members = len(touch.state), model.config.members
    motion, twist, variance = torch.empty(3, count, 6)
    each, log_variance = torch.empty(2, members, count, 12)
    heading = torch.empty(count, 2)
    found = kernels.Touches(
        touch.partner, touch.kind, touch.phase, touch.distance, touch.normal, touch.arm, touch.partner_arm, touch.weight
    )
    solids = scene.solids
    kernels.read_motion(
        scene.packed, scales(), network, touch.state.contiguous(), touch.body.contiguous(), scene.posed(poses),
        scene.numbers("twists", twists, 6), scene.posed(ends), coasting.motion.contiguous(),
        coasting.twist.contiguous(), scene.numbers("latents", latents, LATENTS).float(),
        scene.typical_mass.contiguous(), solids.extremes, solids.spread, scene.gravity.float(), seconds, found,
        room(kernels.network_room(network)),
        torch.empty(2, poses.shape[0] * poses.shape[1] * 6), torch.empty(count, dtype=torch.int64),
        motion, twist, variance, each, log_variance, heading,
    )  # fmt: skip
    return motion, twist, variance, each, log_variance, heading


def scales() -> Any:
    """Units of features as the kernels take them."""
    return native.load().FeatureScales(
        features.DISTANCE, features.ARM, features.SHIFT, features.TURN, features.SPEED, features.SPIN
    )


_known: WeakKeyDictionary[DynamicsModel, tuple[tuple[int, ...], Any]] = WeakKeyDictionary()


def packed(model: DynamicsModel) -> Any:
    """The network as the kernel takes it, made anew where its weights have changed."""
    layers = [layer for layer in (*model.reader, *model.trunk, model.mean, model.spread) if isinstance(layer, Layer)]
    weights = [weight for layer in layers for weight in (layer.weight, layer.bias)]
    version = tuple(number for weight in weights for number in (weight.data_ptr(), weight._version))
    known = _known.get(model)
    if known is None or known[0] != version:
        known = (version, _pack(model))
        _known[model] = known
    return known[1]


@torch.no_grad()
def _pack(model: DynamicsModel) -> Any:
    readers = [layer for layer in model.reader if isinstance(layer, Layer)]
    trunk: list[tuple[Tensor, Tensor]] = [
        (layer.weight, layer.bias) for layer in model.trunk if isinstance(layer, Layer)
    ]
    trunk.append(
        (torch.cat([model.mean.weight, model.spread.weight], -1), torch.cat([model.mean.bias, model.spread.bias], -1))
    )
    pooled = model.config.contact[-1]
    layers = [_filled(layer.weight.split(layer.weight.shape[1], 1), layer.bias) for layer in readers]
    parts = trunk[0][0].split([pooled, pooled, features.BODY_FEATURES], 1)
    layers.append(_filled(parts, trunk[0][1]))
    layers += [_filled([weight], bias) for weight, bias in trunk[1:]]
    units = model.units.contiguous()
    return native.load().PackedNetwork(model.config.rounds, len(readers), layers, units, LEAST_LOG, MOST_LOG)


def _filled(parts: Sequence[Tensor], bias: Tensor) -> Tensor:
    """[M, I + 1, O]: weights for the parts of the inputs, each filled up, then the bias."""
    wide = -bias.shape[-1] % VECTOR
    rows = [pad(part, (0, wide, 0, -part.shape[1] % VECTOR)) for part in parts]
    return torch.cat([*rows, pad(bias, (0, wide))], 1).contiguous()
