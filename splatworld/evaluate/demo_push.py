"""A demo's push: what the network predicts, and what the true scene does, where there is one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from splatworld.core import pose
from splatworld.core.camera import Camera
from splatworld.core.rollout import Rollout
from splatworld.core.state import State
from splatworld.core.world import rest_state
from splatworld.dynamics.predict import predict
from splatworld.evaluate.demo_film import beside, filmed, slowed, swinging
from splatworld.evaluate.demo_markup import paragraph, video
from splatworld.evaluate.demo_scene import Armed, outsides
from splatworld.evaluate.demo_stages import Told
from splatworld.evaluate.report import Line, line
from splatworld.files import write_file
from splatworld.pictures import encode_video
from splatworld.plan.control import Reality
from splatworld.recordings import save_rollout
from splatworld.store import world_id

FPS = 15
EVERY = 2
"""Of 30 moments a second those that are shown: the oracle's pictures take a third of a second each."""
SECOND = 10
"""Actions."""
PREDICTED, TRUE = "predicted", "true"
"""Rollouts of a demo."""


class Filmed(Reality, Protocol):
    """A reality that shows itself."""

    def pictures(self, cameras: list[Camera], every: int = 1) -> np.ndarray:
        """As `SampleEnv.pictures`."""


def push(
    armed: Armed, folder: Path, reality: Filmed | None, called: Callable[[int], str], say: Callable[..., object]
) -> Told:
    """Predict the push, record it in `folder`, and compare it with reality.

    Args:
        armed: the world and its push.
        folder: for rollouts and the film.
        reality: the true scene; None: there is none.
        called: what a body is called.
        say: progress.
    """
    world, body = armed.world, armed.body
    begin = time.perf_counter()
    found = predict(world, rest_state(world), armed.actions)
    took = time.perf_counter() - begin
    action = None if world.robot is None else world.robot.action
    save_rollout(found, folder / PREDICTED, action=action, overwrite=True)
    way = float((found.states.world_from_body[-1, body, :3] - found.states.world_from_body[0, body, :3]).norm())
    length = len(armed.actions) / SECOND
    lines = [line(f"push: time to predict {length:g} s", 1000 * took, "ms")]
    words = f"A rod pushes {called(body)} {100 * way:.0f} cm. The network is told the rod's way and nothing else."
    true: State | None = None
    if reality is not None:
        true = stacked(acted(reality, armed.actions))
        rollout = Rollout(armed.actions, true, world_id(world))
        save_rollout(rollout, folder / TRUE, action=action, overwrite=True)
        lines += compared(found.states, true, body)
        words += " Left the prediction, right the same rod in the true scene, in MuJoCo, which the video was made of."
    else:
        std = float(found.std[-1, body, :3].norm()) if found.std is not None else 0.0
        lines.append(line("push: predicted way", 1000 * way, "mm", None, f"give or take {1000 * std:.0f}"))
        words += " Nobody knows what would really happen: your video comes without a truth to compare with."
    content, note = _film(armed, found.states, true, reality, say)
    write_file(folder / "push.mp4", content)
    return Told(paragraph(words + note) + video(content, "the push, predicted"), tuple(lines))


def acted(reality: Reality, actions: Tensor) -> list[State]:
    """The states [T + 1] of a reality that is begun anew and does actions [T, A]."""
    reality.reset()
    states = [reality.state]
    for action in actions:
        reality.step(action.numpy())
        states.append(reality.state)
    return states


def stacked(states: list[State]) -> State:
    """Single states as one batch [T]."""
    return State(**{f.name: torch.stack([getattr(state, f.name) for state in states]) for f in fields(State)})


def compared(found: State, true: State, body: int) -> list[Line]:
    """How far predicted states [T + 1] are from the true ones."""
    steps = len(true.time) - 1
    moved = float((true.world_from_body[-1, body, :3] - true.world_from_body[0, body, :3]).norm())
    rows = []
    for step in sorted({min(SECOND, steps), steps}):
        one, other = found.world_from_body[step, body].double(), true.world_from_body[step, body].double()
        gap, turn = float((one[:3] - other[:3]).norm()), pose.log(pose.compose(pose.inverse(other), one))[3:].norm()
        told = f"of {1000 * moved:.0f} mm moved" if step == steps else None
        rows.append(line(f"push: off the truth after {step / SECOND:g} s", 1000 * gap, "mm", None, told))
        rows.append(line(f"push: turned off the truth after {step / SECOND:g} s", float(turn.rad2deg()), "degrees"))
    return rows


def _film(
    armed: Armed, found: State, true: State | None, reality: Filmed | None, say: Callable[..., object]
) -> tuple[bytes, str]:
    """The film, and a sentence where the truth could not be shown as it is."""
    world, body = armed.world, armed.body
    shown = slowed(found)
    shown = shown[torch.arange(0, len(shown.time), EVERY)]
    own = torch.from_numpy(outsides(world)[body])
    focus = torch.cat([own, own + (found.world_from_body[-1, body, :3] - found.world_from_body[0, body, :3])])
    cameras = swinging(world, focus, [body], len(shown.time))
    film = filmed(world, shown, cameras, progress=lambda done, total: say("push: film", done, total))
    if true is None or reality is None:
        return encode_video(film, fps=FPS, crf=23), ""
    note = ""
    try:
        say("push: pictures of the true scene")
        truth = iter(reality.pictures(cameras, EVERY))
    except Exception as error:  # drivers for pictures without a display fail in many ways, and figures need none
        note = f" MuJoCo cannot draw here ({type(error).__name__}), so that its poses are shown with our splats."
        moments = slowed(true)
        truth = filmed(world, moments[torch.arange(0, len(moments.time), EVERY)], cameras)
    return encode_video(beside(film, truth), fps=FPS, crf=23), note
