"""Space that no camera of a capture has seen, as points in the scene."""

from __future__ import annotations

import numpy as np
import torch
import viser
from scipy.ndimage import binary_dilation

from splatworld.core import pose
from splatworld.core.world import World
from splatworld.geometry.seen import unseen_space

REACH = 0.3
"""m around bodies in which it is shown."""
COLOR = (165, 110, 255)
SIZE = 0.15
"""Of the grid's spacing: diameter of a point."""
MOST = 100_000
"""Points at most."""


def unseen_border(world: World) -> tuple[np.ndarray, float] | None:
    """Points [N, 3] m of unseen space that touch seen space near bodies at rest, and how far they lie apart.

    None where the world does not say what was seen.
    """
    space = unseen_space(world)
    if space is None:
        return None
    unseen = (space.values <= 0).numpy()
    at = np.argwhere(unseen & binary_dilation(~unseen))
    local = space.origin + space.spacing * torch.from_numpy(at).double()
    points = pose.transform(world.bodies[0].rest_pose.double(), local)
    middles = [body.rest_pose[:3].double() for body in world.bodies if body.kind not in ("static", "robot")]
    if middles and len(points):
        points = points[torch.cdist(points, torch.stack(middles)).amin(dim=1) < REACH]
    return points[:: 1 + len(points) // MOST].numpy(), float(space.spacing)


class Unseen:
    """The input that shows it, in worlds that say what was seen."""

    def __init__(self, server: viser.ViserServer, world: World) -> None:
        self._server, self._world = server, world
        self._points: viser.PointCloudHandle | None = None
        grid = world.bodies[0].grid
        shown = server.gui.add_checkbox(
            "Unseen space", False, visible=grid is not None and grid.known is not None,
            hint="the border of what no camera saw, near bodies",
        )  # fmt: skip

        @shown.on_update
        def _(_: viser.GuiEvent) -> None:
            self.show(shown.value)

    def show(self, shown: bool) -> None:
        """Show it or hide it; it is looked for when it is shown first."""
        if shown and self._points is None:
            found = unseen_border(self._world)
            if found is None:
                return
            points, spacing = found
            self._points = self._server.scene.add_point_cloud(
                "/unseen", points.astype(np.float32), COLOR, point_size=SIZE * spacing, point_shape="circle",
                point_shading="flat", precision="float32",
            )  # fmt: skip
        if self._points is not None:
            self._points.visible = shown

    def remove(self) -> None:
        """Take it out of the scene."""
        if self._points is not None:
            self._points.remove()
            self._points = None
