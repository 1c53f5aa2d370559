"""Two clicks and a number set the scale of the world on disk."""

import pytest
import torch

from splatworld import store
from splatworld.core.checks import InputError
from tests.viewer.desk import save_desk

viewer = pytest.importorskip("splatworld.viewer", reason="the viewer is not installed; make install")


@pytest.fixture
def shown(tmp_path):
    with viewer.Viewer([save_desk(tmp_path / "desk", 600)], port=0) as shown:
        yield shown, tmp_path / "desk"


def test_two_points_and_a_length_rescale_the_world(shown):
    opened, folder = shown
    before = store.load_world(folder)
    measure = opened.page.measure
    measure.begin()
    measure.add(torch.tensor([0.0, 0.0, 0.0]), 1.0)
    measure.add(torch.tensor([0.5, 0.0, 0.0]), 1.0)
    assert measure.save(0.25).source == "known_length"
    after = store.load_world(folder)
    assert after.scale.source == "known_length"
    torch.testing.assert_close(after.splats.log_scales, before.splats.log_scales + torch.tensor(0.5).log())
    assert opened.page.measure is not measure
    assert opened.page.source.world.scale.source == "known_length"
    assert opened.page.measure.points == []


def test_what_cannot_be_saved_changes_nothing(shown):
    opened, folder = shown
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    measure = opened.page.measure
    with pytest.raises(InputError, match="click two points"):
        measure.save(1.0)
    measure.begin()
    measure.add(torch.zeros(3), 1.0)
    measure.add(torch.tensor([0.5, 0.0, 0.0]), 1.0)
    with pytest.raises(InputError, match="positive number of metres"):
        measure.save(0.0)
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before
    world = store.load_world(folder)
    store.save_world(world.__class__(**{**vars(world), "cameras": {}}), folder, overwrite=True)
    with pytest.raises(InputError, match="changed since it was opened"):
        measure.save(0.25)
