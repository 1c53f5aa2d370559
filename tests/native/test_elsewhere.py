"""Worlds on a GPU that is none: every tensor is where its kernel is, and none meets one from the other side."""

from dataclasses import replace

import pytest
import torch

from splatworld.core.world import World, rest_state
from splatworld.evaluate.scenes import moved, random_scene, room
from splatworld.render import ops
from splatworld.render.device import DevicePass
from splatworld.render.fixed import FixedPass
from splatworld.render.passes import RasterPass, Settings
from splatworld.render.render import render
from tests.native.elsewhere import elsewhere


@pytest.fixture
def gpu(host_device):
    with elsewhere(host_device):
        yield


def test_the_two_sides_are_kept_apart(gpu):
    there, here = torch.zeros(3, device="cuda"), torch.zeros(3)
    assert (there + 1).device == there[1:].device == here.to("cuda").device == there.device != here.device
    assert there.cpu().device == there.to("cpu").device == here.device
    with pytest.raises(RuntimeError, match="same device"):
        there + here
    with pytest.raises(TypeError, match="numpy"):
        there.numpy()


@pytest.mark.parametrize("seed", [0, 2, 3])
def test_a_batch_and_its_gradients_stay_on_the_device(gpu, seed):
    """Rigid and skinned splats; one camera for all states and one for each."""
    scene = moved(random_scene(seed, count=10), "cuda")
    drawn = ops.rasterize(scene.splats, scene.frames, scene.camera, **scene.options)
    assert drawn.image.device.type == "cuda"
    splats = scene.splats
    values = {name: getattr(splats, name).float() for name in RasterPass.PARAMETERS}
    rows = ops.camera_rows(scene.camera).expand(len(scene.frames), -1).contiguous()
    settings = Settings(splats.body_ids, scene.skin, scene.camera.size, splats.sh.shape[1], scene.antialias)
    batch = DevicePass(values, scene.frames, rows, torch.zeros(3, device="cuda"), settings)
    gradients = {name: torch.zeros_like(value) for name, value in values.items()}
    gradients |= {"frames": torch.zeros_like(scene.frames).double(), "camera": torch.zeros_like(rows).double()}
    batch.backward(gradients, torch.ones_like(batch.image), None, torch.ones_like(batch.depth_sum))
    assert all(bool(gradient.isfinite().all()) for gradient in gradients.values())
    assert bool(gradients["frames"].any())


def test_a_world_is_drawn_where_its_splats_are_and_its_state_is_not(gpu):
    scene = room(20, (33, 17))
    own = replace(scene.splats, body_ids=torch.zeros(20, dtype=torch.int32))
    world = World(splats=own).to("cuda")
    for state in (None, rest_state(world)):
        assert render(world, state, scene.camera, background=torch.ones(3)).image.device.type == "cuda"
    assert render(world.to("cpu"), None, scene.camera).image.device.type == "cpu"


def test_fixed_buffers_lie_on_the_device(gpu):
    scene = moved(room(10, (33, 17)), "cuda")
    one = FixedPass(scene.splats, views=1, frames=scene.frames.shape[-2], size=(33, 17), pairs=500)
    one.cameras.copy_(ops.camera_rows(scene.camera).expand(1, -1))
    one.draw()
    assert one.drawn.image.device.type == one.overflow.device.type == "cuda"
    assert torch.equal(one.drawn.image[0], ops.rasterize(scene.splats, scene.frames, scene.camera).image)
