"""What every verb shares: its common options, and where results and progress go."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


@dataclass(frozen=True, kw_only=True)
class Common:
    """Options of every verb."""

    json: bool = False
    """Print the result as JSON on stdout."""
    quiet: bool = False
    """Print no progress."""
    debug: bool = False
    """Print tracebacks."""


@dataclass
class Terminal:
    """Results on stdout; progress and remarks on stderr.

    Attributes:
        json: results as JSON.
        quiet: neither progress nor remarks.
    """

    json: bool = False
    quiet: bool = False
    _bars: Progress | None = None
    _stages: dict[str, TaskID] = field(default_factory=dict)
    _begun: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._errors = Console(stderr=True, highlight=False, soft_wrap=True)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close()

    def progress(self, stage: str, done: int = 0, total: int = 0) -> None:
        """Tell how far a stage has come; without `total`, `stage` is a remark."""
        if self.quiet:
            return
        if not total:
            self.say(stage)
        elif self._errors.is_terminal:
            self._bar(stage, done, total)
        else:
            begin = self._begun.setdefault(stage, time.monotonic())
            if done >= total:
                del self._begun[stage]
                self.say(f"{stage}: {total} in {time.monotonic() - begin:.1f} s")

    def say(self, text: str) -> None:
        """A remark for the reader."""
        if not self.quiet:
            (self._bars.console if self._bars else self._errors).print(text, markup=False)

    def result(self, data: dict[str, Any], text: Any) -> None:
        """Print what the verb found: `data` with --json, else `text`, a string or a rich table."""
        self._close()
        if self.json:
            print(json.dumps(data, indent=1, ensure_ascii=False))
        else:
            # A pipe has no width: let no table be cut short in it.
            console = Console(
                file=sys.stdout, highlight=False, markup=False, width=None if sys.stdout.isatty() else 160
            )
            console.print(text, soft_wrap=isinstance(text, str))
        sys.stdout.flush()

    def _bar(self, stage: str, done: int, total: int) -> None:
        if self._bars is None:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bars = Progress(*columns, console=self._errors)
            self._bars.start()
        if stage not in self._stages:
            self._stages[stage] = self._bars.add_task(stage, total=total)
        self._bars.update(self._stages[stage], completed=done, total=total)

    def _close(self) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
            self._stages.clear()


@contextmanager
def stopping(terminal: Terminal) -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C ask for an early end and the second one end at once.

    Yields:
        A function that tells whether Ctrl-C was pressed.
    """
    pressed = threading.Event()

    def handler(number: int, frame: FrameType | None) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()
        terminal.say("stopping; the world so far will be saved (Ctrl-C again to give it up)")

    if threading.current_thread() is not threading.main_thread():  # only the main thread gets signals
        yield pressed.is_set
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def table(rows: dict[str, Any]) -> str:
    """Aligned `name  value` lines; entries that are None are left out."""
    shown = {name: value for name, value in rows.items() if value is not None}
    width = max(map(len, shown), default=0)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in shown.items())
