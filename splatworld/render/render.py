"""The front door: a world, a state and a camera to pictures."""

from __future__ import annotations

from torch import Tensor

from splatworld.core.camera import Camera
from splatworld.core.checks import check_choice
from splatworld.core.state import State
from splatworld.core.world import World, frames, rest_state
from splatworld.render import ops, reference
from splatworld.render.rendering import Rendering

BACKENDS = ("native", "reference")


def render(
    world: World,
    state: State | None,
    camera: Camera,
    *,
    background: Tensor | None = None,
    antialias: bool = False,
    backend: str = "native",
) -> Rendering:
    """Render a world in a state, on the device where its splats are; see `World.to`.

    Args:
        world: what to render.
        state: where things are; any leading batch; None for the state of the capture. It, the camera and the background
            may be on the CPU whatever the device: what is read of them is small, and goes where the splats are.
        camera: undistorted; its leading batch broadcasts with the state's.
        background: [3] colour behind everything, black by default.
        antialias: as in `ops.rasterize`.
        backend: "native" (compiled kernels) or "reference" (float64 torch, slow, for checking).

    Returns:
        Pictures, batch of state and camera.

    Raises:
        InputError: unknown backend, distorted camera, picture too large.
        ShapeError: the state does not belong to this world.
    """
    check_choice("render", "backend", backend, BACKENDS)
    device = world.splats.means.device
    table = frames(world, rest_state(world) if state is None else state).to(device)
    rasterize = ops.rasterize if backend == "native" else reference.rasterize
    floor = None if background is None else background.to(device)
    return rasterize(world.splats, table, camera.to(device), skin=world.skin, background=floor, antialias=antialias)
