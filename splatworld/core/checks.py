"""Errors that say what was given, what was expected and what to do."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class SplatworldError(Exception):
    """Base of every error this package raises on purpose."""


class InputError(SplatworldError, ValueError):
    """The caller's input cannot be used; the message says why and what to do (exit code 2)."""


class ShapeError(InputError):
    """A tensor has the wrong shape or dtype."""


class FormatError(InputError):
    """A file is damaged, of another format, or of a newer version."""


def check_shape(owner: str, name: str, tensor: Any, shape: tuple[int | str | None, ...]) -> None:
    """Require `tensor` to have `shape`.

    Args:
        owner: the function or type that asks, for the message.
        name: the argument's name, for the message.
        tensor: what was given.
        shape: expected sizes; `None` or a letter accepts any size; a leading `...` accepts any batch.

    Raises:
        ShapeError: not a tensor, or another shape.
    """
    if isinstance(tensor, Tensor) and tuple(tensor.shape) == shape:
        return
    wanted = "[" + ", ".join("?" if size is None else str(size) for size in shape) + "]"
    if not isinstance(tensor, Tensor):
        raise ShapeError(f"{owner}: {name} is a {type(tensor).__name__}, expected a tensor {wanted}.")
    given = tuple(tensor.shape)
    sizes = shape
    if shape and shape[0] == "...":
        sizes = shape[1:]
        given_tail = given[len(given) - len(sizes) :] if len(given) >= len(sizes) else given
    else:
        given_tail = given
    matches = len(given_tail) == len(sizes) and all(
        not isinstance(size, int) or size == got for size, got in zip(sizes, given_tail, strict=True)
    )
    if not matches:
        raise ShapeError(f"{owner}: {name} is {list(given)}, expected {wanted}.")


def check_finite(owner: str, name: str, tensor: Tensor) -> None:
    """Require every number of `tensor` to be finite.

    Raises:
        InputError: names the first offending row.
    """
    finite = torch.isfinite(tensor)
    if not bool(finite.all()):
        index = torch.nonzero(~finite)[0].tolist()
        raise InputError(
            f"{owner}: {name}{index} is {tensor[tuple(index)].item()}, expected finite numbers; "
            "drop or repair these entries."
        )


def check_choice(owner: str, name: str, value: str, choices: tuple[str, ...]) -> None:
    """Require `value` to be one of `choices`.

    Raises:
        InputError: lists the valid names.
    """
    if value not in choices:
        raise InputError(f"{owner}: {name} is {value!r}, expected one of {', '.join(choices)}.")
