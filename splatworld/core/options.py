"""Options that a file changes: differences from the defaults only, strictly checked."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from splatworld.core.checks import InputError


def changed(file: Path, config: Any, given: dict[str, Any]) -> Any:
    """A frozen dataclass with the values that a file gives in place of its own; dataclasses within likewise.

    Args:
        file: for the message.
        config: with the defaults; a value must be like its default, lists stand for tuples.
        given: name -> value.

    Raises:
        InputError: no such option, or a value of another kind.
    """
    known = {field.name for field in fields(config)}
    changes: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            raise InputError(f"{file}: no option {name!r}, expected some of {', '.join(sorted(known))}.")
        now = getattr(config, name)
        if is_dataclass(now) and isinstance(value, dict):
            changes[name] = changed(file, now, value)
        elif isinstance(now, tuple) and isinstance(value, list) and value and all(_fits(v, now[0]) for v in value):
            changes[name] = tuple(type(now[0])(v) for v in value)
        elif not isinstance(now, tuple) and _fits(value, now):
            changes[name] = type(now)(value)
        else:
            raise InputError(f"{file}: {name} is {value!r}, expected the like of {now!r}.")
    return replace(config, **changes)


def _fits(value: Any, like: Any) -> bool:
    """Whether a value from a file can stand for one like `like`: numbers may be whole where others are expected."""
    return not isinstance(value, bool) and isinstance(value, int | float if isinstance(like, float) else type(like))
