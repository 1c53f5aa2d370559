"""Metres and up from what a capture shows."""

import math
from dataclasses import replace

import pytest
import torch

from splatworld.capture.marker import FAMILIES, find_markers, measure, scale_from_markers
from splatworld.capture.metric import MetricConfig, to_metres, turn
from splatworld.capture.scale import best_scale, prior_scale, scale_from_depth, scale_from_length
from splatworld.capture.support import find_support
from splatworld.core import pose
from splatworld.core.checks import InputError
from splatworld.core.clip import PosedClip
from splatworld.core.similarity import Similarity, fit_similarity
from splatworld.core.world import Scale
from tests.capture.table import SIDE, around, posed, surfaces

ONE = {7: (0.05, -0.04, SIDE)}


def shaken(clip: PosedClip, scale: float = 0.7) -> tuple[PosedClip, Similarity]:
    """The capture in a frame and unit of its own."""
    moved = pose.exp(torch.tensor([0.3, -1.0, 0.4, 0.9, -0.5, 1.1], dtype=torch.float64))
    away = Similarity(1 / scale, moved[3:], moved[:3])
    return clip.moved(away), away


@pytest.fixture(scope="module")
def capture() -> PosedClip:
    return posed(around(9), ONE)


def test_a_marker_tells_scale_and_the_table_tells_up(capture):
    unknown, _ = shaken(capture)
    placed = to_metres(unknown, MetricConfig(marker_size=SIDE))
    truth = torch.stack([c.world_from_camera[:3] for c in capture.cameras])
    rest = fit_similarity(torch.stack([c.world_from_camera[:3] for c in placed.cameras]), truth)
    assert placed.scale.source == "marker"
    assert rest.scale == pytest.approx(1, abs=2 * placed.scale.std)
    assert rest.scale == pytest.approx(1, abs=0.01)
    assert placed.scale.value == pytest.approx(0.7, rel=0.01)
    up = pose.rotate(rest.quat, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    assert math.degrees(math.acos(min(1.0, float(up[2])))) < 0.5
    assert abs(float(rest.translation[2])) < 0.002
    assert placed.gravity.tolist() == [0, 0, -9.81]
    assert any("Marker: ArUco 4x4 id 7" in note for note in placed.notes)


def test_without_anything_the_scale_is_an_honest_guess(capture):
    placed = to_metres(shaken(capture)[0])
    assert placed.scale.source == "prior"
    assert placed.scale.std >= 0.3
    assert abs(math.log(placed.scale.value / 0.7)) < 2 * placed.scale.std
    assert any(note.startswith("Quality: nothing in view tells the scale") for note in placed.notes)


def test_frame_of_reference_of_the_capture_does_not_matter(capture):
    one, other = (to_metres(c, MetricConfig(SIDE)) for c in (capture, shaken(capture)[0]))
    heights = [torch.stack([c.world_from_camera[2] for c in p.cameras]) for p in (one, other)]
    torch.testing.assert_close(heights[0], heights[1], atol=2e-3, rtol=0)
    assert one.scale.std == pytest.approx(other.scale.std, rel=0.3)


@pytest.mark.parametrize("count", [1, 2])
def test_a_marker_that_hardly_anyone_saw_is_not_trusted(count):
    clip = posed(around(4), {})
    seen = posed(around(4), ONE).clip.images[:count]
    images = clip.clip.images.clone()
    images[:count] = seen
    clip = replace(clip, clip=replace(clip.clip, images=images))
    scale, notes = scale_from_markers(clip, SIDE)
    if count == 1:
        assert scale is None
        assert "too seldom" in notes[0]
    else:
        assert scale is not None
        assert scale.std >= 0.03
    assert to_metres(clip, MetricConfig(SIDE)).scale.source == ("prior" if count == 1 else "marker")


def test_a_marker_that_is_nowhere_is_missed_aloud():
    scale, notes = scale_from_markers(posed(around(4), {}), SIDE)
    assert scale is None
    assert notes[0].startswith("Quality: a marker of 0.08 m was promised, but no frame shows one")


def test_markers_of_two_sizes_are_refused_until_one_is_named():
    clip = posed(around(4), {3: (-0.1, 0, SIDE), 9: (0.1, 0, 0.05)})
    with pytest.raises(InputError, match=r"different sizes.*--marker-id"):
        scale_from_markers(clip, SIDE)
    scale, _ = scale_from_markers(clip, 0.05, 9)
    assert scale.value == pytest.approx(1, abs=0.015)


def test_two_markers_of_one_size_agree():
    scale, notes = scale_from_markers(posed(around(4), {3: (-0.1, 0, SIDE), 9: (0.1, 0, SIDE)}), SIDE)
    assert scale.value == pytest.approx(1, abs=0.01)
    assert all(name in notes[0] for name in ("id 3", "id 9"))


@pytest.mark.parametrize("family", ["AprilTag 36h11", "ArUco 6x6"])
def test_other_families_are_found(family):
    scale, notes = scale_from_markers(posed(around(3, turn=1.0), {5: (0, 0, 0.12)}, FAMILIES[family]), 0.12)
    assert f"{family} id 5" in notes[0]
    assert scale.value == pytest.approx(1, abs=0.015)


def test_masks_hide_markers_and_wrong_frames_are_dropped(capture):
    masks = torch.zeros(capture.clip.images.shape[:3], dtype=torch.bool)
    assert find_markers(replace(capture.clip, masks=masks)) == []
    sightings = find_markers(capture.clip)[0]
    wrong = sightings.corners.copy()
    wrong[2] += 25
    measured = measure(replace(sightings, corners=wrong), capture.cameras)
    assert measured.side == pytest.approx(SIDE, rel=0.01)
    assert len(measured.sightings.frames) == len(sightings.frames) - 1


@pytest.mark.parametrize("size", [0.0, -0.1, math.nan, math.inf])
def test_a_marker_has_a_size(size):
    with pytest.raises(InputError, match="the marker size is"):
        MetricConfig(marker_size=size)
    with pytest.raises(InputError, match="not its size"):
        MetricConfig(marker_id=7)


def test_walls_are_no_support():
    """Twice as many points lie on the wall; the cameras' own up tells them apart."""
    poses = torch.stack([c.world_from_camera for c in around(12)])
    support = find_support(surfaces(), poses)
    assert float(support.up[2]) > math.cos(math.radians(0.5))
    assert abs(float(support.point[2])) < 0.002
    alone = surfaces()[1000:2500]
    assert find_support(alone, poses) is None


def test_no_support_leaves_gravity_unknown(capture):
    generator = torch.Generator().manual_seed(0)
    cloud = torch.rand(2000, 3, generator=generator, dtype=torch.float64) - 0.5
    placed = to_metres(replace(capture, points=cloud, colors=capture.colors[:2000], tracks=capture.tracks[:0]))
    assert not bool(placed.gravity.any())
    assert any("up is guessed" in note for note in placed.notes)


def test_known_gravity_is_kept_and_a_robots_frame_stays(capture):
    quat = turn(torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64))
    lying = replace(
        capture.moved(Similarity(1.0, pose.conjugate_quat(quat))),
        scale=Scale(1.0, "poses", 0.01), gravity=torch.tensor([0.0, -9.81, 0.0], dtype=torch.float64),
    )  # fmt: skip
    placed = to_metres(lying)
    assert placed.scale.source == "poses"
    torch.testing.assert_close(placed.cameras[0].world_from_camera[2], capture.cameras[0].world_from_camera[2],
                               atol=2e-3, rtol=0)  # fmt: skip
    robot = replace(capture, scale=Scale(1.0, "poses", 0.003), gravity=torch.tensor([0.0, 0.0, -9.81]).double())
    assert to_metres(robot).cameras is robot.cameras


