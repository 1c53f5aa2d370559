"""Long runs of a suite go on where they were stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from splatworld.evaluate.report import Line, commit_hash
from splatworld.files import write_file

FOLDER = Path("out/eval")


def measure_parts(
    suite: str, parts: dict[str, Callable[[], list[Line]]], say: Callable[..., object], *, folder: Path = FOLDER
) -> list[Line]:
    """The lines of every part, in order.

    Finished parts are written to `folder`. A later run of the same commit takes them from there; figures of another
    commit, or of changed sources, are measured again. The file goes once everything is measured.

    Args:
        suite: names the file.
        parts: name -> what measures it.
        say: told which parts are taken over.
        folder: made if it is missing.
    """
    path, commit = folder / f"{suite}.partial.json", commit_hash()
    done: dict[str, list[dict]] = {}
    if path.exists():
        kept = json.loads(path.read_text())
        if kept["commit"] == commit and not commit.endswith("+changes"):
            done = kept["parts"]
            say(f"taken from {path}: {', '.join(done)}")
    for name, measure in parts.items():
        if name not in done:
            done[name] = [asdict(row) for row in measure()]
            folder.mkdir(parents=True, exist_ok=True)
            write_file(path, json.dumps({"commit": commit, "parts": done}, indent=1))
    path.unlink(missing_ok=True)
    return [Line(**row) for name in parts for row in done[name]]
