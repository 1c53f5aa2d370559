"""How long a unit of a capture is: what tells it, how sure that is, and whether the tellers agree."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from splatworld.capture.depth import depth_ratios
from splatworld.core.camera import project
from splatworld.core.checks import InputError, check_finite, check_shape
from splatworld.core.clip import PosedClip
from splatworld.core.world import Scale

TYPICAL_DISTANCE = 0.7
"""m between a hand-held camera and what it films on a table."""
PRIOR_STD = 0.5
"""Relative standard deviation of that guess."""
GUESSED = "Quality: nothing in view tells the scale"
"""How the warning begins that goes with a guess."""
CLICK_STD = 0.01
"""Relative standard deviation of a length between two points that were picked by hand, where nothing else is known."""
LEAST_DEPTHS = 100
"""Points whose depth is known twice, below which depth maps tell no scale."""
DEPTH_STD = 0.01
"""Relative error that the maps of a depth sensor have in common."""


def scale_from_length(points: Tensor, metres: float, *, std: float = CLICK_STD) -> Scale:
    """Metres a unit, from two points whose distance is known.

    Args:
        points: [2, 3] units of the capture or world.
        metres: their true distance.
        std: relative standard deviation of the measured distance.

    Raises:
        InputError: no length, points that are not finite, or the same point twice.
    """
    check_shape("scale_from_length", "points", points, (2, 3))
    check_finite("scale_from_length", "points", points)
    check_metres("scale_from_length: the known length", metres)
    if not (std > 0 and math.isfinite(std)):
        raise InputError(f"scale_from_length: std is {std}, expected a positive relative standard deviation.")
    length = float((points[1].double() - points[0].double()).norm())
    if length < 1e-9:
        raise InputError("scale_from_length: the two points are the same; pick two that lie apart.")
    return Scale(metres / length, "known_length", std)


def check_metres(what: str, metres: float) -> None:
    """Require a length.

    Raises:
        InputError: not a positive, finite number; `what` names it.
    """
    if not (metres > 0 and math.isfinite(metres)):
        raise InputError(f"{what} is {metres}, expected a positive number of metres.")


def scale_from_depth(posed: PosedClip) -> Scale | None:
    """Metres a unit, from depth maps in metres: the median over points of map over triangulated depth.

    Its spread is that of the median over the points (1.25 MAD-sigma / sqrt(n), n at most one a frame, since the errors
    of one map go together) and what sensors have in common. None where too few points meet a known depth.
    """
    ratios = depth_ratios(posed, range(len(posed.clip)))
    known = [frame for frame in ratios if len(frame)]
    if sum(map(len, known)) < LEAST_DEPTHS:
        return None
    every = torch.cat(known).log()
    middle = every.median()
    spread = 1.4826 * float((every - middle).abs().median())
    return Scale(float(middle.exp()), "depth", math.hypot(1.25 * spread / math.sqrt(len(known)), DEPTH_STD))


def prior_scale(posed: PosedClip) -> Scale:
    """Metres a unit, if the camera was as far from what it filmed as hand-held ones usually are."""
    distances = []
    for frame, camera in enumerate(posed.cameras):
        seen = posed.points[posed.tracks[posed.tracks[:, 1] == frame, 0]]
        depth = project(camera, seen.to(camera.world_from_camera.dtype))[1]
        if len(depth):
            distances.append(depth.median())
    distance = float(torch.stack(distances).median()) if distances else 1.0
    return Scale(TYPICAL_DISTANCE / max(distance, 1e-9), "prior", PRIOR_STD)


def best_scale(estimates: Sequence[Scale]) -> tuple[Scale, tuple[str, ...]]:
    """The surest of several estimates, and notes on how it and the others compare."""
    best = min(estimates, key=lambda scale: scale.std)
    others = [scale for scale in estimates if scale is not best]
    told = f"Scale: {best.value:.4g} m a capture unit, +- {100 * best.std:.2g} %, from {best.source}"
    agree = "".join(f"; {_compared(best, other)}" for other in others if not _apart(best, other))
    return best, (f"{told}{agree}.", *disagreements(best, others))


def disagreements(used: Scale, others: Sequence[Scale]) -> tuple[str, ...]:
    """Warnings of the estimates that are more than 3 standard deviations from the one that is used."""
    return tuple(
        f"Quality: the sources of the scale disagree: {used.source} is used, {_compared(used, other)}; check the size "
        "that was given."
        for other in others
        if _apart(used, other)
    )


def _apart(used: Scale, other: Scale) -> bool:
    off = abs(math.log(other.value / used.value))
    return off > 3 * math.hypot(math.log1p(other.std), math.log1p(used.std))


def _compared(used: Scale, other: Scale) -> str:
    off = 100 * (other.value / used.value - 1)
    return f"{other.source} says {off:+.2g} % (+- {100 * other.std:.2g} %)"
