from dataclasses import replace
from pathlib import Path

import pytest
import torch

pytest.importorskip("mujoco", reason="episodes to train on need the extra 'sim': pip install splatworld[sim]")

from splatworld.cli.main import BAD_INPUT, DONE, main
from splatworld.core.checks import InputError
from splatworld.core.latents import CENTER, DENSITY, FRICTION, MASS, TOOL_FRICTION
from splatworld.dynamics import calibration
from splatworld.dynamics.checkpoint import load_model, read_notes
from splatworld.dynamics.config import TrainingConfig, training_config
from splatworld.dynamics.edges import NodeModel, NodeModelConfig
from splatworld.dynamics.features import PARTNER_KIND, contact_features
from splatworld.dynamics.library import BODIES, NOTHING, draw, load_library
from splatworld.dynamics.losses import Noise, disturbed, start
from splatworld.dynamics.model import DynamicsModel, ModelConfig
from splatworld.dynamics.scene import Kind
from splatworld.dynamics.step import look
from splatworld.dynamics.touch import find_touches
from splatworld.dynamics.training import ROLLOUT_RATE, Training, train
from splatworld.episodes import SUBSTATES, load_episodes
from splatworld.simulate.episodes.configs import family_config
from splatworld.simulate.episodes.generate import generate

CONFIGS = Path(__file__).parents[2] / "configs" / "dynamics"
TINY = ModelConfig(contact=(16, 16), trunk=(32, 32))


@pytest.fixture(scope="module")
def episodes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("episodes") / "push"
    config = replace(family_config("push"), shapes=("box",), bodies=(1, 2), seconds=1.5)
    generate(config, folder, split="train", count=6, seed=3, workers=1, commit=None)
    return folder


@pytest.fixture(scope="module")
def library(episodes):
    return load_library([episodes, episodes])


