"""Printed markers of known size (ArUco, AprilTag): found in the frames, and how long their sides are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import torch
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from splatworld.capture.edges import EDGE_STD, refine_corners
from splatworld.capture.scale import check_metres
from splatworld.core import pose
from splatworld.core.camera import Camera
from splatworld.core.checks import InputError
from splatworld.core.clip import Clip, PosedClip
from splatworld.core.similarity import fit_similarity
from splatworld.core.world import Scale

FAMILIES = {
    "ArUco 4x4": cv2.aruco.DICT_4X4_1000,
    "ArUco 5x5": cv2.aruco.DICT_5X5_1000,
    "ArUco 6x6": cv2.aruco.DICT_6X6_1000,
    "ArUco 7x7": cv2.aruco.DICT_7X7_1000,
    "ArUco original": cv2.aruco.DICT_ARUCO_ORIGINAL,
    "ArUco MIP 36h12": cv2.aruco.DICT_ARUCO_MIP_36h12,
    "AprilTag 16h5": cv2.aruco.DICT_APRILTAG_16h5,
    "AprilTag 25h9": cv2.aruco.DICT_APRILTAG_25h9,
    "AprilTag 36h10": cv2.aruco.DICT_APRILTAG_36h10,
    "AprilTag 36h11": cv2.aruco.DICT_APRILTAG_36h11,
}
"""Dictionaries tried; each of the four sizes holds its smaller ones, with the same ids."""
SURVEYED = 12
"""Frames in which every family is looked for, which is slow; in the others only those found there."""
LEAST_ANGLE = 3.0
"""Degrees that the views of a marker must differ by, for its size to be known."""
LEAST_SIDE = 12
"""px; the corners of a smaller marker are too uncertain."""
PRINT_STD = 0.00025
"""m by which a printed side may differ from what its maker thinks."""
BLOCKS = 12
"""Groups of neighbouring frames that are left out in turn to see how much the size depends on them."""
FEW_STD = 0.03
"""Relative standard deviation of a side that three frames or fewer show."""
SQUARE = np.array([[-0.5, 0.5, 0], [0.5, 0.5, 0], [0.5, -0.5, 0], [-0.5, -0.5, 0]])
"""Corners of a marker of side 1 in its own frame, in the order in which they are found."""


@dataclass(frozen=True)
class Sightings:
    """Where one marker was found.

    Attributes:
        family: its dictionary, one of `FAMILIES`.
        id: its number there.
        frames: [K] int64.
        corners: [K, 4, 2] float64 px, pixel centres at +0.5.
    """

    family: str
    id: int
    frames: np.ndarray
    corners: np.ndarray

    @property
    def name(self) -> str:
        return f"{self.family} id {self.id}"


@dataclass(frozen=True)
class Measured:
    """A marker in space.

    Attributes:
        sightings: what it was measured from.
        side: length of its sides, units of the capture.
        std: relative standard deviation of `side`.
        error: px, RMS of the corners' reprojection.
    """

    sightings: Sightings
    side: float
    std: float
    error: float


def scale_from_markers(
    posed: PosedClip, size: float, marker_id: int | None = None
) -> tuple[Scale | None, tuple[str, ...]]:
    """Metres a unit of the capture, from markers whose sides are `size` m long, and what to tell the user.

    Args:
        posed: undistorted frames.
        size: m, the length of the side of the black square.
        marker_id: the one marker that measures that; all that are found if left out.

    Raises:
        InputError: `size` is no length, or the markers found have different sizes.
    """
    check_metres("the marker size", size)
    found = [s for s in find_markers(posed.clip) if marker_id is None or s.id == marker_id]
    wanted = "a marker" if marker_id is None else f"marker {marker_id}"
    if not found:
        return None, (f"Quality: {wanted} of {size:g} m was promised, but no frame shows one; print it larger, or film "
                      "it from nearer and with its white border.",)  # fmt: skip
    measured = [m for m in (measure(s, posed.cameras) for s in found) if m is not None]
    if not measured:
        seen = ", ".join(f"{s.name} in {len(s.frames)} frame(s)" for s in found[:3])
        return None, (f"Quality: {wanted} was seen too seldom or from one side only ({seen}) and is not used for the "
                      "scale; film it from several sides.",)  # fmt: skip
    sides = np.array([m.side for m in measured])
    stds = np.array([m.std for m in measured])
    weights = 1 / (stds * sides) ** 2
    side = float((weights * sides).sum() / weights.sum())
    if len(measured) > 1 and bool((np.abs(sides / side - 1) > np.maximum(4 * stds, 0.03)).any()):
        listed = ", ".join(f"{m.sightings.name} is {m.side / sides.min():.2f}" for m in measured)
        raise InputError(
            f"the markers in view have different sizes ({listed} times the smallest); say with --marker-id which one "
            f"has sides of {size:g} m."
        )
    std = math.hypot(float(1 / np.sqrt(weights.sum()) / side), PRINT_STD / size)
    names = ", ".join(f"{m.sightings.name} in {len(m.sightings.frames)} frames ({m.error:.2f} px)" for m in measured)
    return Scale(size / side, "marker", std), (f"Marker: {names}.",)


def find_markers(clip: Clip) -> list[Sightings]:
    """The markers that the frames show, outside of what masks ignore, those seen most often first.

    A pattern that is found in a single frame among many is noise more often than not; `measure` wants more.
    """
    some = range(0, len(clip), max(1, len(clip) // SURVEYED))
    families = {family for frame in some for family, _, _ in _detect(clip, frame, tuple(FAMILIES))}
    found: dict[tuple[str, int], list[tuple[int, np.ndarray]]] = {}
    for frame in range(len(clip)) if families else ():
        for family, identity, corners in _detect(clip, frame, tuple(f for f in FAMILIES if f in families)):
            found.setdefault((family, identity), []).append((frame, corners))
    sightings = [
        Sightings(family, identity, np.array([f for f, _ in seen]), np.stack([c for _, c in seen]))
        for (family, identity), seen in found.items()
    ]
    return sorted(sightings, key=lambda s: (-len(s.frames), s.name))


def _detect(clip: Clip, frame: int, families: tuple[str, ...]) -> list[tuple[str, int, np.ndarray]]:
    """Family, id and corners [4, 2] of the markers in one picture."""
    gray = cv2.cvtColor(clip.images[frame].numpy(), cv2.COLOR_RGB2GRAY)
    squares, ids, _, dictionaries = _detector(families).detectMarkersMultiDict(gray)
    found: list[tuple[str, int, np.ndarray]] = []
    if ids is None:
        return found
    for square, identity, family in zip(squares, ids.ravel(), dictionaries.ravel(), strict=True):
        corners = square.reshape(4, 2).astype(np.float64)
        column, row = np.clip(np.round(corners), 0, np.array(gray.shape[::-1]) - 1).astype(int).T
        seen = clip.masks is None or bool(clip.masks[frame][row, column].all())
        if not seen or np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1).min() < LEAST_SIDE:
            continue
        refined = refine_corners(gray, corners)
        if refined is not None:
            found.append((families[int(family)], int(identity), refined + 0.5))  # OpenCV: centres at whole numbers
    return found


@cache
def _detector(families: tuple[str, ...]) -> cv2.aruco.ArucoDetector:
    options = cv2.aruco.DetectorParameters()
    options.errorCorrectionRate = 0.0  # a damaged pattern is more often no marker at all
    return cv2.aruco.ArucoDetector([cv2.aruco.getPredefinedDictionary(FAMILIES[f]) for f in families], options)


def measure(sightings: Sightings, cameras: tuple[Camera, ...]) -> Measured | None:
    """The square in space that explains the corners best; None where too few frames show it, or from one side only.

    Pose and side are fitted to all corners at once, robustly; frames that disagree are dropped. The spread is that of
    the side when groups of neighbouring frames are left out (jackknife), since the errors of one frame go together, and
    what all edges may be off by.

    Args:
        sightings: of one marker, at most once a frame.
        cameras: one a frame of the clip, without distortion.
    """
    frames, corners = _once_a_frame(sightings)
    if len(frames) < 2:
        return None
    views = _Views.of([cameras[f] for f in frames], corners)
    if views.angle() < LEAST_ANGLE:
        return None
    square = _fit(views, _start(views))
    for _ in range(2):
        worst = np.sqrt((views.residuals(square).reshape(len(views), -1) ** 2).mean(axis=1) * 2)
        kept = worst <= max(2.0, 3 * float(np.median(worst)))
        if kept.all():
            break
        views, frames = views.select(kept), frames[kept]
        if len(views) < 2 or views.angle() < LEAST_ANGLE:
            return None
        square = _fit(views, square)
    error = float(np.sqrt((views.residuals(square) ** 2).mean() * 2))
    if error > 3:
        return None  # no rigid square: a pattern that looked like a marker, or one that moved
    blocks = [b for b in np.array_split(np.arange(len(views)), min(BLOCKS, len(views))) if len(b)]
    logs = []
    for block in blocks:
        rest = np.ones(len(views), dtype=bool)
        rest[block] = False
        if rest.sum() >= 2:
            logs.append(_fit(views.select(rest), square)[6])
    # Two or three frames cannot tell how much they err.
    spread = math.sqrt((len(logs) - 1) * float(np.var(logs))) if len(logs) > 3 else FEW_STD
    lengths = np.linalg.norm(views.corners - np.roll(views.corners, 1, axis=1), axis=-1)
    std = math.hypot(spread, 2 * EDGE_STD / float(np.median(lengths)))
    used = Sightings(sightings.family, sightings.id, frames, views.corners)
    return Measured(used, math.exp(square[6]), std, error)


@dataclass(frozen=True)
class _Views:
    """Cameras that see a marker, as arrays: `rotation` [K, 3, 3] and `shift` [K, 3] are camera-from-world."""

    rotation: np.ndarray
    shift: np.ndarray
    focal: np.ndarray
    center: np.ndarray
    corners: np.ndarray

    @classmethod
    def of(cls, cameras: list[Camera], corners: np.ndarray) -> _Views:
        inverse = pose.inverse(torch.stack([c.world_from_camera for c in cameras]).double())
        return cls(
            pose.quat_to_matrix(inverse[:, 3:]).numpy(), inverse[:, :3].numpy(),
            torch.stack([c.focal for c in cameras]).double().numpy(),
            torch.stack([c.center for c in cameras]).double().numpy(), corners,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.corners)

    def select(self, keep: np.ndarray) -> _Views:
        return _Views(*(getattr(self, name)[keep] for name in ("rotation", "shift", "focal", "center", "corners")))

    def rays(self) -> np.ndarray:
        """[K, 4, 3] directions to the corners in the world, not of unit length."""
        local = (self.corners - self.center[:, None]) / self.focal[:, None]
        return np.concatenate([local, np.ones_like(local[..., :1])], axis=-1) @ self.rotation

    def angle(self) -> float:
        """Degrees between the two rays to the marker's middle that differ most."""
        middle = self.rays().mean(axis=1)
        middle /= np.linalg.norm(middle, axis=1, keepdims=True)
        return float(np.degrees(np.arccos(np.clip((middle @ middle.T).min(), -1, 1))))

    def residuals(self, square: np.ndarray) -> np.ndarray:
        """[K * 4 * 2] px; `square` [7] = middle, rotation vector, log of the side."""
        corners = square[:3] + math.exp(square[6]) * Rotation.from_rotvec(square[3:6]).apply(SQUARE)
        local = corners @ self.rotation.transpose(0, 2, 1) + self.shift[:, None]
        pixels = local[..., :2] / np.maximum(local[..., 2:], 1e-6) * self.focal[:, None] + self.center[:, None]
        return (pixels - self.corners).ravel()


def _once_a_frame(sightings: Sightings) -> tuple[np.ndarray, np.ndarray]:
    """Frames that show the id once; where two are in one picture, which is which is unknown."""
    frames, first, counts = np.unique(sightings.frames, return_index=True, return_counts=True)
    single = counts == 1
    return frames[single], sightings.corners[first[single]]


def _start(views: _Views) -> np.ndarray:
    """A first square from corners that are triangulated one by one: the points nearest to their rays."""
    center = -np.einsum("kji,kj->ki", views.rotation, views.shift)
    rays = views.rays()
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    across = np.eye(3) - rays[..., :, None] * rays[..., None, :]
    corners = np.linalg.solve(across.sum(axis=0), np.einsum("knij,kj->ni", across, center)[..., None])[..., 0]
    found = fit_similarity(torch.from_numpy(SQUARE), torch.from_numpy(corners))
    rotation = Rotation.from_quat(found.quat.numpy()[[1, 2, 3, 0]]).as_rotvec()
    return np.concatenate([found.translation.numpy(), rotation, [math.log(found.scale)]])


def _fit(views: _Views, start: np.ndarray) -> np.ndarray:
    return least_squares(views.residuals, start, loss="soft_l1", x_scale="jac").x
