"""Sharp pictures, depth and body ids of a tabletop scene at given camera poses."""

from __future__ import annotations

import mujoco
import numpy as np

from splatworld.simulate.phone import TO_LINEAR, to_display
from splatworld.simulate.tabletop import Tabletop

LAMP_RADIUS = 0.07
CASTERS = ("table top", "oak")


class Camera:
    """An off-screen renderer with exact intrinsics.

    Lamps are discs: a picture is lit from one point of each, chosen by `phase` of `phases`, and shifted by a fraction
    of a pixel; averaging all phases gives soft shadows and smooth edges.
    """

    def __init__(
        self, scene: Tabletop, *, size: tuple[int, int], focal: float, phases: int, without: str | None = None
    ) -> None:
        self.scene, self.size, self.focal, self.phases = scene, size, focal, phases
        self._renderer = mujoco.Renderer(scene.model, size[1], size[0])
        self._pixels = np.empty((size[1], size[0], 3), np.uint8)
        self.show(without)

    def close(self) -> None:
        """Free the graphics context."""
        self._renderer.close()

    def show(self, without: str | None = None) -> None:
        """Put every body at rest; `without` names one to leave out."""
        self.show_state(self.scene.at_rest(without))

    def show_state(self, data: mujoco.MjData) -> None:
        """Show the scene as it is in `data`."""
        model, renderer = self.scene.model, self._renderer
        options = mujoco.MjvOption()
        options.geomgroup[:] = 0
        options.geomgroup[2] = 1
        renderer.update_scene(data, scene_option=options)
        for geom in renderer.scene.geoms[: renderer.scene.ngeom]:
            fixed = model.geom_bodyid[geom.objid] == 0
            geom.castshadow = not fixed or model.geom(geom.objid).name.removeprefix("see ") in CASTERS
        lights = renderer.scene.lights[: renderer.scene.nlight]
        self._lamps = {
            k: np.array(light.pos) for k, light in enumerate(lights) if light.castshadow and not light.headlight
        }

    def _aim(self, pose: np.ndarray, offset: tuple[float, float] = (0.0, 0.0)) -> None:
        rotation = np.empty(9)
        mujoco.mju_quat2Mat(rotation, np.asarray(pose[3:], float))
        axes = rotation.reshape(3, 3)
        extent = self.scene.model.stat.extent
        near, far = (getattr(self.scene.model.vis.map, k) * extent for k in ("znear", "zfar"))
        scale = near / self.focal
        width, height = self.size
        for eye in self._renderer.scene.camera:
            eye.pos, eye.forward, eye.up = pose[:3], axes[:, 2], -axes[:, 1]
            eye.frustum_near, eye.frustum_far = near, far
            eye.frustum_center, eye.frustum_width = offset[0] * scale, width / 2 * scale
            eye.frustum_bottom, eye.frustum_top = (-height / 2 + offset[1]) * scale, (height / 2 + offset[1]) * scale

    def sharp(self, pose: np.ndarray, phase: int) -> np.ndarray:
        """One sharp picture [H,W,3] u8 at world_from_camera `pose` [7]."""
        golden = 2.399963
        scene = self._renderer.scene
        for number, middle in self._lamps.items():
            radius = LAMP_RADIUS * np.sqrt((phase + 0.5) / self.phases)
            turn = golden * phase * 3 + number
            scene.lights[number].pos = middle + radius * np.array([np.cos(turn), np.sin(turn), 0.0])
        x = (phase + 0.5) / self.phases - 0.5
        rank = np.argsort(np.argsort(np.arange(self.phases) * 0.618034 % 1.0))
        y = (rank[phase] + 0.5) / self.phases - 0.5
        self._aim(pose, (x, y))
        return self._renderer.render(out=self._pixels).copy()

    def clean(self, pose: np.ndarray) -> np.ndarray:
        """The noise-free, motionless picture [H,W,3] u8 at `pose` [7]: all phases averaged in linear light."""
        total = np.zeros((self.size[1], self.size[0], 3), np.float32)
        for phase in range(self.phases):
            total += TO_LINEAR[self.sharp(pose, phase)]
        return (to_display(total / self.phases) * 255 + 0.5).astype(np.uint8)

    def depth(self, pose: np.ndarray) -> np.ndarray:
        """[H,W] m along the optical axis, through pixel centres."""
        self._aim(pose)
        self._renderer.enable_depth_rendering()
        try:
            return self._renderer.render().copy()
        finally:
            self._renderer.disable_depth_rendering()

    def ids(self, pose: np.ndarray) -> np.ndarray:
        """[H,W] u8: the id of the body seen at the pixel centre, 0 for room and table."""
        self._aim(pose)
        self._renderer.enable_segmentation_rendering()
        try:
            seen = self._renderer.render().copy()
        finally:
            self._renderer.disable_segmentation_rendering()
        model = self.scene.model
        table = np.zeros(model.ngeom + 1, np.uint8)
        for p in self.scene.placed:
            table[np.flatnonzero(model.geom_bodyid == model.body(p.thing.name).id)] = p.id
        geom = np.where(seen[..., 1] == int(mujoco.mjtObj.mjOBJ_GEOM), seen[..., 0], model.ngeom)
        return table[geom]
