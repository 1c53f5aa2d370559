"""Splats are read and written as vectors of whole rows: where the arrays end must not matter."""

from dataclasses import replace

import pytest
import torch

from splatworld import native
from splatworld.core.world import Skin
from splatworld.evaluate import parity
from splatworld.evaluate.scenes import Scene, random_scene
from splatworld.render import ops
from tests.render import builders


def cut(scene: Scene, chosen: torch.Tensor, hidden: torch.Tensor) -> Scene:
    """The chosen splats; those that `hidden` marks are too thin to be seen."""
    splats = scene.splats.select(chosen)
    logits = torch.where(hidden, torch.full_like(splats.opacity_logits, -20.0), splats.opacity_logits)
    skin = scene.skin and Skin(scene.skin.indices[chosen], scene.skin.weights[chosen])
    return replace(scene, splats=replace(splats, opacity_logits=logits), skin=skin)


@pytest.mark.parametrize("count", [1, 2, 4, 7, 15, 16, 17])
@pytest.mark.parametrize("seed", range(5))  # degrees 3, 2, 3, 1, 0; even ones without skin
def test_what_follows_the_last_splat_changes_no_bit(seed, count):
    try:
        native.load()
    except native.NativeMissing as missing:
        pytest.skip(str(missing))
    scene = random_scene(seed, count=40)

    def outcome(chosen: torch.Tensor, hidden: torch.Tensor):
        one = cut(scene, chosen, hidden)
        inputs = parity.parameters(one)
        drawn = parity.call(ops.rasterize, one, inputs)
        (drawn.image.square().sum() + (drawn.depth * drawn.alpha).sum()).backward()
        return drawn, {name: inputs[name].grad for name in ops.RasterPass.PARAMETERS}

    own = torch.arange(count)
    drawn, gradients = outcome(own, torch.zeros(count, dtype=torch.bool))
    followed = torch.cat([own, torch.arange(21)])
    expected, others = outcome(followed, torch.arange(count + 21) >= count)
    builders.assert_same(drawn, expected)
    for name, gradient in gradients.items():
        assert bool(gradient.isfinite().all()), name
        assert torch.equal(gradient, others[name][:count]), name
    assert bool(gradients["opacity_logits"].any()) or count < 7
