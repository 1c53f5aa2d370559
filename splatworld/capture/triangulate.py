"""Points for frames whose cameras came with the capture: triangulate with fixed poses, refine them if that helps."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pycolmap
import torch

from splatworld.capture.colmap import camera_params, from_reconstruction, rigid
from splatworld.capture.config import CaptureConfig, Progress, fit_side, silent
from splatworld.capture.matching import extract_features, match_frames
from splatworld.capture.sfm import adjust, quiet, write_frames
from splatworld.core import pose
from splatworld.core.camera import Camera, resize
from splatworld.core.clip import Clip, PosedClip
from splatworld.core.similarity import fit_similarity

_REFINE_ABOVE = 1.0  # px: poses from another tool's bundle adjustment lie below, hand-made or rounded ones above


def triangulate(
    clip: Clip, cameras: list[Camera], config: CaptureConfig, *, progress: Progress | None = None
) -> PosedClip:
    """Find features, match them, and triangulate points from known cameras.

    Args:
        clip: the frames.
        cameras: one a frame, of the clip's image size.
        config: `refine_poses` says whether poses and intrinsics may move.
        progress: told of each stage.

    Returns:
        The clip with points; every frame is placed. `metrics` hold `given_reprojection_error_px`, and the cameras are
        the given ones bit for bit unless refined. Refined poses are aligned to the given camera centres by a
        similarity, so the frame of reference stays.
    """
    progress = progress or silent
    with tempfile.TemporaryDirectory(prefix="splatworld-capture-") as name, quiet():
        folder = Path(name)
        write_frames(clip, folder / "images", config.sfm_max_side)
        shared = len({tuple(camera_params(camera)) for camera in cameras}) == 1
        extract_features(folder, config, progress, single_camera=shared)
        given = _given_model(folder, clip, cameras, config)
        match_frames(folder, len(clip), config, progress)
        progress("triangulate", 0, 1)
        model = _triangulate(folder, given, config)
        error = model.compute_mean_reprojection_error()
        refined = False
        if config.refine_poses or (config.refine_poses is None and error > _REFINE_ABOVE):
            moved = _refine(folder, model, config)
            better = moved.compute_mean_reprojection_error() < error
            enough = moved.compute_num_observations() >= 0.9 * model.compute_num_observations()
            if better and enough:
                _align(moved, cameras)
                model, refined = moved, True
        model.extract_colors_for_all_images(str(folder / "images"))
        for image in model.images.values():
            image.name = clip.names[int(Path(image.name).stem)]
        posed = from_reconstruction(model, clip)
        progress("triangulate", 1, 1)
    note = (
        f"Poses given with the capture: mean reprojection error {error:.2f} px"
        f"{', refined to ' + format(posed.metrics['reprojection_error_px'], '.2f') + ' px' if refined else ', kept'}."
    )
    metrics = {**posed.metrics, "given_reprojection_error_px": float(error), "refined": float(refined)}
    return PosedClip(
        clip=posed.clip,
        cameras=posed.cameras if refined else tuple(cameras),
        points=posed.points,
        colors=posed.colors,
        tracks=posed.tracks,
        notes=(note,),
        metrics=metrics,
    )


def _given_model(folder: Path, clip: Clip, cameras: list[Camera], config: CaptureConfig) -> pycolmap.Reconstruction:
    """A model of the given cameras under the database's ids; the database learns the intrinsics, for matching."""
    size = fit_side((clip.images.shape[2], clip.images.shape[1]), config.sfm_max_side)
    model = pycolmap.Reconstruction()
    with pycolmap.Database.open(folder / "database.db") as database:
        for image in sorted(database.read_all_images(), key=lambda image: image.name):
            given = cameras[int(Path(image.name).stem)]
            if not model.exists_camera(image.camera_id):
                camera = pycolmap.Camera(
                    camera_id=image.camera_id, model="OPENCV", width=size[0], height=size[1],
                    params=camera_params(resize(given, size)), has_prior_focal_length=True,
                )  # fmt: skip
                database.update_camera(camera)
                model.add_camera_with_trivial_rig(camera)
            entry = pycolmap.Image(name=image.name, camera_id=image.camera_id, image_id=image.image_id)
            model.add_image_with_trivial_frame(entry, rigid(pose.inverse(given.world_from_camera.double())))
    return model


def _triangulate(folder: Path, given: pycolmap.Reconstruction, config: CaptureConfig) -> pycolmap.Reconstruction:
    options = pycolmap.IncrementalPipelineOptions()
    options.num_threads = config.mapping_threads
    options.random_seed = config.seed
    options.ba_refine_focal_length = options.ba_refine_extra_params = False
    output = folder / "triangulated"
    output.mkdir(exist_ok=True)
    pycolmap.set_random_seed(config.seed)
    return pycolmap.triangulate_points(given, folder / "database.db", folder / "images", output, options=options)


def _refine(folder: Path, model: pycolmap.Reconstruction, config: CaptureConfig) -> pycolmap.Reconstruction:
    """Poses and intrinsics adjusted, points triangulated anew from them, and adjusted once more."""
    moved = pycolmap.Reconstruction(model)
    adjust(moved, config)
    bare = pycolmap.Reconstruction(moved)
    bare.delete_all_points2D_and_points3D()
    moved = _triangulate(folder, bare, config)
    adjust(moved, config)
    return moved


def _align(model: pycolmap.Reconstruction, cameras: list[Camera]) -> None:
    """Move a refined model back into the given frame: the similarity of the camera centres."""
    given, found = [], []
    for identity in model.reg_image_ids():
        image = model.images[identity]
        given.append(cameras[int(Path(image.name).stem)].world_from_camera[:3].double().numpy())
        found.append(image.projection_center())
    best = fit_similarity(torch.from_numpy(np.array(found)), torch.from_numpy(np.array(given)))
    rotation = pycolmap.Rotation3d(best.quat.numpy()[[1, 2, 3, 0]])
    model.transform(pycolmap.Sim3d(best.scale, rotation, best.translation.numpy()))
