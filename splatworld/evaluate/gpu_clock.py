"""Times and memory of calls on a GPU."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

WARM_UP = 3
"""Calls before the first that counts."""


def medians(calls: dict[str, Callable[[], object]], rounds: int, device: torch.device) -> dict[str, float]:
    """ms of each call, the median of `rounds`; a round makes each in turn, so that all see the same machine."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        for _ in range(WARM_UP):
            call()
    for _ in range(rounds):
        for name, call in calls.items():
            found[name].append(_seconds(call, device))
    return {name: 1e3 * statistics.median(each) for name, each in found.items()}


def peak_bytes(call: Callable[[], object], device: torch.device) -> int:
    """Memory that a call takes on top of what there is before it, at its highest; 0 on a processor."""
    if device.type != "cuda":
        return 0
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    call()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def bandwidth(device: torch.device) -> float:
    """Bytes a second, read and written, of a copy from memory to memory."""
    source = torch.empty(2**28 if device.type == "cuda" else 2**22, device=device)
    target = torch.empty_like(source)
    taken = medians({"copy": lambda: target.copy_(source)}, 5, device)["copy"]
    return 2 * source.nbytes / (taken / 1e3)


def _seconds(call: Callable[[], object], device: torch.device) -> float:
    """From the call until the device has done it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    begin = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin
