from pathlib import Path

from splatworld.evaluate.bodies_geometry import lines

SAMPLE = Path(__file__).parents[2] / "data" / "sample"


def test_geometry_meets_what_does_not_depend_on_the_machine():
    rows = {row.name: row for row in lines(SAMPLE, quick=True)}
    judged = [row for row in rows.values() if row.target is not None]
    assert len(judged) >= 5
    assert [row.name for row in judged if not row.met] == []
