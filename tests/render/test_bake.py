from dataclasses import replace

import pytest
import torch

from splatworld.core import pose
from splatworld.core.checks import InputError
from splatworld.evaluate.parity import baked_error
from splatworld.evaluate.scenes import random_scene
from splatworld.render import bake as baking
from splatworld.render.bake import bake
from tests.render import builders


@pytest.mark.parametrize("seed", range(4))
def test_baked_splats_look_like_posed_ones(backend, seed):
    scene = random_scene(seed, count=60)
    if backend.name == "reference":
        scene = builders.doubled(scene)
    error = baked_error(backend.rasterize, scene)
    assert error <= (1e-11 if backend.name == "reference" else 1e-5)


def test_baking_at_rest_changes_no_bit():
    scene = random_scene(1, count=50)
    still = pose.identity(scene.frames.shape[-2])
    for skin in (None, scene.skin):
        baked = bake(scene.splats, still, skin=skin)
        for name in builders.FLOATS:
            assert torch.equal(getattr(baked, name), getattr(scene.splats, name)), name


def test_only_what_moved_is_rewritten():
    splats = builders.splats([[0, 0, 1], [0, 0, 2.0]], quats=[[2, 0, 0, 0], [2.0, 0, 0, 0]], body_ids=[0, 1])
    frames = builders.still(2)
    frames[1, 0] = 3.0
    baked = bake(splats, frames)
    assert torch.equal(baked.means, torch.tensor([[0, 0, 1], [3, 0, 2]], dtype=torch.float64))
    assert torch.equal(baked.quats, torch.tensor([[2, 0, 0, 0], [1, 0, 0, 0]], dtype=torch.float64))


def test_chunks_do_not_show(monkeypatch):
    scene = random_scene(3, count=50)
    whole = bake(scene.splats, scene.frames[0], skin=scene.skin)
    monkeypatch.setattr(baking, "CHUNK", 7)
    parts = bake(scene.splats, scene.frames[0], skin=scene.skin)
    for name in builders.FLOATS:
        assert torch.equal(getattr(whole, name), getattr(parts, name)), name


def test_no_splats_and_no_such_frame():
    empty = builders.splats([])
    assert len(bake(empty, builders.still())) == 0
    wrong = replace(builders.splats([[0, 0, 1.0]]), body_ids=torch.tensor([3], dtype=torch.int32))
    with pytest.raises(InputError, match="frame 3"):
        bake(wrong, builders.still(2))
