"""`splatworld rollout WORLD -o ROLLOUT`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from splatworld.cli.terminal import Common, Terminal, stopping, table

if TYPE_CHECKING:
    from torch import Tensor

    from splatworld.core.state import State
    from splatworld.core.world import World
    from splatworld.recordings import Recorder


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Predict what happens to a world under actions of 0.1 s each, and record it.

    Ctrl-C ends the recording; what was recorded is kept.
    """

    world: Annotated[Positional[Path], arg(metavar="WORLD")]
    """A world's folder, in metres."""
    output: Annotated[Path, arg(aliases=["-o"], metavar="ROLLOUT")]
    """Folder to write the rollout to."""
    actions: Path | None = None
    """Table of actions, .csv or .npy, one row each; its columns are those of the world's robot, see `info`."""
    steps: int | None = None
    """Without --actions: so many steps in which nothing is done."""
    after: Annotated[Path | None, arg(metavar="ROLLOUT")] = None
    """Begin where this rollout of the same world ended, instead of at rest."""
    at: int | None = None
    """With --after: begin after so many of its actions."""
    support_only: bool = False
    """Of the background only the support is in the way: for captures whose background came out rough or hazy."""
    checkpoint: Path | None = None
    """Trained network; the packaged one if left out."""
    overwrite: bool = False
    """Replace the rollout that is there."""


def run(options: Options, terminal: Terminal) -> int:
    import torch

    from splatworld.cli.main import DONE, INTERRUPTED
    from splatworld.core.body import background
    from splatworld.dynamics.checkpoint import load_model
    from splatworld.dynamics.predict import stream
    from splatworld.recordings import Recorder, check_rollout_target
    from splatworld.store import load_world, world_id

    torch.set_num_threads(1)  # the kernels take the cores
    check_rollout_target(options.output, overwrite=options.overwrite)
    world, identity = load_world(options.world), world_id(options.world)
    first = _first(world, identity, options)
    actions = _actions(world, first, options)
    acting = replace(world, bodies=(background(), *world.bodies[1:])) if options.support_only else world
    running = stream(acting, first, model=load_model(options.checkpoint))
    spec = None if world.robot is None else world.robot.action
    recorder = Recorder.begin(options.output, first, world_id=identity, action=spec, overwrite=options.overwrite)
    blocked = done = 0
    with recorder, stopping(terminal) as stop:
        for action in actions:
            if stop():
                break
            state = running.step(action)
            recorder.append(action, state, std=running.std, blocked=running.blocked, stopped=running.stopped)
            blocked += int(running.blocked > 0.01)
            done += 1
            terminal.progress("predicting", done, len(actions))
    _report(world, first, recorder, running.std, {"actions": done, "blocked": blocked}, options, terminal)
    return DONE if done == len(actions) else INTERRUPTED


def _actions(world: World, first: State, options: Options) -> Tensor:
    import torch

    from splatworld.core.checks import InputError
    from splatworld.robot.action_files import read_actions
    from splatworld.robot.actions import idle_action

    if (options.actions is None) == (options.steps is None):
        raise InputError("rollout: give --actions, or --steps for a world that is left alone; not both.")
    if options.actions is not None:
        if world.robot is None:
            raise InputError(f"{options.world}: no robot is there to act; `import` one --into it, or use --steps.")
        return read_actions(options.actions, world.robot.action)
    if options.steps is None or options.steps < 1:
        raise InputError(f"rollout: --steps is {options.steps}, expected at least 1.")
    idle = torch.zeros(0, dtype=torch.float64) if world.robot is None else idle_action(world, first)
    return idle.expand(options.steps, len(idle))


def _first(world: World, identity: str, options: Options) -> State:
    from splatworld.core.checks import InputError
    from splatworld.core.world import rest_state
    from splatworld.recordings import load_rollout_of

    if options.after is None:
        if options.at is not None:
            raise InputError("rollout: --at goes with --after; give the rollout to begin in.")
        return rest_state(world)
    before = load_rollout_of(identity, options.after, steps=() if options.at is None else (options.at,))
    return before.states[-1 if options.at is None else options.at]


def _report(
    world: World,
    first: State,
    recorder: Recorder,
    std: Tensor,
    counts: dict[str, int],
    options: Options,
    terminal: Terminal,
) -> None:
    moved: list[dict[str, Any]] = []
    for index, body in enumerate(world.bodies):
        way = recorder.state.world_from_body[index, :3] - first.world_from_body[index, :3]
        if body.kind not in ("static", "robot") and float(way.norm()) > 1e-3:
            spread = float(std[index, :3].norm())
            moved.append({"body": body.name, "moved": float(way.norm()), "std": spread})
    data = {"rollout": str(options.output), **counts, "hash": recorder.hash, "moved": moved}
    words = {row["body"]: f"moved {100 * row['moved']:.1f} cm, give or take {100 * row['std']:.1f}" for row in moved}
    shown = {"rollout": options.output, "actions": counts["actions"], "blocked": counts["blocked"] or None}
    terminal.result(data, table(shown | (words or {"moved": "nothing"})))
