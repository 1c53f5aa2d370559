import hashlib
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from plyfile import PlyData

SAMPLE = Path(__file__).parents[2] / "data" / "sample"


@pytest.fixture(scope="module")
def truth():
    return json.loads((SAMPLE / "truth.json").read_text())


def rotation(quat):
    w, x, y, z = quat
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def points_of(path):
    vertices = PlyData.read(str(path))["vertex"]
    return np.stack([vertices[k] for k in "xyz"], 1).astype(float)


def project(truth, frame, points):
    """Pixels [N,2] and depths [N] m of world points [N,3]."""
    pose = np.array(truth["world_from_camera"][frame])
    local = (points - pose[:3]) @ rotation(pose[3:])
    k = truth["intrinsics"]
    return local[:, :2] / local[:, 2:] * k["fx"] + [k["cx"], k["cy"]], local[:, 2]


def test_checksums_cover_every_file():
    lines = (SAMPLE / "SHA256SUMS").read_text().splitlines()
    listed = {path: digest for digest, path in (re.split(r"\s+", line, maxsplit=1) for line in lines)}
    there = {p.relative_to(SAMPLE).as_posix() for p in SAMPLE.rglob("*") if p.is_file()} - {"SHA256SUMS"}
    assert set(listed) == there
    for path, digest in listed.items():
        assert hashlib.sha256((SAMPLE / path).read_bytes()).hexdigest() == digest, path


def test_sizes():
    assert (SAMPLE / "video.mp4").stat().st_size <= 8_000_000
    assert sum(p.stat().st_size for p in SAMPLE.rglob("*") if p.is_file()) <= 18_000_000


def test_truth_is_consistent(truth):
    frames = truth["video"]["frames"]
    assert 15 <= frames / truth["video"]["fps"] <= 20
    for key in ("times", "world_from_camera", "exposure_ev"):
        assert len(truth[key]) == frames
    quats = np.array(truth["world_from_camera"])[:, 3:]
    assert np.allclose(np.linalg.norm(quats, axis=1), 1, atol=1e-7)
    assert np.allclose(np.array(truth["times"]) * truth["video"]["fps"], np.arange(frames), atol=1e-6)
    assert np.abs(truth["exposure_ev"]).max() <= 0.3
    assert 0.015 <= truth["video"]["readout_s"] <= 0.020
    assert truth["video"]["exposure_s"] == pytest.approx(1 / 60)
    assert truth["held_out"] == [round(8 * k / 3 * 30) for k in range(len(truth["held_out"]))]
    assert truth["held_out"][-1] + 80 >= frames


def test_video_matches_the_truth(truth):
    av = pytest.importorskip("av")
    with av.open(str(SAMPLE / "video.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert (stream.width, stream.height) == (truth["intrinsics"]["width"], truth["intrinsics"]["height"])
        assert stream.frames == truth["video"]["frames"]
        first = next(container.decode(stream))
        assert float(first.time) == truth["times"][0]
        frame = first.to_ndarray(format="rgb24").astype(float)
    clean = cv2.imread(str(SAMPLE / truth["clean"].format(frame=0)))[..., ::-1].astype(float)
    assert np.abs(cv2.GaussianBlur(frame, (0, 0), 6) - cv2.GaussianBlur(clean, (0, 0), 6)).mean() < 14


def test_bodies_rest_on_the_table(truth):
    assert len(truth["bodies"]) >= 6
    for body in truth["bodies"]:
        pose = np.array(body["world_from_body"])
        assert np.linalg.norm(pose[3:]) == pytest.approx(1, abs=1e-7)
        world = points_of(SAMPLE / body["mesh"]) @ rotation(pose[3:]).T + pose[:3]
        assert world[:, 2].min() == pytest.approx(truth["table_height"], abs=5e-4)


def test_ids_and_depth_agree_with_the_meshes(truth):
    """A body's pixels lie inside the outline of its projected vertices, and its nearest vertices at its depth."""
    for frame in truth["held_out"]:
        ids = cv2.imread(str(SAMPLE / truth["ids"].format(frame=frame)), cv2.IMREAD_UNCHANGED)
        depth = cv2.imread(str(SAMPLE / truth["depth"]["path"].format(frame=frame)), cv2.IMREAD_UNCHANGED)
        assert ids.dtype == np.uint8
        assert depth.dtype == np.uint16
        assert ids.max() <= len(truth["bodies"])
        for body in truth["bodies"]:
            pose = np.array(body["world_from_body"])
            world = points_of(SAMPLE / body["mesh"]) @ rotation(pose[3:]).T + pose[:3]
            pixels, z = project(truth, frame, world)
            rows, columns = np.nonzero(ids == body["id"])
            if len(rows) < 50:
                continue
            hull = cv2.convexHull(pixels.astype(np.float32))
            inside = [
                cv2.pointPolygonTest(hull, (float(c) + 0.5, float(r) + 0.5), True)
                for r, c in zip(rows[::97], columns[::97], strict=True)
            ]
            assert min(inside) > -1.0, body["name"]
            seen = depth[rows, columns] * truth["depth"]["unit_m"]
            assert z.min() - 0.002 < seen.min()
            assert seen.max() < z.max() + 0.002


def test_every_body_is_seen_and_can_be_removed(truth):
    seen = set()
    for entry in truth["removed"]:
        crop = cv2.imread(str(SAMPLE / entry["path"]), cv2.IMREAD_UNCHANGED)
        x, y, w, h = entry["box"]
        assert crop.shape == (h, w, 4)
        assert x + w <= truth["intrinsics"]["width"]
        assert y + h <= truth["intrinsics"]["height"]
        ids = cv2.imread(str(SAMPLE / truth["ids"].format(frame=entry["frame"])), cv2.IMREAD_UNCHANGED)
        own = ids == entry["body"]
        outside = own.copy()
        outside[y : y + h, x : x + w] = False
        assert outside.sum() <= 0.002 * own.sum() + 5
        if own.sum() > 500:
            assert (crop[..., 3][own[y : y + h, x : x + w]] > 0).mean() > 0.9
            seen.add(entry["body"])
    assert seen == {b["id"] for b in truth["bodies"]}


def test_marker_is_found_where_it_lies(truth):
    """The corners in a clean picture are where the truth projects them."""
    marker = truth["marker"]
    dictionary = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, marker["dictionary"]))
    parameters = cv2.aruco.DetectorParameters()
    parameters.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
    detector = cv2.aruco.ArucoDetector(dictionary, parameters)
    s = marker["side_m"] / 2
    pose = np.array(marker["world_from_marker"])
    corners = np.array([[-s, s, 0], [s, s, 0], [s, -s, 0], [-s, -s, 0]]) @ rotation(pose[3:]).T + pose[:3]
    errors = []
    for frame in truth["held_out"]:
        image = cv2.imread(str(SAMPLE / truth["clean"].format(frame=frame)))
        quads, ids, _ = detector.detectMarkers(image)
        for quad, number in zip(quads, [] if ids is None else ids.ravel(), strict=True):
            if number == marker["id"]:
                errors.append(
                    quad[0] + 0.5 - project(truth, frame, corners)[0]
                )  # OpenCV: centre of the first pixel is 0
    assert len(errors) >= 3
    assert np.median(np.linalg.norm(np.concatenate(errors), axis=1)) < 0.7
    assert np.abs(np.median(np.concatenate(errors), axis=0)).max() < 0.35
