"""Features of frames and matches between them, kept in a COLMAP database."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pycolmap

from splatworld.capture.config import CaptureConfig, Progress

_COARSE = 300  # features of the largest scale compared to guess which frames show the same place
_COMPARED = 50_000  # pairs of frames that are compared so; of a long video every other, third, ... frame is

_ATTACHED_SHARE = 0.15  # of pairs that match best where nothing moved, at the picture's border


def frame_name(frame: int) -> str:
    """File name of a frame while cameras are found; sorts in time order."""
    return f"{frame:05d}.ppm"


def extract_features(folder: Path, config: CaptureConfig, progress: Progress, *, single_camera: bool) -> None:
    """Find SIFT features in `folder/images` and store them in `folder/database.db`."""
    progress("find features", 0, 1)
    options = pycolmap.FeatureExtractionOptions()
    options.use_gpu = False
    options.num_threads = config.worker_threads
    options.sift.max_num_features = config.features(len(list((folder / "images").iterdir())))
    options.sift.peak_threshold = config.peak_threshold
    reader = pycolmap.ImageReaderOptions()
    if (folder / "masks").is_dir():
        reader.mask_path = str(folder / "masks")
    mode = pycolmap.CameraMode.SINGLE if single_camera else pycolmap.CameraMode.PER_IMAGE
    # Images are listed first: extraction in threads would number them in the order they finish.
    pycolmap.Database.open(folder / "database.db").close()
    pycolmap.import_images(folder / "database.db", folder / "images", camera_mode=mode, options=reader)
    pycolmap.extract_features(
        folder / "database.db",
        folder / "images",
        camera_mode=mode,
        reader_options=reader,
        extraction_options=options,
        device=pycolmap.Device.cpu,
    )
    progress("find features", 1, 1)


def match_frames(folder: Path, count: int, config: CaptureConfig, progress: Progress) -> bool:
    """Match and verify pairs: all of them up to `all_pairs_limit` frames, else neighbours and likely returns.

    Returns:
        Whether something fixed to the camera was in view (a gripper, an overlay, a finger): then frames are matched
        again without the matches that stay in place.
    """
    progress("match frames", 0, 1)
    listing = folder / "pairs.txt"
    listing.write_text("".join(f"{frame_name(a)} {frame_name(b)}\n" for a, b in _pairs(folder, count, config)))
    _match(folder, listing, config, moving_only=False)
    with pycolmap.Database.open(folder / "database.db") as database:
        _, pairs = database.read_two_view_geometries()
        held = [pair.config == pycolmap.TwoViewGeometryConfiguration.WATERMARK for pair in pairs]
        attached = sum(held) > _ATTACHED_SHARE * max(len(held), 1)
        if attached:
            database.clear_matches()
            database.clear_two_view_geometries()
    if attached:
        _match(folder, listing, config, moving_only=True)
    progress("match frames", 1, 1)
    return attached


def _match(folder: Path, listing: Path, config: CaptureConfig, *, moving_only: bool) -> None:
    matching = pycolmap.FeatureMatchingOptions()
    matching.use_gpu = False
    matching.num_threads = config.mapping_threads
    pairing = pycolmap.ImportedPairingOptions()
    pairing.match_list_path = listing
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = config.seed
    verification.filter_stationary_matches = moving_only
    pycolmap.set_random_seed(config.seed)
    pycolmap.match_image_pairs(
        folder / "database.db",
        matching_options=matching,
        pairing_options=pairing,
        verification_options=verification,
        device=pycolmap.Device.cpu,
    )


def choose_pairs(coarse: list[np.ndarray], config: CaptureConfig) -> list[tuple[int, int]]:
    """Neighbours in time, and for each frame the `config.returns` others that share most coarse features.

    Args:
        coarse: one [k, 128] float32 array of unit descriptors a frame, in time order.
        config: `all_pairs_limit`, `overlap`, `returns`.

    Returns:
        Sorted pairs (a < b).
    """
    count = len(coarse)
    if count <= config.all_pairs_limit:
        return [(a, b) for a in range(count) for b in range(a + 1, count)]
    pairs = {(a, b) for a in range(count) for b in range(a + 1, min(a + config.overlap, count - 1) + 1)}
    step = 1 + count * count // (2 * _COMPARED)
    shared = np.zeros((count, count), int)
    for a in range(count):
        others = np.arange(a + config.overlap + 1, count, step)
        shared[a, others] = shared[others, a] = _shared(coarse[a], [coarse[b] for b in others])
    for a in range(count):
        likely = np.argsort(-shared[a], kind="stable")[: config.returns]
        pairs |= {(min(a, int(b)), max(a, int(b))) for b in likely if shared[a, b] >= 4}
    return sorted(pairs)


def _pairs(folder: Path, count: int, config: CaptureConfig) -> list[tuple[int, int]]:
    coarse = [np.zeros((0, 128), np.float32)] * count
    if count > config.all_pairs_limit:
        with pycolmap.Database.open(folder / "database.db") as database:
            for image in database.read_all_images():
                keypoints = database.read_keypoints(image.image_id)
                descriptors = np.asarray(database.read_descriptors(image.image_id).data).astype(np.float32)
                order = np.argsort(-_scales(keypoints), kind="stable")[:_COARSE]
                chosen = descriptors[order]
                chosen /= np.maximum(np.linalg.norm(chosen, axis=1, keepdims=True), 1e-6)
                coarse[int(Path(image.name).stem)] = chosen
    return choose_pairs(coarse, config)


def _scales(keypoints: np.ndarray) -> np.ndarray:
    """[k] px, from COLMAP's rows x, y, a11, a12, a21, a22."""
    keypoints = np.asarray(keypoints)
    if not len(keypoints):
        return np.zeros(0)
    return keypoints[:, 2] if keypoints.shape[1] == 4 else np.hypot(keypoints[:, 2], keypoints[:, 4])


def _shared(one: np.ndarray, others: list[np.ndarray]) -> np.ndarray:
    """How many mutual nearest neighbours that pass the ratio test a frame has with each of the others."""
    if len(one) < 2 or not others:
        return np.zeros(len(others), int)
    # One product for all. Rows of zeros fill frames up; no feature is nearest to them, as SIFT has no negative entries.
    width = max(2, *(len(other) for other in others))
    padded = np.zeros((len(others), width, one.shape[1]), np.float32)
    for place, other in zip(padded, others, strict=True):
        place[: len(other)] = other
    cosine = (one @ padded.reshape(-1, one.shape[1]).T).reshape(len(one), len(others), width)
    rows, columns = np.arange(len(one))[:, None], np.arange(len(others))
    best = cosine.argmax(axis=2)
    mutual = cosine.argmax(axis=0)[columns, best] == rows
    top = cosine[rows, columns, best]
    cosine[rows, columns, best] = -1
    second = cosine.max(axis=2)
    distinct = (1 - top) < 0.8**2 * (1 - second)
    enough = np.array([len(other) for other in others]) >= 2
    return (mutual & distinct & (top > 0)).sum(axis=0) * enough
