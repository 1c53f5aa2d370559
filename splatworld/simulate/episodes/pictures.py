"""Pictures of an episode by MuJoCo's renderer: what rendered predictions are compared with, and galleries."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np
import torch

from splatworld.core import pose
from splatworld.core.camera import Camera
from splatworld.simulate.episodes.colors import TABLE_COLOR, TOOL_COLOR, body_color
from splatworld.simulate.episodes.physics import TABLE, Physics, build
from splatworld.simulate.episodes.record import Episode
from splatworld.simulate.episodes.shapes import shape


class Photographer:
    """Renders the states of one episode.

    Args:
        episode: whose states.
        size: (width, height) px.
        distance: m from the camera to the middle of the scene.
        azimuth, elevation: degrees.
    """

    def __init__(
        self,
        episode: Episode,
        *,
        size: tuple[int, int] = (320, 240),
        distance: float | None = None,
        azimuth: float = 120.0,
        elevation: float = -38.0,
    ) -> None:
        self._episode = episode
        self._physics: Physics = build(episode.scene)
        model = self._physics.model
        for geom, owner in enumerate(self._physics.owner):
            if owner >= 0:
                model.geom_rgba[geom, :3] = body_color(int(owner), bool(episode.scene.fixed[owner]))
            else:
                model.geom_rgba[geom, :3] = TABLE_COLOR if owner == TABLE else TOOL_COLOR
        model.vis.global_.offwidth, model.vis.global_.offheight = size
        model.vis.headlight.ambient[:], model.vis.headlight.diffuse[:] = 0.35, 0.35
        model.vis.map.znear, model.stat.extent = 0.01, 1.0
        self._camera = mujoco.MjvCamera()
        low, high = _bounds(episode)
        self._camera.lookat[:] = (low + high) / 2
        self._camera.distance = distance or float(np.clip(1.25 * np.linalg.norm(high - low), 0.3, 2.0))
        self._camera.azimuth, self._camera.elevation = azimuth, elevation
        self._renderer = mujoco.Renderer(model, size[1], size[0])
        self._size = size

    def __enter__(self) -> Photographer:
        return self

    def __exit__(self, *_: object) -> None:
        self._renderer.close()

    @property
    def camera(self) -> Camera:
        """The same camera for `splatworld.render`."""
        return as_camera(self._camera, self._size, self._physics.model.vis.global_.fovy)

    def picture(self, index: int) -> np.ndarray:
        """[H, W, 3] uint8 sRGB of the recorded state `index`."""
        e, p = self._episode, self._physics
        p.set_state(e.poses[index], e.twists[index], e.joints[index], e.joint_velocities[index])
        self._renderer.update_scene(p.data, self._camera)
        _light(self._renderer.scene)
        return self._renderer.render().copy()


def as_camera(view: mujoco.MjvCamera, size: tuple[int, int], fovy: float) -> Camera:
    """MuJoCo's free camera `view` with pictures of `size` px and a vertical field of `fovy` degrees, for `render`."""
    azimuth, elevation = np.deg2rad([view.azimuth, view.elevation])
    level = np.cos(elevation)
    forward = np.array([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)])
    target = torch.tensor(np.array(view.lookat))
    eye = target - view.distance * torch.from_numpy(forward)
    width, height = size
    focal = height / 2 / np.tan(np.deg2rad(fovy) / 2)
    return Camera(
        focal=torch.full((2,), float(focal), dtype=torch.float64),
        center=torch.tensor([width / 2, height / 2], dtype=torch.float64),
        size=size,
        world_from_camera=pose.look_at(eye, target, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)),
    )


def _bounds(episode: Episode) -> tuple[np.ndarray, np.ndarray]:
    """Opposite corners [3] m of a box around all that the episode shows within a metre of the table's middle."""
    corners = [np.array([[0.0, 0.0, 0.0]])]
    for number, name in enumerate(episode.scene.shapes):
        places, radius = episode.poses[:: len(episode.poses) - 1, number, :3], 0.7 * shape(name).radius
        corners += [places - radius, places + radius]
    if episode.scene.tool is not None:
        corners.append(episode.joints[:, :3])
    found = np.concatenate(corners)
    return np.maximum(found.min(0), (-1, -1, 0)), np.minimum(found.max(0), 1)


def _light(scene: mujoco.MjvScene) -> None:
    """A lamp above with shadows, beside the headlight."""
    lamp = scene.lights[scene.nlight]
    lamp.type, lamp.castshadow, lamp.headlight = int(mujoco.mjtLightType.mjLIGHT_DIRECTIONAL), 1, 0
    lamp.pos[:], lamp.dir[:] = (0.5, -0.4, 2.0), (-0.24, 0.19, -0.95)
    lamp.diffuse[:], lamp.ambient[:], lamp.specular[:] = 0.45, 0.0, 0.1
    scene.nlight += 1


def strip(episode: Episode, *, count: int = 6, size: tuple[int, int] = (240, 180)) -> np.ndarray:
    """[H, count * W, 3] uint8: states of an episode side by side, evenly spread over it."""
    with Photographer(episode, size=size) as photographer:
        # What moves by itself is mostly over soon.
        share = np.linspace(0, 1, count) ** (1 if episode.scene.tool else 2)
        indices = ((len(episode.poses) - 1) * share).round().astype(int)
        return np.concatenate([photographer.picture(int(k)) for k in indices], axis=1)


def sheet(episodes: Sequence[Episode], *, count: int = 6, size: tuple[int, int] = (240, 180)) -> np.ndarray:
    """Strips of several episodes below each other."""
    return np.concatenate([strip(episode, count=count, size=size) for episode in episodes], axis=0)
