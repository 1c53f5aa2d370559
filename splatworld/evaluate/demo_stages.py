"""The stages of a demo: each leaves a chapter of the report, finished ones are kept, and what fails stops no other."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from splatworld.core.checks import SplatworldError
from splatworld.evaluate.report import Line
from splatworld.evaluate.resume import reason
from splatworld.files import write_file

KEPT = "stages"
"""Folder of finished chapters."""


@dataclass(frozen=True)
class Told:
    """What a stage has to tell.

    Attributes:
        html: of its chapter, without the title.
        lines: what was measured.
    """

    html: str
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True)
class Chapter:
    """A stage that is over.

    Attributes:
        name: of the stage.
        title: headline.
        told: what it tells; nothing where it failed.
        seconds: s that it took.
        failed: why there is nothing, in a sentence; None where all went well.
        fault: whether it failed for a reason that we did not foresee.
    """

    name: str
    title: str
    told: Told
    seconds: float = 0.0
    failed: str | None = None
    fault: bool = False


class Stages:
    """Runs stages one after the other.

    Attributes:
        chapters: those that are over, by name.
    """

    def __init__(self, folder: Path, say: Callable[..., object]) -> None:
        """
        Args:
            folder: of the demo.
            say: told what is taken over, and what fails.
        """
        self._folder, self._say = folder / KEPT, say
        self.chapters: dict[str, Chapter] = {}

    def run(
        self,
        name: str,
        title: str,
        make: Callable[[], Told],
        *,
        key: str,
        leaves: tuple[Path, ...] = (),
        must: bool = False,
    ) -> Chapter:
        """One stage, or what an earlier run with the same key kept of it.

        Args:
            name: of the stage.
            title: headline of its chapter.
            make: does it.
            key: of all that its result depends on.
            leaves: files or folders without which what was kept is not enough.
            must: raise what it raises rather than tell it.
        """
        kept = self._kept(name, key)
        if kept is not None and all(path.exists() for path in leaves):
            self._say(f"{name}: taken from an earlier run")
            chapter = kept
        else:
            chapter = self._made(name, title, make, key, must=must)
        self.chapters[name] = chapter
        return chapter

    def forget(self) -> None:
        """Keep nothing of earlier runs."""
        for path in self._folder.glob("*.json"):
            path.unlink()

    def _made(self, name: str, title: str, make: Callable[[], Told], key: str, *, must: bool) -> Chapter:
        begin = time.monotonic()
        path = self._folder / f"{name}.json"
        path.unlink(missing_ok=True)
        try:
            told = make()
        except Exception as error:
            if must:
                raise
            self._say(f"{name}: {reason(error)}")
            fault = not isinstance(error, SplatworldError)
            return Chapter(name, title, Told(""), time.monotonic() - begin, reason(error), fault)
        chapter = Chapter(name, title, told, time.monotonic() - begin)
        write_file(path, json.dumps({"key": key, **asdict(chapter)}, indent=1))
        return chapter

    def _kept(self, name: str, key: str) -> Chapter | None:
        path = self._folder / f"{name}.json"
        if not path.is_file():
            return None
        document = json.loads(path.read_text())
        if document.pop("key") != key:
            return None
        told = document.pop("told")
        return Chapter(**document, told=Told(told["html"], tuple(Line(**row) for row in told["lines"])))
