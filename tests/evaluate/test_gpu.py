"""Suite `gpu` on a host that plays the device: tiny, for what it says rather than how long that takes."""

import pytest
import torch

from splatworld.core.checks import InputError
from splatworld.evaluate import gpu, gpu_clock, gpu_peer, gpu_training
from splatworld.evaluate.scenes import room

HOST = torch.device("cpu")
TINY = (40, 24)


def named(lines):
    return {each.name: each for each in lines}


def test_pictures_and_gradients_are_the_same_twice(on_host_device):
    lines = gpu.speed_lines(room(60, TINY), rounds=1, peer=None)
    assert lines[0].name == "60 splats at 40x24, same bits twice, pictures and gradients"
    assert lines[0].met
    assert all(each.value is not None for each in lines)


def test_a_batch_is_drawn_as_its_states_are(on_host_device):
    lines = gpu.batch_lines(room(60, TINY), 3, rounds=1, peer=None)
    assert lines[0].met


def test_a_training_step_lowers_the_loss(on_host_device):
    step = gpu_training.TrainingStep(room(60, TINY))
    target = step._target.image.float() / 255

    def error():
        return float((step.draw().image[0] - target).abs().mean())

    before = error()
    for _ in range(3):
        step()
    assert error() < before


def test_a_step_s_floor_counts_all_stages(on_host_device):
    lines = gpu_training.training_lines(room(60, TINY), rounds=1)
    work = gpu_training.TrainingStep(room(60, TINY)).work()
    assert set(work.least_bytes()) == set(gpu_training.STAGES)
    assert lines[0].value > 0
    assert work.floats == 59
    assert 0 < work.seen <= work.splats <= work.pairs * 60


def test_too_much_is_refused(on_host_device):
    assert [each.met for each in gpu.refusal_lines(HOST, splats=40, views=2000)] == [True, True]


def test_the_oracle_is_asked_first(on_host_device):
    scene = room(60, TINY)
    drawn = gpu.drawn_on(HOST)(scene.splats, scene.frames, scene.camera, **scene.options)
    assert drawn.image.shape == (24, 40, 3)


def test_without_a_gpu_it_says_so():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(InputError, match="no GPU"):
        gpu.run()


def test_the_peer_gets_copies_that_are_posed():
    scene = room(20, TINY)
    frames = scene.frames.expand(3, -1, -1).clone()
    frames[1, :, 0] += 1.0
    given = gpu_peer.posed(gpu_peer.parameters(scene), scene.splats.body_ids, frames)
    assert {name: value.shape[:2] for name, value in given.items()} == dict.fromkeys(given, (3, 20))
    torch.testing.assert_close(given["means"][1, :, 0], given["means"][0, :, 0] + 1.0)


def test_medians_are_of_each_call():
    calls = []
    times = gpu_clock.medians({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 2, HOST)
    assert set(times) == {"a", "b"}
    assert calls[-4:] == ["a", "b", "a", "b"]
