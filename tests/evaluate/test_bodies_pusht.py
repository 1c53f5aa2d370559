from pathlib import Path

import pytest
import torch

from splatworld.core.camera import project
from splatworld.evaluate import bodies_pusht
from splatworld.evaluate.pusht import read_block, read_views
from tests.capture.test_shared_data import DATA, needs_data


def test_without_the_recording_the_row_says_so(tmp_path):
    (row,) = bodies_pusht.lines(tmp_path)
    assert row.value is None
    assert row.met is None
    assert "is not there" in row.name


@needs_data
@pytest.mark.skipif(not (DATA / bodies_pusht.FOLDER).is_dir(), reason="the recording of the arm is not there")
def test_the_recording_is_read_in_metres():
    folder = Path(DATA) / bodies_pusht.FOLDER
    views = read_views(folder)
    assert len({view.image.shape for view in views.values()}) == 1
    assert max(view.time for view in views.values()) - min(view.time for view in views.values()) < 0.02
    middle = torch.tensor([0.45, 0.3, 0.0]).double()
    for view in views.values():
        pixel, depth = project(view.camera, middle)
        assert 0.3 < float(depth) < 1.2
        assert 0 < float(pixel[0]) < view.camera.width
        assert 0.01 < view.block.mean() < 0.05
    block, _ = read_block(folder)
    red, _, blue = block.sh[:, 0].mean(dim=0)
    assert red > blue
