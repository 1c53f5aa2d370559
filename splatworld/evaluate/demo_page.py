"""The report of a demo: one page that needs no other file."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from string import Template

from splatworld.evaluate.demo_markup import figures, paragraph
from splatworld.evaluate.demo_stages import Chapter
from splatworld.evaluate.report import device_name
from splatworld.files import write_file

TEMPLATE = Path(__file__).with_name("demo_page.html")
NAME = "report.html"


def write_page(folder: Path, chapters: Sequence[Chapter], *, title: str, planned: Sequence[str]) -> Path:
    """Write `folder/report.html`.

    Args:
        folder: of the demo.
        chapters: stages that are over, in order.
        title: headline.
        planned: titles of stages that are still to come.

    Returns:
        The page's path.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    steps = [_step(chapter) for chapter in chapters]
    steps += [f'<li class="waiting"><span>{html.escape(each)}</span></li>' for each in planned]
    measured = [line for chapter in chapters for line in chapter.told.lines]
    took = sum(chapter.seconds for chapter in chapters)
    page = Template(TEMPLATE.read_text()).substitute(
        title=html.escape(title),
        steps="\n".join(steps),
        chapters="\n".join(_chapter(chapter) for chapter in chapters),
        figures=figures(measured),
        machine=html.escape(f"{took / 60:.1f} minutes on {device_name()}."),
    )
    write_file(folder / NAME, page)
    return folder / NAME


def _step(chapter: Chapter) -> str:
    kind = "failed" if chapter.failed else "done"
    took = "failed" if chapter.failed else f"{chapter.seconds:.0f} s"
    return (
        f'<li class="{kind}"><a href="#{chapter.name}">{html.escape(chapter.title)}</a><small>{took}</small></li>'
    )  # fmt: skip


def _chapter(chapter: Chapter) -> str:
    body = chapter.told.html
    if chapter.failed:
        what = "The program broke here" if chapter.fault else "This could not be done"
        body = f'<div class="failure">{paragraph(f"{what}: {chapter.failed}")}</div>'
    return f'<section id="{chapter.name}"><h2>{html.escape(chapter.title)}</h2>\n{body}\n</section>'
