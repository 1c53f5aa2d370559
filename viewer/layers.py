"""A rollout's bodies in the scene: rigid ones are moved, deformable ones are drawn anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import viser
from torch import Tensor

from splatworld.core import pose
from splatworld.core.world import Skin, World, frames
from splatworld.render.reference import pose_splats
from splatworld.viewer.body_nodes import BodyNodes
from splatworld.viewer.splats import LARGEST, SplatArrays, drawable
from splatworld.viewer.tracks import Track

IDENTITY = np.array([0.0, 0, 0, 1, 0, 0, 0])


class Layer:
    """One rollout in the scene.

    Attributes:
        track: the rollout.
        nodes: its bodies.
        offset: [3] from where it takes place to where it is shown.
    """

    def __init__(
        self,
        server: viser.ViserServer,
        world: World,
        name: str,
        *,
        fade: float = 1.0,
        wash: tuple[int, int, int] | None = None,
        sketch: bool = False,
    ) -> None:
        """Nothing yet; see `show_bodies`.

        Args:
            server: of the page.
            world: of the rollout.
            name: of its node in the scene.
            fade, wash, sketch: as of `BodyNodes`.
        """
        self._world = world
        self._frame = server.scene.add_frame(name, show_axes=False)
        self.nodes = BodyNodes(server, name=name, fade=fade, wash=wash, sketch=sketch)
        self.offset = np.zeros(3)
        self._soft: dict[int, Soft] = {}
        self._arrays: dict[int, SplatArrays] = {}

    def show_bodies(self, track: Track, arrays: dict[int, SplatArrays], offset: np.ndarray | None = None) -> None:
        """Draw a rollout's bodies, by their indices, in place of those before; where they are is left to `at`."""
        self.track, self._arrays = track, arrays
        self.offset = np.zeros(3) if offset is None else offset
        self._frame.position = self.offset
        deformable = {i for i in arrays if self._world.bodies[i].node_range is not None} & track_soft(
            track, self._world
        )
        self._soft = {i: self._soft.get(i) or Soft(self._world, i) for i in deformable}
        self.nodes.draw(arrays)

    def follow(self, track: Track) -> None:
        """Go on with the same rollout after it grew or was cut."""
        self.track = track
        if track_soft(track, self._world) & set(self._arrays) != set(self._soft):
            self.show_bodies(track, self._arrays, self.offset)

    def at(self, time: float) -> None:
        """Show a time: sends seven numbers a rigid body that moved, and the splats of deformable ones that did."""
        poses = self.track.poses[self.track.index(time)]
        for index in self._arrays:
            if index not in self._soft:
                self.nodes.place(index, poses[index])
        if self._soft:
            table = frames(self._world, self.track.state(time))
            parts = {i: self._soft[i].posed(self._arrays[i], table) for i in self._soft}
            self.nodes.draw(self._arrays | parts)
            for index in parts:
                self.nodes.place(index, IDENTITY)

    def remove(self) -> None:
        """Take it out of the scene."""
        self.nodes.remove()
        self._frame.remove()


class Soft:
    """The drawable splats of a deformable body, to be posed by its nodes."""

    def __init__(self, world: World, index: int) -> None:
        assert world.skin is not None
        own = torch.nonzero(drawable(world.splats) & (world.splats.body_ids == index)).squeeze(-1)
        self._splats = world.splats.select(own)
        self._skin = Skin(world.skin.indices[own], world.skin.weights[own])
        self._largest = LARGEST * float(world.splats.scales.median())

    @torch.no_grad()
    def posed(self, part: SplatArrays, table: Tensor) -> SplatArrays:
        """The body's arrays in the frame of the world, as a table of frames [F, 7] has it."""
        means, quats, _ = pose_splats(self._splats, table, self._skin)
        axes = pose.quat_to_matrix(quats.float()) * (self._splats.scales.clamp(max=self._largest)[:, None] / part.scale)
        return replace(
            part, centers=(means.float() / part.scale).numpy(), covariances=(axes @ axes.transpose(1, 2)).numpy()
        )


def track_soft(track: Track, world: World) -> set[int]:
    """Indices of the deformable bodies that change their shape in a rollout."""
    nodes = track.rollout.states.nodes
    moved = (nodes != world.rest_nodes.to(nodes)).any(dim=-1).any(dim=0)
    ranges = {i: body.node_range for i, body in enumerate(world.bodies) if body.node_range is not None}
    return {i for i, (first, last) in ranges.items() if bool(moved[first:last].any())}
