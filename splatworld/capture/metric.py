"""A posed capture in metres, Z up, with what things stand on at z = 0."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from splatworld.capture.marker import scale_from_markers
from splatworld.capture.orient import guess_up
from splatworld.capture.scale import GUESSED, best_scale, check_metres, prior_scale, scale_from_depth
from splatworld.capture.support import find_support
from splatworld.core import pose
from splatworld.core.checks import InputError
from splatworld.core.clip import PosedClip
from splatworld.core.similarity import Similarity

GRAVITY = 9.81
"""m/s^2."""


@dataclass(frozen=True)
class MetricConfig:
    """What is known of a capture's lengths.

    Attributes:
        marker_size: m, side of the black square of the printed markers in view (ArUco, AprilTag); None: none is known.
        marker_id: the one marker that has this size; None: all do.
    """

    marker_size: float | None = None
    marker_id: int | None = None

    def __post_init__(self) -> None:
        if self.marker_size is not None:
            check_metres("the marker size", self.marker_size)
        elif self.marker_id is not None:
            raise InputError(f"marker {self.marker_id} is named, but not its size; pass --marker-size METRES as well.")


def to_metres(posed: PosedClip, config: MetricConfig | None = None) -> PosedClip:
    """The capture in metres and upright, as far as it can be told.

    Scale comes from the surest of: markers, poses that are metric already, depth maps, and at last the distance at
    which people film; the others are compared with it. Up comes from the capture's own gravity, else from the largest
    plane that can be stood on, else from how the camera was held, and then `gravity` stays zero. A capture that is
    metric and upright as given keeps its frame of reference, since a robot may know it.

    Args:
        posed: undistorted frames.
        config: see `MetricConfig`.

    Returns:
        The capture with `scale` and `gravity`; `notes` say where they come from, those that begin with "Quality:"
        are warnings.

    Raises:
        InputError: a marker size that is no length, or markers of different sizes.
    """
    config = config or MetricConfig()
    estimates = [prior_scale(posed)]
    notes: list[str] = []
    if config.marker_size is not None:
        by_marker, said = scale_from_markers(posed, config.marker_size, config.marker_id)
        notes += said
        estimates += [] if by_marker is None else [by_marker]
    if posed.scale.source != "none":
        estimates.append(posed.scale)
    by_depth = scale_from_depth(posed)
    estimates += [] if by_depth is None else [by_depth]
    best, said = best_scale(estimates)
    notes += said
    if best.source == "prior":
        notes.append(
            f"{GUESSED}, lengths are a guess: put a printed marker into view and pass "
            "--marker-size, or give a known length with splatworld scale."
        )
    as_given = posed.scale.source == "poses" and float(posed.gravity[2]) < -GRAVITY * (1 - 1e-9)
    if as_given and best.source == "poses":
        return replace(posed, notes=(*posed.notes, *notes))
    upright, said, known = _upright(posed)
    placed = posed.moved(Similarity(best.value).after(upright))
    gravity = torch.tensor([0.0, 0.0, -GRAVITY if known else 0.0], dtype=torch.float64)
    return replace(placed, scale=best, gravity=gravity, notes=(*posed.notes, *notes, *said))


def _upright(posed: PosedClip) -> tuple[Similarity, tuple[str, ...], bool]:
    """What turns the capture Z up and its support to z = 0, notes, and whether up is more than a guess."""
    poses = torch.stack([camera.world_from_camera for camera in posed.cameras]).double()
    known = bool(posed.gravity.any())
    down = posed.gravity.double()
    support = find_support(posed.points, poses, up=-down if known else None)
    if known:
        up = -down / down.norm()
        note = "Up: gravity as the capture tells it"
    elif support is not None:
        up = support.up
        share = 100 * support.share
        note = f"Up: across the plane that holds {share:.0f} % of what was seen, +- {support.std:.1g} degrees"
    else:
        up = guess_up(poses)
        note = "Quality: no floor or table top was found; up is guessed from how the camera was held"
    quat = turn(up)
    shift = torch.zeros(3, dtype=torch.float64)
    if support is not None:
        shift[2] = -pose.rotate(quat, support.point)[2]
    return Similarity(1.0, quat, shift), (note + ".",), known or support is not None


def turn(up: Tensor) -> Tensor:
    """The quaternion [4] of the smallest rotation that takes the unit vector `up` [3] to +z."""
    z = up.new_tensor([0.0, 0.0, 1.0])
    axis = torch.linalg.cross(up, z)
    quat = torch.cat([(1 + up[2:]), axis])
    # Straight down has no smallest rotation; any half turn about a level axis will do.
    return pose.normalize_quat(quat) if float(quat.norm()) > 1e-6 else up.new_tensor([0.0, 1.0, 0.0, 0.0])
