"""A world in another frame is the same world."""

import math
from dataclasses import replace

import pytest
import torch

from splatworld import store
from splatworld.bodies.place import place
from splatworld.core import pose
from splatworld.core.body import Body, Joint, background
from splatworld.core.checks import InputError
from splatworld.core.mesh import Mesh
from splatworld.core.robot import ActionSpec, Robot
from splatworld.core.shape import Capsules, DistanceGrid
from splatworld.core.similarity import Similarity, fit_similarity
from splatworld.core.world import World
from splatworld.evaluate.scenes import random_scene
from splatworld.render.render import render


def similarity(scale: float = 0.37, seed: int = 0) -> Similarity:
    generator = torch.Generator().manual_seed(seed)
    twist = torch.randn(6, generator=generator, dtype=torch.float64)
    moved = pose.exp(twist)
    return Similarity(scale, moved[3:], moved[:3])


def numbers(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.fixture(scope="module")
def world() -> World:
    scene = random_scene(3, count=60)
    generator = torch.Generator().manual_seed(1)
    mesh = Mesh(torch.rand(4, 3, generator=generator, dtype=torch.float64), torch.tensor([[0, 1, 2], [0, 2, 3]]))
    grid = DistanceGrid(numbers(-1, -1, -1), 0.5, torch.rand(3, 4, 5, generator=generator))
    hinge = Joint("hinge", pose.exp(numbers(0.1, 0.2, 0, 0, 0, 0.3)), numbers(0, 0, 1), (-1.0, math.inf))
    slide = Joint("slide", pose.identity(dtype=torch.float64), numbers(1, 0, 0), (0.0, 0.4))
    bodies = (
        background(),
        Body("box", "rigid", pose.exp(numbers(1, 2, 3, 0.1, 0.2, 0.3)), mesh=mesh, parts=(mesh,), grid=grid, mass=0.5,
             inertia=torch.eye(3, dtype=torch.float64) * 1e-3),
        Body("lid", "articulated", pose.exp(numbers(1, 2, 4, 0, 0.2, 0)), parent=1, joint=hinge),
        Body("drawer", "articulated", pose.exp(numbers(0, 1, 1, 0, 0, 0)), parent=0, joint=slide),
        Body("rope", "deformable", pose.identity(dtype=torch.float64), node_range=(0, 2),
             capsules=Capsules(torch.tensor([[0, 1]]), numbers(0.01))),
    )  # fmt: skip
    camera = replace(scene.camera, distortion=None, motion=numbers(0.1, 0.2, 0.3, 0.4, 0.5, 0.6).float(),
                     shutter=numbers(0.01, 0.0).float())  # fmt: skip
    return World(
        splats=replace(scene.splats, body_ids=torch.zeros_like(scene.splats.body_ids)),
        bodies=bodies,
        gravity=numbers(0, 0, -9.81),
        cameras={"one": camera},
        rest_nodes=pose.exp(torch.randn(2, 6, generator=generator, dtype=torch.float64)),
    )


def test_there_and_back_is_the_same(world):
    there = similarity()
    back = place(place(world, there), there.inverse())
    for name in ("means", "log_scales", "quats", "sh"):
        torch.testing.assert_close(getattr(back.splats, name), getattr(world.splats, name), rtol=1e-5, atol=1e-5)
    assert torch.equal(back.splats.opacity_logits, world.splats.opacity_logits)
    torch.testing.assert_close(back.gravity, world.gravity)
    torch.testing.assert_close(back.rest_nodes, world.rest_nodes)
    for old, new in zip(world.bodies, back.bodies, strict=True):
        torch.testing.assert_close(new.rest_pose, old.rest_pose)
        assert new.mass == pytest.approx(old.mass)
    box, lid, drawer, rope = back.bodies[1:]
    torch.testing.assert_close(box.mesh.vertices, world.bodies[1].mesh.vertices)
    torch.testing.assert_close(box.parts[0].vertices, world.bodies[1].parts[0].vertices)
    torch.testing.assert_close(box.grid.values, world.bodies[1].grid.values)
    torch.testing.assert_close(box.inertia, world.bodies[1].inertia)
    assert box.grid.spacing == pytest.approx(0.5)
    torch.testing.assert_close(lid.joint.parent_from_joint, world.bodies[2].joint.parent_from_joint)
    assert lid.joint.limits == (-1.0, math.inf)
    assert drawer.joint.limits == pytest.approx((0.0, 0.4))
    torch.testing.assert_close(rope.capsules.radii, world.bodies[4].capsules.radii)
    torch.testing.assert_close(back.cameras["one"].motion, world.cameras["one"].motion)
    torch.testing.assert_close(
        back.cameras["one"].world_from_camera, world.cameras["one"].world_from_camera, rtol=1e-5, atol=1e-6
    )


def test_a_view_that_moves_along_sees_the_same(world):
    there = similarity(2.5, seed=4)
    moved = place(world, there)
    seen = render(world, None, world.cameras["one"])
    again = render(moved, None, moved.cameras["one"])
    assert float(seen.alpha.max()) > 0.5
    torch.testing.assert_close(again.image, seen.image, atol=2e-4, rtol=0)
    torch.testing.assert_close(again.depth, 2.5 * seen.depth, atol=2e-3, rtol=1e-3)


def test_bodies_keep_their_shape_in_the_world(world):
    """What hangs on a body lies where the similarity takes it; a joint stays between its two bodies."""
    there = similarity(3.0, seed=2)
    moved = place(world, there)
    for index in (1,):
        old, new = world.bodies[index], moved.bodies[index]
        expected = there.points(pose.transform(old.rest_pose, old.mesh.vertices))
        torch.testing.assert_close(pose.transform(new.rest_pose, new.mesh.vertices), expected)
    for index in (2, 3):
        old, new = world.bodies[index], moved.bodies[index]
        joint = pose.compose(world.bodies[old.parent].rest_pose, old.joint.parent_from_joint)
        torch.testing.assert_close(
            pose.compose(moved.bodies[new.parent].rest_pose, new.joint.parent_from_joint)[:3], there.points(joint[:3])
        )
    torch.testing.assert_close(moved.gravity, pose.rotate(there.quat, world.gravity))
    assert moved.bodies[1].mass == pytest.approx(27 * world.bodies[1].mass)
    told = replace(world, bodies=(world.bodies[0], replace(world.bodies[1], weighed=True), *world.bodies[2:]))
    told = place(told, there)
    assert told.bodies[1].mass == world.bodies[1].mass
    torch.testing.assert_close(told.bodies[1].inertia, 9 * world.bodies[1].inertia)


def test_a_background_without_shape_keeps_its_frame():
    splats = random_scene(1, count=5).splats
    alone = World(splats=replace(splats, body_ids=torch.zeros_like(splats.body_ids)))
    assert torch.equal(place(alone, similarity()).bodies[0].rest_pose, pose.identity(dtype=torch.float64))


def test_a_placed_world_can_be_saved(world, tmp_path):
    moved = place(world, similarity())
    store.save_world(moved, tmp_path / "w")
    assert store.load_world(tmp_path / "w").bodies[1].grid.spacing == moved.bodies[1].grid.spacing


def test_a_robot_keeps_its_size(world):
    arm = Body("link", "robot", pose.identity(dtype=torch.float64))
    action = ActionSpec("joints", ("a",), ("rad",), numbers(-1), numbers(1))
    armed = replace(world, bodies=(*world.bodies, arm), robot=Robot("arm", (5,), 5, action))
    with pytest.raises(InputError, match="has a robot"):
        place(armed, similarity(2.0))
    place(armed, similarity(1.0))


def test_similarity_group_laws_and_fit():
    a, b = similarity(0.5, 1), similarity(3.0, 2)
    points = torch.randn(9, 3, dtype=torch.float64)
    torch.testing.assert_close(a.after(b).points(points), a.points(b.points(points)))
    torch.testing.assert_close(a.inverse().points(a.points(points)), points)
    found = fit_similarity(points, b.points(points))
    assert found.scale == pytest.approx(3.0)
    torch.testing.assert_close(found.points(points), b.points(points))


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
def test_a_similarity_needs_a_length(scale):
    with pytest.raises(InputError, match="scale is"):
        Similarity(scale)


def test_a_similarity_needs_a_rotation():
    with pytest.raises(InputError, match="unit quaternion"):
        Similarity(1.0, numbers(2, 0, 0, 0))
    with pytest.raises(InputError, match="finite"):
        Similarity(1.0, numbers(1, 0, 0, 0), numbers(0, math.nan, 0))
    with pytest.raises(InputError, match="3 or more"):
        fit_similarity(torch.zeros(5, 3), torch.zeros(5, 3))
