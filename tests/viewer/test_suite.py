"""The rows of the suite that need a browser, for seconds."""

import pytest

from splatworld import store
from splatworld.recordings import save_rollout

suite = pytest.importorskip("splatworld.viewer.suite", reason="the viewer is not installed; make install")
suite_act = pytest.importorskip("splatworld.viewer.suite_act")
suite_browser = pytest.importorskip("splatworld.viewer.suite_browser")
viewer = pytest.importorskip("splatworld.viewer")


def test_a_soak_scrubs_acts_and_reloads(chromium, tmp_path):
    with suite_act.acting(tmp_path, 2000) as shown:
        acting = suite_act.acting_line(shown, 20)
        memory, errors = suite_browser.soak_lines(chromium, shown, 6.0, lambda *_: None)
        assert shown.page.act.acting.past
    assert acting.value > 0
    assert memory.value is not None
    assert errors.value == 0


def test_real_clicks_select_what_is_there(chromium, tmp_path):
    world = suite.table(5000)
    store.save_world(world, tmp_path / "table")
    save_rollout(suite.gliding(world, 10), tmp_path / "gliding")
    with viewer.Viewer([tmp_path / "table", tmp_path / "gliding"], port=0) as shown:
        row = suite_browser.real_clicks_line(chromium, shown, 6)
    assert row.met


def test_the_first_picture_of_the_command_is_waited_for(chromium, desk):
    row = suite_browser.first_picture_line(chromium, desk, 3000)
    assert 0 < row.value < suite_browser.PATIENCE
