"""Rollouts as a timeline plays them, and the worlds that they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from splatworld import store
from splatworld.core.checks import InputError
from splatworld.core.rollout import Rollout
from splatworld.core.state import State
from splatworld.recordings import is_rollout, load_rollout, load_rollout_of

SLACK = 1e-6
"""s by which a state's time may lie behind the clock's, for rounding."""


@dataclass(frozen=True, eq=False)
class Track:
    """A single rollout, for playing.

    Attributes:
        label: its name on the page.
        rollout: [T] actions and [T + 1] states.
    """

    label: str
    rollout: Rollout

    @cached_property
    def times(self) -> np.ndarray:
        """[T + 1] s, of the states."""
        return self.rollout.states.time.double().numpy()

    @cached_property
    def poses(self) -> np.ndarray:
        """[T + 1, B, 7] world_from_body."""
        return self.rollout.states.world_from_body.double().numpy()

    @cached_property
    def moving(self) -> frozenset[int]:
        """Indices of the bodies whose poses are not the same all the time."""
        moved = (self.poses != self.poses[:1]).any(axis=(0, 2))
        return frozenset(np.flatnonzero(moved).tolist())

    def index(self, time: float) -> int:
        """Which state there is at a time: the last one that was computed by then, the first one before it began."""
        return int(self.indices(np.array([time]))[0])

    def indices(self, times: np.ndarray) -> np.ndarray:
        """Which states there are at times [K], see `index`."""
        return np.maximum(np.searchsorted(self.times, times + SLACK, side="right") - 1, 0)

    def state(self, time: float) -> State:
        """The state at a time, see `index`."""
        return self.rollout.states[self.index(time)]

    def action(self, index: int) -> tuple[Rollout | State, float | None]:
        """The action that led to a state, the first one for the first state, and the state's time in it, s.

        Where nothing was done there is only the state.
        """
        rollout = self.rollout
        if not rollout.actions.shape[-2]:
            return rollout.states[0], None
        first = max(index - 1, 0)
        parts = slice(first, first + 2)
        piece = Rollout(
            actions=rollout.actions[first : first + 1],
            states=rollout.states[parts],
            world_id=rollout.world_id,
            std=None if rollout.std is None else rollout.std[parts],
        )
        return piece, float(self.times[index] - self.times[first])


def load_tracks(paths: Sequence[Path], world_id: str) -> tuple[Track, ...]:
    """Read rollouts of one world.

    Raises:
        InputError, FormatError: as `recordings.load_rollout_of`.
    """
    labels = labels_of(paths)
    return tuple(Track(label, load_rollout_of(world_id, path)) for label, path in zip(labels, paths, strict=True))


def by_world(paths: Sequence[str | Path]) -> dict[Path, list[Path]]:
    """Worlds and rollouts -> the rollouts of each world, in the order in which they were given.

    The world of a rollout is one of those given, or one that lies beside it.

    Raises:
        InputError, FormatError: no world or rollout at one of them, or a rollout whose world is not found.
    """
    given = [Path(path) for path in paths]
    found: dict[Path, list[Path]] = {path: [] for path in given if not is_rollout(path)}
    worlds = {store.world_id(path): path for path in reversed(found)}
    for path in filter(is_rollout, given):
        wanted = load_rollout(path).world_id
        world = worlds.get(wanted) or _beside(path, wanted)
        if world is None:
            raise InputError(
                f"{path}: a rollout of the world {wanted[:12]}, which is neither given nor beside it; give the folder "
                "of that world too."
            )
        worlds[wanted] = world
        found.setdefault(world, []).append(path)
    return found


def labels_of(paths: Sequence[Path]) -> list[str]:
    """The shortest names that tell folders apart: the folder's own, or its path."""
    names = [path.resolve().name for path in paths]
    return [name if names.count(name) == 1 else str(path.resolve()) for name, path in zip(names, paths, strict=True)]


def _beside(rollout: Path, world_id: str) -> Path | None:
    """The folder of a world among those that a rollout's folder lies beside or in."""
    home = rollout.resolve().parent
    for folder in (home, *sorted(home.iterdir())):
        if store.is_world(folder) and store.read_document(folder)[1]["id"] == world_id:
            return folder
    return None