def test_depth_maps_tell_scale(capture):
    unknown, _ = shaken(capture)
    depths = torch.zeros(capture.clip.images.shape[:3])
    for frame, camera in enumerate(capture.cameras):
        local = pose.transform(pose.inverse(camera.world_from_camera), capture.points)
        pixels = (local[:, :2] / local[:, 2:] * camera.focal + camera.center).long()
        inside = (local[:, 2] > 0) & (pixels >= 0).all(dim=1) & (pixels < torch.tensor(camera.size)).all(dim=1)
        depths[frame][pixels[inside, 1], pixels[inside, 0]] = local[inside, 2].float()
    scale = scale_from_depth(replace(unknown, clip=replace(unknown.clip, depths=depths)))
    assert scale.source == "depth"
    assert scale.value == pytest.approx(0.7, rel=0.005)
    assert scale_from_depth(unknown) is None


def test_a_known_length_tells_scale():
    scale = scale_from_length(torch.tensor([[0.0, 0, 0], [0, 3, 4]]), 2.5)
    assert scale == Scale(0.5, "known_length", 0.01)
    with pytest.raises(InputError, match="the same"):
        scale_from_length(torch.zeros(2, 3), 1.0)
    with pytest.raises(InputError, match="known length is"):
        scale_from_length(torch.eye(3)[:2], math.nan)
    with pytest.raises(InputError, match="finite"):
        scale_from_length(torch.tensor([[0.0, 0, math.inf], [0, 3, 4]]), 1.0)


def test_the_surest_source_wins_and_disagreement_is_told():
    best, notes = best_scale([Scale(0.7, "prior", 0.5), Scale(1.0, "marker", 0.004), Scale(1.05, "depth", 0.01)])
    assert best.source == "marker"
    assert [note for note in notes if note.startswith("Quality:")] == [notes[-1]]
    assert "depth says +5" in notes[-1]
    _, notes = best_scale([Scale(0.7, "prior", 0.5), Scale(1.0, "marker", 0.004), Scale(1.01, "depth", 0.01)])
    assert not any(note.startswith("Quality:") for note in notes)


def test_prior_follows_the_distance(capture):
    assert prior_scale(shaken(capture, 0.5)[0]).value == pytest.approx(0.5 * prior_scale(capture).value, rel=1e-6)


@pytest.mark.parametrize("up", [[0, 0, 1], [0, 0, -1], [1, 0, 0], [0.6, 0, -0.8]])
def test_turn_takes_up_to_z(up):
    up = torch.tensor(up, dtype=torch.float64)
    torch.testing.assert_close(pose.rotate(turn(up), up), torch.tensor([0.0, 0, 1]).double(), atol=1e-6, rtol=0)
