"""The form in which every suite reports its figures."""

from __future__ import annotations

import hashlib
import operator
import platform
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

COMPARISONS = {"<=": operator.le, ">=": operator.ge, "==": operator.eq}


@dataclass(frozen=True)
class Line:
    """One row of a table of targets.

    Attributes:
        name: what was measured.
        value: the figure; None when it could not be measured here (the name says why).
        unit: of value and target.
        target: such as "<= 5"; None where the row has none.
        met: whether value meets target; None without a target or a value.
        baseline: the peer's figure from the same run, with its name, such as "gsplat 4.1".
    """

    name: str
    value: float | None
    unit: str
    target: str | None = None
    met: bool | None = None
    baseline: str | None = None


def line(name: str, value: float | None, unit: str, target: str | None = None, baseline: str | None = None) -> Line:
    """A row whose `met` follows from `value` and `target`."""
    met = None
    if target is not None and value is not None:
        comparison, bound = target.split()
        met = bool(COMPARISONS[comparison](value, float(bound)))
    return Line(name=name, value=value, unit=unit, target=target, met=met, baseline=baseline)


@dataclass(frozen=True)
class Report:
    """All rows of one suite and where they were measured."""

    suite: str
    lines: list[Line]
    device: str = field(default_factory=lambda: device_name())
    threads: int = field(default_factory=torch.get_num_threads)
    commit: str = field(default_factory=lambda: commit_hash())

    def to_json(self) -> dict:
        return asdict(self)


def figure(value: float) -> str:
    """A number as people read it: whole ones in full, others to four digits."""
    return f"{int(value):,}" if float(value).is_integer() else f"{value:.4g}"


def as_markdown(report: Report) -> str:
    """A report as a table for people."""
    met = {True: "yes", False: "no", None: ""}
    rows = [
        f"# {report.suite}: {report.device}, commit {report.commit}",
        "",
        "| what | figure | unit | target | met | against |",
        "|---|---|---|---|---|---|",
    ]
    for each in report.lines:
        value = "not measured" if each.value is None else figure(each.value)
        rows.append(
            f"| {each.name} | {value} | {each.unit} | {each.target or ''} | {met[each.met]} | {each.baseline or ''} |"
        )
    return "\n".join(rows) + "\n"


def device_name() -> str:
    """The processor's marketing name, as the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for row in cpuinfo.read_text().splitlines():
            if row.startswith("model name"):
                return row.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


SOURCES = ("cuda", "data", "splatworld", "viewer")
"""Folders of code and data."""


def commit_hash() -> str:
    """The source tree's commit, with "+changes" when it is not clean; "unknown" outside a checkout."""
    try:
        commit = _git("rev-parse", "--short=12", "HEAD").strip()
        status = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+changes" if status else "")


def sources_hash(*paths: str) -> str:
    """Of what is committed at some paths from the root, by default all code and data, such that figures outlive commits
    of documents and tests; with "+changes" where it is changed; "unknown" outside a checkout."""
    try:
        trees = _git("ls-tree", "HEAD", "--", *(paths or SOURCES))
        status = _git("status", "--porcelain", "--untracked-files=no", "--", *(paths or SOURCES))
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return hashlib.sha256(trees.encode()).hexdigest()[:12] + ("+changes" if status else "")


def _git(*words: str) -> str:
    """What git says at the root of the source tree."""
    root = Path(__file__).parents[2]
    return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True).stdout
