"""Long runs of a suite go on where they were stopped, and past what fails."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from splatworld.core.checks import SplatworldError
from splatworld.evaluate.report import Line, line, sources_hash
from splatworld.files import write_file

FOLDER = Path("out/eval")


def measure_parts(
    suite: str,
    parts: dict[str, Callable[[], list[Line]]],
    say: Callable[..., object],
    *,
    folder: Path | None = FOLDER,
) -> list[Line]:
    """The lines of every part, in order; of a part that fails one line without a value that says why.

    Finished parts are written to `folder`. A later run of the same sources takes them from there; figures of others,
    or of what is not committed, are measured again. The file goes once everything is measured.

    Args:
        suite: names the file.
        parts: name -> what measures it.
        say: told which parts are taken over, and what fails.
        folder: made if it is missing; None: nothing is kept.
    """
    path, sources = (folder or FOLDER) / f"{suite}.partial.json", sources_hash()
    done: dict[str, list[dict]] = {}
    failed: dict[str, Line] = {}
    if folder is not None and path.exists():
        kept = json.loads(path.read_text())
        if kept["sources"] == sources and not sources.endswith("+changes"):
            done = kept["parts"]
            say(f"taken from {path}: {', '.join(done)}")
    for name, measure in parts.items():
        if name in done:
            continue
        try:
            done[name] = [asdict(row) for row in measure()]
        except Exception as error:  # the other parts' figures are not lost by it
            failed[name] = line(f"{name}: not measured, {reason(error)}", None, "")
            say(failed[name].name)
            continue
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            write_file(path, json.dumps({"sources": sources, "parts": done}, indent=1))
    if folder is not None and not failed:
        path.unlink(missing_ok=True)
    return [row for name in parts for row in ([failed[name]] if name in failed else map(_line, done[name]))]


def _line(row: dict) -> Line:
    return Line(**row)


def reason(error: Exception) -> str:
    """What went wrong, in a sentence; of what we did not foresee also where."""
    if isinstance(error, SplatworldError):
        return str(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {' '.join(str(error).split())} ({Path(last.filename).name}, line {last.lineno})"
