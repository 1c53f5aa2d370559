"""Bodies moved, copied, brought in; worlds put together."""

from dataclasses import fields, replace

import pytest
import torch
import trimesh

from splatworld import ply, store
from splatworld.bodies.edit import add, duplicate, import_body, merge, move
from splatworld.bodies.kinds import make_deformable
from splatworld.bodies.place import place
from splatworld.core import pose
from splatworld.core.body import Body, background
from splatworld.core.camera import Camera
from splatworld.core.checks import FormatError, InputError
from splatworld.core.similarity import Similarity
from splatworld.core.splats import Provenance
from splatworld.core.state import State
from splatworld.core.world import Scale, World, rest_state
from splatworld.geometry.distance import distance_grid, is_known, signed_distance
from splatworld.geometry.mesh import is_closed, joined, transform_mesh
from splatworld.geometry.mesh_splats import splats_of_mesh
from splatworld.render.render import render
from splatworld.robot import primitives
from splatworld.robot.kinematics import forward_kinematics
from tests.bodies.tabletop import cameras, tabletop
from tests.geometry import solids
from tests.worlds import assert_equal, make_world


def at(*values: float) -> torch.Tensor:
    """A pose: metres, then a rotation vector."""
    return pose.exp(torch.tensor([*values, *[0.0] * (6 - len(values))], dtype=torch.float64))


def doubled(world: World) -> World:
    names = ("means", "log_scales", "quats", "opacity_logits", "sh")
    return replace(
        world, splats=replace(world.splats, **{name: getattr(world.splats, name).double() for name in names})
    )


@pytest.fixture(scope="module")
def desk() -> World:
    """A table with a box and a ball, coloured differently from every side."""
    world, labels = tabletop()
    splats = world.splats
    generator = torch.Generator().manual_seed(0)
    sh = torch.cat([splats.sh, 0.2 * torch.randn(len(splats), 8, 3, generator=generator)], dim=1)
    rest = {1: at(-0.1, 0.0, 0.03), 2: at(0.06, 0.02, 0.025, 0.1, 0.2, 0.3)}
    bodies = (background(), *(Body(name, "rigid", rest[i]) for i, name in ((1, "box"), (2, "ball"))))
    return replace(world, splats=replace(splats, body_ids=labels.int(), sh=sh), bodies=bodies)


@pytest.fixture(scope="module")
def view() -> Camera:
    return cameras()["view_1"]


def stl(path, mesh):
    trimesh.Trimesh(mesh.vertices.numpy(), mesh.faces.numpy(), process=False).export(path)
    return path


def image(world: World, camera: Camera, state: State | None = None) -> torch.Tensor:
    return render(world, state, camera).image


def test_there_and_back_is_the_same():
    """Children, joints and nodes included."""
    world = doubled(make_world())
    world = replace(world, splats=replace(world.splats, body_ids=torch.arange(50).int() % 6))
    for name in ("mug", "door", "rope", "hand"):
        rest = next(body.rest_pose for body in world.bodies if body.name == name)
        there = move(world, name, at(0.3, -0.2, 0.9, 2.0, -0.5, 0.3))
        assert float((there.splats.means - world.splats.means).abs().max()) > 0.1
        back = move(there, name, rest)
        for field in fields(world.splats):
            torch.testing.assert_close(
                getattr(back.splats, field.name), getattr(world.splats, field.name), rtol=0, atol=1e-12
            )
        torch.testing.assert_close(back.rest_nodes, world.rest_nodes, rtol=0, atol=1e-12)
        for old, new in zip(world.bodies, back.bodies, strict=True):
            same = old.rest_pose * old.rest_pose[3].sign(), new.rest_pose * new.rest_pose[3].sign()
            torch.testing.assert_close(same[1][3:], same[0][3:], rtol=0, atol=1e-12)
            torch.testing.assert_close(new.rest_pose[:3], old.rest_pose[:3], rtol=0, atol=1e-12)
            if old.joint is not None:
                frames = [pose.to_matrix(body.joint.parent_from_joint) for body in (old, new)]
                torch.testing.assert_close(frames[1], frames[0], rtol=0, atol=1e-12)


def test_moving_to_where_it_is_changes_no_bit(desk):
    assert_equal(move(desk, "ball", desk.bodies[2].rest_pose), desk)


def test_moved_at_rest_or_by_a_state_shows_the_same(desk, view):
    target = at(-0.05, 0.12, 0.05, 0.4, -0.3, 1.0)
    state = rest_state(desk)
    poses = state.world_from_body.clone()
    poses[1] = target
    moved = move(desk, "box", target)
    shown, expected = image(moved, view), image(desk, view, replace(state, world_from_body=poses))
    assert float((shown - image(desk, view)).abs().max()) > 0.3
    assert float((shown - expected).abs().max()) < 1e-4
    assert torch.equal(moved.splats.means[desk.splats.body_ids != 1], desk.splats.means[desk.splats.body_ids != 1])


def test_a_deformable_body_takes_its_nodes_along(desk, view):
    soft = make_deformable(desk, "ball", spacing=0.02)
    target = at(0.1, -0.1, 0.06, 0.5, 0.0, 0.2)
    change = pose.compose(target, pose.inverse(soft.bodies[2].rest_pose))
    state = rest_state(soft)
    poses = state.world_from_body.clone()
    poses[2] = target
    state = replace(state, world_from_body=poses, nodes=pose.compose(change, state.nodes))
    assert float((image(move(soft, "ball", target), view) - image(soft, view, state)).abs().max()) < 1e-4


def test_what_hangs_on_a_body_comes_along_and_turns_about_the_same_axis():
    world = doubled(make_world())
    target = at(0.3, 0.1, 0.2, 0.5, 1.0, 0.0)
    change = pose.compose(target, pose.inverse(world.bodies[4].rest_pose))
    moved = move(world, "hand", target)
    for each, expected in ((moved, moved.bodies[5].rest_pose), (world, world.bodies[5].rest_pose)):
        torch.testing.assert_close(forward_kinematics(each, rest_state(each)).world_from_body[5], expected)
    bent = rest_state(world)
    bent = replace(bent, joints=bent.joints + torch.tensor([0.1, 0.0]))
    old, new = (forward_kinematics(each, bent if each is world else replace(
        rest_state(each), joints=bent.joints)).world_from_body for each in (world, moved))  # fmt: skip
    torch.testing.assert_close(pose.to_matrix(new[5]), pose.to_matrix(pose.compose(change, old[5])), rtol=0, atol=1e-9)
    torch.testing.assert_close(new[2], old[2])


def test_a_copy_looks_like_the_body_elsewhere(desk, view):
    target = at(0.0, -0.12, 0.03, 0.0, 0.0, 0.8)
    both = duplicate(desk, "box", "second box", target)
    assert [body.name for body in both.bodies] == ["background", "box", "ball", "second box"]
    counts = torch.bincount(both.splats.body_ids)
    assert counts[3] == counts[1]
    gone = replace(both, splats=both.splats.select(both.splats.body_ids != 1))
    moved = move(desk, "box", target)
    assert float((image(gone, view) - image(moved, view)).abs().max()) < 1e-4
    assert_equal(both.splats.select(both.splats.body_ids != 3), desk.splats)


def test_a_copy_has_nodes_of_its_own(desk, view):
    soft = make_deformable(desk, "ball", spacing=0.02)
    nodes = len(soft.rest_nodes)
    both = duplicate(soft, "ball", "twin", at(0.1, -0.15, 0.03))
    assert both.bodies[3].node_range == (nodes, 2 * nodes)
    assert both.bodies[2].node_range == (0, nodes)
    assert int(both.bodies[3].capsules.ends.min()) >= nodes
    # Rest poses are still the identity of every frame, and a moved node of the twin moves the twin only.
    state = rest_state(both)
    lifted = state.nodes.clone()
    lifted[nodes:, 2] += 0.1
    without = replace(soft, cameras={})
    shown = render(both, replace(state, nodes=lifted), view)
    assert float((image(both, view) - image(without, view)).abs().max()) > 0.2
    assert bool((shown.body_ids == 2).sum() >= (render(both, None, view).body_ids == 2).sum())
    raised = move(both, "twin", at(0.1, -0.15, 0.13))
    assert float((shown.image - image(raised, view)).abs().max()) < 1e-4


def test_a_copy_takes_along_what_hangs_on_it():
    world = make_world()
    bodies = list(world.bodies)
    bodies[4:] = [replace(body, kind="articulated") for body in bodies[4:]]
    joint = replace(bodies[5].joint, mimic=None)
    bodies[5] = replace(bodies[5], joint=joint)
    tree = replace(world, bodies=tuple(bodies), robot=None)
    both = duplicate(tree, "hand", "other", at(1.0))
    assert [body.name for body in both.bodies[6:]] == ["other", "finger 2"]
    assert both.bodies[7].parent == 6
    assert both.prior_latents.shape == (8, 8)
    assert torch.equal(both.prior_latents[6:], world.prior_latents[4:])
    rest = rest_state(both)
    torch.testing.assert_close(forward_kinematics(both, rest).world_from_body, rest.world_from_body)
    with pytest.raises(InputError, match="'finger' hangs on 'hand'; duplicate that one"):
        duplicate(tree, "finger", "thumb", at(1.0))
    bodies[5] = replace(bodies[5], joint=replace(joint, mimic=(2, 1.0, 0.0)))
    with pytest.raises(InputError, match="'hand' hangs on 'door'"):
        duplicate(replace(tree, bodies=tuple(bodies)), "hand", "other", at(1.0))


def test_merged_worlds_show_both(desk, view):
    beside = at(-0.1, 0.1, 0.05, 0.1, 0.0, 0.5)
    other = make_deformable(desk, "box", spacing=0.03)
    other = replace(other, splats=replace(other.splats, sh=other.splats.sh[:, :4]), scale=Scale(1.0, "prior", 0.3))
    both = merge(desk, other, world_from_other=beside)
    assert [body.name for body in both.bodies] == ["background", "box", "ball", "box 2", "ball 2"]
    assert both.scale == other.scale
    assert list(both.cameras)[:9:8] == ["view_0", "view_0 2"]
    placed = place(other, Similarity(1.0, beside[3:], beside[:3]))
    names = ("means", "log_scales", "quats", "opacity_logits", "sh")
    for name in names:
        own, first = getattr(placed.splats, name), getattr(both.splats, name)[len(desk.splats) :]
        assert torch.equal(first[:, :4] if name == "sh" else first, own)
        assert torch.equal(getattr(both.splats, name)[: len(desk.splats)], getattr(desk.splats, name))
    everything = World(replace(both.splats, body_ids=torch.zeros_like(both.splats.body_ids)))
    assert float((image(both, view) - image(everything, view)).abs().max()) < 1e-4
    # A state moves the bodies of the second as those of the first; the nodes are the box's.
    state = rest_state(both)
    poses, nodes = state.world_from_body.clone(), state.nodes.clone()
    poses[4, 2] += 0.1
    nodes[:, 2] += 0.1
    shown = image(both, view, replace(state, world_from_body=poses, nodes=nodes))
    raised = both.splats.means.clone()
    raised[both.splats.body_ids > 2, 2] += 0.1
    expected = image(replace(everything, splats=replace(everything.splats, means=raised)), view)
    assert float((shown - expected).abs().max()) < 1e-4
    assert float((shown - image(both, view)).abs().max()) > 0.3


def test_merged_worlds_keep_every_reference(tmp_path):
    """Parents, leaders, nodes, capsules, skin, robot and beliefs, in both orders; and it can be saved."""
    full = make_world()
    plain = replace(make_world(seed=1), robot=None, skin=None, prior_latents=None)
    plain = replace(plain, bodies=plain.bodies[:4])
    for both, first in ((merge(plain, full), 4), (merge(full, plain), 6)):
        start = first - 1 if first == 4 else 0
        hand = both.bodies[4 + start]
        assert hand.name == "hand"
        assert both.bodies[5 + start].parent == 4 + start
        assert both.bodies[5 + start].joint.mimic[0] == 2 + start
        assert both.robot.bodies == (4 + start, 5 + start)
        assert (both.robot.tool, both.robot.fingers) == (4 + start, (5 + start,))
        ropes = [body for body in both.bodies if body.kind == "deformable"]
        assert [rope.node_range for rope in ropes] == [(0, 4), (4, 8)]
        assert [int(rope.capsules.ends.min()) for rope in ropes] == [0, 4]
        assert len(both.bodies) == 9
        assert both.prior_latents.shape == (9, 8)
        own = slice(50, 100) if first == 4 else slice(0, 50)
        indices = full.skin.indices
        nodes = indices >= 6
        expected = torch.where(nodes, indices - 6 + 9 + (4 if first == 4 else 0), indices + start * (indices > 0))
        assert torch.equal(both.skin.indices[own].long(), expected.long())
        store.save_world(both, tmp_path / f"w{first}")
        assert_equal(store.load_world(tmp_path / f"w{first}").robot, both.robot)


def test_backgrounds_become_one():
    here, there = solids.box((0.4, 0.4, 0.02)), solids.box((0.2, 0.2, 0.02))
    grid = distance_grid(here, 0.01)
    known = torch.ones_like(grid.values, dtype=torch.bool)
    known[:5] = False
    one = World(
        splats_of_mesh(here, count=100),
        bodies=(replace(background(), mesh=here, parts=(here,), grid=replace(grid, known=known)),),
        scale=Scale(1.0, "import", 0.0),
    )
    two = replace(one, bodies=(replace(background(), mesh=there, parts=(there,)),))
    beside = at(0.5, 0.0, 0.1)
    first = merge(one, two, world_from_other=beside).bodies[0]
    expected = joined([here, transform_mesh(there, beside)])
    torch.testing.assert_close(first.mesh.vertices, expected.vertices)
    assert torch.equal(first.mesh.faces, expected.faces)
    assert len(first.parts) == 2
    points = torch.rand(500, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    points = points * torch.tensor([1.0, 0.4, 0.2]) - torch.tensor([0.3, 0.2, 0.03])
    near = torch.minimum(
        solids.box_distance(points, (0.4, 0.4, 0.02)), solids.box_distance(points, (0.2, 0.2, 0.02), (0.5, 0.0, 0.1))
    )
    found = signed_distance(first.grid, points)[0]
    close = near.abs() < 0.04
    assert int(close.sum()) > 50
    assert float((found - near)[close].abs().max()) < 0.006
    assert bool(is_known(first.grid, torch.tensor([[0.0, 0.0, 0.05], [0.5, 0.0, 0.15]]).double()).all())
    assert not bool(is_known(first.grid, torch.tensor([-0.24, 0.0, 0.0]).double()))
    assert merge(two, two, world_from_other=beside).bodies[0].grid is None


def test_a_body_of_another_world(desk, view):
    bare = replace(desk, splats=desk.splats.select(desk.splats.body_ids == 0), bodies=desk.bodies[:1])
    grown = add(bare, desk, "ball")
    seen, expected = (image(each, view) for each in (grown, replace(desk, splats=desk.splats.select(
        desk.splats.body_ids != 1))))  # fmt: skip
    assert float((seen - expected).abs().max()) < 1e-4
    twice = add(grown, desk, "ball", new_name="other", world_from_body=at(0.0, 0.1, 0.03))
    assert [body.name for body in twice.bodies] == ["background", "ball", "other"]
    with pytest.raises(InputError, match="'ball' is empty or taken; the world has 'background', 'ball'"):
        add(grown, desk, "ball")


def test_a_mesh_becomes_a_rigid_body(desk, view, tmp_path):
    # A box in millimetres whose middle is not the file's origin.
    mesh = solids.box((40.0, 60.0, 80.0), (0.0, 0.0, 40.0))
    path = stl(tmp_path / "block.stl", mesh)
    placed = at(0.1, -0.1, 0.0, 0.0, 0.0, 0.3)
    grown = import_body(desk, path, name="block", world_from_file=placed, scale=0.001, density=500.0)
    body = grown.bodies[3]
    assert (body.name, body.kind) == ("block", "rigid")
    torch.testing.assert_close(body.rest_pose, pose.compose(placed, at(0.0, 0.0, 0.04)), atol=1e-9, rtol=0)
    assert body.mass == pytest.approx(500 * 0.04 * 0.06 * 0.08)
    assert body.inertia[0, 0] == pytest.approx(body.mass / 12 * (0.06**2 + 0.08**2))
    assert is_closed(body.mesh)
    assert len(body.parts) == 1
    assert float(body.grid.values.min()) == pytest.approx(-0.02, abs=0.002)
    own = grown.splats.select(grown.splats.body_ids == 3)
    assert bool((own.provenance == int(Provenance.IMPORTED)).all())
    low, high = own.means.amin(0), own.means.amax(0)
    assert float(low[2]) == pytest.approx(0.0, abs=0.002)
    assert float(high[2]) == pytest.approx(0.08, abs=0.002)
    assert int((render(grown, None, view).body_ids == 3).sum()) > 100
    assert_equal(grown.splats.select(grown.splats.body_ids != 3).means, desk.splats.means)


def test_splats_become_a_rigid_body(desk, tmp_path):
    ball = splats_of_mesh(primitives.sphere(0.05))
    ply.write_splats(tmp_path / "ball.ply", ball)
    grown = import_body(desk, tmp_path / "ball.ply", name="found", world_from_file=at(0.0, 0.1, 0.1), scale=0.5)
    body = grown.bodies[3]
    torch.testing.assert_close(body.rest_pose[:3], at(0.0, 0.1, 0.1)[:3], atol=1e-3, rtol=0)
    size = body.mesh.vertices.amax(0) - body.mesh.vertices.amin(0)
    torch.testing.assert_close(size, torch.full((3,), 0.05, dtype=torch.float64), atol=0.006, rtol=0)
    assert body.mass > 0
    assert int((grown.splats.body_ids == 3).sum()) == len(ball)
    few = ball.select(torch.arange(2))
    ply.write_splats(tmp_path / "few.ply", few)
    with pytest.raises(InputError, match=r"few.ply: its splats are no closed body"):
        import_body(desk, tmp_path / "few.ply", name="few")


def test_files_that_are_no_bodies(desk, tmp_path):
    closed = solids.box()
    hole = stl(tmp_path / "hole.stl", replace(closed, faces=closed.faces[1:]))
    with pytest.raises(InputError, match=r"hole.stl: the mesh is open"):
        import_body(desk, hole, name="block")
    assert is_closed(import_body(desk, hole, name="block", close=True).bodies[3].mesh)
    flat = stl(tmp_path / "flat.stl", replace(closed, vertices=closed.vertices * torch.tensor([1.0, 1.0, 0.0])))
    with pytest.raises(InputError, match=r"flat.stl: the mesh"):
        import_body(desk, flat, name="block", close=True)
    inside_out = stl(tmp_path / "out.stl", replace(closed, faces=closed.faces.flip(1)))
    assert import_body(desk, inside_out, name="block").bodies[3].mass > 0
    (tmp_path / "junk.ply").write_bytes(b"ply\nformat ascii 1.0\nend_header\n")
    for name in ("none.obj", "junk.ply", "notes.txt", "none.ply", "none.splat"):
        with pytest.raises((InputError, FormatError)):
            import_body(desk, tmp_path / name, name="block")
    good = stl(tmp_path / "good.stl", closed)
    for scale in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="scale is"):
            import_body(desk, good, name="block", scale=scale)
    with pytest.raises(InputError, match="density"):
        import_body(desk, good, name="block", density=0.0)
    with pytest.raises(InputError, match="'box' is empty or taken"):
        import_body(desk, good, name="box")
    with pytest.raises(InputError, match="capture units"):
        import_body(replace(desk, scale=Scale()), good, name="block")


def test_refused_with_a_sentence(desk):
    with pytest.raises(InputError, match="no body is called 'cup'; the world has 'background', 'box', 'ball'"):
        move(desk, "cup", at(0.0))
    with pytest.raises(InputError, match="is the background"):
        move(desk, "background", at(0.0))
    with pytest.raises(InputError, match=r"pose is \[6\], expected \[7\]"):
        move(desk, "box", torch.zeros(6))
    with pytest.raises(InputError, match="quaternion is zero"):
        move(desk, "box", torch.zeros(7))
    with pytest.raises(InputError, match="expected finite"):
        move(desk, "box", at(float("nan")))
    with pytest.raises(InputError, match="'ball' is empty or taken"):
        duplicate(desk, "box", "ball", at(0.0))
    with pytest.raises(InputError, match="is empty or taken"):
        duplicate(desk, "box", " ", at(0.0))
    with pytest.raises(InputError, match="capture units"):
        merge(desk, replace(desk, scale=Scale()))
    with pytest.raises(InputError, match="quaternion is zero"):
        merge(desk, desk, world_from_other=torch.zeros(7))
    armed = make_world()
    with pytest.raises(InputError, match="both worlds have a robot"):
        merge(armed, armed)
    with pytest.raises(InputError, match="move the robot's base"):
        move(armed, "finger", at(0.0))
    with pytest.raises(InputError, match="is of a robot"):
        duplicate(armed, "hand", "second", at(0.0))
    with pytest.raises(InputError, match="is of a robot"):
        add(desk, armed, "hand")
