"""What measures dynamics is itself measured: on truth, on nothing, and on what is plainly wrong."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

pytest.importorskip("mujoco", reason="episodes to measure on need the extra 'sim': pip install splatworld[sim]")

from splatworld.core import pose
from splatworld.dynamics.touch import moved
from splatworld.evaluate import dynamics_gnn, dynamics_metrics, dynamics_physics, dynamics_rollouts, dynamics_sets
from splatworld.evaluate.dynamics_pictures import save_worst
from tests.dynamics.scenes import lively_model

SPEED = 12


@pytest.fixture(scope="module")
def pushes(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dynamics_sets, "FOLDER", tmp_path_factory.mktemp("eval"))
        yield dynamics_sets.load_set("several", 3, print, seconds=1.2)


@pytest.fixture
def batch(pushes):
    return pushes.batch(0, SPEED)


@pytest.fixture
def truth(batch):
    return dynamics_rollouts.true(batch)


def test_the_truth_is_without_error(pushes, batch, truth):
    which = dynamics_metrics.movers(pushes, truth)
    assert int(which.sum()) >= 2
    none = dynamics_metrics.errors(truth, truth, which)
    assert none.place_mm(0.9) == 0
    assert none.turn_degrees(0.9) < 1e-3
    assert bool(dynamics_metrics.same_side(pushes, truth, truth, which).all())
    met = dynamics_metrics.first_contacts(batch, truth)
    assert bool(dynamics_metrics.same_first_pair(met, met).all())
    assert float(dynamics_rollouts.depths(batch, truth).max()) < 0.0015


def test_standing_still_is_off_by_the_way_of_the_bodies(pushes, batch, truth):
    which = dynamics_metrics.movers(pushes, truth)
    off = dynamics_metrics.errors(dynamics_rollouts.still(batch), truth, which)
    way = (truth.poses[:, -1, :, :3] - truth.poses[:, 0, :, :3]).norm(dim=-1)[which]
    torch.testing.assert_close(off.place, way)
    for roll in dynamics_rollouts.RULES.values():
        assert roll(batch).poses.shape == truth.poses.shape


def test_mujoco_with_the_truth_repeats_it(pushes, batch, truth):
    again = dynamics_rollouts.mujoco(pushes, "true", 0, SPEED)
    off = dynamics_metrics.errors(again, truth, pushes.free)
    assert off.place_mm() < 0.5
    assert (
        dynamics_metrics.errors(dynamics_rollouts.mujoco(pushes, "mean", 0, SPEED), truth, pushes.free).place_mm(0.9)
        > 0.5
    )


def test_faults_are_seen(pushes, batch, truth):
    sunk = truth.poses.clone()
    sunk[:, -1, :, 2] -= 0.002
    low = replace(truth, poses=sunk)
    assert float(dynamics_rollouts.depths(batch, low)[:, -1].min()) > 0.0015
    lifted = truth.poses.clone()
    lifted[:, 5:, :, 2] += 0.01
    gain = dynamics_metrics.energy(pushes, replace(truth, poses=lifted)).diff(dim=1)
    weight = 9.81 * (pushes.episodes.truth.mass * pushes.free).sum(1).double()
    usual = dynamics_metrics.energy(pushes, truth).diff(dim=1)
    torch.testing.assert_close(gain[:, 4] - usual[:, 4], 0.01 * weight)
    turned = moved(truth.poses, torch.tensor([0, 0, 0, 1.0, 0, 0]).double().expand(*truth.poses.shape[:3], 6))
    which = dynamics_metrics.movers(pushes, truth)
    assert not bool(dynamics_metrics.same_side(pushes, replace(truth, poses=turned), truth, which).any())


def test_spreads_that_are_right_hold_what_they_say(pushes, truth):
    generator = torch.Generator().manual_seed(0)
    which = torch.ones_like(pushes.free)
    std = (
        (0.001 + 0.01 * torch.rand(truth.poses.shape[:3], generator=generator))
        .double()[..., None]
        .expand(-1, -1, -1, 6)
    )
    found = truth.poses.clone()
    found[..., :2] += std[..., :2] * torch.randn((*std.shape[:3], 2), generator=generator).double()
    known = dynamics_metrics.spreads(replace(truth, poses=found, std=std), truth, which)
    assert 0.75 < known.held <= 1
    assert known.correlation > 0.3
    sure = dynamics_metrics.spreads(replace(truth, poses=found, std=0.1 * std), truth, which)
    assert sure.held < 0.4


def test_nodes_tell_the_motion_of_a_body():
    torch.manual_seed(0)
    nodes = torch.randn(12, 3).double()
    where = torch.stack([torch.zeros(12), torch.arange(12) // 6, torch.arange(12) % 6], dim=-1).long()
    start = pose.identity(1, 2, dtype=torch.float64)
    motion = torch.tensor([[[0.1, 0, 0, 0, 0, 0.5], [0, 0.2, 0, 0.3, 0, 0]]]).double()
    after = moved(start, motion)
    shift = pose.transform(after[0, where[:, 1]], nodes) - nodes
    torch.testing.assert_close(dynamics_gnn.rigid_motion(nodes, shift, where, start), after, atol=1e-6, rtol=0)


def test_the_graph_network_learns(pushes, batch, truth, tmp_path):
    folders = [Path(pushes.folder)]
    said = []
    model = dynamics_gnn.train_graph(pushes.library, folders, tmp_path / "gnn", minutes=0.02, batch=4, say=said.append)
    nodes = dynamics_gnn.library_nodes(pushes.library, folders)
    rolled = dynamics_gnn.roll_graph(model, nodes, batch)
    assert bool(torch.isfinite(rolled.poses).all())
    again = dynamics_gnn.train_graph(pushes.library, folders, tmp_path / "gnn", minutes=0.02, batch=4, say=said.append)
    assert len(said) == 1
    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_worst_are_drawn(pushes, batch, truth, tmp_path):
    import cv2

    which = dynamics_metrics.movers(pushes, truth)
    save_worst(pushes, dynamics_rollouts.still(batch), truth, which, tmp_path / "worst.png")
    picture = cv2.imread(str(tmp_path / "worst.png"))
    assert picture.shape == (300, 1500, 3)
    assert len(picture[:, :300].reshape(-1, 3).tolist()) > 0
    assert int((picture[:, :900] != 255).any(-1).sum()) > 3000


def test_rows_of_a_short_push_are_told(pushes, batch, truth):
    rows = dynamics_physics.sunk_lines("push", batch, truth, truth)
    assert [row.met for row in rows] == [True, True]


def test_the_network_is_rolled_with_tools_as_they_went_and_as_sent(pushes, batch, truth):
    model = lively_model()
    found = dynamics_rollouts.network(model, batch)
    assert torch.equal(found.tools, truth.tools)
    assert float((found.poses - truth.poses)[pushes.free[:, None].expand(found.poses.shape[:3])].abs().max()) > 1e-3
    sent = dynamics_rollouts.network(model, batch, pushes.sent(0, SPEED))
    assert float((sent.tools - truth.tools)[..., :3].norm(dim=-1).median()) < 0.002
    assert torch.equal(sent.poses[:, 0], truth.poses[:, 0])
