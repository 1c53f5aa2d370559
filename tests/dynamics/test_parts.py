import json
from dataclasses import replace

import pytest
import torch

from splatworld.core import pose
from splatworld.core.checks import FormatError, InputError
from splatworld.core.world import rest_state
from splatworld.dynamics import features, frame
from splatworld.dynamics.checkpoint import load_model, read_notes, save_model
from splatworld.dynamics.coasting import Coasting
from splatworld.dynamics.model import DynamicsModel, ModelConfig
from splatworld.dynamics.projection import SLOP, project
from splatworld.dynamics.scene import Kind, world_scene
from splatworld.dynamics.step import Moving, predict_motion
from splatworld.dynamics.touch import find_touches
from splatworld.geometry.contacts import contacts
from tests.dynamics.scenes import at, blocks, lively_model

HALF = 0.025


def moving(world) -> Moving:
    state = rest_state(world)
    count = len(world.bodies)
    return Moving(
        state.world_from_body[None], state.twists[None], state.latents[None], torch.zeros(1, count, 6).double(),
        torch.zeros(1, count, dtype=torch.bool),
    )  # fmt: skip


def deepest(world, poses) -> float:
    found = contacts(world_scene(world).solids.shapes, poses)
    return -float(found.distance.min()) if len(found.count) else 0.0


@pytest.mark.parametrize("turn", [0.0, 0.4, 1.5, 3.0])
def test_the_local_frame_turns_with_the_body(turn):
    torch.manual_seed(0)
    quats = pose.exp(torch.randn(50, 6).double() * 2)[:, 3:]
    quats = torch.cat([quats, torch.eye(4).double(), torch.tensor([[0, 0.7071, 0.7071, 0]]).double()])
    about = at(0, 0, 0, yaw=turn)
    one = frame.headings(pose.quat_to_matrix(quats))
    other = frame.headings(pose.quat_to_matrix(pose.multiply_quats(about[3:].expand_as(quats), quats)))
    expected = pose.rotate(about[3:], torch.cat([one, torch.zeros(len(one), 1)], dim=-1))[:, :2]
    torch.testing.assert_close(other, expected, atol=1e-4, rtol=0)
    vectors = torch.randn(len(quats), 3).double()
    torch.testing.assert_close(frame.to_world(one, frame.to_local(one, vectors)), vectors)


def test_the_gate_is_exactly_zero_without_contact():
    world = blocks(at(0, 0, 0.3), at(0, 0.5, HALF))
    scene, before = world_scene(world), moving(world)
    wanted = scene.free
    said = predict_motion(lively_model(), scene, before, before.poses, wanted, 0.1)
    fall = torch.tensor([0, 0, -0.5 * 9.81 * 0.01, 0, 0, 0])
    assert torch.equal(said.motion[0], fall)
    assert float(said.members[:, 0].var(0).max()) == 0
    assert float(said.members[:, 1].var(0).max()) > 0


def test_contacts_of_a_pushed_block_are_of_all_kinds():
    world = blocks(at(0, 0, HALF), at(0.085, 0, HALF), tool=at(-0.055, 0, 0.005))
    scene, poses = world_scene(world), rest_state(world).world_from_body[None]
    ends = poses.clone()
    ends[0, 3, 0] += 0.02
    wanted = scene.free & (torch.arange(4) == 1)
    touch = find_touches(scene, poses, ends, wanted)
    assert touch.body.tolist() == [1]
    used = touch.weight[0] > 0
    assert set(touch.kind[0][used].tolist()) == {0, 1, 2}
    tool = touch.kind[0] == Kind.TOOL
    assert set(touch.phase[0][tool].tolist()) == {0, 1, 2}
    assert float(touch.normal[0][tool][:, 0].min()) > 0.9
    depth = (
        touch.distance[0][tool & (touch.phase[0] == 2)].min() - touch.distance[0][tool & (touch.phase[0] == 0)].min()
    )
    assert float(depth) == pytest.approx(-0.02, abs=1e-3)


