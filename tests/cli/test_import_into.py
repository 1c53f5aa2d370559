import json

import pytest
import trimesh

from splatworld import ply, store
from splatworld.cli.main import main
from splatworld.core.splats import Provenance
from tests.bodies.tabletop import tabletop
from tests.worlds import make_splats


@pytest.fixture
def desk(tmp_path):
    def capture(folder):
        (folder / "note").write_text("kept")

    store.save_world(tabletop()[0], tmp_path / "desk", capture=capture)
    return tmp_path / "desk"


@pytest.fixture
def block(tmp_path):
    path = tmp_path / "block.stl"
    trimesh.creation.box((40, 40, 40)).export(path)
    return path


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_thing_goes_into_a_copy(desk, block, tmp_path, capsys):
    before = files(desk)
    put = ["import", str(block), "-o", str(tmp_path / "more"), "--into", str(desk), "--scale", "0.001"]
    assert main([*put, "--at", "0.1", "0", "0.02", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bodies"] == 2
    assert files(desk) == before
    more = store.load_world(tmp_path / "more")
    assert more.bodies[1].name == "block"
    assert more.bodies[1].rest_pose[:3].tolist() == pytest.approx([0.1, 0, 0.02])
    assert more.bodies[1].mass > 0
    assert bool((more.splats.provenance[more.splats.body_ids == 1] == int(Provenance.IMPORTED)).all())
    assert (tmp_path / "more" / "capture" / "note").read_text() == "kept"
    # Into itself, beside the first.
    put = ["import", str(block), "-o", str(desk), "--into", str(desk), "--scale", "0.001", "--name", "cube"]
    assert main([*put, "--quat", "0", "0", "0", "2"]) == 2
    assert "pass --overwrite" in capsys.readouterr().err
    assert main([*put, "--quat", "0", "0", "0", "2", "--overwrite"]) == 0
    assert [body.name for body in store.load_world(desk).bodies] == ["background", "cube"]
    assert (desk / "capture" / "note").read_text() == "kept"


def test_a_robot_goes_into_a_world(desk, tmp_path, capsys):
    arm = tmp_path / "puck.urdf"
    shape = '<geometry><cylinder radius="0.02" length="0.04"/></geometry>'
    link = f'<link name="puck"><visual>{shape}</visual><collision>{shape}</collision></link>'
    arm.write_text(f'<robot name="pusher">{link}</robot>')
    put = ["import", str(arm), "-o", str(tmp_path / "cell"), "--into", str(desk)]
    assert main([*put, "--name", "arm"]) == 2
    assert "--name is for a mesh or splats" in capsys.readouterr().err
    assert main([*put, "--at", "0.3", "0", "0"]) == 0
    cell = store.load_world(tmp_path / "cell")
    assert cell.robot.name == "pusher"
    assert cell.bodies[1].rest_pose[:3].tolist() == pytest.approx([0.3, 0, 0])


def test_a_tool_goes_into_a_world_by_its_name(desk, tmp_path, capsys):
    put = ["import", "box_pusher", "-o", str(tmp_path / "cell")]
    assert main([*put, "--into", str(desk), "--at", "0.3", "0", "0.1", "--quiet"]) == 0
    cell = store.load_world(tmp_path / "cell")
    assert cell.robot.name == "box_pusher"
    assert cell.bodies[1].rest_pose[:3].tolist() == pytest.approx([0.3, 0, 0.13])
    assert main(["import", "box_pushr", "-o", str(tmp_path / "other"), "--into", str(desk)]) == 2
    assert not (tmp_path / "other").exists()
    capsys.readouterr()


def test_on_an_error_nothing_on_disk_changes(desk, block, tmp_path, capsys):
    hole = tmp_path / "hole.stl"
    mesh = trimesh.creation.box((0.1, 0.1, 0.1))
    trimesh.Trimesh(mesh.vertices, mesh.faces[1:], process=False).export(hole)
    cloud = tmp_path / "one.ply"
    ply.write_splats(cloud, make_splats(1))
    before = files(tmp_path)

    def refused(*arguments):
        assert main(["import", *map(str, arguments)]) == 2
        assert files(tmp_path) == before
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        return said

    into = ("-o", desk, "--into", desk, "--overwrite")
    assert "the mesh is open, so it has no inside" in refused(hole, *into)
    assert "its splats are no closed body" in refused(cloud, *into)
    assert "'background' is empty or taken; the world has 'background'" in refused(block, *into, "--name", "background")
    assert "scale is 0.0" in refused(block, *into, "--scale", "0")
    assert "quaternion is zero" in refused(block, *into, "--quat", "0", "0", "0", "0")
    assert "expected finite" in refused(block, *into, "--at", "nan", "0", "0")
    assert "no such world" in refused(block, "-o", tmp_path / "x", "--into", tmp_path / "none")
    assert "name the world with --into" in refused(block, "-o", tmp_path / "x", "--name", "a")
    assert "there is no file" in refused(tmp_path / "none.obj", *into)
    assert main(["import", str(cloud), "-o", str(tmp_path / "units")]) == 0
    before = files(tmp_path)
    capsys.readouterr()
    assert "capture units, expected metres" in refused(block, "-o", tmp_path / "x", "--into", tmp_path / "units")
