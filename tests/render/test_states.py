"""A batch of states seen from one camera: drawn together, the same bits as drawn one by one."""

import pytest
import torch

from splatworld.core import pose
from splatworld.evaluate import scenes
from splatworld.render import states
from splatworld.render.ops import rasterize

PICTURES = ("image", "alpha", "depth", "median_depth", "body_ids")


def moved(scene: scenes.Scene, bodies: list[int], batch: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    table = scene.frames.reshape(-1, *scene.frames.shape[-2:])[:1].expand(batch, -1, -1).clone()
    for body in bodies:
        table[:, body] = pose.exp(torch.randn(batch, 6, generator=generator) * 0.3)
    return table


def assert_as_single(scene: scenes.Scene, frames: torch.Tensor, camera) -> None:
    together = rasterize(scene.splats, frames, camera, **scene.options)
    for state, table in enumerate(frames):
        alone = rasterize(scene.splats, table, camera, **scene.options)
        for name in PICTURES:
            assert torch.equal(getattr(together, name)[state], getattr(alone, name)), (name, state)


def test_one_moved_body():
    scene = scenes.room(3000, (120, 70))
    assert_as_single(scene, moved(scene, [3], 5), scene.camera)


@pytest.mark.parametrize("seed", range(6))
def test_random_scenes(seed):
    scene = scenes.random_scene(seed)
    camera = scene.camera if scene.camera.focal.ndim == 1 else scenes.first(scene.camera)
    assert_as_single(scene, moved(scene, [1], 3), camera)
    assert_as_single(scene, moved(scene, [0, 1, 2, 3], 3), camera)  # most of the world


def test_nothing_moves():
    scene = scenes.room(500, (50, 40))
    assert_as_single(scene, moved(scene, [], 3), scene.camera)


def test_what_stands_still_is_drawn_once(monkeypatch):
    drawn = []
    monkeypatch.setattr(states, "draw", lambda *a, draw=states.draw, **k: drawn.append(1) or draw(*a, **k))
    scene = scenes.room(500, (50, 40))
    rasterize(scene.splats, moved(scene, [2], 7), scene.camera, **scene.options)
    assert len(drawn) == 1


def test_gradients_are_those_of_single_passes():
    scene = scenes.room(500, (50, 40))
    frames = moved(scene, [2], 3)
    together, alone = frames.clone().requires_grad_(), frames.clone().requires_grad_()
    rasterize(scene.splats, together, scene.camera, **scene.options).image.sum().backward()
    for table in alone:
        rasterize(scene.splats, table, scene.camera, **scene.options).image.sum().backward()
    assert torch.allclose(together.grad, alone.grad, rtol=1e-5, atol=1e-5)
