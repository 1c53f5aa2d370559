"""The command `splatworld`: finds the verb, parses its options, turns errors into exit codes.

0 done; 2 the input cannot be used, said in one sentence; 1 a defect of ours; 130 interrupted by Ctrl-C. Verbs are
imported one at a time, so that `--help` needs neither torch nor any other verb.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import errno
import io
import os
import re
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Any

VERBS = {
    "reconstruct": ("reconstruct", "a video, image folder or posed capture -> a world"),
    "import": ("import_", "splats trained by another tool -> a world"),
    "import-pushes": ("import_pushes", "a recorded push -> a rollout of a world"),
    "scale": ("scale", "metres for a finished world, from a marker or a known length"),
    "export": ("export", "a world -> a file for other tools"),
    "info": ("info", "what a world, splats or a capture hold"),
    "segment": ("segment", "correct the bodies of a world"),
    "render": ("render", "a world -> pictures, depth, body ids"),
    "view": ("view", "worlds and rollouts in the browser"),
    "simulate": ("simulate", "a family of scenes -> episodes with exact truth"),
    "train-dynamics": ("train_dynamics", "episodes -> the network that moves bodies"),
    "rollout": ("rollout", "a world and actions -> what is predicted to happen"),
    "plan": ("plan", "a world and a goal -> actions of its robot"),
    "eval": ("eval", "measure what the project claims"),
    "demo": ("demo", "the whole line on the sample video"),
}
"""Verb -> its module in `splatworld.cli`, and what it does."""

DONE, OUR_FAULT, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line, by default the process's own; returns the exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(overview())
        return DONE
    if arguments[0] == "--version":
        from importlib.metadata import version

        print(f"splatworld {version('splatworld')}")
        return DONE
    verb = arguments[0]
    if verb not in VERBS:
        what = "option" if verb.startswith("-") else "verb"
        return _refuse(f"no {what} {verb!r}{_nearest(verb, VERBS)}; see splatworld --help.")
    debug = "--debug" in arguments
    try:
        module = import_module(f"splatworld.cli.{VERBS[verb][0]}")
        return _run(module, verb, arguments[1:])
    except KeyboardInterrupt:
        _complain("interrupted; what was there before is unchanged.")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output left, as `head` does; keep the interpreter from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        if debug:
            traceback.print_exc()
        return _explain(error)


def _run(module: Any, verb: str, arguments: list[str]) -> int:
    from splatworld.cli.terminal import Terminal

    parsed = _parse(module.Options, verb, arguments)
    if isinstance(parsed, int):
        return parsed
    with Terminal(json=parsed.json, quiet=parsed.quiet) as terminal:
        return module.run(parsed, terminal) or DONE


def overview() -> str:
    """The text of `splatworld --help`."""
    width = max(map(len, VERBS))
    rows = "\n".join(f"  {verb:<{width}}  {does}" for verb, (_, does) in VERBS.items())
    return (
        "usage: splatworld VERB [options]\n\n"
        "Turn a phone video into a persistent world of 3D Gaussian splats.\n\n"
        f"{rows}\n\n"
        "splatworld VERB --help lists a verb's options. Every verb takes --json (results on stdout as JSON),\n"
        "--quiet (no progress) and --debug (tracebacks). Exit codes: 0 done, 2 input that cannot be used,\n"
        "1 a defect of ours, 130 interrupted."
    )


def _parse(options: type, verb: str, arguments: list[str]) -> Any:
    """An instance of `options`, or the exit code of `--help` or of a complaint."""
    import tyro

    names = {"--" + field.name.replace("_", "-") for field in dataclasses.fields(options)} | {"--help"}
    for word in arguments:
        name = word.partition("=")[0].replace("_", "-")
        if word.startswith("--") and name not in names:
            return _refuse(f"{verb}: no option {name!r}{_nearest(name, sorted(names))}; see splatworld {verb} --help.")
    box = io.StringIO()
    config = (tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone)
    try:
        with contextlib.redirect_stderr(box):
            return tyro.cli(options, prog=f"splatworld {verb}", args=arguments, config=config)
    except SystemExit as end:
        if not end.code:
            return DONE
        return _refuse(f"{verb}: {_sentence(box.getvalue())}; see splatworld {verb} --help.")


def _sentence(box: str) -> str:
    """What tyro's boxed complaint says, on one line: its first part, without the help texts."""
    # Below the title; lines are drawn in ASCII, the title's own among them, where the terminal has no others.
    parts: list[list[str]] = [[]]
    for row in (row.strip("│") for row in box.splitlines()[1:]):
        if re.search("─{5}|-{5}", row):
            parts.append([])
        elif row.strip() and not row.startswith(" " * 8):
            parts[-1].append(row.strip())
    shown = next((part for part in parts if part), ["the options cannot be read"])
    text = " ".join(shown).rstrip(".")
    text = re.sub(r"^Missing from splatworld \S+:", "missing", text).replace(" (required)", "")
    text = re.sub(r"no type matching (\S+) could be instantiated from \['(.*?)'\].*", r"\2 is not \1", text)
    return text[:1].lower() + text[1:]


def _nearest(given: str, names: Any) -> str:
    close = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else f", expected one of {', '.join(names)}"


def _explain(error: Exception) -> int:
    """Say in one sentence what went wrong, and whose fault it is."""
    from splatworld.core.checks import InputError, SplatworldError

    if isinstance(error, InputError):
        return _refuse(str(error))
    if isinstance(error, OSError) and error.errno in FULL_DISK:
        return _refuse(f"{error.filename or 'output'}: the disk is full; make room and try again.")
    if isinstance(error, SplatworldError):
        _complain(str(error))
        return OUR_FAULT
    _complain(f"internal error, {type(error).__name__}: {error}; run again with --debug for the traceback.")
    return OUR_FAULT


def _refuse(sentence: str) -> int:
    _complain(sentence)
    return BAD_INPUT


def _complain(sentence: str) -> None:
    print(f"splatworld: {' '.join(sentence.split())}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
