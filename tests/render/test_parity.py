"""The native kernels against the oracle, and against themselves."""

from dataclasses import replace

import pytest
import torch

from splatworld import native
from splatworld.core.splats import Splats
from splatworld.evaluate import parity
from splatworld.evaluate.scenes import random_scene, room
from splatworld.render import ops, reference
from tests.render import builders


@pytest.mark.parametrize("seed", range(6))
def test_native_equals_the_oracle(native_backend, seed):
    found = parity.compare(native_backend.rasterize, random_scene(seed, count=150))
    assert found.forward <= 1e-4
    assert found.flagged <= 0.02
    assert found.flagged_error <= 2 / 255
    assert found.median == 0
    assert min(found.cosines.values()) >= 0.9999, found.cosines
    assert max(found.distances.values()) <= 1e-3, found.distances


def test_an_oracle_is_at_parity_with_itself():
    found = parity.compare(reference.rasterize, random_scene(1, count=60))
    assert found.forward == found.flagged_error == found.median == 0
    assert max(found.distances.values()) < 1e-12


def test_parity_sees_a_wrong_picture_and_a_wrong_gradient():
    scene = random_scene(0, count=60)

    def bright(*arguments, **options):
        drawn = reference.rasterize(*arguments, **options)
        return replace(drawn, image=drawn.image * 1.01)

    found = parity.compare(bright, scene)
    assert found.forward > 1e-3
    assert found.distances["sh"] > 1e-3

    def blind(splats: Splats, *arguments, **options):
        return reference.rasterize(replace(splats, means=splats.means.detach()), *arguments, **options)

    found = parity.compare(blind, scene)
    assert found.forward == 0
    assert found.cosines["means"] == 0
    assert found.distances["means"] == float("inf")


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_change_no_bit(threads):
    try:
        before = native.get_threads()
    except native.NativeMissing as missing:
        pytest.skip(str(missing))
    scene = room(3000, (100, 60))

    def outcome(count: int):
        native.set_threads(count)
        inputs = parity.parameters(scene)
        drawn = parity.call(ops.rasterize, scene, inputs)
        (drawn.image.sum() + (drawn.depth * drawn.alpha).sum()).backward()
        return drawn, {name: value.grad for name, value in inputs.items()}

    try:
        (expected, gradients), (drawn, others) = outcome(1), outcome(threads)
    finally:
        native.set_threads(before)
    builders.assert_same(drawn, expected)
    for name, gradient in gradients.items():
        assert torch.equal(gradient, others[name]), name


def test_scenes_come_from_their_seed():
    for make in (random_scene, lambda seed: room(100, (32, 24), seed=seed)):
        a, b, other = make(3), make(3), make(4)
        assert torch.equal(a.splats.means, b.splats.means)
        assert torch.equal(a.camera.world_from_camera, b.camera.world_from_camera)
        assert not torch.equal(a.splats.means[:50], other.splats.means[:50])
