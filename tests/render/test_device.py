"""The device's way through the kernels, run by a host that plays the device, against the CPU's."""

import gc
from dataclasses import replace

import pytest
import torch

from splatworld import native
from splatworld.core import pose
from splatworld.core.body import Body
from splatworld.core.camera import stack
from splatworld.core.checks import InputError
from splatworld.core.world import Skin, World, rest_state
from splatworld.evaluate import parity
from splatworld.evaluate.scenes import random_scene, room
from splatworld.render import device, ops
from splatworld.render.device import DevicePass
from splatworld.render.render import render
from tests.render import builders

SIZE = (40, 24)


@pytest.fixture(scope="module")
def scene():
    """Thirty splats on three bodies in two states, seen from a place each."""
    one = room(30, SIZE, seed=1)
    ids = (torch.arange(30) % 3).int()
    frames = pose.identity(2, 3)
    frames[1, 1, :3], frames[1, 2, 3:] = 0.2, torch.tensor([0.96, 0.2, 0.1, 0.0])
    moved = one.camera.world_from_camera.clone()
    moved[..., 0] += 0.1
    cameras = stack([one.camera, replace(one.camera, world_from_camera=moved)])
    return replace(one, splats=replace(one.splats, body_ids=ids), frames=frames, camera=cameras)


def outcome(scene):
    """Pictures of a batch, and the gradients of everything that has one."""
    inputs = parity.parameters(replace(scene, background=torch.tensor([0.1, 0.2, 0.3])))
    drawn = parity.call(ops.rasterize, scene, inputs)
    weights = torch.linspace(0.5, 1.5, drawn.image.numel()).view_as(drawn.image)
    ((drawn.image * weights).sum() + (drawn.depth * drawn.alpha).sum() + drawn.alpha.square().sum()).backward()
    return drawn, {name: value.grad for name, value in inputs.items()}


@pytest.mark.parametrize("seed", [None, 3])
def test_a_batch_and_its_gradients_are_those_of_the_cpu_and_always_the_same(scene, host_device, seed):
    given = scene if seed is None else random_scene(seed, count=30)
    expected, gradients = outcome(given)
    with native.replaced_cuda(host_device):
        (drawn, found), (again, once_more) = outcome(given), outcome(given)
    assert float(expected.alpha.detach().max()) > 0.5
    builders.assert_same(drawn, again)
    for name in builders.PICTURES[:4]:
        torch.testing.assert_close(getattr(drawn, name), getattr(expected, name), atol=1e-4, rtol=1e-4)
    for name, gradient in gradients.items():
        assert torch.equal(found[name], once_more[name]), name
        assert float((found[name] - gradient).norm()) <= 1e-4 * float(gradient.norm()) + 1e-6, name


@pytest.mark.parametrize("hung", [False, True])
def test_a_world_is_drawn_where_its_splats_are(scene, host_device, hung):
    """Skinned or rigid, with and without gradients: the same bits."""
    halves = Skin(torch.stack([scene.splats.body_ids, 2 - scene.splats.body_ids], dim=1), torch.full((30, 2), 0.5))
    bodies = tuple(Body(name, "static" if name == "room" else "rigid", pose.identity()) for name in ("room", "a", "b"))
    world = World(splats=scene.splats, bodies=bodies, skin=halves if hung else None).to("cpu")
    state = rest_state(world).to("cpu")
    expected = render(world, state, scene.camera)
    with native.replaced_cuda(host_device):
        drawn = render(world, state, scene.camera)
        learnt = render(replace(world, splats=builders.leaves(world.splats)), state, scene.camera)
    torch.testing.assert_close(drawn.image, expected.image, atol=1e-4, rtol=1e-4)
    assert torch.equal(drawn.image, learnt.image)


def test_everything_must_lie_on_one_device(scene):
    inputs = {"frames": scene.frames, "camera": scene.camera}
    for name, value in inputs.items():
        with pytest.raises(InputError, match=rf"means are on cpu, {name} on meta; .*\.to\(device\)"):
            ops.rasterize(scene.splats, **{**inputs, name: value.to("meta")})
    with pytest.raises(InputError, match="splats on meta"):
        ops.rasterize(replace(scene.splats, sh=scene.splats.sh.to("meta")), **inputs)


@pytest.mark.parametrize(("name", "splats", "most"), [("splats", 30, 59), ("tiles", 3, 11), ("pairs", 30, 61)])
def test_more_than_can_be_numbered_is_refused_and_life_goes_on(scene, on_host_device, monkeypatch, name, splats, most):
    """In two views, of 6 tiles each."""
    some = scene.splats.select(torch.arange(splats))
    with monkeypatch.context() as patch:
        patch.setattr(device, "MOST", most)
        with pytest.raises(InputError, match=rf"\d+ .*{name}.* do not fit"):
            ops.rasterize(some, scene.frames, scene.camera)
    assert float(ops.rasterize(some, scene.frames, scene.camera).alpha.max()) > 0.01


@pytest.mark.parametrize(("rooms", "what"), [((1000,), "2 views of 30 splats at 40x24 px"), ((60_000, 1000), "pairs")])
def test_more_than_the_memory_holds_is_refused_before_it_is_asked_for(scene, on_host_device, monkeypatch, rooms, what):
    answers = iter(rooms)
    monkeypatch.setattr(device, "memory_of", lambda _: next(answers))
    with pytest.raises(InputError, match=f"{what}.* take .* fewer views at once"):
        ops.rasterize(scene.splats, scene.frames, scene.camera)


def test_memory_that_others_have_taken_is_an_error_by_name(scene, on_host_device, monkeypatch):
    def refuse(*_, **__):
        raise torch.OutOfMemoryError

    with monkeypatch.context() as patch:
        patch.setattr(device, "empty_pictures", refuse)
        with pytest.raises(InputError, match="the memory of cpu does not suffice"):
            ops.rasterize(scene.splats, scene.frames, scene.camera)


def test_pictures_changed_in_place_are_refused_and_graphs_are_freed(scene, on_host_device):
    splats = builders.leaves(scene.splats)
    drawn = ops.rasterize(splats, scene.frames, scene.camera)
    drawn.image.mul_(2)
    with pytest.raises(RuntimeError, match="inplace"):
        drawn.image.sum().backward()
    del drawn
    gc.collect()
    assert not [one for one in gc.get_objects() if type(one) is DevicePass]
