"""Where a tool and bodies were, as other programs recorded it: tables, arrays, LeRobot data sets."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from splatworld.core.checks import FormatError, InputError

POSE = ("x", "y", "z", "qw", "qx", "qy", "qz")
PLANAR = ("x", "y", "yaw")
FARTHEST = 100.0
"""m from the origin beyond which numbers are no metres."""
_COLUMN = re.compile(r"^(?P<name>[^=]+)=(?P<feature>[^\[=]+)(\[(?P<first>\d+):(?P<last>\d+)\])?$")


@dataclass(frozen=True)
class Tracks:
    """Poses over time.

    Attributes:
        times: [K] s, increasing.
        poses: name -> [K, 7] translation m and quaternion wxyz, or [K, 3] x, y m and yaw rad of what moves on a plane.
    """

    times: np.ndarray
    poses: dict[str, np.ndarray]


def read_tracks(path: str | Path, *, columns: tuple[str, ...] = (), episode: int = 0, scale: float = 1.0) -> Tracks:
    """Tracks from a file.

    Args:
        path: `.csv` with a column `time` and for each thing `NAME.x`, `NAME.y`, `NAME.z`, `NAME.qw`, ..., `NAME.qz` or
            `NAME.x`, `NAME.y`, `NAME.yaw`; `.npz` with an array `time` [K] and for each thing one of its name, [K, 7]
            or [K, 3]; or the folder of a LeRobot data set.
        columns: of a LeRobot data set: which of its features are poses, `NAME=FEATURE[first:last]`.
        episode: of a LeRobot data set.
        scale: m in a unit of the file's lengths.

    Raises:
        InputError: no such file, another kind of file, names that are not there, numbers that make no sense.
        FormatError: it cannot be read.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file; check the path.")
    if columns and not path.is_dir():
        raise InputError(f"{path}: columns are for LeRobot data sets; a table or archive names its own.")
    try:
        if path.is_dir():
            times, poses = _read_lerobot(path, columns, episode)
        elif path.suffix.lower() == ".csv":
            times, poses = _read_csv(path)
        elif path.suffix.lower() == ".npz":
            times, poses = _read_npz(path)
        else:
            raise InputError(f"{path}: expected .csv, .npz or the folder of a LeRobot data set.")
    except (ValueError, TypeError, KeyError, EOFError, OSError) as error:
        if isinstance(error, InputError | FormatError):
            raise
        raise FormatError(f"{path}: cannot be read ({' '.join(str(error).split())}).") from error
    return _checked(path, times, poses, scale)


