"""What the fit learns of its cameras."""

from dataclasses import replace

import torch

from splatworld.core import pose
from splatworld.core.camera import Camera
from splatworld.evaluate.robustness import fingerprint
from splatworld.reconstruct import poses
from splatworld.reconstruct.fit import FitConfig, fit
from splatworld.render.ops import camera_rows
from tests.reconstruct.clips import filmed, ring

QUICK = FitConfig(iterations=150, splats=900, relocate_every=20, sh_degree=0, coarse_until=0.2)


def test_twist_gradient_is_the_derivative_of_the_row():
    generator = torch.Generator().manual_seed(3)
    given = pose.exp(torch.randn(6, generator=generator, dtype=torch.float64))
    weights = torch.randn(24, generator=generator, dtype=torch.float64)

    def row(twist):
        moved = pose.compose(given, pose.exp(twist))
        return camera_rows(Camera(torch.ones(2).double(), torch.ones(2).double(), (4, 3), moved))

    twist = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    (row(twist) @ weights).backward()
    torch.testing.assert_close(poses.twist_gradient(row(torch.zeros(6).double()), weights), twist.grad)


def test_motions_are_the_slope_of_the_path():
    twist = torch.tensor([0.3, -0.1, 0.2, 0.1, 0.4, -0.2], dtype=torch.float64)
    times = torch.tensor([0.0, 0.31, 0.7, 3.0, 3.2], dtype=torch.float64)
    start = ring(1)[0]

    def at(seconds):
        moved = pose.compose(start.world_from_camera.double(), pose.exp(seconds * twist))
        return replace(start, world_from_camera=moved)

    motions = poses.camera_motions(times, [at(float(t)) for t in times])
    ahead = pose.log(pose.compose(pose.inverse(at(0.699).world_from_camera), at(0.701).world_from_camera)) / 0.002
    assert float((motions[2] - ahead).abs().max()) < 0.05
    torch.testing.assert_close(motions[1], _slope(at, 0.31), atol=5e-3, rtol=0)
    assert float((motions[4] - _slope(at, 3.2)).abs().max()) < 0.05
    order = torch.tensor([3, 1, 4, 0, 2])
    shuffled = poses.camera_motions(times[order], [at(float(t)) for t in times[order]])
    assert torch.equal(shuffled, motions[order])


def _slope(at, time):
    before, after = (at(time + step).world_from_camera for step in (-1e-4, 1e-4))
    here = pose.inverse(at(time).world_from_camera)
    return (pose.log(pose.compose(here, after)) - pose.log(pose.compose(here, before))) / 2e-4


def test_image_folders_stand_still():
    assert not poses.camera_motions(torch.arange(4), ring(4)).any()


def test_a_known_readout_pays_and_leaves_still_cameras():
    """The readout takes as long as the time between frames, far more than a phone's, to show in few pixels."""
    clip = filmed(frames=13, shutter=(0.2, 0.0), every=0.161)
    moving, still = fit(clip, replace(QUICK, readout=0.2)), fit(clip, replace(QUICK, readout=0.0))
    assert moving.metrics["psnr_mean"] > still.metrics["psnr_mean"] + 0.2
    assert all(camera.motion is None for camera in moving.cameras.values())


def test_pictures_upright_or_without_a_clock_are_read_in_an_instant():
    clip = filmed(frames=5, every=1.0)
    upright = filmed(frames=5, every=0.3)
    upright = replace(
        upright,
        clip=replace(upright.clip, images=upright.clip.images.transpose(1, 2).contiguous()),
        cameras=tuple(replace(camera, size=camera.size[::-1]) for camera in upright.cameras),
    )
    for posed in (clip, upright):
        cameras = poses.Cameras(posed, [1, 2, 3], FitConfig(readout=0.015), 1.0)
        assert all(camera.motion is None for camera in cameras.seen())


def test_held_out_corrections_follow_their_neighbours():
    posed = filmed(frames=5, every=0.3)
    cameras = poses.Cameras(posed, [1, 3], FitConfig(), 1.0)
    cameras.corrections = torch.arange(12).reshape(2, 6).double() * 1e-3
    for frame, correction in (
        (1, cameras.corrections[0]),
        (2, cameras.corrections.mean(0)),
        (4, cameras.corrections[1]),
    ):
        moved = pose.compose(posed.cameras[frame].world_from_camera.double(), pose.exp(correction))
        torch.testing.assert_close(cameras.still()[frame].world_from_camera, moved.float())


def test_threads_change_no_byte_of_the_poses():
    config = replace(QUICK, iterations=60, poses_rate=1e-3)
    clip = filmed(frames=13, every=0.161)
    one = fit(clip, replace(config, threads=1))
    assert fingerprint(one) == fingerprint(fit(clip, replace(config, threads=2)))
    assert fingerprint(one) != fingerprint(fit(clip, replace(config, poses_rate=0.0)))


def test_wrong_poses_are_corrected_up_to_what_all_have_in_common():
    clip = filmed(frames=13)
    train = ~clip.clip.held_out
    generator = torch.Generator().manual_seed(1)
    shakes = 0.02 * torch.randn(13, 6, generator=generator) * train[:, None]
    truth = torch.stack([camera.world_from_camera.double() for camera in clip.cameras])
    wrong = zip(clip.cameras, pose.compose(truth, pose.exp(shakes.double())).float(), strict=True)
    shaken = replace(clip, cameras=tuple(replace(camera, world_from_camera=place) for camera, place in wrong))

    def error(config):
        world = fit(shaken, config)
        found = torch.stack([world.cameras[name].world_from_camera for name in clip.clip.names])
        turns = pose.log(pose.compose(pose.inverse(truth), found))[train, 3:]
        return float((turns - turns.mean(dim=0)).norm(dim=-1).mean())

    config = replace(QUICK, iterations=250)
    assert error(replace(config, poses_rate=1e-2, poses_from=0.1)) < 0.6 * error(config)
