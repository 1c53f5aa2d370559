"""State of unfinished work on disk: named tensors and a few plain values in one file that is whole or not there."""

from __future__ import annotations

import hashlib
import json
import struct
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load as decode_tensors
from safetensors.torch import save as encode_tensors
from torch import Tensor

from splatworld.core.checks import InputError
from splatworld.files import write_file

SHARE = 0.02
"""Saving may take this share of the time, at most."""

State = dict[str, dict[str, Tensor]]
"""Part of the work (parameters, exposures, ...) -> name -> tensor."""


class Checkpoint:
    """The state of one fit or training, saved from time to time."""

    def __init__(self, path: Path, key: str, *, every: float = 30.0, say: Callable[[str], object] = print) -> None:
        """
        Args:
            path: the file.
            key: what the work is on and with which options; a file with another key is not resumed.
            every: s between saves; stretched where saving is slow.
            say: told in one sentence when the state cannot be saved; the work goes on.
        """
        self._path, self._key, self._every, self._say = path, key, every, say
        self._last, self._took = time.monotonic(), 0.0

    def load(self) -> State | None:
        """What was saved last under this key; None where there is nothing whole."""
        found = read_tensors(self._path, self._key)
        if found is None:
            if self._path.exists():
                self._say(f"{self._path} is damaged or was made with other options: the work starts anew")
            return None
        self._say(f"the work goes on from {self._path}")
        state: State = {}
        for name, value in found[0].items():
            part, _, rest = name.partition("/")
            state.setdefault(part, {})[rest] = value
        return state

    def due(self) -> bool:
        """Whether it is time to save."""
        return time.monotonic() - self._last >= max(self._every, self._took / SHARE)

    def save(self, state: State) -> None:
        """Replace what was saved; a kill at any moment leaves the old state or the new."""
        begin = time.monotonic()
        tensors = {f"{part}/{name}": value for part, values in state.items() for name, value in values.items()}
        try:
            write_tensors(self._path, tensors, key=self._key)
        except InputError as error:
            self._say(f"{error} The work goes on; it could not be resumed.")
        self._last = time.monotonic()
        self._took = self._last - begin


def write_tensors(path: Path, tensors: Mapping[str, Tensor], *, key: str, values: Any = None) -> None:
    """Write a safetensors file whose header carries `key`, `values` (JSON) and a checksum over everything.

    Raises:
        InputError: the disk is full or the folder cannot be written; the old file is unchanged.
    """
    tensors = {name: value.detach().contiguous() for name, value in tensors.items()}
    text = json.dumps(values, sort_keys=True)
    header = {"key": key, "values": text, "checksum": _checksum(tensors, key, text)}
    write_file(path, encode_tensors(tensors, metadata=header))


def read_tensors(path: Path, key: str) -> tuple[dict[str, Tensor], Any] | None:
    """Tensors and values of a file that `write_tensors` wrote under `key`; None where missing or damaged."""
    try:
        content = path.read_bytes()
        size = struct.unpack("<Q", content[:8])[0]
        header = json.loads(content[8 : 8 + size])["__metadata__"]
        if header["key"] != key:
            return None
        tensors = decode_tensors(content)
        whole = header["checksum"] == _checksum(tensors, key, header["values"])
        return (tensors, json.loads(header["values"])) if whole else None
    except (OSError, ValueError, KeyError, TypeError, struct.error, SafetensorError):
        return None


def _checksum(tensors: Mapping[str, Tensor], *texts: str) -> str:
    digest = hashlib.sha256("\0".join(texts).encode())
    for name in sorted(tensors):
        value = tensors[name].numpy()
        digest.update(f"{name} {value.dtype} {value.shape}".encode())
        digest.update(value.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
