"""Why cameras could not be found, in plain words, and how to film it better."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np
import pycolmap

from splatworld.capture.config import CaptureConfig, fit_side
from splatworld.core.checks import InputError
from splatworld.core.clip import Clip, PosedClip

_BY_HOMOGRAPHY = (
    pycolmap.TwoViewGeometryConfiguration.PANORAMIC,
    pycolmap.TwoViewGeometryConfiguration.PLANAR,
    pycolmap.TwoViewGeometryConfiguration.PLANAR_OR_PANORAMIC,
)
_TURNING_SHARE = 0.6


@dataclass(frozen=True)
class Evidence:
    """What was measured on the frames before their cameras were sought.

    Attributes:
        features: median features a frame.
        matches: median verified matches between neighbouring frames.
        linked: share of neighbouring frames that could be matched at all.
        kept: median share of a neighbour pair's raw matches that one rigid scene explains.
        turning: share of matched pairs that a camera turning on the spot explains, with one focal length for all.
        blur: median edge width measure: variance of the Laplacian over the variance of the picture, at 640 px.
        brightness: median luma 0..255.
        flicker: 90th percentile of the relative brightness change between neighbours.
    """

    features: float
    matches: float
    linked: float
    kept: float
    turning: float
    blur: float
    brightness: float
    flicker: float

    def causes(self) -> list[tuple[str, str]]:
        """Plain (cause, advice) pairs, the likeliest first."""
        found = []
        if self.brightness < 35:
            found.append((f"the picture is too dark (mean brightness {self.brightness:.0f} of 255)",
                          "switch on more light"))  # fmt: skip
        if self.brightness > 225:
            found.append((f"the picture is overexposed (mean brightness {self.brightness:.0f} of 255)",
                          "avoid pointing at windows and lamps, lower the exposure"))  # fmt: skip
        if self.blur < 0.004:
            found.append(("the frames are blurred", "move more slowly, with more light, and keep the scene in focus"))
        if self.features < 250:
            found.append((f"too few features (a median of {self.features:.0f} a frame)",
                          "come closer and bring texture into view, such as a newspaper"))  # fmt: skip
        if self.turning > _TURNING_SHARE:
            found.append(("there is no parallax: the camera turned on the spot or hardly moved",
                          "walk around the scene so that the phone itself travels"))  # fmt: skip
        if self.flicker > 0.25:
            found.append(("the exposure jumps between frames", "lock exposure and white balance before filming"))
        if self.linked < 0.7 and not found:
            found.append((f"only {100 * self.linked:.0f} % of neighbouring frames overlap enough to be matched",
                          "move more slowly and keep most of the scene in view"))  # fmt: skip
        if self.kept < 0.35 and self.linked >= 0.3:
            found.append(("much of what is seen moves by itself or looks alike everywhere",
                          "film while nothing moves in view, and avoid mirrors, screens and glass"))  # fmt: skip
        return found

    def warnings(self) -> tuple[str, ...]:
        """The causes as notes for a capture that succeeded all the same."""
        return tuple(f"Quality: {cause}; next time {advice}." for cause, advice in self.causes())


def gather_evidence(database: pycolmap.Database, clip: Clip, config: CaptureConfig) -> Evidence:
    """Measure frames and their matches after matching."""
    images = sorted(database.read_all_images(), key=lambda image: image.name)
    features = [database.num_keypoints_for_image(image.image_id) for image in images]
    inliers, kept = [], []
    for a, b in itertools.pairwise(images):
        raw = len(database.read_matches(a.image_id, b.image_id))
        pair = database.read_two_view_geometry(a.image_id, b.image_id)
        inliers.append(len(pair.inlier_matches))
        if raw >= 30:
            kept.append(len(pair.inlier_matches) / raw)
    _, pairs = database.read_two_view_geometries()
    strong = [pair for pair in pairs if len(pair.inlier_matches) >= 30]
    height, width = clip.images.shape[1:3]
    size = fit_side((width, height), config.sfm_max_side)
    grays = [_small_gray(image.numpy()) for image in clip.images]
    bright = np.array([gray.mean() for gray in grays])
    change = np.abs(np.diff(bright)) / np.maximum(bright[:-1], 8)
    return Evidence(
        features=float(np.median(features)) if features else 0.0,
        matches=float(np.median(inliers)) if inliers else 0.0,
        linked=float(np.mean(np.array(inliers) >= 30)) if inliers else 0.0,
        kept=float(np.median(kept)) if kept else 0.0,
        turning=_turning_share(strong, size),
        blur=float(np.median([_sharpness(gray) for gray in grays])),
        brightness=float(np.median(bright)),
        flicker=float(np.quantile(change, 0.9)) if len(change) else 0.0,
    )


def check_parallax(evidence: Evidence, *, name: str) -> None:
    """Refuse a camera that only turned: mappers return a model for it, but its depths mean nothing.

    Raises:
        InputError: no parallax.
    """
    if evidence.turning > _TURNING_SHARE:
        raise InputError(
            f"{name}: there is no parallax: the camera turned on the spot ({100 * evidence.turning:.0f} % of the "
            "matched pairs show no sideways travel); film again: walk around the scene so that the phone travels."
        )


def check_placed(posed: PosedClip, evidence: Evidence, count: int, config: CaptureConfig, *, name: str) -> None:
    """Refuse a capture that would make a bad world.

    Raises:
        InputError: too few frames placed, or hardly any depth between them: what was found, why, and what to do.
    """
    angle = posed.metrics["triangulation_angle_deg"]
    if len(posed.clip) < config.min_registered * count:
        raise refusal(_too_few(len(posed.clip), count), evidence, name=name)
    if len(posed.points) < 50:
        raise refusal(f"only {len(posed.points)} points of the scene could be measured", evidence, name=name)
    if angle < 2:
        far = ("the camera hardly travelled compared with the distance of the scene",
               "come closer and walk around the scene")  # fmt: skip
        raise refusal(f"the scene is seen under a median angle of only {angle:.1f} degrees", evidence, far, name=name)


def nothing_placed(evidence: Evidence, count: int, *, name: str) -> InputError:
    """The error for frames of which no mapper made anything."""
    return refusal(_too_few(0, count), evidence, name=name)


def refusal(
    problem: str,
    evidence: Evidence,
    otherwise: tuple[str, str] = ("the frames share too little with each other",
                                  "move slowly in one sweep around the scene, ending where you began"),
    *,
    name: str,
) -> InputError:  # fmt: skip
    """One sentence: the problem, its likeliest causes (`otherwise` where none stands out), and how to film better."""
    causes = (evidence.causes() or [otherwise])[:2]
    because = " and ".join(cause for cause, _ in causes)
    advice = "; ".join(advice for _, advice in causes)
    return InputError(f"{name}: {problem}, because {because}; film again: {advice}.")


def _too_few(placed: int, count: int) -> str:
    return f"only {placed} of {count} frames ({100 * placed / max(count, 1):.0f} %) could be placed in space"


def _turning_share(pairs: list[pycolmap.TwoViewGeometry], size: tuple[int, int]) -> float:
    """Share of pairs whose homography is K R K^-1: all singular values of K^-1 H K equal, for the best common focal.

    A flat scene seen from two places has a homography too, but a translation spreads its singular values by about
    baseline over distance.
    """
    flat = [np.asarray(pair.H) for pair in pairs if pair.config in _BY_HOMOGRAPHY]
    flat = [h for h in flat if np.isfinite(h).all() and abs(np.linalg.det(h)) > 1e-12]
    if not flat:
        return 0.0
    share_flat = len(flat) / len(pairs)
    flat = flat[:: max(1, len(flat) // 200)]
    shares = []
    for focal in np.geomspace(0.5, 3, 200) * max(size):
        k = np.array([[focal, 0, size[0] / 2], [0, focal, size[1] / 2], [0, 0, 1]])
        values = np.linalg.svd(np.linalg.inv(k) @ np.stack(flat) @ k, compute_uv=False)
        shares.append((values[:, 0] / values[:, 2] < 1.015).mean())
    return float(max(shares)) * share_flat


def _small_gray(image: np.ndarray) -> np.ndarray:
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    scale = 640 / max(gray.shape)
    return gray if scale >= 1 else cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _sharpness(gray: np.ndarray) -> float:
    return float(cv2.Laplacian(gray, cv2.CV_32F).var() / max(gray.var(), 1.0))
