"""Splats as the browser draws them: one node a body, so that motion costs a pose and no splat is sent twice."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
import viser
from torch import Tensor

from splatworld.core import pose
from splatworld.core.camera import Camera
from splatworld.core.splats import SH_CONSTANT, Provenance, Splats
from splatworld.core.state import State
from splatworld.core.world import World, rest_state
from splatworld.render import sh as harmonics
from splatworld.render.rendering import ALPHA_MIN

COLOR_VIEWS = 8
"""Capture cameras over which a splat's colour is averaged; the browser draws one colour from every side."""
LARGEST = 1000.0
"""Splats are drawn at most this many times as large as the median one; fits leave a few that are larger."""
HALF_RANGE = 200.0
"""Largest standard deviation sent, in the node's own unit: its square is what a float16 covariance holds."""
COMPLETED = (230, 40, 200)
"""Colour of completed splats where they are marked."""
TINT = 0.45
"""Share of the colour that a tinted body gets."""


@dataclass(frozen=True)
class SplatArrays:
    """The splats of one body, in its frame.

    Attributes:
        centers: [N, 3] float32, in units of `scale`.
        covariances: [N, 3, 3] float32, in squared units of `scale`.
        colors: [N, 3] uint8 sRGB.
        opacities: [N, 1] uint8.
        completed: [N] bool, those that no camera saw.
        scale: m or capture units a unit of the node has; the browser holds covariances in float16, which has no room
            for the square of a millimetre.
    """

    centers: np.ndarray
    covariances: np.ndarray
    colors: np.ndarray
    opacities: np.ndarray
    completed: np.ndarray
    scale: float

    def __len__(self) -> int:
        return len(self.centers)

    def same(self, other: SplatArrays) -> bool:
        """Whether the other ones are these, number by number."""
        return all(np.array_equal(getattr(self, field.name), getattr(other, field.name)) for field in fields(self))


def drawable(splats: Splats) -> Tensor:
    """[N] bool: splats of finite numbers that are not too faint to be drawn by any rasterizer."""
    finite = torch.stack(
        [getattr(splats, name).isfinite().all(dim=-1) for name in ("means", "log_scales", "quats")]
    ).all(dim=0)
    finite &= splats.sh.isfinite().flatten(1).all(dim=1) & (splats.quats.norm(dim=-1) > 0)
    return finite & (splats.opacities >= ALPHA_MIN)


@torch.no_grad()
def body_arrays(world: World) -> dict[int, SplatArrays]:
    """The drawable splats of every body that has some, by its index in `world.bodies`."""
    splats = world.splats
    keep = drawable(splats)
    if not bool(keep.any()):
        return {}
    kept = splats.select(keep)
    scales = kept.scales.clamp(max=LARGEST * float(kept.scales.median()))
    unit = max(float(scales.max()) / HALF_RANGE, 1e-12)
    colors = (seen_colors(kept, list(world.cameras.values())).clamp(0, 1) * 255 + 0.5).byte()
    opacities = (kept.opacities * 255 + 0.5).byte()
    found = {}
    for index, body in enumerate(world.bodies):
        of_body = torch.nonzero(kept.body_ids == index).squeeze(-1)
        if not len(of_body):
            continue
        body_from_world = pose.inverse(body.rest_pose.double()).float()
        means = pose.transform(body_from_world, kept.means[of_body])
        quats = pose.multiply_quats(body_from_world[3:], pose.normalize_quat(kept.quats[of_body]))
        axes = pose.quat_to_matrix(quats) * (scales[of_body, None, :] / unit)
        found[index] = SplatArrays(
            centers=(means / unit).numpy(),
            covariances=(axes @ axes.transpose(1, 2)).numpy(),
            colors=colors[of_body].numpy(),
            opacities=opacities[of_body, None].numpy(),
            completed=(kept.provenance[of_body] == int(Provenance.COMPLETED)).numpy(),
            scale=unit,
        )
    return found


