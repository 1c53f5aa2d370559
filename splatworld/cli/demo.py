"""`splatworld demo`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from splatworld.cli.reconstruct import Settings, build
from splatworld.cli.terminal import Common, Terminal, table

SAMPLE_MARKER = 0.08
"""m, side of the marker on the sample's table."""


@dataclass(frozen=True, kw_only=True)
class Options(Common, Settings):
    """Reconstruct the sample video and write a page of pictures and figures; an earlier demo there is replaced."""

    video: Path | None = None
    """Another video or capture."""
    output: Annotated[Path, arg(aliases=["-o"], metavar="FOLDER")] = Path("out/demo")
    """Folder for the world and the page."""


def run(options: Options, terminal: Terminal) -> int:
    from splatworld.cli.main import DONE, INTERRUPTED
    from splatworld.evaluate.demo_page import write_page

    video = options.video or sample()
    if options.video is None and options.marker_size is None:
        options = replace(options, marker_size=SAMPLE_MARKER)
    world, posed, stopped = build(video, options.output / "world", options, terminal, overwrite=True)
    page = write_page(world, posed, options.output, title=f"A world from {video.name}", progress=terminal.progress)
    data = {"world": str(options.output / "world"), "page": str(page), "metrics": world.metrics}
    terminal.result(data, table({"world": data["world"], "page": data["page"]}))
    return INTERRUPTED if stopped else DONE


def sample() -> Path:
    """The sample video: beside the package in a checkout, inside it when installed."""
    from splatworld.core.checks import InputError

    package = Path(__file__).parents[1]
    for folder in (package.parent / "data" / "sample", package / "data" / "sample"):
        if (folder / "video.mp4").is_file():
            return folder / "video.mp4"
    raise InputError("demo: the sample video is not installed; run from a checkout, or pass --video PATH.")
