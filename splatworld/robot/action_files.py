"""Sequences of actions in files of other programs."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from splatworld.core.checks import FormatError, InputError
from splatworld.core.robot import ActionSpec
from splatworld.robot.actions import check_action

KINDS = (".npy", ".csv")


def read_actions(path: str | Path, action: ActionSpec) -> Tensor:
    """Actions [T, A] float64 from a file.

    Args:
        path: `.npy`, an array [T, A]; or `.csv`, a row an action, with or without a first row that names the columns,
            which may then come in any order.
        action: what they must mean.

    Raises:
        InputError: no such file, another kind of file, or actions that are not finite or beyond their limits.
        ShapeError: another number of columns.
        FormatError: it cannot be read.
    """
    path = Path(path)
    if path.suffix.lower() not in KINDS:
        raise InputError(f"{path}: expected a file of actions, {' or '.join(KINDS)}.")
    if not path.is_file():
        raise InputError(f"{path}: no such file; check the path.")
    try:
        values = _from_csv(path, action) if path.suffix.lower() == ".csv" else np.load(path, allow_pickle=False)
        actions = torch.from_numpy(np.array(values, dtype=np.float64))
    except (ValueError, TypeError, EOFError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: no table of numbers ({' '.join(str(error).split())}).") from error
    if actions.ndim != 2:
        raise FormatError(f"{path}: an array {list(actions.shape)}, expected [T, {len(action)}].")
    check_action(action, actions)
    return actions


def _from_csv(path: Path, action: ActionSpec) -> np.ndarray:
    rows = [row for row in csv.reader(path.read_text().splitlines()) if row]
    names = [cell.strip() for cell in rows[0]] if rows else []
    if not set(names) & set(action.names):
        return np.array([[float(cell) for cell in row] for row in rows], dtype=np.float64).reshape(len(rows), -1)
    lacking = [name for name in action.names if name not in names]
    if lacking:
        raise InputError(f"{path}: lacks the columns {', '.join(lacking)}; expected {', '.join(action.names)}.")
    columns = [names.index(name) for name in action.names]
    return np.array([[float(row[column]) for column in columns] for row in rows[1:]]).reshape(-1, len(columns))
