"""`splatworld view PATH...`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from splatworld.cli.terminal import Common, Terminal


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Look at worlds in the browser; Ctrl-C ends it."""

    paths: Annotated[Positional[tuple[Path, ...]], arg(metavar="PATH...")]
    """Folders of worlds."""
    host: str = "127.0.0.1"
    """Address to serve on; this machine alone by default."""
    port: int = 8080
    """Port to serve on."""
    no_browser: bool = False
    """Open no browser window."""


def run(options: Options, terminal: Terminal) -> None:
    from splatworld.viewer import serve

    serve(
        options.paths,
        host=options.host,
        port=options.port,
        open_browser=not options.no_browser,
        say=terminal.say,
        ready=lambda address: terminal.result({"address": address}, address),
    )
