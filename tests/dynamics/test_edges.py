"""The network of deformable bodies: what it keeps to untrained, that it learns, how it goes along in checkpoints."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from splatworld.core import pose
from splatworld.core.checks import FormatError, InputError
from splatworld.core.world import rest_state
from splatworld.dynamics import checkpoint
from splatworld.dynamics.checkpoint import load_model, read_notes, save_model
from splatworld.dynamics.config import NodeTrainingConfig, training_config
from splatworld.dynamics.edges import NodeModel, NodeModelConfig
from splatworld.dynamics.model import DynamicsModel
from splatworld.dynamics.nets import world_net
from splatworld.dynamics.predict import predict
from tests.dynamics.scenes import at, lively_model, push
from tests.dynamics.test_deformable import grid, rope, stretch, world_of

SMALL = NodeModelConfig(width=16)


def talkative(seed=0, **sizes):
    """An untrained network that says something, about deformable bodies too."""
    model = lively_model(seed)
    torch.manual_seed(seed)
    nodes = NodeModel(replace(SMALL, **sizes))
    for head in (nodes.mean, nodes.along):
        torch.nn.init.normal_(head.weight, std=0.1)
    model.nodes = nodes.requires_grad_(False)
    return model


def test_predictions_turn_and_are_mirrored_with_the_world():
    places, edges = grid((4, 5, 1))
    model, tool, way = talkative(), at(0.04, -0.03, 0.004), push(0.002, 0.02, steps=3)
    start = world_of((places, edges), tool=tool)
    one = predict(start, rest_state(start), way, model=model).states.nodes[-1, :, :3]
    plain = predict(start, rest_state(start), way, model=lively_model()).states.nodes[-1, :, :3]
    assert float((one - plain).norm(dim=-1).max()) > 1e-3
    turn = at(0.1, -0.2, 0.0, yaw=0.7)
    around = world_of((pose.transform(turn, places), edges), tool=pose.compose(turn, tool))
    other = predict(around, rest_state(around), torch.cat([pose.rotate(turn[3:], way[:, :3]), way[:, 3:]], dim=-1),
                    model=model).states.nodes[-1, :, :3]  # fmt: skip
    assert float((pose.transform(turn, one) - other).norm(dim=-1).max()) < 1e-3
    flip = torch.tensor([-1.0, 1, 1, 1, 1, 1]).double()
    mirrored = world_of((places * flip[:3], edges), tool=tool * torch.tensor([-1.0, 1, 1, 1, 1, 1, 1]))
    back = predict(mirrored, rest_state(mirrored), way * flip, model=model).states.nodes[-1, :, :3] * flip[:3]
    assert float((one - back).norm(dim=-1).max()) < 1e-3


def test_lengths_hold_whatever_the_network_says():
    world = world_of(rope(), tool=at(0.12, -0.03, 0.005))
    found = predict(world, rest_state(world), push(0.0, 0.02, steps=6), model=talkative())
    assert float(stretch(found.states, world_net(world)).max()) < 1.02
    assert float(found.std[1:, 1, :3].min()) > 0
    assert bool((found.std[2, 1, :3] >= found.std[1, 1, :3]).all())


def test_what_is_not_finite_stops_the_rollout():
    world = world_of(rope(height=0.1))
    model = talkative()
    model.nodes.mean.bias.data[:] = torch.nan
    with pytest.warns(RuntimeWarning, match="not finite"):
        found = predict(world, rest_state(world), torch.zeros(3, 0), model=model)
    assert int(found.stopped) == 0
    assert torch.equal(found.states.nodes[-1], world.rest_nodes)


def test_a_checkpoint_takes_it_along(tmp_path):
    model = talkative(rounds=3)
    save_model(model, tmp_path / "both.safetensors", notes={"nodes": {"seed": 1}})
    again = load_model(tmp_path / "both.safetensors")
    assert again.nodes.config == model.nodes.config
    assert set(again.state_dict()) == set(model.state_dict())
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    assert read_notes(tmp_path / "both.safetensors")["nodes"] == {"seed": 1}
    save_model(lively_model(), tmp_path / "rigid.safetensors")
    assert load_model(tmp_path / "rigid.safetensors").nodes is None
    kept = checkpoint.NODE_SCALARS
    checkpoint.NODE_SCALARS = kept + 1
    try:
        with pytest.raises(FormatError, match="train its nodes anew"):
            load_model(tmp_path / "both.safetensors")
        assert load_model(tmp_path / "rigid.safetensors").nodes is None
    finally:
        checkpoint.NODE_SCALARS = kept


def test_nonsense_is_refused(tmp_path):
    for change in ({"steps": 0}, {"average": 1.0}, {"ahead": -1}):
        with pytest.raises(InputError, match="NodeTrainingConfig"):
            NodeTrainingConfig(**change)
    with pytest.raises(InputError, match="NodeModelConfig"):
        NodeModelConfig(width=0)
    file = tmp_path / "c.yaml"
    file.write_text("network: deformable\nsingle: 5\n")
    with pytest.raises(InputError, match="no option 'single'"):
        training_config(file)


@pytest.fixture(scope="module")
def episodes(tmp_path_factory) -> Path:
    pytest.importorskip("mujoco", reason="episodes to train on need the extra 'sim': pip install splatworld[sim]")
    from splatworld.simulate.episodes.deformable.families import DEFORMABLE
    from splatworld.simulate.episodes.generate import generate

    folder = tmp_path_factory.mktemp("episodes") / "rope"
    generate(replace(DEFORMABLE["rope"], seconds=1.0), folder, count=6, seed=3)
    return folder


@pytest.fixture
def config(episodes):
    return NodeTrainingConfig(
        episodes=(str(episodes),), validation=(str(episodes),), steps=40, spread=6, batch=8, pool=4, reuse=4, ahead=1,
        check_every=20, model=SMALL,
    )  # fmt: skip


def test_training_lowers_the_loss_and_leaves_rigid_bodies_alone(config, tmp_path):
    from splatworld.dynamics.node_training import node_loss, train_nodes

    save_model(lively_model(3), tmp_path / "rigid.safetensors", notes={"commit": "abc"})
    target = tmp_path / "both.safetensors"
    training = train_nodes(replace(config, adds_to=str(tmp_path / "rigid.safetensors")), target)
    untrained = sum(float(node_loss(NodeModel(SMALL), seen).detach()) for seen in training._checks) / len(
        training._checks
    )
    assert training.check() < 0.95 * untrained
    found, before = load_model(target), load_model(tmp_path / "rigid.safetensors")
    for name, value in before.state_dict().items():
        assert torch.equal(found.state_dict()[name], value), name
    assert read_notes(target)["commit"] == "abc"
    assert read_notes(target)["nodes"]["training"]["batch"] == 8
    assert not list(tmp_path.glob("*.unfinished"))
    world = world_of(rope(height=0.1))
    rollout = predict(world, rest_state(world), torch.zeros(2, 0), model=found)
    assert float(rollout.states.nodes[-1, :, 2].mean()) < 0.09


def test_a_stopped_training_goes_on_bit_for_bit(config):
    from splatworld.dynamics.node_library import load_node_library
    from splatworld.dynamics.node_training import NodeTraining

    library = load_node_library(config.episodes)
    whole = NodeTraining(config, library)
    for _ in range(8):
        whole.train_step()
    first = NodeTraining(config, library)
    for _ in range(4):
        first.train_step()
    state = {k: {n: v.clone() for n, v in group.items()} for k, group in first.state().items()}
    second = NodeTraining(config, library)
    second.restore(state)
    for _ in range(4):
        second.train_step()
    for name, value in whole.model.state_dict().items():
        assert torch.equal(second.model.state_dict()[name], value), name


def test_a_rigid_model_has_no_nodes():
    assert DynamicsModel().nodes is None
