"""A world while its bodies are corrected: what is shown, what was before, what is on disk."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from splatworld import store
from splatworld.bodies.build import refresh
from splatworld.core.checks import InputError
from splatworld.core.world import World
from splatworld.viewer.source import Source

LEVELS = 50
"""Corrections that can be taken back; a world before one shares most of its splats with the world after it."""


class Edits:
    """Corrections of a world that can be undone, redone and saved. On any error the world stays as it was.

    Attributes:
        source: the world as it is on disk.
        world: the world as corrected so far; the same object while nothing is unsaved.
    """

    def __init__(self, source: Source) -> None:
        self.source, self.world = source, source.world
        self._past: list[tuple[str, World]] = []
        self._future: list[tuple[str, World]] = []
        self._work = threading.Lock()

    @property
    def unsaved(self) -> bool:
        """Whether the world on disk is another one."""
        return self.world is not self.source.world

    @property
    def busy(self) -> bool:
        """Whether a correction is being worked on."""
        return self._work.locked()

    @property
    def past(self) -> tuple[str, ...]:
        """What can be undone, the oldest first."""
        return tuple(what for what, _ in self._past)

    @property
    def future(self) -> tuple[str, ...]:
        """What can be redone, the next one last."""
        return tuple(what for what, _ in self._future)

    def apply(self, what: str, change: Callable[[World], World]) -> None:
        """Correct the world.

        Args:
            what: is done, in a few words.
            change: gives the corrected world; the same object if there is nothing to correct.

        Raises:
            InputError: another correction is being worked on, or as `change`.
        """
        with self._alone():
            after = change(self.world)
            if after is self.world:
                return
            self._past = [*self._past, (what, self.world)][-LEVELS:]
            self._future = []
            self.world = after

    def undo(self) -> str:
        """Take the last correction back; returns what it was.

        Raises:
            InputError: there is none, or one is being worked on.
        """
        return self._step("undo", back=True)

    def redo(self) -> str:
        """Do again what was undone last; returns what it was.

        Raises:
            InputError: there is nothing, or a correction is being worked on.
        """
        return self._step("redo", back=False)

    def save(self, progress: Callable[..., Any] | None = None) -> None:
        """Give the corrected bodies hidden sides, shape and mass, and write the world to its folder.

        Raises:
            InputError: nothing to save, the world on disk is another than the one that was opened, one is being worked
                on, or the folder cannot be written; what is on disk stays as it is.
        """
        with self._alone():
            if not self.unsaved:
                raise InputError("save: nothing was corrected since the world was saved.")
            self._check_disk()
            world = refresh(self.world, progress=progress)
            store.save_world(world, self.source.folder, overwrite=True)
            self.world = self.source.world = world

    @contextlib.contextmanager
    def saved(self, verb: str) -> Iterator[None]:
        """Keep corrections away while the world on disk is changed otherwise.

        Raises:
            InputError: corrections are not saved, or the world on disk is another than the one that was opened.
        """
        with self._alone():
            if self.unsaved:
                raise InputError(f"{verb}: corrections of bodies are not saved; save or undo them first.")
            self._check_disk()
            yield

    def _check_disk(self) -> None:
        folder = self.source.folder
        if store.world_id(folder) != store.world_id(self.source.world):
            raise InputError(f"{folder}: the world was changed since it was opened; open it again.")

    def _step(self, verb: str, *, back: bool) -> str:
        with self._alone():
            start, goal = (self._past, self._future) if back else (self._future, self._past)
            if not start:
                raise InputError(f"{verb}: there is nothing to {verb}.")
            what, world = start.pop()
            goal.append((what, self.world))
            self.world = world
            return what

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._work.acquire(blocking=False):
            raise InputError("a correction is still being worked on; wait until it is done.")
        try:
            yield
        finally:
            self._work.release()
