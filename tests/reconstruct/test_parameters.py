"""The optimiser's native steps against plain torch and numpy ones."""

import math

import numpy as np
import pytest
import torch

from splatworld import native
from splatworld.core import pose
from splatworld.core.splats import from_points
from splatworld.reconstruct import densify
from splatworld.reconstruct.config import FitConfig
from splatworld.reconstruct.parameters import BETA1, BETA2, EPSILON, Parameters


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def adam(value, gradient, moments, seen, rates, step, sigmoid_cost=0.0, exponential_cost=0.0):
    native.load().adam(
        value, gradient, *moments, seen, torch.tensor(rates), sigmoid_cost, exponential_cost,
        BETA1, BETA2, EPSILON, step,
    )  # fmt: skip


def plain_adam(value, gradient, moments, seen, rates, step, sigmoid_cost=0.0, exponential_cost=0.0):
    activated = value.sigmoid()
    gradient = gradient + sigmoid_cost * activated * (1 - activated) + exponential_cost * value.exp()
    first = BETA1 * moments[0] + (1 - BETA1) * gradient
    second = BETA2 * moments[1] + (1 - BETA2) * gradient**2
    move = torch.tensor(rates) * first / (1 - BETA1**step) / ((second / (1 - BETA2**step)).sqrt() + EPSILON)
    keep = torch.zeros(len(value), 1) if seen is None else (seen == 0).float()[:, None]
    changes = zip((value, *moments), (value - move, first, second), strict=True)
    return [keep * old + (1 - keep) * new for old, new in changes]


