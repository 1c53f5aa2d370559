"""`splatworld render WORLD -o FOLDER`."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, UseAppendAction, arg

from splatworld.cli.terminal import Common, Terminal, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from splatworld.core.camera import Camera
    from splatworld.core.state import State
    from splatworld.core.world import World

FPS = 30
ACTIONS = 10
"""A second."""


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Render a world from the cameras of its capture."""

    world: Annotated[Positional[Path], arg(metavar="WORLD")]
    """A world's folder."""
    output: Annotated[Path, arg(aliases=["-o"], metavar="FOLDER")]
    """Folder to write NAME.png to."""
    camera: UseAppendAction[tuple[str, ...]] = ()
    """Camera to render from, as `info --json` lists them; repeat it for more; all if left out."""
    max_side: int | None = None
    """Longest side of the pictures, px; by default as captured."""
    depth: bool = False
    """Also write NAME_depth.png: 16 bits, 1 step is 1 mm or a thousandth of a capture unit; 0 is unknown."""
    rollout: Path | None = None
    """Rollout of this world: render its states, NAME_STEP.png, instead of the world at rest; what moves in it leaves no
    hole where it stood, and its shadow goes along."""
    step: UseAppendAction[tuple[int, ...]] = ()
    """With --rollout: after how many actions; repeat it for more; the last one if left out."""
    video: bool = False
    """With --rollout: write NAME.mp4 of all its states instead, in real time."""
    body_ids: bool = False
    """Also write NAME_body.png: 16 bits, body + 1; 0 is none."""


def run(options: Options, terminal: Terminal) -> None:
    from splatworld import pictures
    from splatworld.bodies.shadows import shadows_of
    from splatworld.core.checks import InputError, check_choice
    from splatworld.files import write_file
    from splatworld.render.render import render
    from splatworld.render.rendering import to_bytes
    from splatworld.store import load_world

    world = load_world(options.world)
    if not world.cameras:
        raise InputError(f"{options.world}: this world has no cameras, it was imported; look at it with `view`.")
    for name in options.camera:
        check_choice("render", "camera", name, tuple(world.cameras))
    names = options.camera or tuple(world.cameras)
    if options.video:
        _film(world, names, options, terminal)
        return
    states = _states(options)
    moving = shadows_of(world, [state for state in states.values() if state is not None])
    written = []
    for done, (name, (suffix, state)) in enumerate(product(names, states.items()), 1):
        camera = _camera(world, name, options)
        shown = render(moving.world, moving.state(state) if state else None, camera)
        found = {"": to_bytes(shown.image)}
        if options.depth or options.body_ids:
            rendering = render(world, state, camera) if moving.casters else shown  # shadows are nothing to measure
            found |= {"_depth": pictures.depth_steps(rendering.depth)} if options.depth else {}
            found |= {"_body": pictures.body_steps(rendering.body_ids)} if options.body_ids else {}
        for kind, picture in found.items():
            file = options.output / f"{name.replace('/', '_')}{suffix}{kind}.png"
            write_file(file, pictures.encode_image(picture))
            written.append(str(file))
        terminal.progress("rendering", done, len(names) * len(states))
    data = {"world": str(options.world), "files": written}
    terminal.result(data, table({"world": options.world, "pictures": len(written), "folder": options.output}))


def _camera(world: World, name: str, options: Options) -> Camera:
    from splatworld.core.camera import resize

    camera = world.cameras[name]
    longest = max(camera.size)
    if options.max_side is None or options.max_side >= longest:
        return camera
    width, height = (max(1, round(side * options.max_side / longest)) for side in camera.size)
    return resize(camera, (width, height))


def _film(world: World, names: tuple[str, ...], options: Options, terminal: Terminal) -> None:
    """Write a video a camera."""
    from splatworld.bodies.shadows import shadows_of
    from splatworld.core.checks import InputError
    from splatworld.files import write_file
    from splatworld.pictures import encode_video
    from splatworld.recordings import load_rollout_of
    from splatworld.render.film import film, frames_between
    from splatworld.store import world_id

    if options.rollout is None or options.step or options.depth or options.body_ids:
        raise InputError("render: --video goes with --rollout and without --step, --depth, --body-ids.")
    states = load_rollout_of(world_id(options.world), options.rollout).states
    moving = shadows_of(world, [states])
    world, frames = moving.world, moving.state(frames_between(states, FPS // ACTIONS))
    written, total = [], len(names) * len(frames.time)

    def counted(pictures: Iterator[np.ndarray], done: int) -> Iterator[np.ndarray]:
        for picture in pictures:
            yield picture
            done += 1
            terminal.progress("rendering", done, total)

    for number, name in enumerate(names):
        shown = counted(film(world, frames, _camera(world, name, options)), number * len(frames.time))
        file = options.output / f"{name.replace('/', '_')}.mp4"
        write_file(file, encode_video(shown, fps=FPS))
        written.append(str(file))
    data = {"world": str(options.world), "files": written}
    terminal.result(data, table({"world": options.world, "videos": len(written), "folder": options.output}))


def _states(options: Options) -> dict[str, State | None]:
    """What ends a picture's name -> the state that it shows."""
    from splatworld.core.checks import InputError
    from splatworld.recordings import load_rollout_of
    from splatworld.store import world_id

    if options.rollout is None:
        if options.step:
            raise InputError("render: --step goes with --rollout; give the rollout.")
        return {"": None}
    rollout = load_rollout_of(world_id(options.world), options.rollout, steps=options.step)
    steps = options.step or (rollout.actions.shape[-2],)
    return {f"_{step:06d}": rollout.states[step] for step in steps}
