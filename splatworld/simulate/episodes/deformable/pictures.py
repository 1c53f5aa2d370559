"""Pictures of deformable bodies by MuJoCo's renderer, in plain colours: what posed splats are compared with."""

from __future__ import annotations

import mujoco
import numpy as np

from splatworld.core.camera import Camera
from splatworld.node_episodes import NodeEpisodes
from splatworld.simulate.episodes.colors import FIXED_COLOR, TABLE_COLOR, TOOL_COLOR, body_color
from splatworld.simulate.episodes.deformable.physics import Physics
from splatworld.simulate.episodes.deformable.redraw import scene_at
from splatworld.simulate.episodes.pictures import as_camera


class Photographer:
    """Renders the states at the ends of the actions of one stored episode, without shadows.

    Args:
        episodes: with it.
        number: which one.
        size: (width, height) px.
        azimuth, elevation: degrees.
    """

    def __init__(
        self,
        episodes: NodeEpisodes,
        number: int,
        *,
        size: tuple[int, int] = (320, 240),
        azimuth: float = 120.0,
        elevation: float = -50.0,
    ) -> None:
        self._episodes, self._number, self._size = episodes, number, size
        self._physics = Physics(scene_at(episodes, number))
        model = self._physics.model
        for geom in range(model.ngeom):
            name = model.geom(geom).name
            color = TABLE_COLOR if name == "table" else TOOL_COLOR if name.startswith("tool") else FIXED_COLOR
            model.geom_rgba[geom, :3] = color
        model.flex_rgba[0] = (*body_color(int(episodes.numbers[number])), 1.0)
        model.vis.global_.offwidth, model.vis.global_.offheight = size
        model.vis.headlight.ambient[:] = 1.0
        model.vis.headlight.diffuse[:] = model.vis.headlight.specular[:] = 0.0
        model.vis.map.znear, model.stat.extent = 0.01, 1.0
        points = episodes.points[number][:, episodes.mask[number]].flatten(0, 1).numpy()
        low, high = points.min(0), points.max(0)
        self._camera = mujoco.MjvCamera()
        self._camera.lookat[:] = (low + high) / 2
        self._camera.distance = float(np.clip(1.25 * np.linalg.norm(high - low), 0.3, 2.0))
        self._camera.azimuth, self._camera.elevation = azimuth, elevation
        self._options = mujoco.MjvOption()
        self._options.flags[mujoco.mjtVisFlag.mjVIS_FLEXSKIN] = True
        self._renderer = mujoco.Renderer(model, size[1], size[0])

    def __enter__(self) -> Photographer:
        return self

    def __exit__(self, *_: object) -> None:
        self._renderer.close()

    @property
    def camera(self) -> Camera:
        """The same camera for `splatworld.render`."""
        return as_camera(self._camera, self._size, self._physics.model.vis.global_.fovy)

    def picture(self, action: int) -> np.ndarray:
        """[H, W, 3] uint8 sRGB of the state before an action, or of the last."""
        there = self._episodes.mask[self._number]
        points, velocities = (
            getattr(self._episodes, name)[self._number, action, there].double().numpy()
            for name in ("points", "velocities")
        )
        self._physics.put(points, velocities, self._episodes.joints[self._number, 5 * action].double().numpy())
        self._renderer.update_scene(self._physics.data, self._camera, self._options)
        return self._renderer.render().copy()
