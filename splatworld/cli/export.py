"""`splatworld export WORLD -o FILE`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from splatworld.cli.terminal import Common, Terminal, table


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Write a world for other tools: its splats, or its bodies for a physics engine."""

    world: Annotated[Positional[Path], arg(metavar="WORLD")]
    """A world's folder."""
    output: Annotated[Path, arg(aliases=["-o"], metavar="FILE")]
    """File to write."""
    format: Literal["ply", "mjcf"] = "ply"
    """ply: the splats in the INRIA layout, which every splat viewer opens; mjcf: bodies, joints and shapes as a MuJoCo
    model, with a folder of meshes beside it."""
    overwrite: bool = False
    """Replace the file that is there."""


def run(options: Options, terminal: Terminal) -> None:
    from splatworld.core.checks import InputError
    from splatworld.ply import write_splats
    from splatworld.robot.mjcf import write_mjcf
    from splatworld.store import load_world

    if options.output.exists() and not (options.overwrite and options.output.is_file()):
        raise InputError(f"{options.output}: something is there already; choose another path or pass --overwrite.")
    world = load_world(options.world)
    data: dict[str, object] = {"file": str(options.output), "format": options.format}
    if options.format == "mjcf":
        for note in write_mjcf(options.output, world, overwrite=options.overwrite):
            terminal.say(note)
        data["bodies"] = len(world.bodies)
    else:
        write_splats(options.output, world.splats)
        data["splats"] = len(world.splats)
    terminal.result(data, table(data))