def _read_csv(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rows = [row for row in csv.reader(path.read_text().splitlines()) if row]
    names = [cell.strip() for cell in rows[0]] if rows else []
    if "time" not in names:
        raise InputError(f"{path}: lacks a column 'time'; expected time, then NAME.x, NAME.y and so on for each thing.")
    table = np.empty((len(rows) - 1, len(names)))
    for number, row in enumerate(rows[1:]):
        if len(row) != len(names):
            raise FormatError(f"{path}: row {number + 2} has {len(row)} cells, expected {len(names)}.")
        try:
            table[number] = [float(cell) for cell in row]
        except ValueError as error:
            raise FormatError(f"{path}: row {number + 2} is no row of numbers ({error}).") from error
    column = dict(zip(names, table.T, strict=True))
    found = {}
    for thing in dict.fromkeys(name.rpartition(".")[0] for name in names if "." in name):
        for wanted in (POSE, PLANAR):
            if all(f"{thing}.{axis}" in column for axis in wanted):
                found[thing] = np.stack([column[f"{thing}.{axis}"] for axis in wanted], axis=-1)
                break
        else:
            raise InputError(f"{path}: {thing} has neither all of {', '.join(POSE)} nor of {', '.join(PLANAR)}.")
    return column["time"], found


def _read_npz(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: np.asarray(archive[name], dtype=np.float64) for name in archive.files}
    if "time" not in arrays:
        raise InputError(f"{path}: lacks an array 'time'; it has {', '.join(arrays) or 'nothing'}.")
    return arrays.pop("time"), arrays


def _read_lerobot(path: Path, columns: tuple[str, ...], episode: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The episode's rows of `data/**/*.parquet`, whose features `meta/info.json` tells (versions 2 and 3)."""
    meta = path / "meta" / "info.json"
    if not meta.is_file():
        raise InputError(f"{path}: no meta/info.json is there; expected the folder of a LeRobot data set.")
    features: dict[str, Any] = json.loads(meta.read_text())["features"]
    numeric = {name: each["shape"][0] for name, each in features.items() if each.get("dtype", "").startswith("float")}
    listed = ", ".join(f"{name} [{size}]" for name, size in numeric.items() if name != "timestamp")
    if not columns:
        raise InputError(f"{path}: say which features are poses, such as tool=observation.state[0:7]; it has {listed}.")
    try:
        import pyarrow.parquet as parquet
    except ModuleNotFoundError as error:
        raise InputError(f"{path}: {error}; install it: pip install 'splatworld[lerobot]'.") from error
    parts: dict[str, tuple[str, int, int]] = {}
    for column in columns:
        match = _COLUMN.match(column)
        if match is None or match["feature"] not in numeric:
            raise InputError(f"{path}: no columns {column!r}, expected NAME=FEATURE[first:last]; it has {listed}.")
        size = numeric[match["feature"]]
        first, last = (int(match["first"]), int(match["last"])) if match["first"] else (0, size)
        if not (first < last <= size and last - first in (len(POSE), len(PLANAR))):
            raise InputError(f"{path}: {column!r} are {last - first} of {size} numbers, expected 7 or 3 of them.")
        parts[match["name"]] = (match["feature"], first, last)
    wanted = ["episode_index", "timestamp", *dict.fromkeys(feature for feature, _, _ in parts.values())]
    times: list[np.ndarray] = []
    values: dict[str, list[np.ndarray]] = {name: [] for name in parts}
    for file in sorted((path / "data").rglob("*.parquet")):
        table = parquet.read_table(file, columns=wanted, filters=[("episode_index", "=", episode)])
        if not len(table):
            continue
        times.append(table["timestamp"].to_numpy().astype(np.float64))
        for name, (feature, first, last) in parts.items():
            rows = np.array(table[feature].to_pylist(), dtype=np.float64).reshape(len(table), -1)
            values[name].append(rows[:, first:last])
    if not times:
        raise InputError(f"{path}: has no episode {episode}; choose another.")
    return np.concatenate(times), {name: np.concatenate(rows) for name, rows in values.items()}


def _checked(path: Path, times: np.ndarray, poses: dict[str, np.ndarray], scale: float) -> Tracks:
    if not 0 < scale < np.inf:
        raise InputError(f"{path}: scale is {scale}, expected m a unit, above 0.")
    if not poses:
        raise InputError(f"{path}: holds no poses; expected those of a tool and of bodies.")
    times = np.asarray(times, dtype=np.float64)
    if times.ndim != 1 or len(times) < 2:
        raise InputError(f"{path}: time is {list(times.shape)}, expected [K] with two or more moments.")
    if not np.isfinite(times).all() or not (np.diff(times) > 0).all():
        row = int(np.argmin(np.isfinite(times) & np.append(True, np.diff(times) > 0)))
        raise InputError(f"{path}: time does not increase at moment {row} ({times[row]:g} s); sort or clean it.")
    found = {}
    for name, given in poses.items():
        values = np.array(given, dtype=np.float64)
        if values.shape not in ((len(times), len(POSE)), (len(times), len(PLANAR))):
            raise InputError(
                f"{path}: {name} is {list(values.shape)}, expected [{len(times)}, 7] or [{len(times)}, 3]."
            )
        if not np.isfinite(values).all():
            row = int(np.argmin(np.isfinite(values).all(-1)))
            raise InputError(f"{path}: {name} is not finite at moment {row}; leave such moments out.")
        places = 3 if values.shape[1] == len(POSE) else 2
        values[:, :places] *= scale
        if np.abs(values[:, :places]).max() > FARTHEST:
            far = np.abs(values[:, :places]).max()
            raise InputError(
                f"{path}: {name} gets {far:.4g} m far, expected metres; give --scale, 0.001 for millimetres."
            )
        if places == 3:
            norms = np.linalg.norm(values[:, 3:], axis=-1, keepdims=True)
            if (np.abs(norms - 1) > 0.01).any():
                row = int(np.argmax(np.abs(norms[:, 0] - 1) > 0.01))
                raise InputError(f"{path}: {name} has a quaternion of length {norms[row, 0]:.3g} at moment {row}, "
                                 "expected wxyz of length 1.")  # fmt: skip
            values[:, 3:] /= norms
        found[name] = values
    return Tracks(times - times[0], found)
