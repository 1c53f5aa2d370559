"""Structure from motion: frames of one camera to poses, intrinsics and points, by pycolmap."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pycolmap

from splatworld.capture.colmap import finish, from_reconstruction
from splatworld.capture.config import CaptureConfig, Progress, fit_side, silent
from splatworld.capture.connected import keep_connected
from splatworld.capture.diagnose import check_parallax, check_placed, gather_evidence, nothing_placed
from splatworld.capture.images import shrink
from splatworld.capture.matching import extract_features, frame_name, match_frames
from splatworld.capture.orient import normalize
from splatworld.capture.resample import resize_posed
from splatworld.core.clip import Clip, PosedClip


def find_cameras(clip: Clip, config: CaptureConfig, *, name: str, progress: Progress | None = None) -> PosedClip:
    """Place the frames of a clip filmed with one camera at one zoom.

    SIFT features; all pairs, or neighbours and a coarse loop set, matched; the global mapper, then the incremental
    one and further seeds where it placed too few; the largest model kept; a last bundle adjustment with OpenCV
    distortion.

    Args:
        clip: frames in time order.
        config: see `CaptureConfig`.
        name: the capture, for messages.
        progress: told of each stage.

    Returns:
        Frames at `config.output_size`, numbers in float32.

    Raises:
        InputError: fewer than `config.min_registered` of the frames were placed, or they moved too little for depth:
            says why in plain words and how to film it better.
    """
    progress = progress or silent
    with _workspace() as folder, quiet():
        write_frames(clip, folder / "images", config.sfm_max_side)
        extract_features(folder, config, progress, single_camera=True)
        attached = match_frames(folder, len(clip), config, progress)
        with pycolmap.Database.open(folder / "database.db") as database:
            evidence = gather_evidence(database, clip, config)
        if attached:  # its matches were dropped on purpose
            evidence = replace(evidence, kept=1.0)
        check_parallax(evidence, name=name)
        model, tried = _map(folder, len(clip), config, progress)
        if model is None:
            raise nothing_placed(evidence, len(clip), name=name)
        _polish(model, config)
        model.extract_colors_for_all_images(str(folder / "images"))
        posed = from_reconstruction(_renamed(model, clip), clip)
    check_placed(posed, evidence, len(clip), config, name=name)
    if config.normalize:
        posed = normalize(posed)
    size = (clip.images.shape[2], clip.images.shape[1])
    posed = finish(resize_posed(posed, config.output_size(size)))
    placed = len(posed.clip)
    notes = [
        f"{placed} of {len(clip)} frames placed by the {tried} mapper, mean reprojection error "
        f"{posed.metrics['reprojection_error_px']:.2f} px at {'x'.join(map(str, fit_side(size, config.sfm_max_side)))}."
    ]
    if posed.unplaced:
        notes.append(f"{len(posed.unplaced)} frames could not be placed, {posed.unplaced_held_out} of them held out.")
    if attached:
        notes.append("Something fixed to the camera is in view: what stays in place was not used to place frames.")
    return replace(posed, notes=(*notes, *evidence.warnings()))


def write_frames(clip: Clip, folder: Path, longest: int) -> None:
    """Write frames as `00000.ppm`, ..., shrunk to `longest` px, where pycolmap can read them.

    PPM needs no library: OpenCV's PNG writer aborts the process when pycolmap was imported before it, since their
    copies of zlib meet.
    """
    folder.mkdir(parents=True)
    size = fit_side((clip.images.shape[2], clip.images.shape[1]), longest)
    for frame, image in enumerate(clip.images):
        picture = cv2.cvtColor(shrink(image.numpy(), size), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / frame_name(frame)), picture)
        if clip.masks is not None:
            mask = cv2.resize(clip.masks[frame].numpy().astype(np.uint8) * 255, size, interpolation=cv2.INTER_NEAREST)
            (folder.parent / "masks").mkdir(exist_ok=True)
            pycolmap.Bitmap.from_array(mask).write(str(folder.parent / "masks" / (frame_name(frame) + ".png")))


def _map(
    folder: Path, count: int, config: CaptureConfig, progress: Progress
) -> tuple[pycolmap.Reconstruction | None, str]:
    """The model that places most frames, and which mapper made it."""
    best: pycolmap.Reconstruction | None = None
    tried = "global"
    attempts = [("global", 0), ("incremental", 0)]
    attempts += [(kind, n) for n in range(1, config.seed_retries + 1) for kind in ("global", "incremental")]
    for done, (kind, retry) in enumerate(attempts):
        progress("place cameras", done, len(attempts))
        model = (_map_globally if kind == "global" else _map_incrementally)(folder, config, config.seed + retry)
        if model is not None:
            with pycolmap.Database.open(folder / "database.db") as database:
                keep_connected(model, database)
        if model is not None and (best is None or _merit(model) > _merit(best)):
            best, tried = model, kind
        if best is not None and best.num_reg_images() >= config.good_registered * count and _merit(best)[1] > -2:
            break
    progress("place cameras", len(attempts), len(attempts))
    return best, tried


def _merit(model: pycolmap.Reconstruction) -> tuple[int, float]:
    return model.num_reg_images(), -model.compute_mean_reprojection_error()


def _map_globally(folder: Path, config: CaptureConfig, seed: int) -> pycolmap.Reconstruction | None:
    output = folder / f"global_{seed}"
    output.mkdir(exist_ok=True)
    database = folder / f"global_{seed}.db"
    shutil.copyfile(folder / "database.db", database)  # calibration rewrites the pairs
    calibration = pycolmap.ViewGraphCalibrationOptions()
    calibration.random_seed = seed
    options = pycolmap.GlobalPipelineOptions()
    options.num_threads = options.mapper.num_threads = config.mapping_threads
    options.random_seed = options.mapper.random_seed = seed
    options.mapper.rotation_averaging.random_seed = options.mapper.global_positioning.random_seed = seed
    options.mapper.retriangulation.random_seed = seed
    pycolmap.set_random_seed(seed)
    try:
        pycolmap.calibrate_view_graph(database, calibration)
        return _largest(pycolmap.global_mapping(database, folder / "images", output, options))
    except (RuntimeError, ValueError):
        return None  # too few pairs for a view graph; the incremental mapper decides


def _map_incrementally(folder: Path, config: CaptureConfig, seed: int) -> pycolmap.Reconstruction | None:
    output = folder / f"incremental_{seed}"
    output.mkdir(exist_ok=True)
    options = pycolmap.IncrementalPipelineOptions()
    options.num_threads = config.mapping_threads
    options.random_seed = options.mapper.random_seed = options.triangulation.random_seed = seed
    options.min_model_size = 3
    options.max_focal_length_ratio = 5
    options.min_focal_length_ratio = 0.2
    pycolmap.set_random_seed(seed)
    try:
        return _largest(
            pycolmap.incremental_mapping(folder / "database.db", folder / "images", output, options=options)
        )
    except (RuntimeError, ValueError):
        return None


def _largest(models: dict[int, pycolmap.Reconstruction]) -> pycolmap.Reconstruction | None:
    return max(models.values(), key=_merit, default=None)


def _polish(model: pycolmap.Reconstruction, config: CaptureConfig) -> None:
    """Last bundle adjustment, robust, with fx, fy, k1, k2, p1, p2 free; the principal point stays at the centre."""
    for camera in model.cameras.values():
        if camera.model_name == "SIMPLE_RADIAL":
            f, cx, cy, k = camera.params
            camera.model = pycolmap.CameraModelId.OPENCV
            camera.params = [f, f, cx, cy, k, 0, 0, 0]
    adjust(model, config)


def adjust(model: pycolmap.Reconstruction, config: CaptureConfig, *, refine_intrinsics: bool = True) -> None:
    """Bundle-adjust poses, points and, if asked, shared intrinsics, with a robust loss."""
    options = pycolmap.BundleAdjustmentOptions()
    options.print_summary = False
    options.refine_focal_length = options.refine_extra_params = refine_intrinsics
    options.ceres.loss_function_type = pycolmap.LossFunctionType.SOFT_L1
    options.ceres.solver_options.num_threads = config.mapping_threads
    options.ceres.solver_options.max_num_iterations = 50
    options.ceres.solver_options.function_tolerance = 1e-6
    config_all = pycolmap.BundleAdjustmentConfig()
    for image in sorted(model.reg_image_ids()):
        config_all.add_image(image)
    config_all.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    pycolmap.create_default_bundle_adjuster(options, config_all, model).solve()
    model.update_point_3d_errors()


def _renamed(model: pycolmap.Reconstruction, clip: Clip) -> pycolmap.Reconstruction:
    for image in model.images.values():
        image.name = clip.names[int(Path(image.name).stem)]
    return model


@contextmanager
def _workspace() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="splatworld-capture-") as folder:
        yield Path(folder)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep pycolmap's log off the terminal; failures are reported in our words."""
    before = pycolmap.logging.minloglevel
    pycolmap.logging.minloglevel = 3
    try:
        yield
    finally:
        pycolmap.logging.minloglevel = before
