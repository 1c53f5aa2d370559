"""What measures toppling and stacks is itself measured: on truth and on what is plainly wrong."""

from dataclasses import replace

import pytest
import torch

pytest.importorskip("mujoco", reason="episodes to measure on need the extra 'sim': pip install splatworld[sim]")

from splatworld.core.latents import MASS, SUPPORT_FRICTION
from splatworld.dynamics.coasting import FRICTION
from splatworld.dynamics.library import true_latents
from splatworld.evaluate import dynamics_rollouts, dynamics_sets, dynamics_stacks, dynamics_toppling
from tests.dynamics.scenes import lively_model


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dynamics_sets, "FOLDER", tmp_path_factory.mktemp("eval"))
        yield


@pytest.fixture(scope="module")
def stacks():
    return dynamics_sets.load_set("stack pushed", 2, print)


def test_the_majority_wins():
    up, aside = torch.tensor([0.0, 0, 1]).double(), torch.tensor([1.0, 0, 0]).double()
    drawn = torch.stack([torch.stack([up, aside]), torch.stack([up, up]), torch.stack([aside, aside])])
    chosen, share = dynamics_toppling.vote(drawn)
    torch.testing.assert_close(chosen, torch.stack([up, aside]))
    torch.testing.assert_close(share, torch.tensor([2 / 3, 2 / 3]))


def test_who_says_how_often_he_is_right_is_calibrated():
    generator = torch.Generator().manual_seed(0)
    share = 0.5 + 0.5 * torch.rand(5000, generator=generator)
    right = torch.rand(5000, generator=generator) < share
    assert dynamics_toppling.calibration_error(share, right) < 0.03
    assert dynamics_toppling.calibration_error(torch.ones(5000), right) > 0.2


def test_latents_tell_the_parameters(stacks):
    batch = stacks.batch(0, 1)
    latents = batch.latents
    truth, bodies = stacks.episodes.truth, stacks.episodes.mask
    told = latents[:, 1:-1][bodies]
    torch.testing.assert_close(FRICTION * told[:, SUPPORT_FRICTION].exp(), truth.table_friction[bodies])
    mass = batch.scene.typical_mass[:, 1:-1][bodies] * told[:, MASS].exp()
    torch.testing.assert_close(mass, truth.mass[bodies], rtol=1e-4, atol=0)
    one, other = (true_latents(batch.scene, dynamics_toppling.drawn_truth(stacks, seed)) for seed in (0, 1))
    assert bool((one != other)[:, 1:-1][bodies][:, :6].all())
    assert bool((one[:, 0] == 0).all())


def test_who_stands_on_whom(stacks):
    batch = stacks.batch(0, stacks.actions)
    first = dynamics_stacks.standing(batch, dynamics_rollouts.still(batch))
    assert first[:, range(1, 5), range(4)].all()
    assert int(first.sum()) == 4 * len(first)
    still = dynamics_rollouts.still(batch)
    lifted = still.poses.clone()
    lifted[:, -1, 3, 2] += 0.02
    assert not dynamics_stacks.standing(batch, replace(still, poses=lifted))[:, 4, 3].any()


def test_rows_of_a_network_that_was_never_trained(stacks, monkeypatch):
    monkeypatch.setattr(dynamics_toppling, "DRAWS", 2)
    monkeypatch.setattr(dynamics_stacks, "REDRAWS", 1)
    model = lively_model()
    rows = dynamics_stacks.stack_lines(model, "stack pushed", 2, print)
    rows += dynamics_stacks.alone_lines(model, 2, print, actions=3)
    assert [row.value is not None for row in rows] == [True] * 4
    assert rows[2].value == 100
    found = dynamics_toppling.topple_lines(model, "topple", 2, print)
    assert len(found) == 4
    assert 0 <= found[0].value <= 100
