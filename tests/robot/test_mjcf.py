import builtins
import json
from dataclasses import replace

import pytest
import torch

from splatworld.core import pose
from splatworld.core.body import Body, Joint, background
from splatworld.core.checks import InputError
from splatworld.core.world import World, rest_state
from splatworld.robot import primitives
from splatworld.robot.actions import apply_action
from splatworld.robot.load import load_robot
from splatworld.robot.mjcf import write_mjcf
from splatworld.robot.mjcf_read import read_mjcf
from splatworld.robot.place import add_robot, metric_world
from splatworld.robot.tools import parallel_gripper

mujoco = pytest.importorskip("mujoco")


def scene() -> World:
    """A table, a free block, a drawer that rests half open in a cabinet, a door on the background, a gripper."""
    turned = pose.exp(torch.tensor([0.3, -0.1, 0.4, 0.2, -0.5, 0.7]).double())
    inertia = torch.tensor([[2.0, 0.1, 0.2], [0.1, 3.0, -0.1], [0.2, -0.1, 4.0]]).double() * 1e-4
    box = primitives.painted(primitives.box((0.05, 0.06, 0.1)), (0.2, 0.4, 0.6))
    slab = primitives.box((1.0, 1.0, 0.02))
    slide = Joint("slide", turned, torch.tensor([0, 1.0, 0]).double(), (0.0, 0.3), 0.1)
    hinge = Joint("hinge", turned, torch.tensor([0.6, 0, 0.8]).double(), (-1.0, float("inf")), 0.25)

    def body(name, kind, at, **more):
        placed = torch.cat([torch.tensor(at).double(), turned[3:]])
        return Body(name, kind, placed, mass=0.3, inertia=inertia, mesh=box, parts=(box,), **more)

    world = World(
        splats=metric_world().splats,
        bodies=(
            replace(background(), mesh=slab, parts=(slab,)),
            body("drawer", "articulated", [0.2, 0.1, 0.3], parent=3, joint=slide),
            body("block <1>", "rigid", [0.5, 0.1, 0.2]),
            body("cabinet", "static", [0.1, 0.1, 0.2]),
            body("door", "articulated", [0.9, 0.1, 0.2], parent=0, joint=hinge),
        ),
        gravity=torch.tensor([0, 0.5, -9.7]).double(),
    )
    return add_robot(world, parallel_gripper(), base_pose=turned, splats=50)


@pytest.fixture(scope="module")
def returned(tmp_path_factory):
    path = tmp_path_factory.mktemp("mjcf") / "scene.xml"
    world = scene()
    assert write_mjcf(path, world) == ()
    found, notes = read_mjcf(path, splats=50)
    assert notes == ()
    return world, found, path


def test_bodies_come_back(returned):
    world, found, _ = returned
    assert torch.allclose(found.gravity, world.gravity)
    assert found.robot.bodies == world.robot.bodies
    for a, b in zip(world.bodies, found.bodies, strict=True):
        assert (a.name, a.kind, a.parent) == (b.name, b.kind, b.parent)
        assert float((a.rest_pose[:3] - b.rest_pose[:3]).abs().max()) <= 1e-6
        turn = pose.multiply_quats(a.rest_pose[3:], pose.conjugate_quat(b.rest_pose[3:]))
        assert float(turn[1:].abs().max()) <= 1e-6
        for one, other in ((a.mesh, b.mesh), *zip(a.parts, b.parts, strict=True)):
            gaps = torch.cdist(one.vertices, other.vertices)
            assert float(gaps.amin(0).max()) <= 1e-3
            assert float(gaps.amin(1).max()) <= 1e-3
        if a.kind != "static":
            assert abs(a.mass - b.mass) <= 1e-9
            assert torch.allclose(a.inertia, b.inertia, rtol=1e-6, atol=1e-12)
    assert torch.equal(found.bodies[2].mesh.colors[0], torch.tensor([51, 102, 153], dtype=torch.uint8))


