"""The front door: a world, a state and a camera to pictures."""

from __future__ import annotations

from torch import Tensor

from splatworld.core.camera import Camera
from splatworld.core.checks import check_choice
from splatworld.core.state import State
from splatworld.core.world import World, frames, rest_state
from splatworld.render import ops, reference
from splatworld.render.rendering import Rendering

BACKENDS = ("cpu", "reference")


def render(
    world: World,
    state: State | None,
    camera: Camera,
    *,
    background: Tensor | None = None,
    antialias: bool = False,
    backend: str = "cpu",
) -> Rendering:
    """Render a world in a state.

    Args:
        world: what to render.
        state: where things are; any leading batch; None for the state of the capture.
        camera: undistorted; its leading batch broadcasts with the state's.
        background: [3] colour behind everything, black by default.
        antialias: as in `ops.rasterize`.
        backend: "cpu" (native kernels) or "reference" (float64 torch, slow, for checking).

    Returns:
        Pictures, batch of state and camera.

    Raises:
        InputError: unknown backend, distorted camera, picture too large.
        ShapeError: the state does not belong to this world.
    """
    check_choice("render", "backend", backend, BACKENDS)
    table = frames(world, rest_state(world) if state is None else state)
    rasterize = ops.rasterize if backend == "cpu" else reference.rasterize
    return rasterize(world.splats, table, camera, skin=world.skin, background=background, antialias=antialias)