@pytest.mark.parametrize("count", [1, 50, 5000])
@pytest.mark.parametrize("width", [1, 3, 27])
@pytest.mark.parametrize("costs", [(0.0, 0.0), (0.3, 0.0), (0.0, 0.2)])
@pytest.mark.parametrize("all_seen", [True, False])
def test_adam(count, width, costs, all_seen):
    value, rates = random(count, width), [1e-2] * (width // 2) + [1e-3] * (width - width // 2)
    moments = [torch.zeros(count, width), torch.zeros(count, width)]
    for step in range(1, 6):
        # Runs of any length, and single rows.
        seen = None if all_seen else (random(count, seed=step) + (torch.arange(count) % 90 > 60) > 0.5).int() * 7
        gradient = torch.sin(value * step)
        if seen is not None:
            gradient[seen == 0] = 0
        expected = plain_adam(value, gradient, moments, seen, rates, step, *costs)
        still = None if seen is None else value[seen == 0].clone()
        adam(value, gradient, moments, seen, rates, step, *costs)
        for found, wanted in zip((value, *moments), expected, strict=True):
            assert torch.allclose(found, wanted, atol=2e-6, rtol=1e-4)
        assert not gradient.any()
        if seen is not None:
            assert torch.equal(value[seen == 0], still)


def test_adam_is_torch_adam():
    value = random(50, 3)
    twin = value.clone().requires_grad_()
    optimizer = torch.optim.Adam([twin], lr=0.01, betas=(BETA1, BETA2), eps=EPSILON)
    moments = [torch.zeros(50, 3), torch.zeros(50, 3)]
    for step in range(1, 30):
        gradient = torch.sin(value * step)
        twin.grad = gradient.clone()
        adam(value, gradient, moments, None, [0.01] * 3, step)
        optimizer.step()
        assert torch.allclose(value, twin, atol=1e-6)


@pytest.mark.parametrize("width", [0, 769])
def test_adam_refuses_rows_that_it_cannot_hold(width):
    value = torch.zeros(2, width)
    with pytest.raises(ValueError, match="1 to 768 numbers"):
        adam(value, value.clone(), [value.clone(), value.clone()], None, [0.1] * width, 1)


def philox(counter, key):
    """Philox 4x32-10 of counters [N, 4] and one key [2], as its authors write it."""
    counter, key = counter.astype(np.uint64), [int(k) for k in key]
    low, word = np.uint64(0xFFFFFFFF), np.uint64(32)
    for _ in range(10):
        a, b = np.uint64(0xD2511F53) * counter[:, 0], np.uint64(0xCD9E8D57) * counter[:, 2]
        counter = np.stack(
            [
                (b >> word) ^ counter[:, 1] ^ np.uint64(key[0]),
                b & low,
                (a >> word) ^ counter[:, 3] ^ np.uint64(key[1]),
                a & low,
            ],
            axis=-1,
        )
        key = [(key[0] + 0x9E3779B9) % 2**32, (key[1] + 0xBB67AE85) % 2**32]
    return counter


def test_the_generator_gives_the_published_numbers():
    """Known answers of Random123."""
    for fill, answer in (
        (0, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        (0xFFFFFFFF, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    ):
        assert philox(np.full((1, 4), fill), [fill, fill])[0].tolist() == answer


def cloud(count=400):
    black, scale = torch.zeros(count, 3, dtype=torch.uint8), torch.full((count,), 0.05)
    splats = from_points(random(count, 3), black, scale=scale, degree=0)
    splats.opacity_logits[:] = torch.linspace(-9, 1, count)
    splats.log_scales[:] += 0.5 * random(count, 3, seed=1)
    splats.quats[:] = random(count, 4, seed=2)
    return splats


def plain_walk(splats, strength, seed, step):
    counter = np.zeros((len(splats), 4))
    counter[:, 0], counter[:, 2] = np.arange(len(splats)), step
    u = ((philox(counter, [seed % 2**32, seed >> 32]) >> np.uint64(9)).astype(np.float64) + 0.5) / 2**23
    near, far = np.sqrt(-2 * np.log(u[:, 0])), np.sqrt(-2 * np.log(u[:, 2]))
    parts = (near * np.cos(2 * np.pi * u[:, 1]), near * np.sin(2 * np.pi * u[:, 1]), far * np.cos(2 * np.pi * u[:, 3]))
    noise = torch.from_numpy(np.stack(parts, axis=-1))
    gate = torch.sigmoid(100 * (1 - splats.opacity_logits.double().sigmoid() - 0.995))
    local = noise * (2 * splats.log_scales.double()).exp()
    return strength * gate[:, None] * pose.rotate(pose.normalize_quat(splats.quats.double()), local)


def test_transparent_splats_walk_as_the_counter_says():
    splats = cloud()
    means = splats.means.clone()
    seed, step, shut = 2**40 + 9, 777, math.log(0.15 / 0.85)
    native.load().wander(means, splats.opacity_logits, splats.log_scales, splats.quats, 1.0, shut, seed, step)
    wanted = plain_walk(splats, 1.0, seed, step) * (splats.opacity_logits < shut)[:, None]
    assert torch.allclose((means - splats.means).double(), wanted, atol=1e-6)
    assert float(wanted.abs().max()) > 1e-3
    assert float(plain_walk(splats, 1.0, seed, step)[splats.opacity_logits >= shut].abs().max()) < 1e-7


def test_steps_are_normal_and_of_the_splats_own_shape():
    count = 40_000
    opaque, means = torch.full((count,), -20.0), torch.zeros(count, 3)
    scales = torch.tensor([0.5, 1.0, 2.0]).log().expand(count, 3).contiguous()
    quats = torch.tensor([0.5, 0.5, 0.5, 0.5]).expand(count, 4).contiguous()  # x to y to z to x
    native.load().wander(means, opaque, scales, quats, 1.0, 0.0, 3, 1)
    means /= 1 / (1 + math.exp(-0.5))
    covariance = means.T @ means / count
    assert torch.allclose(covariance, torch.tensor([16.0, 0.0625, 1.0]).diag(), atol=0.3, rtol=0.03)
    assert float(means.mean(dim=0).abs().max()) < 0.1
    assert float((means[:, 2] ** 4).mean() / (means[:, 2] ** 2).mean() ** 2) == pytest.approx(3, abs=0.15)


def test_neither_threads_nor_order_of_steps_change_the_walk():
    config, before = FitConfig(seed=4), native.get_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            native.set_threads(threads)
            parameters = Parameters(cloud(9000), config)
            densify.wander(parameters, 1e-3, config, step=5)
            found.append(parameters.values["means"])
    finally:
        native.set_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    for other in (FitConfig(seed=5), FitConfig(seed=4)):
        parameters = Parameters(cloud(9000), config)
        densify.wander(parameters, 1e-3, other, step=5 if other.seed == 5 else 6)
        assert not torch.equal(parameters.values["means"], found[0])


def test_a_splat_without_a_direction_stays_finite():
    splats = cloud(5)
    splats.opacity_logits[:] = -9
    splats.quats[:] = 0
    parameters = Parameters(splats, FitConfig())
    densify.wander(parameters, 1e-3, FitConfig(), step=0)
    assert bool(parameters.values["means"].isfinite().all())


def test_harmonics_come_when_they_are_needed():
    parameters = Parameters(cloud(5), FitConfig(sh_degree=2))
    parameters.widen(4)
    assert parameters.values["sh"].shape == (5, 4, 3)
    parameters.gradients["sh"] += 1
    before = parameters.values["sh"].clone()
    parameters.step(1e-3)
    moved = before - parameters.values["sh"]
    assert torch.allclose(moved[:, 0], torch.tensor(FitConfig.colors_rate), atol=1e-6)
    assert torch.allclose(moved[:, 1:], torch.tensor(FitConfig.harmonics_rate), atol=1e-6)
    state = {name: value.clone() for name, value in parameters.state().items()}
    parameters.widen(1)
    assert torch.equal(parameters.values["sh"], state["value.sh"])
    splats = parameters.splats()
    assert splats.sh.shape == (5, 9, 3)
    assert not splats.sh[:, 4:].any()
    other = Parameters(cloud(7), FitConfig(sh_degree=2))
    other.restore(state)
    assert other.gradients["sh"].shape == (5, 4, 3)
    assert torch.equal(other.values["sh"], state["value.sh"])


def test_what_a_frame_does_not_show_is_left_alone():
    parameters = Parameters(cloud(6), FitConfig())
    seen = torch.tensor([1, 0, 3, 0, 0, 1], dtype=torch.int32)
    before = {name: value.clone() for name, value in parameters.values.items()}
    for gradient in parameters.gradients.values():
        gradient[seen > 0] = 1
    parameters.step(1e-3, seen)
    for name, value in parameters.values.items():
        assert torch.equal((value != before[name]).flatten(1).any(dim=-1) if value.ndim > 1 else value != before[name],
                           seen > 0), name  # fmt: skip
        assert not parameters.gradients[name].any()
