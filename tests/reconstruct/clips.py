"""A small world filmed by ideal cameras."""

import math
from dataclasses import replace

import torch

from splatworld.core import pose
from splatworld.core.camera import Camera, project
from splatworld.core.clip import Clip, PosedClip
from splatworld.core.splats import from_points
from splatworld.reconstruct.poses import camera_motions
from splatworld.render import ops

SIZE = (48, 40)


def ring(count: int) -> list[Camera]:
    """Cameras on an arc around the origin that look at it."""
    up = torch.tensor([0.0, 0.0, 1.0])
    cameras = []
    for i in range(count):
        angle = 1.5 * i / count
        eye = torch.tensor([2 * math.cos(angle), 2 * math.sin(angle), 0.7])
        cameras.append(
            Camera(
                focal=torch.tensor([45.0, 45.0]),
                center=torch.tensor([24.0, 20.0]),
                size=SIZE,
                world_from_camera=pose.look_at(eye, torch.zeros(3), up),
            )
        )
    return cameras


def filmed(
    frames: int = 9,
    points: int = 400,
    seed: int = 0,
    with_depth: bool = False,
    shutter: tuple[float, float] | None = None,
    every: float = 1 / 3,
) -> PosedClip:
    """A coloured blob, its pictures and the points that structure from motion would find on it.

    With a `shutter` the cameras walk along the arc while they expose, one frame in `every` s.
    """
    generator = torch.Generator().manual_seed(seed)
    place = torch.randn(points, 3, generator=generator) * 0.35
    color = (torch.rand(points, 3, generator=generator) * 255).to(torch.uint8)
    truth = from_points(place, color, scale=torch.full((points,), 0.08), opacity=0.9, degree=0)
    cameras = ring(frames)
    exposing = cameras
    if shutter is not None:
        motions = camera_motions(torch.arange(frames).double() * every, cameras).float()
        exposing = [
            replace(camera, motion=motion, shutter=torch.tensor(shutter))
            for camera, motion in zip(cameras, motions, strict=True)
        ]
    views = [ops.rasterize(truth, pose.identity(1), camera) for camera in exposing]
    images = [view.image for view in views]
    tracks = []
    for frame, camera in enumerate(cameras):
        pixels, depth = project(camera, place)
        seen = (depth > 0) & (pixels >= 0).all(dim=-1) & (pixels < torch.tensor(SIZE)).all(dim=-1)
        if with_depth:  # else points inside the blob are sighted as well
            column, row = torch.where(seen[:, None], pixels, torch.zeros_like(pixels)).long().unbind(-1)
            seen &= depth < 1.03 * views[frame].median_depth[row, column]
        tracks.append(torch.stack([torch.nonzero(seen).squeeze(-1), torch.full((int(seen.sum()),), frame)], dim=-1))
    held_out = torch.zeros(frames, dtype=torch.bool)
    held_out[::4] = True
    clip = Clip(
        images=(torch.stack(images).clamp(0, 1) * 255).round().to(torch.uint8),
        times=torch.arange(frames).double() * every,
        held_out=held_out,
        names=tuple(f"frame_{i:06d}" for i in range(frames)),
        depths=torch.stack([view.median_depth for view in views]) if with_depth else None,
    )
    return PosedClip(clip=clip, cameras=tuple(cameras), points=place, colors=color, tracks=torch.cat(tracks))
