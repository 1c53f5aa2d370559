import math

import pytest
import torch

from splatworld.core.checks import FormatError, InputError
from splatworld.robot.load import load_robot
from tests.robot.builders import LINK, joint, urdf

A, B, C = (LINK.format(name=name) for name in "abc")


def test_reads_links_joints_and_paint(arm_file):
    model = load_robot(arm_file)
    assert model.base.name == "base"
    assert len(model.links) == 9
    assert [j.name for j in model.moving] == [*(f"joint{i}" for i in range(1, 7)), "grip"]
    follow = next(j for j in model.joints if j.name == "follow")
    assert follow.mimic == ("grip", 1.0, 0.0)
    assert model.base.visual.colors[0].tolist() == [204, 26, 26]
    assert model.base.mass == 1
    assert any("collision" in note for note in model.notes)


def test_mesh_is_found_scaled_and_placed(tmp_path):
    (tmp_path / "meshes").mkdir()
    (tmp_path / "meshes" / "tetra.obj").write_text(
        "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"
    )
    mesh = '<mesh filename="package://robot/meshes/tetra.obj" scale="0.1 0.1 0.1"/>'
    link = f'<link name="a"><visual><origin xyz="0 0 1"/><geometry>{mesh}</geometry></visual></link>'
    (tmp_path / "one.urdf").write_text(urdf(link))
    model = load_robot(tmp_path / "one.urdf")
    assert torch.allclose(model.base.visual.vertices.amax(0), torch.tensor([0.1, 0.1, 1.1]).double())
    assert math.isclose(model.base.mass, 1000 * 0.1**3 / 6, rel_tol=1e-6)


def test_colours_of_a_material_file(tmp_path):
    (tmp_path / "paint.mtl").write_text("newmtl blue\nKd 0.0 0.0 1.0\n")
    (tmp_path / "tetra.obj").write_text(
        "mtllib paint.mtl\nusemtl blue\nv 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"
    )
    link = '<link name="a"><visual><geometry><mesh filename="tetra.obj"/></geometry></visual></link>'
    (tmp_path / "one.urdf").write_text(urdf(link))
    assert load_robot(tmp_path / "one.urdf").base.visual.colors[0].tolist() == [0, 0, 255]


MISSING = '<link name="a"><visual><geometry><mesh filename="meshes/gone.stl"/></geometry></visual></link>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (urdf(MISSING), "gone.stl.* is missing"),
        (urdf(A, B, joint("j", "a", "b", type="floating")), "'floating' is not supported"),
        (urdf(A, B, joint("j", "a", "b"), joint("k", "b", "a")), "form a cycle"),
        (urdf(A, B, C, joint("j", "a", "b"), joint("k", "a", "c"), joint("l", "b", "c")), "hangs on two joints"),
        (urdf(A, B), "expected one base"),
        (urdf(A, A), "two links are named 'a'"),
        (urdf(A, joint("j", "a", "x")), "'x', which is not in the file"),
        (urdf(A, B, joint("j", "a", "b", axis="0 0 0")), "expected a direction"),
        (urdf(A, B, joint("j", "a", "b", low=1, high=-1)), "expected the lower one first"),
        (urdf(A.replace('ixx="0.01"', 'ixx="0"')), "inertia is 0 kg"),
        (urdf(A, B, joint("j", "a", "b", more='<mimic joint="q"/>')), "mimics 'q'"),
    ],
)
def test_bad_files_are_told_in_a_sentence(tmp_path, text, message):
    path = tmp_path / "bad.urdf"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        load_robot(path)
    assert "\n" not in str(caught.value)


def test_what_is_no_robot_file(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_robot(tmp_path / "none.urdf")
    (tmp_path / "a.urdf").write_text("<robot><link")
    with pytest.raises(FormatError, match="not XML"):
        load_robot(tmp_path / "a.urdf")
    (tmp_path / "b.urdf").write_text("<html/>")
    with pytest.raises(FormatError, match="its root is <html>"):
        load_robot(tmp_path / "b.urdf")
