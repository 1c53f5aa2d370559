import json

import pytest

from splatworld.cli.main import main
from splatworld.store import load_world
from tests.robot.builders import write_arm


def test_a_robot_goes_in_and_a_scene_comes_out(tmp_path, capsys):
    pytest.importorskip("mujoco")
    arm = write_arm(tmp_path)
    assert main(["import", str(arm), "-o", str(tmp_path / "world"), "--quiet", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bodies"] == 10
    assert load_world(tmp_path / "world").robot is not None
    scene = tmp_path / "scene.xml"
    export = ["export", str(tmp_path / "world"), "--format", "mjcf", "-o", str(scene), "--json"]
    assert main(export) == 0
    assert main(export) == 2
    assert "something is there already" in capsys.readouterr().err
    assert main(["import", str(scene), "-o", str(tmp_path / "again")]) == 0
    first, again = load_world(tmp_path / "world"), load_world(tmp_path / "again")
    assert [body.name for body in first.bodies] == [body.name for body in again.bodies]
    assert first.robot.fingers == again.robot.fingers


def test_a_missing_mesh_is_told(tmp_path, capsys):
    path = tmp_path / "bad.urdf"
    link = '<link name="a"><visual><geometry><mesh filename="gone.stl"/></geometry></visual></link>'
    path.write_text(f'<robot name="r">{link}</robot>')
    assert main(["import", str(path), "-o", str(tmp_path / "world")]) == 2
    assert "gone.stl" in capsys.readouterr().err
    assert not (tmp_path / "world").exists()
