"""What the quality report says, on scenes where the answer is plain."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from splatworld.core import pose
from splatworld.core.splats import from_points
from splatworld.core.world import World
from splatworld.evaluate.coverage_picture import HEIGHT, draw_coverage
from splatworld.reconstruct.advice import warn
from splatworld.reconstruct.coverage import measure_coverage
from tests.reconstruct.clips import filmed


def looking(clip, turns, eye=lambda turn: torch.stack([2 * turn.cos(), 2 * turn.sin(), torch.tensor(0.7)])):
    """The clip's cameras moved to `eye(turn)`, all looking at the origin."""
    up, middle = torch.tensor([0.0, 0.0, 1.0]), torch.zeros(3)
    cameras = [
        replace(camera, world_from_camera=pose.look_at(eye(torch.tensor(turn)), middle, up))
        for camera, turn in zip(clip.cameras, turns, strict=True)
    ]
    return replace(clip, cameras=tuple(cameras))


@pytest.fixture(scope="module")
def clip():
    return filmed(frames=9)


def wall():
    """A wall of opaque splats at x = 0, and a smaller one behind it that cameras before it cannot see."""
    y, z = torch.meshgrid(torch.linspace(-0.5, 0.5, 40), torch.linspace(-0.5, 0.5, 40), indexing="ij")
    front = torch.stack([torch.zeros_like(y), y, z], dim=-1).reshape(-1, 3)
    y, z = torch.meshgrid(torch.linspace(-0.2, 0.2, 16), torch.linspace(-0.3, 0.1, 16), indexing="ij")
    points = torch.cat([front, torch.stack([torch.full_like(y, -0.8), y, z], dim=-1).reshape(-1, 3)])
    colors = torch.full((len(points), 3), 128, dtype=torch.uint8)
    return World(splats=from_points(points, colors, scale=torch.full((len(points),), 0.02), opacity=0.95, degree=0))


def test_directions_count_only_where_nothing_is_in_between(clip):
    world = wall()
    narrow = measure_coverage(world, looking(clip, [0.01 * i for i in range(9)]))
    assert narrow.directions[:1600].float().mean() == pytest.approx(1, abs=0.01)
    assert int(narrow.directions[1600:].max()) == 0
    assert narrow.share(1, 1) > 0.8
    wide = measure_coverage(world, looking(clip, [-0.8 + 0.2 * i for i in range(9)]))
    assert float(wide.directions[:1600].float().median()) == 4
    assert wide.share(4, 4) > 0.75
    assert wide.inward
    assert float(wide.center.norm()) < 0.1


def test_sectors_tell_which_sides_were_not_filmed(clip):
    around = measure_coverage(wall(), looking(clip, [0.7 * i for i in range(9)]))
    half = measure_coverage(wall(), looking(clip, [0.44 * i for i in range(9)]))
    assert half.summary()["unfilmed"]["level"][-1] in ([180.0, 360.0], [210.0, 360.0])
    assert half.summary()["unfilmed"]["from the top"] == [[0.0, 360.0]]
    missing = [(end - start) % 360 for start, end in around.summary()["unfilmed"]["level"]]
    assert max(missing) <= 90


def test_cameras_that_look_around_themselves(clip):
    """From the middle of a room outwards."""
    up = torch.tensor([0.0, 0.0, 1.0])
    cameras = []
    for i, camera in enumerate(clip.cameras):
        turn = torch.tensor(0.7 * i)
        out = torch.stack([turn.cos(), turn.sin(), torch.tensor(0.0)])
        cameras.append(replace(camera, world_from_camera=pose.look_at(0.2 * out, 2 * out, up)))
    found = measure_coverage(wall(), replace(clip, cameras=tuple(cameras)))
    assert not found.inward
    assert found.elevation.abs().max() < 1


def test_a_held_out_frame_that_looks_elsewhere_is_named(clip):
    turns = [0.02 * i for i in range(9)]
    turns[4] = 3.1  # the wall from behind; frame 4 is held out
    coverage = measure_coverage(wall(), looking(clip, turns))
    assert coverage.unseen["frame_000004"] > 0.25 > coverage.unseen["frame_000008"]
    said = " ".join(warn(wall(), looking(clip, turns), coverage, torch.zeros(6, 3)))
    assert "frame_000004" in said
    assert "Low overlap" in said
    assert "Only 6 frames" in said
    assert "degrees around the scene were not filmed" in said
    assert "exposure" not in said
    jump = torch.tensor([0.0, 0, 0.3, 0.3, 0.3, 0.3])[:, None].expand(6, 3)
    assert "jumps by up to 35 %" in " ".join(warn(wall(), looking(clip, turns), coverage, jump))


def test_the_picture_shows_cameras_and_sectors(clip):
    posed = looking(clip, [0.35 * i for i in range(9)])
    picture = draw_coverage(wall(), posed, measure_coverage(wall(), posed))
    assert picture.shape == (HEIGHT, 2 * HEIGHT + 84, 3)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 5


def test_an_empty_world_has_a_report(clip):
    splats = wall().splats
    world = World(splats=splats.select(torch.zeros(len(splats), dtype=torch.bool)))
    assert measure_coverage(world, clip).share(1, 4) == 0
