"""How long predictions take that a planner asks for, and MuJoCo for as many steps of the same scenes."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable

import torch

from splatworld import native
from splatworld.dynamics.library import stretches
from splatworld.dynamics.model import DynamicsModel
from splatworld.evaluate.dynamics_rollouts import network
from splatworld.evaluate.dynamics_sets import load_set
from splatworld.evaluate.report import Line, line
from splatworld.simulate.episodes.redraw import action_seconds, scene_at

STATES, ACTIONS, BODIES = 256, 10, 4
RUNS = 9
CORES = 2


def speed_lines(model: DynamicsModel, count: int, say: Callable[..., object], *, runs: int = RUNS) -> list[Line]:
    """Time of 256 rollouts of 10 actions of scenes with four bodies, each from a state and with the ways of its own.

    MuJoCo's time is that of one core, over the cores: a process on each, without building or recording.

    Args:
        model: the network.
        count: episodes to take scenes from.
        say: progress.
        runs: of which the median is told.
    """
    test_set = load_set("several", count, say)
    bodies = (test_set.free.sum(dim=1)).tolist()
    most = min(BODIES, max(bodies))
    chosen = [number for number, each in enumerate(bodies) if each == most]
    starts = range(0, test_set.actions - ACTIONS + 1, ACTIONS)
    scenes = [(number, start) for number in chosen for start in starts]
    rows = torch.tensor([(0, *scenes[k % len(scenes)]) for k in range(STATES)])
    batch = stretches(test_set.library, rows, ACTIONS)
    cores = min(CORES, os.cpu_count() or 1)
    threads, torch_threads = native.get_threads(), torch.get_num_threads()
    native.set_threads(cores)
    torch.set_num_threads(1)
    try:
        say(f"speed: {STATES} states of {len(scenes)} scenes with {most} bodies")
        network(model, batch)
        seconds = statistics.median(_seconds(lambda: network(model, batch)) for _ in range(runs))
    finally:
        native.set_threads(threads)
        torch.set_num_threads(torch_threads)
    say("speed: MuJoCo")
    actions = [test_set.episodes.actions[number, start : start + ACTIONS] for number, start in scenes]
    step = test_set.config.step
    apiece = [
        action_seconds(scene_at(test_set.episodes, *scene, step=step), given)
        for scene, given in zip(scenes, actions, strict=True)
    ]
    theirs = STATES * ACTIONS * statistics.fmean(apiece) / cores
    name = f"{STATES} states x {ACTIONS} actions, {most} bodies, {cores} cores"
    return [
        line(name, 1e3 * seconds, "ms", "<= 90", f"MuJoCo, a process a core: {1e3 * theirs:.0f} ms"),
        line(f"{name}: faster than MuJoCo", theirs / seconds, "x", ">= 4"),
    ]


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin
