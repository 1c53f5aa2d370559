from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from splatworld.bodies import build, correct
from splatworld.bodies.build import describe, refresh
from splatworld.bodies.correct import reindexed
from splatworld.bodies.edit import move
from splatworld.bodies.inpaint import inpaint
from splatworld.bodies.kinds import farthest_points, make_deformable
from splatworld.bodies.masks import from_masks, read_masks
from splatworld.bodies.remove import without
from splatworld.bodies.segment import with_labels
from splatworld.core import pose
from splatworld.core.checks import FormatError, InputError
from splatworld.core.splats import Provenance
from splatworld.core.world import rest_state
from splatworld.render.render import render
from splatworld.robot.kinematics import forward_kinematics
from tests.bodies.tabletop import tabletop
from tests.worlds import make_world

AXIS = torch.tensor([-0.05, 0.01, 0.06])
"""A point on the axis of a joint, m."""


@pytest.fixture(scope="module")
def world():
    found, labels = tabletop()
    return with_labels(found, labels, ["box", "ball"])


@pytest.fixture(scope="module")
def built(world):
    return refresh(world)


def test_merge_and_split_undo_each_other(world):
    merged = correct.merge(world, ["box", "ball"])
    assert [body.name for body in merged.bodies] == ["background", "box"]
    ids = correct.split(merged, "box").splats.body_ids
    for label in (1, 2):
        assert len(ids[world.splats.body_ids == label].unique()) == 1
    assert len(ids.unique()) == 3


def test_a_told_mass_is_shared_by_volume_and_summed_again(world):
    told = {"box": replace(world.bodies[1], mass=0.6, weighed=True), "ball": replace(world.bodies[2], mass=0.1)}
    heavy = replace(world, bodies=(world.bodies[0], told["box"], told["ball"]))
    merged = correct.merge(heavy, ["box", "ball"])
    assert (merged.bodies[1].mass, merged.bodies[1].weighed) == (pytest.approx(0.7), True)
    box, ball = correct.split(merged, "box").bodies[1:]
    assert (box.weighed, ball.weighed) == (True, True)
    assert box.mass + ball.mass == pytest.approx(0.7)
    assert max(box.mass, ball.mass) / min(box.mass, ball.mass) == pytest.approx(0.06**3 / (4.19 * 0.025**3), rel=0.1)
    # Of a box around more than weighed bodies the mass is not known.
    low, high = torch.tensor([-0.15, -0.05, -0.002]), torch.tensor([-0.1, 0.05, 0.1])
    part = correct.box(heavy, low, high, name="part").bodies
    assert [(body.name, body.weighed) for body in part[1:]] == [("box", True), ("ball", False), ("part", False)]
    assert part[1].mass == pytest.approx(0.6 * 4 / 9)


def test_merging_with_the_background_makes_it_static(world):
    merged = correct.merge(world, ["ball", "background"])
    assert [body.name for body in merged.bodies] == ["background", "box"]
    assert bool((merged.splats.body_ids[world.splats.body_ids == 2] == 0).all())


def test_box_and_click_take_what_is_there(world):
    bare, labels = tabletop()
    boxed = correct.box(bare, torch.tensor([-0.15, -0.05, 0.002]), torch.tensor([-0.05, 0.05, 0.1]), name="crate")
    assert boxed.bodies[1].name == "crate"
    name, camera = next(iter(bare.cameras.items()))
    ids = render(world, None, camera).body_ids
    row, column = torch.nonzero(ids == 2).double().mean(dim=0).tolist()
    clicked = correct.click(bare, name, (column, row), name="orange")
    own = clicked.splats.body_ids == 1
    assert float((labels[own] == 2).float().mean()) > 0.95
    assert int(own.sum()) > 0.6 * int((labels == 2).sum())
    assert correct.click(clicked, name, (column, row), name="apple").bodies[1].name == "apple"


def test_names_kinds_and_joints(world):
    assert correct.rename(world, "box", "tea").bodies[1].name == "tea"
    assert correct.set_kind(world, "box", "static").bodies[1].kind == "static"
    point, axis = torch.zeros(3), torch.tensor([0.0, 0.0, 2.0])
    hung = correct.set_joint(world, "ball", "box", type="hinge", point=point, axis=axis, limits=(-1.0, 1.0))
    assert hung.joint_bodies == (2,)
    with pytest.raises(InputError, match="hangs on"):
        without(hung, ["box"])
    with pytest.raises(InputError, match="on itself"):
        correct.set_joint(hung, "box", "ball", type="slide", point=point, axis=axis, limits=(0.0, 1.0))


def opened(world):
    """How the ball moves when its joint goes to 0.5, [4, 4] in the world."""
    state, index = rest_state(world), [body.name for body in world.bodies].index("ball")
    there = forward_kinematics(world, replace(state, joints=state.joints + 0.5)).world_from_body[index]
    return pose.to_matrix(pose.compose(there, pose.inverse(state.world_from_body[index])))


@pytest.fixture(scope="module", params=["hinge", "slide"])
def hung(request, built):
    """The ball hangs on the box, which is turned, by an oblique axis."""
    turned = move(built, "box", pose.exp(torch.tensor([-0.1, 0.0, 0.03, 0.3, -0.2, 0.7], dtype=torch.float64)))
    axis = torch.tensor([0.3, 1.0, 0.2])
    return correct.set_joint(turned, "ball", "box", type=request.param, point=AXIS, axis=axis, limits=(-1.0, 1.0))


def test_what_hangs_on_a_reshaped_body_stays_where_it_is(hung):
    parted = correct.split(hung, "box")
    boxed = correct.box(hung, torch.tensor([-0.15, -0.05, 0.002]), torch.tensor([-0.1, 0.05, 0.1]))
    for changed in (parted, correct.merge(parted, ["box", "box 2"]), boxed):
        box, ball = changed.bodies[1], changed.bodies[2]
        assert float((box.rest_pose - hung.bodies[1].rest_pose).abs().max()) > 1e-3  # or there is nothing to keep
        assert torch.equal(ball.rest_pose, hung.bodies[2].rest_pose)
        at_zero = pose.compose(box.rest_pose, ball.joint.parent_from_joint)
        torch.testing.assert_close(at_zero[:3], AXIS.double(), rtol=0, atol=1e-7)
        torch.testing.assert_close(opened(changed), opened(hung), rtol=0, atol=1e-7)


def test_shapes_move_frames_but_no_joints(hung, monkeypatch):
    """Parent and child are both shaped anew, the child as an articulated body."""
    monkeypatch.setattr(build, "convex_parts", lambda mesh, **_: ())
    parted = correct.split(hung, "box")
    cut = correct.box(parted, torch.tensor([0.06, -0.1, 0.002]), torch.tensor([0.2, 0.1, 0.1]), name="half")
    done = refresh(cut)
    for before, after in zip(cut.bodies[1:3], done.bodies[1:3], strict=True):
        assert float((after.rest_pose - before.rest_pose).abs().max()) > 1e-4
        assert after.mesh is not None
        assert after.mass > 0
    assert done.bodies[2].kind == "articulated"
    torch.testing.assert_close(opened(done), opened(hung), rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: correct.merge(w, ["box"]), "two or more"),
        (lambda w: correct.merge(w, ["box", "cup"]), "no body is called 'cup'"),
        (lambda w: correct.rename(w, "box", "ball"), "taken"),
        (lambda w: correct.rename(w, "background", "wall"), "background"),
        (lambda w: correct.set_kind(w, "box", "liquid"), "expected one of"),
        (lambda w: correct.click(w, "view_0", (1e6, 0)), "outside"),
        (lambda w: correct.click(w, "front", (0, 0)), "camera"),
        (lambda w: correct.box(w, torch.ones(3), torch.zeros(3)), "empty"),
        (lambda w: without(w, ["background"]), "background"),
        (lambda w: make_deformable(w, "ball", spacing=0), "spacing"),
    ],
)
def test_bad_corrections_are_named(world, change, message):
    with pytest.raises(InputError, match=message):
        change(world)


def test_masks_are_lifted_and_checked(world, tmp_path):
    bare, labels = tabletop()
    for name, camera in world.cameras.items():
        ids = render(world, None, camera).body_ids.clamp(min=0)
        cv2.imwrite(str(tmp_path / f"{name}.png"), (ids * 7).byte().numpy())
    found = from_masks(bare, read_masks(bare, tmp_path))
    assert [body.name for body in found.bodies] == ["background", "body 7", "body 14"]
    ids, raised = found.splats.body_ids, bare.splats.means[:, 2] > 0.003
    for label in (1, 2):
        own, true = (ids == label) & raised, (labels == label) & raised
        assert float((own & true).sum() / (own | true).sum()) > 0.9
    cv2.imwrite(str(tmp_path / "view_0.png"), np.zeros((10, 12), np.uint8))
    with pytest.raises(InputError, match="12x10 px, expected 160x120"):
        read_masks(bare, tmp_path)
    (tmp_path / "view_0.png").write_bytes(b"no picture")
    with pytest.raises(FormatError, match="one channel"):
        read_masks(bare, tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        read_masks(bare, tmp_path / "missing")


def test_a_removed_body_leaves_the_table_whole(world, built):
    assert built.bodies[1].mass > 0
    assert built.bodies[1].mesh is not None
    assert len(describe(built)) == 3
    below = built.splats.select((built.splats.provenance == int(Provenance.COMPLETED)) & (built.splats.body_ids == 0))
    assert float((below.means[:, :2] - torch.tensor([-0.1, 0.0])).norm(dim=1).min()) < 0.01
    bare = without(built, ["box", "ball"])
    assert [body.name for body in bare.bodies] == ["background"]
    camera = world.cameras["view_0"]
    before, after = render(world, None, camera), render(bare, None, camera)
    table = torch.tensor([180, 140, 90]) / 255
    where = before.body_ids > 0
    assert float((before.image[where] - table).abs().mean()) > 0.15
    assert float((after.image[where] - table).abs().mean()) < 0.06


def test_what_was_seen_stays_as_it_was(world, built):
    added = built.splats.provenance == int(Provenance.COMPLETED)
    assert int(added.sum()) > 100
    for camera in world.cameras.values():
        change = (render(built, None, camera).image - render(world, None, camera).image).square().mean()
        assert float(change) < 1e-4  # 40 dB


def test_texture_is_carried_on():
    stripes = np.full((80, 80, 3), 0.2, np.float32)
    for offset in range(3):
        stripes[:, offset::8] = 0.6
    holes = np.zeros((80, 80), bool)
    holes[30:46, 30:46] = True
    filled = inpaint(np.where(holes[..., None], 0, stripes), ~holes, holes)
    assert np.abs(filled - stripes)[holes].mean() < 0.05
    assert np.array_equal(filled[~holes], stripes[~holes])


def test_nodes_cover_a_deformable_body(world):
    soft = make_deformable(world, "ball", spacing=0.02)
    body, skin = soft.bodies[2], soft.skin
    own = soft.splats.body_ids == 2
    assert body.node_range == (0, len(soft.rest_nodes))
    assert bool((skin.indices[own][:, 0] >= 3).all())
    assert bool((skin.indices[~own][:, 0] == soft.splats.body_ids[~own]).all())
    torch.testing.assert_close(skin.weights.sum(dim=1), torch.ones(len(own)))
    away = torch.cdist(soft.splats.means[own].double(), soft.rest_nodes[:, :3]).min(dim=1).values
    assert float(away.max()) <= 0.0201
    camera = world.cameras["view_0"]
    torch.testing.assert_close(render(soft, None, camera).image, render(world, None, camera).image, atol=1e-4, rtol=0)
    assert len(farthest_points(torch.rand(50, 3), 0.0, most=10)) == 10


def test_nodes_go_with_their_body(world):
    soft = make_deformable(make_deformable(world, "box", spacing=0.03), "ball", spacing=0.02)
    first, end = soft.bodies[2].node_range
    left = without(soft, ["box"])
    ball, before = left.bodies[1], soft.bodies[2]
    assert ball.node_range == (0, end - first)
    assert torch.equal(left.rest_nodes, soft.rest_nodes[first:end])
    assert torch.equal(ball.capsules.ends, before.capsules.ends - first)
    own, was = left.splats.body_ids == 1, soft.splats.body_ids == 2
    used = left.skin.weights[own] > 0
    assert torch.equal((left.skin.indices[own] - 2)[used], (soft.skin.indices[was] - 3 - first)[used])
    assert torch.equal(left.skin.weights[own], soft.skin.weights[was])
    bare = without(left, ["ball"])
    assert bare.skin is None
    assert len(bare.rest_nodes) == 0
    merged = correct.merge(soft, ["background", "ball"])
    assert bool((merged.skin.indices[merged.splats.body_ids == 0] == 0).all())
    with pytest.raises(InputError, match="'ball' is deformable"):
        correct.merge(soft, ["ball", "box"])


def test_what_is_left_is_numbered_anew_wherever_it_is_named():
    world = replace(make_world(), skin=None)
    ids = world.splats.body_ids.clone()
    ids[ids == 1] = 0
    left = reindexed(world, ids, list(world.bodies), drop=[1])
    assert [body.name for body in left.bodies] == ["background", "door", "rope", "hand", "finger"]
    assert left.bodies[4].parent == 3
    assert left.bodies[4].joint.mimic[0] == 1
    assert (left.robot.bodies, left.robot.tool, left.robot.fingers) == ((3, 4), 3, (4,))
    assert torch.equal(left.prior_latents, world.prior_latents[[0, 2, 3, 4, 5]])
    assert reindexed(world, ids, list(world.bodies), drop=[4, 5]).robot is None
    with pytest.raises(InputError, match="'finger' is a link of the robot"):
        reindexed(world, ids, list(world.bodies), drop=[5])
    with pytest.raises(InputError, match="'finger' hangs on 'door'"):
        reindexed(world, torch.zeros_like(ids), list(world.bodies), drop=[2])


def test_what_was_not_corrected_is_not_made_anew(world, built):
    assert refresh(built).splats is built.splats
    moved = move(built, "box", pose.exp(torch.tensor([0.05, 0.2, 0.03, 0, 0, 0.5], dtype=torch.float64)))
    assert refresh(moved).splats is moved.splats
    camera = world.cameras["view_0"]
    where = render(world, None, camera).body_ids == 1
    renamed = refresh(correct.split(moved, "ball"))
    assert [body.name for body in renamed.bodies] == ["background", "box", "ball", "ball 2"]
    # Neither where the box was nor below where it is now has the table changed.
    table = torch.tensor([180, 140, 90]) / 255
    assert float((render(renamed, None, camera).image[where] - table).abs().mean()) < 0.06

    def below(found):
        near = (found.splats.means[:, :2] - torch.tensor([0.05, 0.2])).norm(dim=1) < 0.05
        own = near & (found.splats.body_ids == 0)
        return int(own.sum()), int((own & (found.splats.provenance == int(Provenance.OBSERVED))).sum())

    assert below(renamed) == below(built)
    assert below(built)[1] > 100


def test_support_is_completed_once_and_stays_whole(world, built):
    bare = without(world, ["box"])  # before it was completed
    camera = world.cameras["view_0"]
    where = render(world, None, camera).body_ids == 1
    table = torch.tensor([180, 140, 90]) / 255
    assert float((render(bare, None, camera).image[where] - table).abs().mean()) < 0.06
    merged = refresh(correct.merge(built, ["background", "box"]))
    completed = merged.splats.provenance == int(Provenance.COMPLETED)
    ours = built.splats.provenance == int(Provenance.COMPLETED)
    assert int((completed & (merged.splats.body_ids == 0)).sum()) == int((ours & (built.splats.body_ids == 0)).sum())


def test_strays_do_not_make_a_split_large(world):
    means = world.splats.means.clone()
    means[torch.nonzero(world.splats.body_ids == 1)[:3].squeeze(-1)] += torch.tensor([1e6, -1e6, 0.0])
    parts = correct.split(replace(world, splats=replace(world.splats, means=means)), "box")
    assert len(parts.bodies) == 4
