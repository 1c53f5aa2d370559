"""`splatworld import-pushes FILE --world WORLD -o ROLLOUT`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, UseAppendAction, arg

from splatworld.cli.terminal import Common, Terminal, table


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Make a rollout of a world from a recorded push: where a tool and bodies truly were, every 0.1 s."""

    file: Annotated[Positional[Path], arg(metavar="FILE")]
    """A .csv with columns time, NAME.x, NAME.y, NAME.z, NAME.qw, NAME.qx, NAME.qy, NAME.qz, or NAME.x, NAME.y and
    NAME.yaw; a .npz with arrays time and NAME [K, 7] or [K, 3]; or the folder of a LeRobot data set. NAME is tool, or a
    body of the world; seconds, metres, radians, the world's frame."""
    world: Annotated[Path, arg(metavar="WORLD")]
    """A world's folder, in metres, with a robot or a tool."""
    output: Annotated[Path, arg(aliases=["-o"], metavar="ROLLOUT")]
    """Folder to write the rollout to."""
    columns: UseAppendAction[tuple[str, ...]] = ()
    """Of a LeRobot data set, once a thing: NAME=FEATURE[first:last], which numbers of a feature are its pose."""
    episode: int = 0
    """Of a LeRobot data set."""
    scale: float = 1.0
    """Metres in a unit of the file's lengths."""
    relative: bool = False
    """The recording begins with the bodies where the world has them: only how they move from there is taken."""
    overwrite: bool = False
    """Replace the rollout that is there."""


def run(options: Options, terminal: Terminal) -> None:
    from splatworld.recordings import check_rollout_target, save_rollout
    from splatworld.robot.replay import replay
    from splatworld.robot.tracks import read_tracks
    from splatworld.store import load_world

    check_rollout_target(options.output, overwrite=options.overwrite)
    tracks = read_tracks(options.file, columns=options.columns, episode=options.episode, scale=options.scale)
    world = load_world(options.world)
    rollout = replay(world, tracks, relative=options.relative)
    spec = None if world.robot is None else world.robot.action
    digest = save_rollout(rollout, options.output, action=spec, overwrite=options.overwrite)
    places = rollout.states.world_from_body[..., :3]
    ways = (places - places[:1]).norm(dim=-1).amax(0).tolist()
    recorded = [(body.name, way) for body, way in zip(world.bodies, ways, strict=True) if body.name in tracks.poses]
    data = {"rollout": str(options.output), "actions": len(rollout.actions), "hash": digest}
    data |= {"moved": [{"body": name, "moved": way} for name, way in recorded]}
    words = {name: f"moved {100 * way:.1f} cm" for name, way in recorded}
    terminal.result(data, table({"rollout": options.output, "actions": len(rollout.actions), **words}))
