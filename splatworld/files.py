"""Writes that either happen or do not: a temporary sibling, fsync, rename, fsync of the folder."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from splatworld.core.checks import InputError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says when there is no room: disk full, quota reached, file size limit."""
LEAST_FREE = 64 * 2**20
"""Bytes that must be free before long work starts."""


def write_file(path: str | Path, content: bytes | bytearray | memoryview | str) -> None:
    """Replace the file `path` by `content`; a reader sees the old file or the new one, never a part.

    Raises:
        InputError: the disk is full or the folder cannot be written; the old file is unchanged.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.new")
    with plain_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write_through(temporary, content)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        fsync(path.parent)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Fill a temporary folder, then put it in the place of `path` in one step.

    The old folder is renamed to the sibling `old_sibling(path)` for the instant between the two renames; whoever reads
    the folder looks there when `path` is missing.

    Args:
        path: the folder to replace or create.

    Yields:
        An empty folder beside `path`; it disappears if the block raises.

    Raises:
        InputError: the disk is full, the folder cannot be written, or another process is writing it now.
    """
    new, old = path.with_name(f".{path.name}.new"), old_sibling(path)
    with plain_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if old.exists():  # an earlier save was killed: between its renames, or before it tidied up
            if path.exists():
                shutil.rmtree(old)
            else:
                os.rename(old, path)
        with _locked_folder(new, path):
            try:
                yield new
                for folder, _, names in os.walk(new, topdown=False):
                    for name in names:
                        fsync(Path(folder, name))
                    fsync(Path(folder))
                if path.exists():
                    os.rename(path, old)
                try:
                    os.rename(new, path)
                except BaseException:
                    if old.exists():
                        os.rename(old, path)
                    raise
                fsync(path.parent)
            finally:
                shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def old_sibling(path: Path) -> Path:
    """Where `replacing_folder` keeps the old folder between its two renames."""
    return path.with_name(f".{path.name}.old")


@contextmanager
def _locked_folder(folder: Path, owner: Path) -> Iterator[None]:
    """A fresh, empty folder that one process fills; the lock ends with the process, so a killed one leaves none."""
    if folder.exists():
        os.close(lock_folder(folder, owner))
        shutil.rmtree(folder)
    folder.mkdir()
    handle = lock_folder(folder, owner)
    try:
        yield
    finally:
        os.close(handle)


def lock_folder(folder: Path, owner: Path) -> int:
    """Lock a folder against other processes; closing the handle returned, or the end of the process, unlocks it.

    Raises:
        InputError: another process holds it; names `owner`, for which the folder stands.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise InputError(f"{owner}: another process is writing it now; wait for it or choose another path.") from None
    return handle


def write_through(path: Path, content: bytes | bytearray | memoryview | str) -> None:
    """Write a new file down to the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as stream:
        stream.write(content.encode() if isinstance(content, str) else content)
        stream.flush()
        os.fsync(stream.fileno())


def fsync(path: Path) -> None:
    """Bring a file, or a folder's list of names, down to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check_writable(path: Path) -> None:
    """Try, before long work, whether `path` could be written at all.

    Raises:
        InputError: its folder cannot be made or written, or hardly any room is left.
    """
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    probe = folder / f".{path.name}.probe"
    with plain_errors(path):
        try:
            write_through(probe, b"0")
        finally:
            if folder.is_dir():
                probe.unlink(missing_ok=True)
        free = shutil.disk_usage(folder).free
    if free < LEAST_FREE:
        raise InputError(
            f"{path}: the disk has {free // 2**20} MB left, expected {LEAST_FREE // 2**20} MB or more; make room first."
        )


@contextmanager
def plain_errors(path: Path) -> Iterator[None]:
    """Turn the system's errors about `path` into one clear sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            message = "the disk is full; make room and try again. What was there before is unchanged."
        elif isinstance(error, (PermissionError, FileExistsError, NotADirectoryError)) or error.errno == errno.EROFS:
            message = f"cannot write here ({error.strerror}: {error.filename}); choose another path."
        else:
            raise
        raise InputError(f"{path}: {message}") from error
