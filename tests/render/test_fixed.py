"""Drawing from fixed buffers: the same pictures, and what does not fit is told."""

from dataclasses import replace

import pytest
import torch

from splatworld import native
from splatworld.core.checks import InputError
from splatworld.core.world import Skin
from splatworld.evaluate.scenes import room
from splatworld.render import ops
from splatworld.render.fixed import FixedPass
from splatworld.render.rendering import Rendering
from tests.render import builders

SIZE, VIEWS = (40, 24), 2
ON = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture
def kernels(request):
    """The CUDA kernels, or where there is no GPU those of a host that plays one."""
    if ON == "cpu":
        request.getfixturevalue("on_host_device")
    elif not native.has_cuda():
        pytest.skip("the CUDA kernels are not installed")


@pytest.fixture
def scene():
    one = room(40, SIZE, seed=1)
    return replace(one, splats=replace(one.splats, body_ids=torch.zeros(40, dtype=torch.int32)))


def fixed(scene, **options):
    """Both views from the scene's camera, the second moved a little."""
    one = FixedPass(scene.splats.to(ON), views=VIEWS, frames=1, size=SIZE, **options)
    one.cameras.copy_(ops.camera_rows(scene.camera).expand(VIEWS, -1))
    one.frames[1, 0, :3] = 0.05
    return one


def expected(scene, frames, **options):
    return ops.rasterize(scene.splats.to(ON), frames, scene.camera.to(ON), **options)


def copied(drawn):
    return Rendering(**{name: getattr(drawn, name).clone() for name in builders.PICTURES})


@pytest.mark.parametrize("hung", [False, True])
def test_the_pictures_are_those_of_rasterize_bit_for_bit(kernels, scene, hung):
    skin = Skin(torch.zeros(40, 2, dtype=torch.int32, device=ON), torch.full((40, 2), 0.5, device=ON)) if hung else None
    one = fixed(scene, pairs=3000, skin=skin)
    for shift in (0.0, 0.1):
        one.frames[0, 0, 0] = shift
        one.background.fill_(shift)
        one.draw()
        builders.assert_same(one.drawn, expected(scene, one.frames, skin=skin, background=one.background))
        assert not one.overflow
    assert float(one.drawn.alpha.max()) > 0.5


@pytest.mark.parametrize("room_for", ["pairs", "seen"])
def test_what_does_not_fit_is_told_and_fits_afterwards(kernels, scene, room_for):
    full = fixed(scene, pairs=3000)
    full.draw()
    seen, pairs, _ = full.totals.tolist()
    least = {"pairs": pairs, "seen": seen}
    small = fixed(scene, **{**least, room_for: least[room_for] - 1})
    small.draw()
    assert small.overflow
    small.frames[:, 0, 0] = 1000.0  # nothing to be seen
    small.draw()
    assert not small.overflow
    assert not small.drawn.alpha.any()
    exact = fixed(scene, **least)
    exact.draw()
    assert not exact.overflow
    builders.assert_same(exact.drawn, full.drawn)


def test_what_cannot_be_drawn_is_refused_at_once(kernels, scene):
    for wrong, options in (("pairs", {"pairs": 2**31}), ("frames", {"pairs": 9, "frames": 0})):
        with pytest.raises(InputError, match=wrong):
            FixedPass(scene.splats.to(ON), **{"views": VIEWS, "frames": 1, "size": SIZE, **options})


@pytest.mark.skipif(ON == "cpu", reason="no GPU")
def test_a_captured_graph_draws_what_its_inputs_hold(kernels, scene):
    one = fixed(scene, pairs=3000)
    one.draw()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        one.draw()
    one.frames[0, 0, 0] = 0.1
    graph.replay()
    after = copied(one.drawn)
    assert not one.overflow
    builders.assert_same(after, expected(scene, one.frames))