def test_the_mirror_image_of_features_is_that_of_the_scene():
    """A block is its own mirror image; contacts, places and motions are reflected by hand."""
    world = blocks(at(0, 0, HALF, yaw=0.3), at(0.085, 0, HALF), tool=at(-0.055, 0.02, 0.005))
    scene, before = world_scene(world), moving(world)
    wanted = scene.free & (torch.arange(4) == 1)
    touch = find_touches(scene, before.poses, before.poses, wanted)
    flip = torch.tensor([1.0, -1, 1])
    image = replace(touch, **{name: getattr(touch, name) * flip for name in ("normal", "arm", "partner_arm")})
    torch.manual_seed(1)
    twists, motion = torch.randn(1, 4, 6).double() * 0.1, torch.randn(1, 4, 6) * 0.01
    drawn = torch.randn(2, 6) * 0.01
    seen = []
    for each, signs in ((touch, torch.ones(6)), (image, features.TWIST_MIRROR)):
        poses = before.poses.clone()
        poses[..., 6] *= signs[1]
        alone = Coasting(drawn[:1] * signs, drawn[1:] * signs)
        around = features.look_around(scene, each, alone, poses, twists * signs, before.latents, 0.1)
        seen.append((features.contact_features(around, motion * signs), around.body))
    torch.testing.assert_close(seen[1][0], seen[0][0] * features.CONTACT_MIRROR, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(seen[1][1], seen[0][1] * features.BODY_MIRROR, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("places", [
    [(0, 0, HALF - 0.004)],
    [(0, 0, HALF), (0.077, 0.01, HALF)],
    [(0, 0, HALF - 0.002), (0.01, 0, 3 * HALF - 0.006)],
    [(0, 0, HALF), (0.078, 0, HALF), (0.156, 0, HALF)],
])  # fmt: skip
def test_projection_removes_penetration(places):
    world = blocks(*[at(*place) for place in places])
    scene, poses = world_scene(world), rest_state(world).world_from_body[None]
    assert deepest(world, poses) > 1.5e-3
    after, squeezed = project(scene, poses, scene.free)
    assert deepest(world, after) <= SLOP + 1e-5
    assert squeezed.tolist() == [0]
    assert float((after - poses).abs().max()) < 0.02
    again, _ = project(scene, after, scene.free)
    assert torch.equal(again, after)


def test_tools_win_and_weight_decides():
    world = blocks(at(0, 0, HALF), tool=at(-0.046, 0, 0.005))
    scene, poses = world_scene(world), rest_state(world).world_from_body[None]
    after, _ = project(scene, poses, scene.free)
    assert torch.equal(after[0, 2], poses[0, 2])
    assert float(after[0, 1, 0]) == pytest.approx(0.004, abs=1e-3)
    pair = blocks(at(0, 0, HALF), at(0.076, 0, HALF))
    heavy = replace(pair, bodies=(pair.bodies[0], replace(pair.bodies[1], mass=9.0), replace(pair.bodies[2], mass=1.0)))
    after, _ = project(world_scene(heavy), rest_state(heavy).world_from_body[None], world_scene(heavy).free)
    assert float(after[0, 2, 0]) - 0.076 > 5 * -float(after[0, 1, 0]) > 0


def test_projection_passes_gradients_on():
    world = blocks(at(0, 0, HALF - 0.004), at(0.3, 0, HALF))
    scene = world_scene(world)
    poses = rest_state(world).world_from_body[None].clone().requires_grad_()
    after, _ = project(scene, poses, scene.free)
    (height,) = torch.autograd.grad(after[0, 1, 2], poses, retain_graph=True)
    assert abs(float(height[0, 1, 2])) < 0.05  # the table decides
    (sideways,) = torch.autograd.grad(after[0, 1, 0], poses)
    assert float(sideways[0, 1, 0]) == pytest.approx(1, abs=0.05)


def test_a_checkpoint_comes_back(tmp_path):
    model = lively_model()
    path = tmp_path / "new" / "model.safetensors"
    save_model(model, path, notes={"seed": 3, "metrics": {"loss": 0.5}})
    found = load_model(path)
    assert found.config == model.config
    for (name, one), other in zip(found.state_dict().items(), model.state_dict().values(), strict=True):
        assert torch.equal(one, other), name
    assert read_notes(path)["seed"] == 3
    assert path.stat().st_size < 8_000_000
    parameters = sum(value.numel() for value in model.parameters()) / model.config.members
    assert 60_000 < parameters < 100_000


def test_bad_checkpoints_are_named(tmp_path):
    path = tmp_path / "model.safetensors"
    with pytest.raises(InputError, match="no such checkpoint"):
        load_model(path)
    model = lively_model()
    save_model(model, path)
    content = path.read_bytes()
    (tmp_path / "cut").write_bytes(content[: len(content) // 2])
    with pytest.raises(FormatError, match="damaged"):
        load_model(tmp_path / "cut")
    (tmp_path / "text").write_text("what")
    with pytest.raises(FormatError, match="damaged"):
        load_model(tmp_path / "text")
    size = int.from_bytes(content[:8], "little")
    for key, value, what in (
        ("version", "99", "version 99"),
        ("format", "other", "no checkpoint"),
        ("reads", json.dumps({"action_seconds": 0.5}), "trained for"),
    ):
        header = json.loads(content[8 : 8 + size])
        header["__metadata__"][key] = value
        text = json.dumps(header).encode()
        (tmp_path / "changed").write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])
        with pytest.raises(FormatError, match=what):
            load_model(tmp_path / "changed")
    with torch.no_grad():
        model.mean.bias.fill_(float("nan"))
    with pytest.raises(InputError, match=r"mean\.bias"):
        save_model(model, path)
    assert path.read_bytes() == content
    with pytest.raises(InputError, match="widths"):
        DynamicsModel(ModelConfig(members=0))
