"""`splatworld import FILE -o WORLD`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from splatworld.cli.terminal import Common, Terminal, table


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Make a world of splats that another tool trained, of a robot, or of a scene for a physics engine."""

    file: Annotated[Positional[Path], arg(metavar="FILE")]
    """A .ply in the INRIA layout or a .splat file, which become one static body; a robot as .urdf; a scene in MuJoCo's
    .xml."""
    output: Annotated[Path, arg(aliases=["-o"], metavar="WORLD")]
    """Folder to write the world to."""
    overwrite: bool = False
    """Replace the world that is there, its capture included."""


def run(options: Options, terminal: Terminal) -> None:
    from dataclasses import replace

    from splatworld.core.world import World
    from splatworld.ply import read_splats
    from splatworld.robot.load import read_scene
    from splatworld.store import check_target, save_world

    check_target(options.output, overwrite=options.overwrite)
    if options.file.suffix.lower() in (".urdf", ".xml"):
        world, notes = read_scene(options.file)
        for note in notes:
            terminal.say(note)
    else:
        splats = read_splats(options.file)
        world = World(splats=replace(splats, body_ids=splats.body_ids * 0))
    name = save_world(world, options.output, overwrite=options.overwrite, capture=lambda folder: None)
    data = {"world": str(options.output), "id": name, "bodies": len(world.bodies), "splats": len(world.splats)}
    terminal.result(data, table(data))
