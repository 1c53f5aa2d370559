"""`splatworld scale WORLD`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from splatworld.cli.terminal import Common, Terminal, table

if TYPE_CHECKING:
    from splatworld.core.world import Scale, World


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Give a finished world its metres; turn it upright too where up was unknown. The world is replaced as a whole.

    Either a marker in its held-out pictures, or a known length between two points: pixels of one camera (see the
    pictures of `splatworld render`), or places in the world. In `splatworld view` two points can be clicked.
    """

    world: Annotated[Positional[Path], arg(metavar="WORLD")]
    """A world's folder."""
    marker_size: float | None = None
    """Side of the black square of the printed markers in view (ArUco, AprilTag), m."""
    marker_id: int | None = None
    """The one marker that has this size, where others are in view."""
    known_length: float | None = None
    """How far the two points lie apart, m."""
    camera: str | None = None
    """Camera whose picture `--pixels` are in, as `info --json` lists them; the first if left out."""
    pixels: tuple[float, float, float, float] | None = None
    """X1 Y1 X2 Y2 of the two points, px."""
    points: tuple[float, float, float, float, float, float] | None = None
    """X Y Z of one point and X Y Z of the other, in the world's present unit."""


def run(options: Options, terminal: Terminal) -> None:
    from splatworld import store
    from splatworld.bodies.rescale import rescale_saved

    store.check_target(options.world, overwrite=True)
    scale = _scale(options, store.load_world(options.world))
    world, notes = rescale_saved(options.world, scale)
    data: dict[str, Any] = {
        "world": str(options.world),
        "factor": scale.value,
        "scale": {"value": world.scale.value, "source": world.scale.source, "std": world.scale.std},
        "gravity": world.gravity.tolist(),
    }
    terminal.result(data, table({"world": options.world, "lengths times": f"{scale.value:.4g}", "scale": world.scale}))
    for note in notes:
        terminal.say(note)


def _scale(options: Options, world: World) -> Scale:
    """Metres a present unit of the world."""
    import torch

    from splatworld.bodies.rescale import scale_from_held_out, scale_from_pixels
    from splatworld.capture.metric import MetricConfig
    from splatworld.capture.scale import scale_from_length
    from splatworld.core.checks import InputError, check_choice

    marker = MetricConfig(options.marker_size, options.marker_id)
    if (options.known_length is None) == (marker.marker_size is None):
        raise InputError("scale: give either --marker-size, or --known-length with --pixels or --points.")
    if marker.marker_size is not None:
        return scale_from_held_out(world, options.world, marker.marker_size, marker.marker_id)
    assert options.known_length is not None
    if (options.pixels is None) == (options.points is None):
        raise InputError("scale: --known-length needs its two points: give either --pixels or --points.")
    if options.points is not None:
        return scale_from_length(torch.tensor(options.points).double().reshape(2, 3), options.known_length)
    if not world.cameras:
        raise InputError(f"{options.world}: this world has no cameras, it was imported; give --points.")
    name = options.camera or next(iter(world.cameras))
    check_choice("scale", "camera", name, tuple(world.cameras))
    ends = torch.tensor(options.pixels, dtype=torch.float64).reshape(2, 2)
    return scale_from_pixels(world, world.cameras[name], ends, options.known_length)
