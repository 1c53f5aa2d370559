"""`splatworld eval SUITE`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from rich.table import Table
from tyro.conf import Positional, arg

from splatworld.cli.terminal import Common, Terminal


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Measure what the project claims; a missed target is a result, not an error."""

    suite: Annotated[Positional[str], arg(metavar="SUITE")]
    """rasterizer, gpu, reconstruction, bodies, permanence, dynamics, queries, planning or viewer."""
    quick: bool = False
    """The minute-long version."""
    long: bool = False
    """The soaks."""
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="FILE")] = None
    """Also write the JSON to this file."""


def run(options: Options, terminal: Terminal) -> None:
    import json

    from splatworld.core.checks import InputError
    from splatworld.evaluate.suites import run_suite
    from splatworld.files import write_file

    if options.quick and options.long:
        raise InputError("eval: --quick and --long exclude each other; give one of them.")
    report = run_suite(options.suite, quick=options.quick, long=options.long, progress=terminal.progress)
    data = report.to_json()
    if options.output is not None:
        write_file(options.output, json.dumps(data, indent=1) + "\n")
    terminal.result(data, as_table(data))


def as_table(data: dict[str, Any]) -> Table:
    """A report's lines as a table."""
    from splatworld.evaluate.report import figure

    table = Table(title=f"{data['suite']}: {data['device']}, {data['threads']} threads, commit {data['commit']}")
    for name in ("name", "value", "unit", "target", "met", "baseline"):
        table.add_column(name, justify="right" if name == "value" else "left")
    words = {True: "yes", False: "NO", None: ""}
    for line in data["lines"]:
        value = "not measured" if line["value"] is None else figure(line["value"])
        table.add_row(
            line["name"], value, line["unit"], line["target"] or "", words[line["met"]], line["baseline"] or ""
        )
    return table
