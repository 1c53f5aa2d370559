"""What a callback of the page cannot do is told on the page."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from splatworld.core.checks import SplatworldError


def reported(callback: Callable[..., None]) -> Callable[..., None]:
    """Show an error to the one who clicked; one that is not of this package goes to the log too.

    The event is the last argument, so that methods can be told so as well.
    """

    @functools.wraps(callback)
    def run(*arguments: Any) -> None:
        event = arguments[-1]
        try:
            callback(*arguments)
        except (SplatworldError, TimeoutError) as error:
            if event.client is None:
                raise
            notify(event, "This did not work", str(error))
        except Exception as error:
            if event.client is not None:
                notify(event, "A defect of splatworld", f"{type(error).__name__}: {error}; nothing was changed.")
            raise

    return run


def notify(event: Any, title: str, text: str) -> None:
    """Tell the browser that an event came from what went wrong."""
    event.client.add_notification(title, text, color="red", auto_close_seconds=10.0)
