"""A thread that works until it is closed."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod


class Worker(ABC):
    """Works in a thread of its own, which waits for `_changed` to be notified and looks whether it is `_closed`."""

    def __init__(self) -> None:
        self._closed, self._changed = False, threading.Condition(threading.RLock())
        self._thread = threading.Thread(target=self._run, daemon=True)

    def close(self) -> None:
        """End the thread; waits for what is being done."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=5.0)  # s: nobody waits longer for the command to end

    @abstractmethod
    def _run(self) -> None:
        """What the thread does; ends once `_closed`."""