def test_joints_come_back(returned):
    world, found, _ = returned
    for a, b in zip(world.bodies, found.bodies, strict=True):
        if a.joint is None:
            assert b.joint is None
            continue
        assert a.joint.type == b.joint.type
        assert abs(a.joint.rest - b.joint.rest) <= 1e-9
        assert a.joint.limits[0] == pytest.approx(b.joint.limits[0])
        assert (a.joint.mimic is None) == (b.joint.mimic is None)
    both = [replace(rest_state(w), joints=torch.tensor([0.25, -0.7, 0.01, 0.01]).double()) for w in (world, found)]
    from splatworld.robot.kinematics import forward_kinematics

    one, other = (forward_kinematics(w, s) for w, s in zip((world, found), both, strict=True))
    assert float((one.world_from_body[:, :3] - other.world_from_body[:, :3]).abs().max()) <= 1e-6


def test_the_robot_still_acts(returned):
    _, found, _ = returned
    values = torch.tensor([0.02, 0, 0, 0, 0, 0, 0.04]).double()
    moved = apply_action(found, rest_state(found), values)
    tool = found.robot.tool
    assert float(moved.world_from_body[tool, 0] - found.bodies[tool].rest_pose[0]) == pytest.approx(0.02)


def test_mujoco_moves_it_as_said(returned):
    world, _, path = returned
    model = mujoco.MjModel.from_xml_path(str(path))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    for body in world.bodies[1:]:
        assert torch.allclose(torch.from_numpy(data.body(body.name).xpos.copy()), body.rest_pose[:3], atol=1e-6)
    assert model.body("hand").mocapid[0] >= 0


FOREIGN = """<mujoco><worldbody><geom type="plane" size="1 1 .1"/>
<body name="arm" pos="0 0 .5"><joint name="pan" axis="0 0 1"/><joint name="lift" pos="0 0 .1" axis="0 1 0" ref="0.3"/>
<geom type="capsule" size=".03" fromto="0 0 0 .3 0 0"/>
<body name="tip" pos=".3 0 0"><geom type="sphere" size=".04"/></body></body>
<body name="ball" pos="1 0 1"><freejoint/><geom type="ellipsoid" size=".1 .2 .3" rgba="1 0 0 1"/></body>
</worldbody><actuator><motor joint="pan"/></actuator></mujoco>"""


def test_scenes_from_elsewhere(tmp_path):
    path = tmp_path / "scene.xml"
    path.write_text(FOREIGN)
    world, _ = read_mjcf(path, splats=50)
    kinds = {body.name: body.kind for body in world.bodies}
    assert kinds["ball"] == "rigid"
    assert kinds["tip"] == kinds["arm"] == "robot"
    assert world.robot is not None
    model = mujoco.MjModel.from_xml_path(str(path))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    for name in ("arm", "tip", "ball"):
        body = next(body for body in world.bodies if body.name == name)
        assert torch.allclose(body.rest_pose[:3], torch.from_numpy(data.body(name).xipos.copy()), atol=1e-6)
        assert body.mass == pytest.approx(model.body(name).mass[0])
    robot = load_robot(path)
    assert [joint.name for joint in robot.moving] == ["pan", "lift"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<mujoco><worldbody><body><joint type='ball'/><geom size='.1'/></body></worldbody></mujoco>", "ball joint"),
        ("<mujoco><worldbody><geom type='mesh' mesh='x'/></worldbody></mujoco>", "MuJoCo cannot read it"),
        ("<mujoco><asset><mesh file='gone.stl'/></asset></mujoco>", "gone.stl"),
    ],
)
def test_bad_scenes_are_told_in_a_sentence(tmp_path, text, message):
    path = tmp_path / "bad.xml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_mjcf(path)
    assert "\n" not in str(caught.value)


def test_without_mujoco_the_extra_is_named(tmp_path, monkeypatch):
    path = tmp_path / "scene.xml"
    path.write_text(FOREIGN)
    found = builtins.__import__

    def missing(name, *args, **kwargs):
        if name == "mujoco":
            raise ImportError(name)
        return found(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(InputError, match=r"pip install 'splatworld\[sim\]'"):
        load_robot(path)


def test_what_is_there_is_kept(tmp_path):
    path = tmp_path / "scene.xml"
    path.write_text("mine")
    with pytest.raises(InputError, match="something is there already"):
        write_mjcf(path, metric_world())
    assert path.read_text() == "mine"
    write_mjcf(path, metric_world(), overwrite=True)
    assert json.loads(path.read_text().split('data="')[1].split('"')[0].replace("&quot;", '"'))["robot"] is None
