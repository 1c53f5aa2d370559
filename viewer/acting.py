"""What is done by hand in a world: a rollout that grows action by action, with undo."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from splatworld.core.body import background
from splatworld.core.checks import InputError
from splatworld.core.rollout import Rollout
from splatworld.core.state import State
from splatworld.core.world import World
from splatworld.dynamics.predict import Stream, stream
from splatworld.recordings import check_rollout_target, save_rollout

NAMES = tuple(field.name for field in fields(State))
FEWEST = 64
"""Actions for which there is room at first."""
KEPT = 50
"""Drags that can be undone."""


class Columns:
    """Rows of named numbers that are added and never changed, so that those who hold the first of them keep them.

    Attributes:
        values: name -> [room, ...], of which the first `rows` are written.
        rows: how many there are.
    """

    def __init__(self, values: dict[str, Tensor], rows: int) -> None:
        self.values, self.rows = values, rows

    def put(self, row: dict[str, Tensor]) -> None:
        """Add one."""
        if self.rows == len(self.values["time"]):
            self.values = {name: torch.cat([value, torch.empty_like(value)]) for name, value in self.values.items()}
        for name, value in row.items():
            self.values[name][self.rows] = value
        self.rows += 1


NO_TOOL = (
    "This world has no tool to act with. Put one into a copy of it and view that: "
    "`splatworld import cylinder_pusher --into {name} -o {name}_tool --at 0 0 0.1` (or sphere_pusher, box_pusher, "
    "parallel_gripper, or a robot's .urdf)."
)
NO_SCALE = "This world's lengths are not known in metres, which pushes need: set its scale first (`splatworld scale`)."


def why_not(world: World, name: str) -> str | None:
    """Why nobody can act in a world, and what to do; None where one can."""
    if world.scale.source == "none":
        return NO_SCALE
    return NO_TOOL.format(name=name) if world.robot is None else None


@dataclass(frozen=True, eq=False)
class Tape:
    """A rollout to which actions are added; one that is cut or goes on leaves the one before as it was.

    Attributes:
        columns: its states, and more rows where another tape went on from here.
        count: how many actions it has.
        world_id: of its world.
    """

    columns: Columns
    count: int
    world_id: str

    @classmethod
    def begin(cls, state: State, std: Tensor, actions: int, world_id: str) -> Tape:
        """One without actions: a single state, its standard deviation [B, 6], and how many numbers an action has."""
        row = {name: getattr(state, name) for name in NAMES}
        row |= {"actions": torch.zeros(actions, dtype=torch.float64), "std": std, "blocked": torch.zeros(())}
        columns = Columns({name: value[None].repeat(FEWEST, *(1,) * value.ndim) for name, value in row.items()}, 1)
        return cls(columns, 0, world_id)

    def cut(self, count: int) -> Tape:
        """The first actions of it, `count` at most."""
        return replace(self, count=min(count, self.count))

    def plus(self, action: Tensor, state: State, std: Tensor, blocked: Tensor) -> Tape:
        """With one more action [A], the state it led to, its standard deviation [B, 6] and how much was blocked."""
        columns = self.columns
        if columns.rows > self.count + 1:  # another one went on from here
            columns = Columns({name: value[: self.count + 1] for name, value in columns.values.items()}, self.count + 1)
        row = {name: getattr(state, name) for name in NAMES}
        columns.put(row | {"actions": action, "std": std, "blocked": blocked})
        return replace(self, columns=columns, count=self.count + 1)

    @cached_property
    def rollout(self) -> Rollout:
        """What was done so far; its tensors are not copied."""
        values, rows = self.columns.values, slice(0, self.count + 1)
        states = State(**{name: values[name][rows] for name in NAMES})
        done = slice(1, self.count + 1)
        return Rollout(values["actions"][done], states, self.world_id, values["std"][rows], values["blocked"][done])


class Acting:
    """A world that answers actions.

    Attributes:
        world: with a robot.
        tape: what was done.
        past: what was done before, for undo; the latest last.
    """

    def __init__(self, world: World, world_id: str, state: State, std: Tensor | None = None) -> None:
        """
        Args:
            world: in metres, with a robot.
            world_id: its checksum.
            state: a single one, where it begins.
            std: [B, 6] of it; none by default.
        """
        self.world, self._world_id = world, world_id
        self.past: list[Tape] = []
        self._running: Stream | None = None
        self._met = world
        self.tape = self._begun(state, std)

    @property
    def state(self) -> State:
        """Now."""
        return self.tape.rollout.states[-1]

    @property
    def support_only(self) -> bool:
        """Whether of the background only the support is in the way."""
        return self._met is not self.world

    @support_only.setter
    def support_only(self, only: bool) -> None:
        self._met = replace(self.world, bodies=(background(), *self.world.bodies[1:])) if only else self.world
        self._running = None

    def step(self, action: Tensor) -> float:
        """Carry an action [A] of 0.1 s out; returns the share of it that was blocked. On an error nothing changes.

        Raises:
            ShapeError, InputError: as `Stream.step`; or the prediction broke down.
        """
        if self._running is None:
            # What the stream predicts begins sure; what was unsure before stays so.
            self._running, self._unsure = stream(self._met, self.state), self.tape.rollout.std[-1]  # type: ignore[index]
            self._steps = 0
        state = self._running.step(action)
        self._steps += 1
        if int(self._running.stopped) < self._steps:
            self._running = None
            raise InputError("act: the prediction broke down here; undo, and try another way.")
        std = (self._running.std.double().square() + self._unsure.double().square()).sqrt()
        self.tape = self.tape.plus(action, state, std, self._running.blocked)
        return float(self._running.blocked)

    def mark(self) -> None:
        """What is done from here on is one thing to undo."""
        self.past = [*self.past[1 - KEPT :], self.tape]

    def undo(self) -> None:
        """Take back what was done since the last mark.

        Raises:
            InputError: nothing was done.
        """
        if not self.past:
            raise InputError("undo: nothing was done yet.")
        *self.past, tape = self.past
        self._go_on(tape)

    def back(self) -> None:
        """Take the last action back.

        Raises:
            InputError: nothing was done.
        """
        if not self.tape.count:
            raise InputError("step back: this is where it began.")
        self._go_on(self.tape.cut(self.tape.count - 1))

    def reset(self) -> None:
        """Go back to where it began; `undo` brings back what was done."""
        self.mark()
        self._go_on(self.tape.cut(0))

    def go_on(self, state: State, std: Tensor | None = None) -> None:
        """Go on at a single state: after the actions that led to it here, or anew, with a standard deviation [B, 6].

        `undo` brings back what was done before.
        """
        self.mark()
        mine = self.tape.rollout.states
        count = int((mine.time - state.time).abs().argmin())
        if not torch.equal(mine[count].world_from_body, state.world_from_body):
            self._go_on(self._begun(state, std))
        elif count < self.tape.count:
            self._go_on(self.tape.cut(count))

    def save(self, path: str | Path) -> None:
        """Write what was done to disk as a rollout.

        Raises:
            InputError: nothing was done; something is at the path; it cannot be written.
        """
        if not self.tape.count:
            raise InputError("save: nothing was done yet; drag the tool first.")
        check_rollout_target(path, overwrite=False)
        assert self.world.robot is not None
        save_rollout(self.tape.rollout, path, action=self.world.robot.action)

    def _go_on(self, tape: Tape) -> None:
        self.tape, self._running = tape, None

    def _begun(self, state: State, std: Tensor | None) -> Tape:
        assert self.world.robot is not None
        std = torch.zeros(len(self.world.bodies), 6, dtype=torch.float64) if std is None else std.double()
        return Tape.begin(state, std, len(self.world.robot.action), self._world_id)


def free_name(folder: Path, name: str) -> str:
    """The first of `name`, `name_2`, `name_3` ... that nothing in a folder has."""
    number, found = 1, name
    while (folder / found).exists():
        number += 1
        found = f"{name}_{number}"
    return found
