"""`splatworld view PATH...`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from splatworld.cli.terminal import Common, Terminal


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Look at worlds, and at rollouts of them, in the browser; Ctrl-C ends it."""

    paths: Annotated[Positional[tuple[Path, ...]], arg(metavar="PATH...")]
    """Folders of worlds and of rollouts; the world of a rollout may be left out where it lies beside it."""
    host: str = "127.0.0.1"
    """Address to serve on; this machine alone by default. With 0.0.0.0 whoever reaches this machine
    over the network and has the printed address, token included, can look, act and save."""
    port: int = 8080
    """Port to serve on."""
    no_browser: bool = False
    """Open no browser window."""
    export: Path | None = None
    """Serve nothing: write one HTML file that shows it, and plays the rollouts, in any browser without a server."""


def run(options: Options, terminal: Terminal) -> None:
    import torch

    from splatworld.viewer import serve

    torch.set_num_threads(1)  # the kernels take the cores
    if options.export is not None:
        from splatworld.viewer import Viewer

        with Viewer(options.paths, port=0) as viewer:
            size = viewer.export(options.export)
        terminal.result({"page": str(options.export), "bytes": size}, f"{options.export}: {size / 1e6:.1f} MB")
        return
    serve(
        options.paths,
        host=options.host,
        port=options.port,
        open_browser=not options.no_browser,
        say=terminal.say,
        ready=lambda address: terminal.result({"address": address}, address),
    )
