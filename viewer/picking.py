"""What a browser's window shows at a pixel."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from splatworld.bodies import correct
from splatworld.core import pose
from splatworld.core.camera import Camera, unproject
from splatworld.core.splats import Provenance
from splatworld.core.state import State
from splatworld.core.world import Skin, World, frames, rest_state
from splatworld.render.render import render

WINDOW = "the window"
"""The camera of a browser's window among those of a world."""


def picked(world: World, camera: Camera, pixel: Tensor, shown: set[int]) -> int:
    """Index of the body that a pixel [2] of a view shows where only the bodies `shown` are.

    Raises:
        InputError: as `correct.pick`.
    """
    return correct.pick(replace(_only(world, shown), cameras={WINDOW: camera}), WINDOW, _pair(pixel))[0]


@dataclass(frozen=True)
class Seen:
    """What a pixel shows.

    Attributes:
        body: index in `World.bodies`.
        point: [3] where, world frame.
        distance: from the eye.
        provenance: of the splat of that body whose middle is nearest to it.
    """

    body: int
    point: Tensor
    distance: float
    provenance: Provenance

    def told(self, *, metric: bool) -> str:
        """In words: whether it was observed, where it is, and how far away."""
        unit, factor = (" cm", 100.0) if metric else ("", 1.0)
        place = ", ".join(f"{factor * value:.1f}" for value in self.point.tolist())
        return f"{self.provenance.name.lower()}; at {place}{unit}, {factor * self.distance:.4g}{unit} from the eye"


def seen_at(world: World, state: State | None, camera: Camera, pixel: Tensor, shown: set[int]) -> Seen | None:
    """What a pixel [2] of a view of a world in a state shows where only the bodies `shown` are; None for nothing."""
    world = _only(world, shown)
    corner = pixel.floor()
    one = replace(camera, size=(1, 1), center=camera.center - corner)
    drawn = render(world, state, one)
    body = int(drawn.body_ids[0, 0])
    if body < 0:
        return None
    point = unproject(camera, corner + 0.5, drawn.median_depth[0, 0].double())
    own = torch.nonzero(world.splats.body_ids == body).squeeze(-1)
    table = frames(world, rest_state(world) if state is None else state)[body].double()
    there = pose.transform(pose.inverse(table), point).float()
    nearest = own[(world.splats.means[own] - there).norm(dim=1).argmin()]
    distance = float((point - camera.world_from_camera[:3]).norm())
    return Seen(body, point, distance, Provenance(int(world.splats.provenance[nearest])))


def _only(world: World, shown: set[int]) -> World:
    """The world with the splats of some bodies alone."""
    if len(shown) == len(world.bodies):
        return world
    keep = torch.isin(world.splats.body_ids, torch.tensor(sorted(shown), dtype=world.splats.body_ids.dtype))
    skin = None if world.skin is None else Skin(world.skin.indices[keep], world.skin.weights[keep])
    return replace(world, splats=world.splats.select(keep), skin=skin)


def grown(world: World, camera: Camera, pixel: Tensor) -> World:
    """The world with a body of what stands up at a pixel [2] of a view; the same object if it is one already.

    Raises:
        InputError: as `correct.click`.
    """
    through = replace(world, cameras={WINDOW: camera})
    after = correct.click(through, WINDOW, _pair(pixel))
    return world if after is through else replace(after, cameras=world.cameras)


def _pair(pixel: Tensor) -> tuple[float, float]:
    x, y = pixel.tolist()
    return x, y
