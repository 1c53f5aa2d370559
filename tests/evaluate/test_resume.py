import pytest

from splatworld.core.checks import InputError
from splatworld.evaluate import report, resume
from splatworld.evaluate.report import line


def parts(seen: list[str], stop_at: str | None = None) -> dict:
    def measure(name):
        seen.append(name)
        if name == stop_at:
            raise KeyboardInterrupt
        return [line(f"{name}: speed", 1.5, "m/s", ">= 1")]

    return {name: lambda name=name: measure(name) for name in ("a", "b", "c")}


@pytest.mark.parametrize(("sources", "again"), [("abc", ["b", "c"]), ("abc+changes", ["a", "b", "c"])])
def test_a_stopped_run_goes_on(tmp_path, monkeypatch, sources, again):
    monkeypatch.setattr(resume, "sources_hash", lambda: sources)
    seen: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        resume.measure_parts("suite", parts(seen, "b"), print, folder=tmp_path)
    seen.clear()
    lines = resume.measure_parts("suite", parts(seen), print, folder=tmp_path)
    assert seen == again
    assert [row.name for row in lines] == ["a: speed", "b: speed", "c: speed"]
    assert all(row.met for row in lines)
    assert not list(tmp_path.iterdir())


def test_other_sources_are_measured_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(resume, "sources_hash", lambda: "abc")
    seen: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        resume.measure_parts("suite", parts(seen, "c"), print, folder=tmp_path)
    monkeypatch.setattr(resume, "sources_hash", lambda: "def")
    seen.clear()
    resume.measure_parts("suite", parts(seen), print, folder=tmp_path)
    assert seen == ["a", "b", "c"]


def test_a_part_that_fails_costs_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr(resume, "sources_hash", lambda: "abc")
    seen: list[str] = []
    broken = parts(seen)
    broken["a"] = lambda: [][1]
    broken["b"] = lambda: raised(InputError("the capture is damaged; copy it again."))
    heard: list[str] = []
    rows = resume.measure_parts("suite", broken, heard.append, folder=tmp_path)
    assert [row.value for row in rows] == [None, None, 1.5]
    assert "IndexError: list index out of range (test_resume.py, line" in rows[0].name
    assert rows[1].name == "b: not measured, the capture is damaged; copy it again."
    assert heard == [rows[0].name, rows[1].name]
    seen.clear()
    rows = resume.measure_parts("suite", parts(seen), print, folder=tmp_path)
    assert seen == ["a", "b"]
    assert [row.value for row in rows] == [1.5, 1.5, 1.5]


def test_nothing_is_kept_without_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(resume.measure_parts("suite", parts([]), print, folder=None)) == 3
    assert not list(tmp_path.iterdir())


def raised(error: Exception) -> list:
    raise error


def test_sources_are_told_apart_by_what_is_committed_of_them(monkeypatch):
    told = {"ls-tree": "tree 1", "status": ""}
    monkeypatch.setattr(report, "_git", lambda word, *_: told[word])
    first = report.sources_hash()
    assert report.sources_hash() == first
    told["status"] = " M cuda/kernels.h"
    assert report.sources_hash() == f"{first}+changes"
    told |= {"ls-tree": "tree 2", "status": ""}
    assert report.sources_hash() != first

    def no_git(*_):
        raise FileNotFoundError("git")

    monkeypatch.setattr(report, "_git", no_git)
    assert report.sources_hash() == report.commit_hash() == "unknown"
