"""Memory that a pass needs only while it runs, kept for the next one.

New memory costs a page fault every 4 KB, and threads that write to it wait for each other in the kernel.
"""

from __future__ import annotations

import math
import threading

import torch
from torch import Tensor

LARGEST = 64 * 2**20
"""Bytes above which a buffer is not kept."""


class _Kept(threading.local):
    """One thread's buffers, by name."""

    def __init__(self) -> None:
        self.buffers: dict[str, Tensor] = {}


_kept = _Kept()


def scratch(name: str, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """An uninitialised tensor, valid until this thread asks for one of the same name again."""
    count = math.prod(shape)
    found = _kept.buffers.get(name)
    if found is None or len(found) < count or found.dtype != dtype:
        found = torch.empty(count + count // 4, dtype=dtype)
        if found.nbytes <= LARGEST:
            _kept.buffers[name] = found
    return found[:count].view(shape)
