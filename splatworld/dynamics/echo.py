"""Batches that are learned from several times over.

Looking at contacts costs more than learning from them: a pool of batches is used again and again, each time in another
order (Choi et al., "Faster neural network training with data echoing", 2019).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import torch

T = TypeVar("T")


class EchoPool(Generic[T]):
    """Which batch a step learns from; the same for the same step, whatever was asked before."""

    def __init__(self, make: Callable[[int, int], T], *, size: int, reuse: int, seed: int) -> None:
        """Args:
        make: a batch by its number, and the number of its pool.
        size: batches a pool.
        reuse: times that each is used before the next pool is made.
        seed: of the orders.
        """
        self._make, self._size, self._reuse, self._seed = make, size, reuse, seed
        self._kept: dict[int, T] = {}

    def at(self, step: int) -> T:
        """The batch of a step."""
        block, place = divmod(step, self._size * self._reuse)
        turn, index = divmod(place, self._size)
        if turn:
            generator = torch.Generator().manual_seed(self._seed * 1_000_003 + block * self._reuse + turn)
            index = int(torch.randperm(self._size, generator=generator)[index])
        key = block * self._size + index
        if key not in self._kept:
            self._kept = {number: batch for number, batch in self._kept.items() if number >= block * self._size}
            self._kept[key] = self._make(key, block)
        return self._kept[key]
