"""What a callback of the page cannot do is told on the page."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from splatworld.core.checks import SplatworldError


def reported(callback: Callable[[Any], None]) -> Callable[[Any], None]:
    """Show an error of this package to the one who clicked; any other error goes to the log."""

    @functools.wraps(callback)
    def run(event: Any) -> None:
        try:
            callback(event)
        except (SplatworldError, TimeoutError) as error:
            if event.client is None:
                raise
            event.client.add_notification("This did not work", str(error), color="red", auto_close_seconds=10.0)

    return run