@torch.no_grad()
def seen_colors(splats: Splats, cameras: list[Camera]) -> Tensor:
    """One colour [N, 3] a splat: the mean of what it shows to the capture's cameras that it lies in view of.

    A splat in view of none, and any splat without cameras, has the colour that is the mean over all directions.
    """
    constant = 0.5 + SH_CONSTANT * splats.sh[:, 0]
    if splats.degree == 0 or not cameras:
        return constant.clamp(min=0)
    step = max(1, -(-len(cameras) // COLOR_VIEWS))
    total, count = torch.zeros(len(splats), splats.sh.shape[1]), torch.zeros(len(splats), 1)
    for camera in cameras[::step]:
        offsets = splats.means - camera.world_from_camera[:3].float()
        local = offsets @ pose.quat_to_matrix(camera.world_from_camera[3:]).float()
        pixels = local[:, :2] / local[:, 2:] * camera.focal.float() + camera.center.float()
        seen = (local[:, 2] > 0) & (pixels >= 0).all(dim=-1) & (pixels < torch.tensor(camera.size)).all(dim=-1)
        directions = torch.nn.functional.normalize(offsets, dim=-1)
        total += harmonics.basis(directions, splats.degree) * seen[:, None]
        count += seen[:, None]
    mean = 0.5 + ((total / count.clamp(min=1))[..., None] * splats.sh).sum(dim=1)
    return torch.where(count > 0, mean, constant).clamp(min=0)


class BodyNodes:
    """Splats of bodies in the browser.

    Attributes:
        drawn: how many of them there are.
    """

    def __init__(
        self,
        server: viser.ViserServer,
        *,
        name: str = "/bodies",
        fade: float = 1.0,
        wash: tuple[int, int, int] | None = None,
        share: float = TINT,
    ) -> None:
        """Nothing yet.

        Args:
            server: of the page.
            name: of the node in the scene that holds them.
            fade: share of their opacity that splats keep.
            wash: a colour mixed with those of all splats.
            share: how much of it.
        """
        self._server, self._name, self._fade = server, name, fade
        self._wash, self._share = wash, share
        self.drawn = 0
        self._arrays: dict[int, SplatArrays] = {}
        self._nodes: dict[int, viser.GaussianSplatHandle] = {}
        self._tinted: dict[int, tuple[int, int, int]] = {}
        self._depth = TINT
        self._marked = False

    def show(self, world: World) -> None:
        """Draw a world at rest in place of the one before; what is the same in both is not sent again."""
        with self._server.atomic():
            self.draw(body_arrays(world))
            self.pose(rest_state(world))

    def draw(self, arrays: dict[int, SplatArrays]) -> None:
        """Draw bodies, by their indices, in place of those before; where they are is left to `pose`."""
        before, self._arrays = self._arrays, arrays
        self.drawn = sum(len(part) for part in arrays.values())
        with self._server.atomic():
            for index in set(self._nodes) - set(arrays):
                self._nodes.pop(index).remove()
            for index, part in arrays.items():
                if index not in before:
                    self._nodes[index] = self._server.scene.add_gaussian_splats(
                        f"{self._name}/{index}",
                        centers=part.centers,
                        covariances=part.covariances,
                        rgbs=self._colors(index),
                        opacities=self._opacities(part),
                        scale=part.scale,
                    )
                elif not part.same(before[index]):
                    node = self._nodes[index]
                    node.set_gaussians(part.centers, part.covariances, self._colors(index), self._opacities(part))
                    node.scale = part.scale

    def pose(self, state: State) -> None:
        """Show the bodies where a single state [no batch] has them; sends seven numbers a body."""
        for index in self._nodes:
            self.place(index, state.world_from_body[index].double().numpy())

    def place(self, index: int, world_from_body: np.ndarray) -> None:
        """Show one body at a pose [7]."""
        if index in self._nodes:
            node = self._nodes[index]
            node.position, node.wxyz = world_from_body[:3], world_from_body[3:]

    def tint(self, tints: dict[int, tuple[int, int, int]], *, completed: bool = False, share: float = TINT) -> None:
        """Mix the colours of bodies with a share of others, and give completed splats a colour of their own.

        What keeps its colour is not sent again.
        """
        before = {index: (color, self._depth) for index, color in self._tinted.items()}
        after = {index: (color, share) for index, color in tints.items()}
        changed = {index for index in {*before, *after} if before.get(index) != after.get(index)}
        changed |= set(self._nodes) if completed != self._marked else set()
        self._tinted, self._marked, self._depth = dict(tints), completed, share
        for index in changed & set(self._nodes):
            self._nodes[index].rgbs = self._colors(index)

    def reveal(self, shown: set[int]) -> None:
        """Hide all bodies but these."""
        for index, node in self._nodes.items():
            if node.visible != (index in shown):
                node.visible = index in shown

    def remove(self) -> None:
        """Take them out of the scene."""
        for node in self._nodes.values():
            node.remove()
        self._nodes, self._arrays = {}, {}

    def _opacities(self, part: SplatArrays) -> np.ndarray:
        """[N, 1] uint8."""
        return part.opacities if self._fade == 1 else (part.opacities * self._fade + 0.5).astype(np.uint8)

    def _colors(self, index: int) -> np.ndarray:
        """[N, 3] uint8 of one body's splats, as they are drawn."""
        part = self._arrays[index]
        colors = part.colors.astype(np.float32)
        if self._marked:
            colors[part.completed] = COMPLETED
        if self._wash is not None:
            colors += self._share * (np.array(self._wash) - colors)
        if index in self._tinted:
            colors += self._depth * (np.array(self._tinted[index]) - colors)
        return (colors + 0.5).astype(np.uint8)
