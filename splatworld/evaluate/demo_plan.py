"""A demo's plan: two bodies are brought to new places by looking, planning, pushing a little, and looking again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from splatworld.core.world import World, rest_state
from splatworld.dynamics.predict import predict, stream
from splatworld.evaluate.demo_film import filmed, slowed, swinging
from splatworld.evaluate.demo_markup import paragraph, video
from splatworld.evaluate.demo_scene import outsides, rearranged
from splatworld.evaluate.demo_stages import Told
from splatworld.evaluate.report import line
from splatworld.files import write_file
from splatworld.pictures import encode_image, encode_video
from splatworld.plan.control import ControlConfig, Reality, control
from splatworld.plan.env import WorldEnv
from splatworld.recordings import load_rollout

PLANNED = "planned"
"""Rollout of a demo: what happened under the planner."""
MOST = 200
"""Actions, 20 s."""
SIZE = (960, 540)
FPS = 30
TOLERANCE = 20.0
"""mm from the goal that count as reached."""


def rearrange(
    world: World, folder: Path, reality: Reality | None, called: Callable[[int], str], say: Callable[..., object]
) -> Told:
    """Bring two bodies to new places in closed loop, and record what happens in `folder`.

    Args:
        world: with a tool.
        folder: for the rollout, the goal and the film.
        reality: the true scene; None: there is none, and the plan is carried out in the prediction.
        called: what a body is called.
        say: progress.

    Raises:
        InputError: no body that could be moved anywhere.
    """
    goal, targets = rearranged(world)
    named = {world.bodies[index].name: to[:2].tolist() for index, to in targets.items()}
    document = {"aims": [{"body": name, "position": place} for name, place in named.items()]}
    write_file(folder / "goal.json", json.dumps(document, indent=1) + "\n")
    env = WorldEnv(world, goal, stream) if reality is None else reality
    say("plan: looking, planning, acting")
    log = folder / PLANNED
    shutil.rmtree(log, ignore_errors=True)
    outcome = control(env, world, goal, dynamics=predict, config=ControlConfig(most=MOST), log=log)
    away = {
        index: 1000 * float((outcome.state.world_from_body[index, :2] - to[:2]).norm()) for index, to in targets.items()
    }
    say(f"plan: {outcome.reason} after {outcome.actions} actions")
    lines = [
        line("plan: goals reached", sum(gap <= TOLERANCE for gap in away.values()), "", f"== {len(targets)}"),
        line("plan: pushing took", 0.1 * outcome.actions, "s", None, f"{outcome.actions} actions of 0.1 s"),
        line("plan: time to plan, median", 1000 * float(np.median(outcome.seconds or (0.0,))), "ms", None,
             f"{len(outcome.seconds)} plans"),
        *(line(f"plan: {called(index)} off its goal", gap, "mm", f"<= {TOLERANCE:g}") for index, gap in away.items()),
    ]  # fmt: skip
    where = "MuJoCo's true scene, where masses and frictions are not told" if reality is not None else "the prediction"
    what = " and ".join(called(index) for index in targets)
    words = (
        f"The goal, the pale ghosts: {what} shall stand elsewhere. The planner pushes, looks what happened and plans "
        f"again, five actions at a time, in {where}. The film shows the splats go where the bodies went."
    )
    if not outcome.reached:
        words += f" It ended before the goal was reached: {outcome.reason}."
    states = load_rollout(log).states
    shown = slowed(states)
    points = outsides(world)
    steps = {index: to[:3] - rest_state(world).world_from_body[index, :3] for index, to in targets.items()}
    own = {index: torch.from_numpy(points[index]) for index in targets}
    focus = torch.cat([*own.values(), *(own[index] + step for index, step in steps.items())])
    cameras = swinging(world, focus, list(targets), len(shown.time), size=SIZE)
    told = lambda done, total: say("plan: film", done, total)  # noqa: E731
    pictures = list(filmed(world, shown, cameras, ghosts=targets, progress=told))
    content = encode_video([*pictures, *([pictures[-1]] * FPS)], fps=FPS, crf=24)
    write_file(folder / "plan.mp4", content)
    write_file(folder / "plan.png", encode_image(pictures[0]))
    return Told(paragraph(words) + video(content, "the plan carried out"), tuple(lines))
