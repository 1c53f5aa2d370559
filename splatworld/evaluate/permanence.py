"""Suite `permanence`: what is left alone stays, bit by bit; nothing is lost, nothing added, nothing hangs in the air.

Every check is also run on a seeded mutant of the model that breaks just what it watches, and must fail there.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from splatworld import store
from splatworld.core.rollout import Rollout
from splatworld.core.state import State
from splatworld.core.world import World, rest_state
from splatworld.dynamics.checkpoint import load_model, save_model
from splatworld.dynamics.model import DynamicsModel
from splatworld.dynamics.predict import Stream
from splatworld.evaluate import permanence_mutants as mutants
from splatworld.evaluate.permanence_mutants import Mutant
from splatworld.evaluate.report import Line, Report, line
from splatworld.evaluate.tabletop import PUSHED, STAND, TOOL_HEIGHT, TOP, camera, index, tabletop
from splatworld.recordings import Recorder, load_rollout, state_hash
from splatworld.render.render import render

REST_STEPS, PUSH_STEPS = 100_000, 10_000
STROKE = 0.02
"""m an action of the tool, at most."""
MODEL = "model.safetensors"
CHAIN = 24
"""Actions of the recording that is forked, replayed and restarted."""


@dataclass(frozen=True)
class Steps:
    """How long the checks go on."""

    rest: int
    push: int


def run(
    *,
    quick: bool = False,
    long: bool = False,
    progress: Callable[..., Any] | None = None,
    model: DynamicsModel | None = None,
) -> Report:
    """Measure every row.

    Args:
        quick: few steps.
        long: no more than without it.
        progress: called with one sentence a check.
        model: None: the one that comes with the package.
    """
    say = progress or (lambda *_: None)
    steps = Steps(500, 200) if quick else Steps(REST_STEPS, PUSH_STEPS)
    world = tabletop()
    lines: list[Line] = []
    caught = 0
    for name, (check, mutant, least) in CHECKS.items():
        say(name)
        found = check(world, model, steps, None)
        lines += found
        say(f"{name}: on a mutant")
        broken = any(row.met is False for row in check(world, model, least, mutant))
        caught += broken and all(row.met for row in found)  # what fails anyway shows nothing
    share = 100 * caught / len(CHECKS)
    lines.append(line("checks that pass, and fail on their seeded mutant", share, "%", "== 100"))
    return Report("permanence", lines)


class Runner:
    """A stream whose states pass through a mutant, if there is one."""

    def __init__(self, world: World, state: State, model: DynamicsModel | None, mutant: Mutant | None) -> None:
        self.world, self.state, self._model, self._mutant = world, state, model, mutant
        self._stream = Stream(world, state, model=model)

    def step(self, action: Tensor) -> State:
        before, after = self.state, self._stream.step(action)
        if self._mutant is not None:
            after = self._mutant(self.world, before, after)
            self._stream = Stream(self.world, after, model=self._model)
        self.state = after
        return after


def at_rest(world: World, model: DynamicsModel | None, steps: Steps, mutant: Mutant | None) -> list[Line]:
    """Nothing is done, nothing changes."""
    runner = Runner(world, rest_state(world), model, mutant)
    first, kept = _bytes(runner.state), 0
    for _ in range(steps.rest):
        if _bytes(runner.step(_action())) != first:
            break
        kept += 1
    return [line(f"at rest: of {steps.rest:,} steps bit-identical", kept, "", f"== {steps.rest}")]


def pushed(world: World, model: DynamicsModel | None, steps: Steps, mutant: Mutant | None) -> list[Line]:
    """One body is pushed about; the others stay as they are."""
    runner = Runner(world, rest_state(world), model, mutant)
    mine = index(world, PUSHED)
    others = [i for i, body in enumerate(world.bodies) if body.kind == "rigid" and i != mine]
    first, kept, way = _bytes(runner.state, others), 0, 0.0
    actions = strokes(runner, mine)
    for _ in range(steps.push):
        before = runner.state.world_from_body[mine, :3]
        state = runner.step(next(actions))
        way += float((state.world_from_body[mine, :3] - before).norm())
        if _bytes(state, others) != first:
            break
        kept += 1
    return [
        line(f"one body pushed: of {steps.push:,} steps all others bit-identical", kept, "", f"== {steps.push}"),
        line("one body pushed: its way", way, "m", f">= {1e-3 * steps.push:g}"),
    ]


def looked_away(world: World, model: DynamicsModel | None, steps: Steps, mutant: Mutant | None) -> list[Line]:
    """A body is pushed while nobody looks; whoever comes back finds it there, and all else as it was."""
    runner = Runner(world, rest_state(world), model, mutant)
    mine, view = index(world, PUSHED), camera((-0.5, -0.4, 0.5), (0.0, 0.0, 0.0))
    picture, start = render(world, runner.state, view).image, runner.state
    actions = strokes(runner, mine)
    left = runner.state
    for _ in range(40):
        left = runner.step(next(actions))
        render(world, left, camera((0.5, 0.4, 0.5), (2.0, 2.0, 0.5)))  # elsewhere
    for step in range(60):  # the tool leaves, straight up; what rolls comes to rest
        before, left = left, runner.step(_action(z=STROKE if step < 10 else 0.0))
        if torch.equal(before.world_from_body, left.world_from_body):
            break
    found = left
    for _ in range(20):
        found = runner.step(_action())
    after = render(world, found, view)
    stays = bool(torch.equal(found.world_from_body[mine], left.world_from_body[mine]))
    moved = float((found.world_from_body[mine, :3] - start.world_from_body[mine, :3]).norm())
    touched = torch.zeros(view.height, view.width, dtype=torch.bool)
    awake = [mine, *(i for i, body in enumerate(world.bodies) if body.kind == "robot")]
    alone = replace(world, splats=world.splats.select(torch.isin(world.splats.body_ids, torch.tensor(awake))))
    for state in (start, found):
        touched |= render(alone, state, view).alpha > 0
    same = (picture == after.image).all(-1) | touched
    return [
        line("looked away: the pushed body is where the push left it", float(stays and moved > 0.01), "", "== 1"),
        line("looked away: untouched pixels that are bit-identical", 100 * float(same.double().mean()), "%", "== 100"),
    ]


def pulled(world: World, model: DynamicsModel | None, steps: Steps, mutant: Mutant | None) -> list[Line]:
    """A support goes, what stood on it falls."""
    state = rest_state(world)
    runner = Runner(world, state, model, mutant)
    runner.step(_action())
    stand, top = index(world, STAND), index(world, TOP)
    poses = runner.state.world_from_body.clone()
    poses[stand, 0] -= 0.5
    height = float(poses[top, 2])
    runner = Runner(world, replace(runner.state, world_from_body=poses), model, mutant)
    for _ in range(10):
        runner.step(_action())
    fallen = height - float(runner.state.world_from_body[top, 2])
    return [line("support pulled away: what stood 8 cm high on it falls", 100 * fallen, "cm", ">= 7")]


def counted(world: World, model: DynamicsModel | None, steps: Steps, mutant: Mutant | None) -> list[Line]:
    """After a rollout the world is the same, and every splat of every body is still drawn."""
    was, runner = store.world_id(world), Runner(world, rest_state(world), model, None)
    actions = strokes(runner, index(world, PUSHED))
    for _ in range(20):
        runner.step(next(actions))
    seen = world if mutant is None else mutants.forgetting(world)
    same = store.world_id(seen) == was and runner.state.world_from_body.shape[0] == len(world.bodies)
    view = camera((-0.9, -0.9, 1.2), (0.0, 0.0, 0.0))
    drawn = set(render(seen, runner.state, view).body_ids.unique().tolist()) - {-1, 0}
    share = 100 * len(drawn) / (len(world.bodies) - 1)
    return [
        line("nothing lost, nothing added: the world's hash stays", float(same), "", "== 1"),
        line("nothing lost: bodies that are drawn afterwards", share, "%", "== 100"),
    ]


def chained(world: World, model: DynamicsModel | None, steps: Steps, mutant: Mutant | None) -> list[Line]:
    """A recording forked, replayed and gone on with in another process has the same chain of hashes."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        store.save_world(world, folder / "world")
        if model is not None:
            save_model(model, folder / MODEL)
        whole, half = folder / "whole", folder / "half"
        chain = record(folder / "world", whole, model, mutant, begin=0, end=CHAIN)
        replayed = record(folder / "world", folder / "replayed", model, mutant, begin=0, end=CHAIN)
        record(folder / "world", half, model, mutant, begin=0, end=CHAIN // 2)
        if mutant is None:
            code = f"from splatworld.evaluate import permanence as p; p.restart({str(folder)!r}, {CHAIN // 2}, {CHAIN})"
            subprocess.run([sys.executable, "-c", code], check=True)
        else:
            record(folder / "world", half, model, mutant, begin=CHAIN // 2, end=CHAIN)
        forked = load_rollout(whole)
        runner = Runner(store.load_world(folder / "world"), forked.states[CHAIN // 2], model, mutant)
        branch = [runner.step(forked.actions[t]) for t in range(CHAIN // 2, CHAIN)]
        good = [
            replayed == chain,
            _chain(_states(load_rollout(half))) == chain,
            _chain([*_states(forked)[: CHAIN // 2 + 1], *branch]) == chain,
        ]
    return [line("recording replayed, restarted in another process, forked: same hash chain", sum(good), "", "== 3")]


def record(world: Path, path: Path, model: DynamicsModel | None, mutant: Mutant | None, *, begin: int, end: int) -> str:
    """Record pushes from action `begin` to `end`, or go on with it; returns the chain's last hash."""
    loaded = store.load_world(world)
    generator = torch.Generator().manual_seed(0)
    drawn = 0.6 * STROKE * torch.rand(100, generator=generator, dtype=torch.float64)
    if begin == 0:
        spec = None if loaded.robot is None else loaded.robot.action
        recorder = Recorder.begin(path, _lowered(loaded), world_id=store.world_id(world), action=spec, every=5)
    else:
        recorder = Recorder(path, every=5)
    with recorder:
        runner = Runner(loaded, recorder.state, model, mutant)
        for t in range(begin, end):
            action = _action(x=float(drawn[t]))
            recorder.append(action, runner.step(action))
    return _chain(_states(load_rollout(path)))


def restart(folder: str, begin: int, end: int) -> None:
    """A part of the recording of `chained`, in a process of its own."""
    path = Path(folder)
    model = load_model(path / MODEL) if (path / MODEL).exists() else None
    record(path / "world", path / "half", model, None, begin=begin, end=end)


def strokes(runner: Runner, body: int) -> Iterator[Tensor]:
    """Actions without end that push a body to and fro: over it, down behind it, through its place, up."""
    generator = torch.Generator().manual_seed(1)
    assert runner.world.robot is not None
    tool = runner.world.robot.tool
    while True:
        place = runner.state.world_from_body[body, :2]
        turn = 0.6 * (torch.rand(1, generator=generator, dtype=torch.float64) - 0.5)
        home = torch.atan2(-place[1], -place[0]) if float(place.norm()) > 0.05 else 6.28 * torch.rand(1).double()
        angle = (home + turn).squeeze()
        way = torch.stack([angle.cos(), angle.sin()])
        for goal, height in (
            (place - 0.09 * way, TOOL_HEIGHT),
            (place - 0.09 * way, 0.005),
            (place + 0.03 * way, 0.005),
        ):
            yield from _towards(runner, tool, goal, height)
        yield from _towards(runner, tool, place + 0.03 * way, TOOL_HEIGHT)


def _towards(runner: Runner, tool: int, goal: Tensor, height: float) -> Iterator[Tensor]:
    """Actions that bring the tool to a place, at most 40."""
    for _ in range(40):
        here = runner.state.world_from_body[tool, :3]
        left = torch.cat([goal, goal.new_tensor([height + _tip(runner.world, tool)])]) - here
        if float(left.norm()) < 1e-3:
            return
        left = left * min(1.0, STROKE / float(left.norm()))
        yield _action(*left.tolist())


def _tip(world: World, tool: int) -> float:
    """m from the tool's tip up to its frame, its centre of mass."""
    mesh = world.bodies[tool].mesh
    assert mesh is not None
    return -float(mesh.vertices[:, 2].min())


def _lowered(world: World) -> State:
    """The state at rest with the tool behind the body that is pushed, just above the table."""
    state = rest_state(world)
    assert world.robot is not None
    poses = state.world_from_body.clone()
    tool = world.robot.tool
    poses[tool, :3] = torch.tensor([-0.06, 0.0, 0.005 + _tip(world, tool)], dtype=torch.float64)
    return replace(state, world_from_body=poses)


def _action(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Tensor:
    return torch.tensor([x, y, z, 0.0, 0.0, 0.0], dtype=torch.float64)


def _bytes(state: State, bodies: list[int] | None = None) -> bytes:
    chosen = slice(None) if bodies is None else bodies
    return state.world_from_body[chosen].numpy().tobytes() + state.twists[chosen].numpy().tobytes()


def _chain(states: Iterable[State]) -> str:
    found = ""
    for state in states:
        found = state_hash(state, found)
    return found


def _states(rollout: Rollout) -> list[State]:
    return [rollout.states[t] for t in range(rollout.actions.shape[-2] + 1)]


_BRIEF = Steps(rest=3, push=40)
CHECKS: dict[str, tuple[Callable[..., list[Line]], Mutant, Steps]] = {
    "at rest": (at_rest, mutants.drifting, _BRIEF),
    "one body pushed": (pushed, mutants.drifting, _BRIEF),
    "looked away": (looked_away, mutants.forgetful, _BRIEF),
    "support pulled away": (pulled, mutants.floating, _BRIEF),
    "nothing lost, nothing added": (counted, mutants.drifting, _BRIEF),
    "hash chain": (chained, mutants.remembering, _BRIEF),
}
"""What is checked, the mutant that must fail it, and how long that is tried."""
