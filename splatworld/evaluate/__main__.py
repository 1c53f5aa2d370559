"""`python -m splatworld.evaluate SUITE`: what `splatworld eval` does, where there is nothing but torch and numpy.

Writes the figures as JSON and, beside them, as a table.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from splatworld.core.checks import SplatworldError
from splatworld.evaluate.report import as_markdown
from splatworld.evaluate.suites import SUITES, run_suite


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m splatworld.evaluate", description="Measure what the project claims."
    )
    parser.add_argument("suite", choices=tuple(SUITES))
    parser.add_argument("--quick", action="store_true", help="the minute-long version")
    parser.add_argument("--long", action="store_true", help="the soaks")
    parser.add_argument("-o", "--output", type=Path, help="file for the JSON; the table goes beside it, as .md")
    options = parser.parse_args()
    try:
        report = run_suite(
            options.suite,
            quick=options.quick,
            long=options.long,
            progress=lambda *words: print(*words, file=sys.stderr, flush=True),
        )
    except SplatworldError as error:
        sys.exit(f"error: {error}")
    table = as_markdown(report)
    if options.output is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(report.to_json(), indent=1) + "\n")
        options.output.with_suffix(".md").write_text(table)
    print(table)


if __name__ == "__main__":
    main()
