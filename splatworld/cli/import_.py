"""`splatworld import FILE -o WORLD`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from splatworld.cli.terminal import Common, Terminal, table

if TYPE_CHECKING:
    from splatworld.core.world import World

SCENES = (".urdf", ".xml")
PLACING = ("name", "at", "quat", "scale", "close")
"""Options about a thing that is put into a world."""


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Make a world of splats that another tool trained, of a robot, or of a scene for a physics engine.

    Or put a thing or a robot from a file into a copy of a world.
    """

    file: Annotated[Positional[Path], arg(metavar="FILE")]
    """A .ply in the INRIA layout or a .splat file, which become one static body; a robot as .urdf; a scene in MuJoCo's
    .xml. With --into: splats or a mesh (.ply, .obj, .stl, .off, .glb, .gltf, .dae), which become one rigid body; a
    robot; or a tool that flies by itself: sphere_pusher, cylinder_pusher, box_pusher, parallel_gripper."""
    output: Annotated[Path, arg(aliases=["-o"], metavar="WORLD")]
    """Folder to write the world to."""
    into: Annotated[Path | None, arg(metavar="WORLD_IN")] = None
    """A metric world to put the file's thing into; stays as it is unless it is also the output."""
    name: str | None = None
    """With --into: the body's name; the file's by default."""
    at: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """With --into: where the file's origin goes, m."""
    quat: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    """With --into: how the file's axes are turned, w x y z; 0.7071 0.7071 0 0 makes y point up."""
    scale: float = 1.0
    """With --into: metres in a unit of the file; 0.001 for millimetres."""
    close: bool = False
    """With --into: fill the holes of an open mesh."""
    overwrite: bool = False
    """Replace the world that is there, its capture included."""


def run(options: Options, terminal: Terminal) -> None:
    from dataclasses import replace

    from splatworld.core.checks import InputError
    from splatworld.core.world import World
    from splatworld.ply import read_splats
    from splatworld.robot.load import read_scene
    from splatworld.store import check_target, copy_capture, save_world

    given = [
        name for name in ("name", "at", "quat", "scale", "close") if getattr(options, name) != getattr(Options, name)
    ]
    check_target(options.output, overwrite=options.overwrite)
    if options.into is not None:
        world, notes = _grown(options, options.into, given)
    elif given:
        raise InputError(f"import: --{given[0]} is about a thing in a world; name the world with --into.")
    elif options.file.suffix.lower() in SCENES:
        world, notes = read_scene(options.file)
    else:
        splats = read_splats(options.file)
        world, notes = World(splats=replace(splats, body_ids=splats.body_ids * 0)), ()
    for note in notes:
        terminal.say(note)
    capture = (lambda folder: None) if options.into is None else copy_capture(options.into)
    name = save_world(world, options.output, overwrite=options.overwrite, capture=capture)
    data = {"world": str(options.output), "id": name, "bodies": len(world.bodies), "splats": len(world.splats)}
    terminal.result(data, table(data))


def _grown(options: Options, into: Path, given: list[str]) -> tuple[World, tuple[str, ...]]:
    """The world `into` with what the file holds, and notes on what was assumed."""
    import torch

    from splatworld.bodies.edit import check_metric, import_body, unit_pose
    from splatworld.core.checks import InputError
    from splatworld.robot.load import load_robot
    from splatworld.robot.place import add_robot
    from splatworld.robot.tools import TOOLS
    from splatworld.store import load_world

    world = load_world(into)
    placed = torch.tensor([*options.at, *options.quat], dtype=torch.float64)
    tool = None if options.file.exists() else TOOLS.get(str(options.file))
    if tool is None and options.file.suffix.lower() not in SCENES:
        name = options.file.stem if options.name is None else options.name
        world = import_body(
            world, options.file, name=name, world_from_file=placed, scale=options.scale, close=options.close
        )
        return world, ()
    meant = [name for name in given if name not in ("at", "quat")]
    if meant:
        raise InputError(f"import: --{meant[0]} is for a mesh or splats; a robot's file or a tool says it all.")
    check_metric("import", world)
    model = load_robot(options.file) if tool is None else tool()
    return add_robot(world, model, base_pose=unit_pose("import", placed)), model.notes