@pytest.fixture
def config(episodes) -> TrainingConfig:
    return TrainingConfig(
        episodes=(str(episodes),), single=12, rollout=2, spread=3, batch=16, rollout_batch=4, horizon=3, warmup=2,
        check_every=6, model=TINY,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_batches_mix_scenes(library):
    batch = draw(library, 24, 2, torch.Generator().manual_seed(0))
    assert batch.poses.shape == (24, 11, BODIES, 7)
    free = batch.scene.free
    assert bool((batch.scene.shape_ids[free] > NOTHING).all())
    assert bool((batch.scene.kinds[:, -1] == Kind.TOOL).all())
    assert len(batch.scene.shape_ids[free].unique()) > 3
    again = draw(library, 24, 2, torch.Generator().manual_seed(0))
    assert torch.equal(again.poses, batch.poses)
    with pytest.raises(InputError, match="lasts 99 actions"):
        draw(library, 1, 99, torch.Generator())


def test_of_half_of_the_scenes_it_is_told_what_is_true(library, episodes):
    batch = draw(library, 64, 1, torch.Generator().manual_seed(0))
    stored, moves = load_episodes(episodes), batch.scene.free[:, 1:-1]
    truth, body = stored.truth, int(moves[0].nonzero()[0])
    first = int((stored.numbers == batch.numbers[0]).nonzero()[0])
    ratio = truth.mass[first, body] / (DENSITY * batch.scene.solids.volume[batch.scene.shape_ids[0, 1 + body].long()])
    latents = batch.latents[0, 1 + body]
    assert float(latents[MASS].exp()) == pytest.approx(float(ratio), rel=1e-4)
    assert float(latents[TOOL_FRICTION].exp() * FRICTION) == pytest.approx(
        float(truth.tool_friction[first, body]), rel=1e-4
    )
    assert float(latents[CENTER].abs().max()) > 0
    seen = disturbed(batch, torch.zeros(64, dtype=torch.int64), Noise(), torch.Generator().manual_seed(0)).latents
    told = (seen != 0).flatten(1).any(1)
    assert 16 < int(told.sum()) < 48
    torch.testing.assert_close(seen[told][:, 1:-1][moves[told]], batch.latents[told][:, 1:-1][moves[told]].double())


def test_a_short_training_lowers_the_loss(library, config):
    training = Training(replace(config, single=60, batch=32, rate=5e-3), library, library)
    first = training.check()
    for _ in range(60):
        training.train_step()
    assert training.check() < 0.8 * first


def test_spread_is_learned_while_means_stand_still(library, config):
    training = Training(replace(config, single=0, rollout=0, spread=40, rate=0.01), library)
    before = {name: value.detach().clone() for name, value in training.model.named_parameters()}
    for _ in range(40):
        training.train_step()
    for name, value in training.model.named_parameters():
        assert torch.equal(value, before[name]) != name.startswith("spread"), name
    losses = [row["loss"] for row in training.losses]
    assert sum(losses[-3:]) < sum(losses[:3])


def test_a_stage_begins_without_the_last_ones_momentum(library, config):
    """By the scale of small gradients, the first of larger ones would be leaps: steps stay within the learning rate."""
    training = Training(replace(config, single=8, rollout=2, warmup=1, rate=1e-3), library)
    for _ in range(8):
        training.train_step()
    for each in training._moments.values():
        each[1] *= 1e-4
    before = {name: value.detach().clone() for name, value in training.model.named_parameters()}
    training.train_step()
    leaps = [float((value.detach() - before[name]).abs().max()) for name, value in training.model.named_parameters()]
    assert 0 < max(leaps) <= 1.01 * training.config.rate * ROLLOUT_RATE


def test_each_pace_has_its_own_correlation(library, monkeypatch):
    """Later errors that are right for 0.3 in whole actions and for 0.7 in short steps, which the second body takes; and
    after one action variances that are four times too large."""
    generator = torch.Generator()

    def moments(model, batch, correlation):
        found = []
        for t in (SUBSTATES, batch.poses.shape[1] // 2 // SUBSTATES * SUBSTATES, batch.poses.shape[1] - 1):
            truth = batch.poses[:, t]
            short = torch.arange(truth.shape[1]) == 2
            variance = torch.where(short, correlation[1], correlation[0]).double()[:, None].expand(len(truth), -1, 6)
            poses = truth.clone()
            drawn = torch.randn(*truth.shape[:2], 2, generator=generator.manual_seed(1)).double()
            poses[..., :2] += torch.where(short, 0.7, 0.3).double().sqrt()[:, None] * drawn
            if t == SUBSTATES:
                variance = torch.where(short, 2.8 * model.config.scale[1], 1.2 * model.config.scale[0])[:, None]
                variance = variance.double().expand(len(truth), -1, 6) + 1e-9 * short[:, None] * correlation[1]
            found.append(replace(start(batch.scene, poses, batch.twists[:, t]), variance=variance))
        return found

    monkeypatch.setattr(calibration, "_moments", moments)
    model = DynamicsModel(TINY)
    held = calibration.calibrate(model, library)
    assert model.config.scale == pytest.approx((0.25, 0.25), rel=0.5)
    assert model.config.correlation == pytest.approx((0.3, 0.7), abs=0.12)
    assert all(0.8 < held[name] < 0.97 for name in calibration.PACES)


def test_a_pace_that_nobody_takes_is_left(library, monkeypatch):
    for name in ("MOVED", "SHIFTED"):
        monkeypatch.setattr(calibration, name, 10.0)
    model = DynamicsModel(TINY)
    assert calibration.calibrate(model, library) == {}
    assert model.config == TINY


def test_a_training_goes_on_where_it_stopped(library, config, tmp_path):
    whole, half = Training(config, library), Training(config, library)
    for _ in range(config.steps):
        whole.train_step()
    for _ in range(7):
        half.train_step()
    other = Training(config, library)
    other.restore({part: {k: v.clone() for k, v in values.items()} for part, values in half.state().items()})
    for _ in range(config.steps - 7):
        other.train_step()
    assert other.losses == whole.losses
    for name, value in whole.averaged.items():
        assert torch.equal(other.averaged[name], value), name


def test_the_command_writes_a_checkpoint_that_says_how_it_was_made(episodes, tmp_path, capsys):
    file = tmp_path / "config.yaml"
    file.write_text(
        f"episodes: [{episodes}]\nvalidation: [{episodes}]\nsingle: 3\nrollout: 1\nspread: 1\nbatch: 8\n"
        "rollout_batch: 2\nhorizon: 2\nmodel: {contact: [16, 16], trunk: [32]}\n"
    )
    target = tmp_path / "model.safetensors"
    assert main(["train-dynamics", str(file), "-o", str(target), "--quiet"]) == DONE
    notes = read_notes(target)
    assert notes["training"]["seed"] == 0
    assert set(notes["metrics"]) - {"held_short"} == {"single", "rollout", "spread", "validation", "held"}
    assert load_model(target).config.trunk == (32,)
    names = sorted(path.name for path in tmp_path.iterdir() if path != file)
    assert names == ["model.safetensors", "model.safetensors.json", "model.safetensors.png"]
    file.write_text("batches: 3\n")
    assert main(["train-dynamics", str(file), "-o", str(target)]) == BAD_INPUT
    assert "no option 'batches'" in capsys.readouterr().err
    assert target.is_file()


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_config_is_read(path):
    assert training_config(path).episodes


def test_bad_options_are_named(tmp_path, config):
    with pytest.raises(InputError, match="no such file"):
        training_config(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="batch is 0"):
        replace(config, batch=0)
    with pytest.raises(InputError, match="no episodes"):
        train(replace(config, episodes=(str(tmp_path),)), tmp_path / "model")
    with pytest.raises(InputError, match="no device 'gpu'"):
        train(replace(config, device="gpu"), tmp_path / "model")


def test_a_frozen_world_stays_bit_for_bit(config, episodes, tmp_path):
    torch.manual_seed(5)
    world = DynamicsModel(TINY).requires_grad_(False)
    few = replace(config, single=6, rollout=0, spread=0, model=ModelConfig())
    train(few, tmp_path / "fitted.safetensors", begin=world, freeze_world=True)
    fitted, before = load_model(tmp_path / "fitted.safetensors").state_dict(), world.state_dict()
    row = PARTNER_KIND + int(Kind.TOOL)
    for name, value in before.items():
        after = fitted[name].clone()
        if name == "reader.0.weight":
            assert not torch.equal(after[:, row], value[:, row])
            after[:, row] = value[:, row]
        assert torch.equal(after, value), name
    with pytest.raises(InputError, match="single steps alone"):
        train(replace(few, rollout=2), tmp_path / "no.safetensors", begin=world, freeze_world=True)
    assert not (tmp_path / "no.safetensors").exists()


def test_a_training_goes_on_from_a_trained_network(config, episodes, tmp_path):
    torch.manual_seed(5)
    earlier = DynamicsModel(TINY, NodeModel(NodeModelConfig())).requires_grad_(False)
    still = replace(config, single=1, rollout=0, spread=0, rate=1e-9, last_rate=1e-9, average=0.0)
    train(still, tmp_path / "later.safetensors", begin=earlier)
    later = load_model(tmp_path / "later.safetensors").state_dict()
    assert set(later) == set(earlier.state_dict())
    assert all(torch.allclose(later[name], value, atol=1e-6) for name, value in earlier.state_dict().items()
               if not name.startswith("spread"))  # fmt: skip


def test_the_features_of_a_partners_kind_are_where_training_finds_them(library):
    batch = draw(library, 16, 1, torch.Generator().manual_seed(1))
    before = start(batch.scene, batch.poses[:, 0], batch.twists[:, 0])
    ends = batch.poses[:, SUBSTATES]
    touch = find_touches(batch.scene, before.poses, ends, batch.scene.free)
    seen = look(batch.scene, touch, before, ends, 0.1)
    kinds = contact_features(seen.around, seen.tools)[..., PARTNER_KIND : PARTNER_KIND + 3]
    used = touch.weight > 0
    assert bool((touch.kind[used] == int(Kind.TOOL)).any())
    assert torch.equal(kinds[used], torch.nn.functional.one_hot(touch.kind[used], 3).float())


def test_the_verb_names_a_checkpoint_that_is_missing(tmp_path, capsys):
    (tmp_path / "c.yaml").write_text("single: 5\n")
    call = ["train-dynamics", str(tmp_path / "c.yaml"), "-o", str(tmp_path / "x.safetensors")]
    for freeze in ([], ["--freeze-world"]):
        assert main([*call, *freeze, "--checkpoint", str(tmp_path / "none")]) == BAD_INPUT
        assert "no such checkpoint" in capsys.readouterr().err
    (tmp_path / "c.yaml").write_text("network: deformable\n")
    assert main([*call, "--freeze-world"]) == BAD_INPUT
    assert "adds_to" in capsys.readouterr().err
