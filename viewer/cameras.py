"""The cameras of the capture: frustums with thumbnails that one flies to by a click."""

from __future__ import annotations

import math
import threading

import cv2
import numpy as np
import torch
import viser
from torch import Tensor

from splatworld.core.camera import Camera
from splatworld.viewer import colors
from splatworld.viewer.callbacks import reported
from splatworld.viewer.clicks import Clicks
from splatworld.viewer.flight import depth_ahead, fly, level, view_of
from splatworld.viewer.source import Source

THUMBNAIL_SIDE = 128
"""Longest side of the pictures in the frustums, px."""
TRAINING, HELD_OUT = (150, 170, 190), (255, 170, 60)
CLEARANCE, CLEARANCE_SHARE = 4.0, 0.35
"""A frustum nearer to the eye than this many times its size, or than this share of the distance to what is looked at,
is hidden: it would stand in the view of its own camera and of the neighbours."""
SPACING_SHARE, LEAST_SHARE, MOST_SHARE = 0.4, 0.02, 0.07
"""Size of a frustum: of the distance between neighbours; at least and at most of the distance to what they look at."""
SIZES = (0.25, 4.0)
"""Least and most by which frustums can be resized."""


class CamerasTab:
    """The cameras in the scene, and the tab that steers them."""

    def __init__(self, server: viser.ViserServer, source: Source, clicks: Clicks, *, shown: bool = True) -> None:
        """
        Args:
            server: of the page.
            source: the world.
            clicks: in the picture.
            shown: whether the cameras are in the scene before anybody asks for them.
        """
        self._server, self._source, self._clicks, gui = server, source, clicks, server.gui
        cameras = source.world.cameras
        self.frustums: dict[str, viser.CameraFrustumHandle] = {}
        self._lock = threading.Lock()
        if not cameras:
            gui.add_markdown("This world has no cameras: it was imported.")
            return
        self._positions = torch.stack([camera.world_from_camera[:3] for camera in cameras.values()]).numpy()
        self._size = frustum_size(list(cameras.values()), source.world.splats.means)
        self._pictures = {name: _shrunk(source.thumbnail(name)) for name in cameras}
        self._shown = gui.add_checkbox("Show cameras", shown)
        self._with_pictures = gui.add_checkbox("Thumbnails", True)
        self._resize = gui.add_slider("Size", min=SIZES[0], max=SIZES[1], step=0.05, initial_value=1.0)
        gui.add_html(colors.swatches([("fitted", TRAINING), ("held out", HELD_OUT)]))
        gui.add_markdown("Click a camera to fly there, or choose one:")
        self._choice = gui.add_dropdown("Camera", tuple(cameras))
        leaf = gui.add_button_group("", ("Previous", "Next", "Fly there"))
        upright = gui.add_button("Level the view", icon=viser.Icon.ARROW_UP, color="gray")
        for name, camera in cameras.items():
            self.frustums[name] = self._add(name, camera)

        @self._shown.on_update
        def _(_: viser.GuiEvent) -> None:
            self.clear_view()

        @self._with_pictures.on_update
        def _(_: viser.GuiEvent) -> None:
            for name, frustum in self.frustums.items():
                frustum.image = self._pictures[name] if self._with_pictures.value else None

        @self._resize.on_update
        def _(_: viser.GuiEvent) -> None:
            for frustum in self.frustums.values():
                frustum.scale = self._size * self._resize.value
            self.clear_view()

        @self._choice.on_update
        @reported
        def _(event: viser.GuiEvent) -> None:
            if event.client is not None:  # chosen by hand
                self.fly_to(event.client, self._choice.value)

        @leaf.on_click
        @reported
        def _(event: viser.GuiEvent) -> None:
            assert event.client is not None
            names = list(cameras)
            by = {"Previous": -1, "Next": 1}.get(event.target.value, 0)
            self.fly_to(event.client, names[(names.index(self._choice.value) + by) % len(names)])

        @upright.on_click
        @reported
        def _(event: viser.GuiEvent) -> None:
            assert event.client is not None
            level(event.client)

    def fly_to(self, client: viser.ClientHandle, name: str) -> None:
        """Take a browser to the view of a camera and choose it in the list."""
        camera = self._source.world.cameras[name]
        self._choice.value = name  # type: ignore[misc]
        fly(client, view_of(camera, self._source.world.splats.means, aspect=client.camera.aspect))

    def clear_view(self) -> None:
        """Hide the frustums that stand in the way of a browser's view, and show the others."""
        with self._lock:
            if not self.frustums:
                return
            free = np.full(len(self._positions), self._shown.value)
            for client in self._server.get_clients().values():
                eye, target = client.camera.position, client.camera.look_at
                size = CLEARANCE * self._size * self._resize.value
                clearance = max(size, CLEARANCE_SHARE * float(np.linalg.norm(target - eye)))
                free &= np.linalg.norm(self._positions - eye, axis=1) > clearance
            for frustum, visible in zip(self.frustums.values(), free.tolist(), strict=True):
                if frustum.visible != visible:
                    frustum.visible = visible

    def remove(self) -> None:
        """Take the cameras out of the scene."""
        with self._lock:
            for frustum in self.frustums.values():
                frustum.remove()
            self.frustums = {}

    def _add(self, name: str, camera: Camera) -> viser.CameraFrustumHandle:
        numbers = camera.world_from_camera.double().numpy()
        frustum = self._server.scene.add_camera_frustum(
            f"/cameras/{len(self.frustums)}",
            fov=2 * math.atan(camera.height / 2 / float(camera.focal[1])),
            aspect=camera.width / camera.height,
            scale=self._size,
            thickness=1.5,
            thickness_units="screen",
            color=HELD_OUT if name in self._source.held_out else TRAINING,
            image=self._pictures[name],
            visible=self._shown.value,
            jpeg_quality=80,
            position=numbers[:3],
            wxyz=numbers[3:],
            cast_shadow=False,
            receive_shadow=False,
        )

        @frustum.on_click
        @reported
        def _(event: viser.SceneNodePointerEvent) -> None:
            self._clicks.take()
            self.fly_to(event.client, name)

        return frustum


def frustum_size(cameras: list[Camera], means: Tensor) -> float:
    """A size at which neighbours hardly overlap, and small beside what they look at."""
    positions = torch.stack([camera.world_from_camera[:3] for camera in cameras]).float()
    away = float(np.median([depth_ahead(camera, means) for camera in cameras[:: max(1, len(cameras) // 8)]]))
    spacing = float((positions[1:] - positions[:-1]).norm(dim=1).median()) if len(cameras) > 1 else away
    return min(max(SPACING_SHARE * spacing, LEAST_SHARE * away), MOST_SHARE * away)


def _shrunk(picture: np.ndarray | None) -> np.ndarray | None:
    if picture is None:
        return None
    factor = min(1.0, THUMBNAIL_SIDE / max(picture.shape[:2]))
    return cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
