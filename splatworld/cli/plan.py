"""`splatworld plan WORLD --goal GOAL -o PLAN`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from splatworld.cli.terminal import Common, Terminal, table


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Find actions of a world's robot after which bodies are where they shall be.

    What is written is the predicted rollout of the actions, which `view` shows, with a `plan.json` beside it. A goal
    that takes several pushes is planned push by push: carry the first one out, then plan again with --after.
    """

    world: Annotated[Positional[Path], arg(metavar="WORLD")]
    """A world's folder, in metres, with a robot."""
    goal: Annotated[Path, arg(metavar="GOAL")]
    """JSON file, such as {"aims": [{"body": "mug", "position": [0.1, 0.2], "yaw": 90}]}; or a rollout of the same
    world: its last state shall become true."""
    output: Annotated[Path, arg(aliases=["-o"], metavar="PLAN")]
    """Folder to write the plan to."""
    after: Annotated[Path | None, arg(metavar="ROLLOUT")] = None
    """Begin where this rollout of the same world ended, instead of at rest."""
    deadline: Annotated[float | None, arg(metavar="MS")] = None
    """Milliseconds that planning may take."""
    candidates: int = 256
    """Pushes that are predicted, at most."""
    workspace: Annotated[tuple[float, float, float, float, float, float] | None, arg(metavar="X Y Z X Y Z")] = None
    """Lowest and highest corner, m, of where tool and goals may be."""
    seed: int = 0
    """Of all chance."""
    support_only: bool = False
    """Of the background only the support is in the way."""
    checkpoint: Path | None = None
    """Trained network; the packaged one if left out."""
    overwrite: bool = False
    """Replace the plan that is there."""


def run(options: Options, terminal: Terminal) -> None:
    import json
    from functools import partial

    import torch

    from splatworld.core.body import background
    from splatworld.core.checks import InputError
    from splatworld.core.world import rest_state
    from splatworld.dynamics.checkpoint import load_model
    from splatworld.dynamics.predict import predict
    from splatworld.files import write_file
    from splatworld.plan.config import PlanConfig
    from splatworld.plan.goals import goal_of_state, read_goal
    from splatworld.plan.plan import plan
    from splatworld.recordings import check_rollout_target, is_rollout, load_rollout_of, save_rollout
    from splatworld.store import load_world, world_id

    torch.set_num_threads(1)  # the kernels take the cores
    check_rollout_target(options.output, overwrite=options.overwrite)
    world, identity = load_world(options.world), world_id(options.world)
    state = rest_state(world) if options.after is None else load_rollout_of(identity, options.after).states[-1]
    if is_rollout(options.goal):
        goal = goal_of_state(world, state, load_rollout_of(identity, options.goal).states[-1])
    else:
        goal = read_goal(world, state, options.goal)
    acting = replace(world, bodies=(background(), *world.bodies[1:])) if options.support_only else world
    corners = options.workspace and (options.workspace[:3], options.workspace[3:])
    config = PlanConfig(candidates=options.candidates, workspace=corners, seed=options.seed)
    dynamics = partial(predict, model=load_model(options.checkpoint))
    terminal.progress("planning")
    found = plan(acting, state, goal, dynamics=dynamics, config=config, deadline=options.deadline)
    if found.infeasible is not None:
        raise InputError(f"plan: infeasible, {found.infeasible}")
    assert world.robot is not None
    rollout = replace(found.prediction, world_id=identity)
    save_rollout(rollout, options.output, action=world.robot.action, overwrite=options.overwrite)
    ends = bool(goal.reached(found.prediction.states[-1]))
    data = {
        "plan": str(options.output),
        "actions": len(found),
        "cost": found.cost,
        "spread": found.spread,
        "reaches": ends,
        "candidates": found.candidates,
        "seconds": found.seconds,
    }
    write_file(options.output / "plan.json", json.dumps(data, indent=1) + "\n")
    words = {
        "plan": options.output,
        "actions": f"{len(found)}, {0.1 * len(found):.1f} s",
        "goal": "reached at the end" if ends else f"nearer: cost {found.cost:.3f}; carry it out and plan again",
        "took": f"{found.seconds:.2f} s, {found.candidates} candidates",
    }
    terminal.result(data, table(words))
