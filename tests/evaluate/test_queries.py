"""The suite on queries, with as few points as can judge."""

import pytest

from splatworld.evaluate.queries_contacts import Score
from splatworld.evaluate.queries_truth import exact_lines, unseen_lines


def test_answers_are_exact_and_honest():
    pytest.importorskip("open3d", exc_type=ImportError)
    rows = [*exact_lines(4000, print), *unseen_lines(8000, print)]
    assert [row for row in rows if row.met is False] == []
    assert sum(row.met is True for row in rows) == 5


def test_a_score_counts_pairs():
    score = Score()
    score.add({(0, 1), (0, 2), (1, 8)}, {(0, 1), (2, 8)})
    assert (score.both, score.told, score.missed) == (1, 2, 1)
    assert score.precision == pytest.approx(1 / 3)
    assert score.recall == pytest.approx(1 / 2)
