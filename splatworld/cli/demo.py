"""`splatworld demo`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from splatworld.cli.reconstruct import Settings, build
from splatworld.cli.terminal import Common, Terminal, table

SAMPLE_MARKER = 0.08
"""m, side of the marker on the sample's table."""
WITHOUT_EFFECT = ("threads", "fresh", "checkpoint_every")
"""Settings that change no world."""


@dataclass(frozen=True, kw_only=True)
class Options(Common, Settings):
    """The whole line on the sample video: a world, its bodies, a push predicted and compared with the truth, a plan
    that rearranges two bodies, ten thousand steps of permanence, and a report of it all.

    Run again, it goes on where it was: finished stages are not computed anew.
    """

    video: Path | None = None
    """Another video or capture; there is no truth to compare with then."""
    output: Annotated[Path, arg(aliases=["-o"], metavar="FOLDER")] = Path("out/demo")
    """Folder for the world, the rollouts and the report."""


def run(options: Options, terminal: Terminal) -> int:
    from dataclasses import asdict

    from splatworld.cli.main import DONE, INTERRUPTED, OUR_FAULT
    from splatworld.evaluate.demo import WORLD, Demo, run_demo
    from splatworld.reconstruct.work import key_of, stamp

    video = options.video or sample()
    if options.video is None and options.marker_size is None:
        options = replace(options, marker_size=SAMPLE_MARKER)
    settings = [getattr(options, f.name) for f in fields(Settings) if f.name not in WITHOUT_EFFECT]
    with_truth = options.video is None and (video.parent / "truth.json").is_file()
    demo = Demo(
        options.output,
        make=lambda: build(video, options.output / WORLD, options, terminal, overwrite=True),
        export=_export,
        key=key_of(stamp(video), settings),
        title=f"A world from {video.name if options.video else 'the sample video'}",
        truth=video.parent if with_truth else None,
        command=sys.argv[0] if Path(sys.argv[0]).name == "splatworld" else "splatworld",
    )
    done = run_demo(demo, terminal.progress, fresh=options.fresh)
    failed = {chapter.title: chapter.failed for chapter in done.chapters if chapter.failed}
    lines = [asdict(line) for chapter in done.chapters for line in chapter.told.lines]
    data = {"world": str(options.output / WORLD), "page": str(done.page), "failed": failed, "lines": lines}
    terminal.result(data, table({"world": data["world"], "page": data["page"], **failed}))
    if done.stopped:
        return INTERRUPTED
    return OUR_FAULT if any(chapter.fault for chapter in done.chapters) else DONE


def _export(paths: Sequence[Path], page: Path) -> None:
    from splatworld.viewer import Viewer

    with Viewer(paths, port=0) as viewer:
        viewer.export(page)


def sample() -> Path:
    """The sample video: beside the package in a checkout, inside it when installed."""
    from splatworld.core.checks import InputError

    package = Path(__file__).parents[1]
    for folder in (package.parent / "data" / "sample", package / "data" / "sample"):
        if (folder / "video.mp4").is_file():
            return folder / "video.mp4"
    raise InputError("demo: the sample video is not installed; run from a checkout, or pass --video PATH.")
