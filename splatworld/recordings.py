"""Rollouts on disk: states and the commands between them, never pictures.

    rollout.json                schema, the world's id, names and units of the actions
    chunks/000000.safetensors   the first state alone
    chunks/000001.safetensors   some actions and the states after them; and so on, in time

Every chunk is written at once, so a recording that was cut short keeps what it has and can go on. Each carries the
hash of the one before: whoever holds the last hash holds the whole history.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as decode_tensors
from safetensors.torch import save as encode_tensors
from torch import Tensor

from splatworld.core.checks import FormatError, InputError, ShapeError, check_finite
from splatworld.core.robot import ActionSpec
from splatworld.core.rollout import Rollout
from splatworld.core.state import State
from splatworld.documents import read_document
from splatworld.files import check_writable, replacing_folder, write_file

SCHEMA = 1
FORMAT = "splatworld-rollout"
CHUNK = 256
"""Actions of a chunk."""
EXTRAS = ("std", "blocked", "stopped")
"""What a prediction says besides the states."""
STATE = tuple(f.name for f in fields(State))


class Recorder:
    """Writes a rollout while it happens. A context manager; what was not yet written is when the block ends."""

    def __init__(self, path: str | Path, *, every: int = CHUNK) -> None:
        """Go on with the recording at `path`; see `begin` for a new one.

        Args:
            path: its folder.
            every: actions of a chunk.

        Raises:
            InputError, FormatError: as `load_rollout`.
        """
        self._folder, self._every = Path(path), every
        self._document = _read(self._folder)
        last = deque(_chunks(self._folder, self._document), maxlen=1)[0]
        self._count, self._hash = last.number + 1, last.hash
        self._state = State(**{name: last.tensors[name][-1] for name in STATE})
        self._waiting: list[dict[str, Tensor]] = []

    @classmethod
    def begin(
        cls,
        path: str | Path,
        state: State,
        *,
        world_id: str,
        action: ActionSpec | None = None,
        every: int = CHUNK,
        overwrite: bool = False,
    ) -> Recorder:
        """Begin a new recording.

        Args:
            path: folder to create.
            state: where it begins; any batch.
            world_id: of the world the states belong to, see `store.world_id`.
            action: what its actions mean; None where the world has no robot.
            every: actions of a chunk.
            overwrite: replace the recording that is there.

        Raises:
            InputError: something else is at `path`, or a recording and `overwrite` is off; it cannot be written; the
                state is not finite.
        """
        folder = Path(path)
        check_rollout_target(folder, overwrite=overwrite)
        names, units = ((), ()) if action is None else (action.names, action.units)
        actions = {"names": names, "units": units}
        document = {"format": FORMAT, "schema": SCHEMA, "world_id": world_id, "actions": actions}
        text = json.dumps(document, indent=1) + "\n"
        first = encode_tensors(
            {name: getattr(state, name)[None].detach().cpu().contiguous() for name in STATE},
            metadata={"previous": _hash(text.encode())},
        )
        _check_state(state)
        with replacing_folder(folder.resolve()) as new:
            (new / "chunks").mkdir()
            (new / "rollout.json").write_text(text)
            (new / "chunks" / _name(0)).write_bytes(first)
        return cls(folder, every=every)

    @property
    def state(self) -> State:
        """The latest state."""
        return self._state

    @property
    def world_id(self) -> str:
        """Of the world that the states belong to."""
        return self._document["world_id"]

    @property
    def hash(self) -> str:
        """SHA-256 over everything written so far."""
        return self._hash

    def append(
        self,
        action: Tensor,
        state: State,
        *,
        std: Tensor | None = None,
        blocked: Tensor | None = None,
        stopped: Tensor | None = None,
    ) -> None:
        """Add an action [..., A] and the state that it led to.

        Args:
            action: what was commanded.
            state: of the batch of the first one.
            std: optional [..., B, 6], as in `Rollout`.
            blocked: optional [...], as in `Rollout`.
            stopped: optional [...] as in `Rollout`, as far as is known now.

        Raises:
            ShapeError: another batch or another number of bodies, joints or nodes.
            InputError: an action or a state that is not finite; the disk is full. What was written stays.
        """
        for name in STATE:
            given, expected = getattr(state, name).shape, getattr(self._state, name).shape
            if given != expected:
                raise ShapeError(f"Recorder: {name} is {list(given)}, expected {list(expected)} as before.")
        if action.shape[:-1] != state.batch:
            raise ShapeError(f"Recorder: the action is {list(action.shape)}, expected the states' batch first.")
        check_finite("Recorder", "action", action)
        _check_state(state)
        entry = {"actions": action, **{name: getattr(state, name) for name in STATE}}
        entry |= {name: value for name, value in zip(EXTRAS, (std, blocked, stopped), strict=True) if value is not None}
        self._waiting.append({name: value.detach().cpu().clone() for name, value in entry.items()})
        self._state = state
        if len(self._waiting) >= self._every:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if not self._waiting:
            return
        joined = {name: torch.stack([entry[name] for entry in self._waiting]) for name in self._waiting[0]}
        content = encode_tensors(joined, metadata={"previous": self._hash})
        write_file(self._folder / "chunks" / _name(self._count), content)
        self._hash, self._waiting = _hash(content), []
        self._count += 1

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()


def save_rollout(
    rollout: Rollout, path: str | Path, *, action: ActionSpec | None = None, overwrite: bool = False
) -> str:
    """Write a whole rollout; returns its hash.

    Raises:
        InputError: as `Recorder.begin`.
    """
    axis = len(rollout.states.batch) - 1
    states = [_at(rollout.states, axis, t) for t in range(rollout.actions.shape[-2] + 1)]
    begin = Recorder.begin(path, states[0], world_id=rollout.world_id, action=action, overwrite=overwrite)
    with begin as recorder:
        for t, state in enumerate(states[1:]):
            std = None if rollout.std is None else rollout.std.select(axis, t + 1)
            blocked = None if rollout.blocked is None else rollout.blocked.select(axis, t)
            stopped = None if rollout.stopped is None else rollout.stopped.clamp(max=t + 1)
            recorder.append(rollout.actions[..., t, :], state, std=std, blocked=blocked, stopped=stopped)
    return recorder.hash


def load_rollout(path: str | Path) -> Rollout:
    """Read a rollout as far as it was written, and verify every chunk.

    Raises:
        InputError: there is no rollout at `path`.
        FormatError: a newer schema, or a damaged or missing chunk, named.
    """
    folder = Path(path)
    document = _read(folder)
    parts = [chunk.tensors for chunk in _chunks(folder, document)]
    axis = parts[0]["time"].ndim - 1
    states = {name: torch.cat([part[name] for part in parts]).movedim(0, axis) for name in STATE}
    batch = parts[0]["time"].shape[1:]
    none = torch.zeros(0, *batch, len(document["actions"]["names"]), dtype=torch.float64)
    actions = torch.cat([part["actions"] for part in parts[1:]]) if parts[1:] else none
    extras: dict[str, Tensor] = {}
    for name in EXTRAS:
        if parts[1:] and all(name in part for part in parts[1:]):
            extras[name] = torch.cat([part[name] for part in parts[1:]]).movedim(0, axis)
    if "stopped" in extras:
        extras["stopped"] = extras["stopped"].select(axis, -1)
    if "std" in extras:  # nothing was predicted of the first state
        extras["std"] = torch.cat([torch.zeros_like(extras["std"].narrow(axis, 0, 1)), extras["std"]], dim=axis)
    return Rollout(actions=actions.movedim(0, axis), states=State(**states), world_id=document["world_id"], **extras)


def load_rollout_of(world_id: str, path: str | Path, *, steps: tuple[int, ...] = ()) -> Rollout:
    """`load_rollout` of a single rollout that must be of this world and have these steps.

    Raises:
        InputError: as `load_rollout`; or of another world, a batch of rollouts, or too short.
    """
    rollout = load_rollout(path)
    if rollout.world_id != world_id:
        raise InputError(f"{path}: a rollout of another world; choose one of this world.")
    if len(rollout.states.batch) != 1:
        raise InputError(f"{path}: a batch of {list(rollout.states.batch[:-1])} rollouts, expected a single one.")
    last = rollout.actions.shape[-2]
    for step in steps:
        if not 0 <= step <= last:
            raise InputError(f"{path}: step {step}, expected 0 to {last}, the number of its actions.")
    return rollout


def is_rollout(path: str | Path) -> bool:
    """Whether `path` holds a rollout of any version."""
    return (Path(path) / "rollout.json").is_file()


def check_rollout_target(path: str | Path, *, overwrite: bool) -> None:
    """Find out before long work whether a rollout can be written to `path`.

    Raises:
        InputError: something else is there, or a rollout and `overwrite` is off, or the place cannot be written.
    """
    path = Path(path)
    if path.exists() and not is_rollout(path) and not (path.is_dir() and not any(path.iterdir())):
        raise InputError(f"{path}: exists and is no rollout; choose another path.")
    if is_rollout(path) and not overwrite:
        raise InputError(f"{path}: a rollout is there; choose another path, or replace it with --overwrite.")
    check_writable(path)


def state_hash(state: State, previous: str = "") -> str:
    """SHA-256 over all bytes of a state and the hash of the one before: equal chains mean equal histories."""
    digest = hashlib.sha256(previous.encode())
    for name in STATE:
        value = getattr(state, name).detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class _Chunk:
    number: int
    tensors: dict[str, Tensor]
    hash: str


def _chunks(folder: Path, document: dict[str, Any]) -> Iterator[_Chunk]:
    """The chunks in time; there is at least one.

    Raises:
        FormatError: one is damaged or missing.
    """
    files = sorted((folder / "chunks").glob("*.safetensors"))
    previous = _hash((folder / "rollout.json").read_bytes())
    for number in range(max(1, len(files))):
        file = folder / "chunks" / _name(number)
        try:
            content = file.read_bytes()
            length = int.from_bytes(content[:8], "little")
            header = json.loads(content[8 : 8 + length])["__metadata__"]
            tensors = decode_tensors(content)
        except FileNotFoundError as error:
            raise FormatError(f"{file}: missing, the rollout cannot be read beyond; restore it from a copy.") from error
        except (ValueError, KeyError, SafetensorError) as error:
            raise FormatError(f"{file}: damaged; restore it from a copy or record again.") from error
        if header.get("previous") != previous:
            raise FormatError(
                f"{file}: it or the chunk before was changed, their hashes do not fit; restore them from a copy."
            )
        if set(STATE) - set(tensors):
            raise FormatError(f"{file}: lacks {', '.join(sorted(set(STATE) - set(tensors)))}; record again.")
        previous = _hash(content)
        yield _Chunk(number, tensors, previous)


def _read(folder: Path) -> dict[str, Any]:
    again = "record one with `splatworld rollout`"
    needs = ("world_id", "actions")
    return read_document(folder / "rollout.json", format=FORMAT, schema=SCHEMA, needs=needs, again=again)


def _check_state(state: State) -> None:
    for name in STATE:
        value = getattr(state, name)
        if value.is_floating_point():
            check_finite("Recorder", f"state.{name}", value)


def _at(state: State, axis: int, t: int) -> State:
    return State(**{name: getattr(state, name).select(axis, t) for name in STATE})


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _name(number: int) -> str:
    return f"{number:06d}.safetensors"
