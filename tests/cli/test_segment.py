"""`splatworld segment`: every option does what it says, and what cannot be used leaves the world as it was."""

import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from splatworld import store
from splatworld.bodies.kinds import make_deformable
from splatworld.cli.main import main
from splatworld.render.render import render
from tests.worlds import make_splats, make_world

pytestmark = pytest.mark.usefixtures("convex")

TABLE = torch.tensor([180, 140, 90]) / 255


@pytest.fixture
def segment(folder, capsys):
    """Runs the verb on the world; gives what it prints with --json, checked against the world on disk."""

    def run(*options):
        assert main(["segment", str(folder), *map(str, options), "--json"]) == 0
        data = json.loads(capsys.readouterr().out)
        world = store.load_world(folder)
        assert [row["name"] for row in data["bodies"]] == [body.name for body in world.bodies]
        assert [row["kind"] for row in data["bodies"]] == [body.kind for body in world.bodies]
        assert [row["splats"] for row in data["bodies"]] == world.splats.body_ids.bincount().tolist()
        return {row["name"]: row for row in data["bodies"]}

    return run


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def shows(folder, body):
    """A pixel of view_0 that shows a body."""
    world = store.load_world(folder)
    where = torch.nonzero(render(world, None, world.cameras["view_0"]).body_ids == body).double()
    row, column = where[(where - where.mean(dim=0)).norm(dim=1).argmin()].tolist()
    return column, row


def masks(folder, tmp_path, size=None):
    """Folder of the world's own body ids, times 7."""
    world = store.load_world(folder)
    (tmp_path / "masks").mkdir()
    for name, camera in world.cameras.items():
        ids = (7 * render(world, None, camera).body_ids.clamp(min=0)).byte().numpy()
        ids = ids if size is None else cv2.resize(ids, size, interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(tmp_path / "masks" / f"{name}.png"), ids)
    return tmp_path / "masks"


def test_without_options_bodies_are_found_anew(segment, folder):
    found = segment()
    assert list(found) == ["background", "body 1", "body 2"]
    assert all(found[name]["mass"] > 0 for name in ("body 1", "body 2"))
    again = segment()
    for name, row in found.items():
        assert again[name]["splats"] == pytest.approx(row["splats"], rel=0.02), name


def test_masks_make_bodies(segment, folder, tmp_path):
    found = segment("--masks", masks(folder, tmp_path))
    assert list(found) == ["background", "body 7", "body 14"]
    assert store.load_world(folder).bodies[1].rest_pose[:3].tolist() == pytest.approx([-0.1, 0.0, 0.03], abs=0.03)


def test_a_box_and_a_click_make_bodies(segment, folder):
    x, y = shows(folder, 2)
    segment("--merge", "background", "ball", "--merge", "box", "background")
    assert "crate" in segment("--box", -0.15, -0.05, 0.002, -0.05, 0.05, 0.1, "--name", "crate")
    found = segment("--click", x, y, "--camera", "view_0", "--name", "orange")
    assert list(found) == ["background", "crate", "orange"]
    assert found["orange"]["mass"] > 0
    # A click on a body gives it its name; without one it leaves it as it is.
    assert list(segment("--click", x, y, "--camera", "view_0", "--name", "apple")) == ["background", "crate", "apple"]
    assert segment("--click", x, y, "--camera", "view_0")["apple"] == {**found["orange"], "name": "apple"}


def test_bodies_are_merged_split_and_renamed_in_one_go(segment):
    before = segment("--rename", "ball", "ball")
    done = ["--merge", "ball", "box", "--split", "ball", "--rename", "ball", "one", "--rename", "ball 2", "two"]
    found = segment(*done, "--kind", "two", "static")
    assert list(found) == ["background", "one", "two"]
    assert found["two"]["kind"] == "static"
    assert found["one"]["mass"] > 0
    assert max(found["one"]["size"]) < 1.2 * max(before["box"]["size"])
    assert segment("--kind", "two", "rigid")["two"]["mass"] > 0


def test_a_joint_and_a_deformable_body(segment, folder):
    found = segment("--joint", "ball", "box", "hinge", "--at", 0, 0, 0.05, "--axis", 0, 2, 0, "--limits", -1, 0.5)
    assert found["ball"]["kind"] == "articulated"
    joint = store.load_world(folder).bodies[2].joint
    assert (joint.type, joint.limits) == ("hinge", (-1.0, 0.5))
    torch.testing.assert_close(joint.axis, torch.tensor([0, 1, 0], dtype=torch.float64))
    segment("--kind", "ball", "rigid")
    segment("--kind", "ball", "deformable")
    assert store.load_world(folder).bodies[2].capsules is not None


def test_a_known_mass_stays(segment, folder):
    before = store.load_world(folder).bodies[1]
    found = segment("--mass", "box", 0.35, "--mass", "ball", 0.002)
    assert (found["box"]["mass"], found["ball"]["mass"]) == (0.35, 0.002)
    assert "350 g" in found["box"]["summary"]
    after = store.load_world(folder).bodies[1]
    torch.testing.assert_close(after.inertia / 0.35, before.inertia / before.mass)
    assert segment("--rename", "ball", "orange")["box"]["mass"] == 0.35
    assert store.load_world(folder).bodies[1].weighed
    # One that is made in the same go has a shape by then; what is found anew is of the usual density.
    segment("--merge", "background", "box")
    boxed = segment("--box", -0.15, -0.05, 0.002, -0.05, 0.05, 0.1, "--name", "crate", "--mass", "crate", 0.1)
    assert boxed["crate"]["mass"] == 0.1
    assert segment()["body 1"]["mass"] == pytest.approx(before.mass, rel=0.1)


def test_what_is_removed_leaves_the_table_whole(segment, folder):
    before = store.load_world(folder)
    camera = before.cameras["view_0"]
    where = render(before, None, camera).body_ids > 0
    segment("--remove", "box", "--remove", "ball")
    for _ in range(2):  # what is done later finds no hole either
        image = render(store.load_world(folder), None, camera).image
        assert float((image[where] - TABLE).abs().mean()) < 0.06
        segment()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--merge box cup", "no body is called 'cup'; the world has 'background', 'box', 'ball'"),
        ("--merge box box", "expected two or more"),
        ("--split cup", "no body is called 'cup'"),
        ("--split background", "'background' is the background"),
        ("--rename box ball", "'ball' is empty or taken"),
        ("--rename box ", "'' is empty or taken"),
        ("--rename background wall", "'background' is the background"),
        ("--kind box liquid", "liquid"),
        ("--kind cup rigid", "no body is called 'cup'"),
        ("--kind background deformable", "'background'"),
        ("--box 0 0 0 0 0 0", "is empty"),
        ("--box 5 5 5 6 6 6", "no splats between"),
        ("--box nan 0 0 1 1 1", "is empty"),
        ("--box -1 -1 -1 1 1 1 --name ball", "'ball' is empty or taken"),
        ("--box 1 2 3", "box"),
        ("--click 10 10", "--click and --camera go together"),
        ("--camera view_0", "--click and --camera go together"),
        ("--click 10 10 --camera front", "camera is 'front', expected one of view_0"),
        ("--click 1e6 10 --camera view_0", "lies outside of the 160x120 picture"),
        ("--click nan nan --camera view_0", "lies outside"),
        ("--click 1 1 --camera view_0", "shows nothing solid"),
        ("--click 80 110 --camera view_0", "nothing stands up"),
        ("--name crate", "--name is of the body that --box or --click makes"),
        ("--joint box cup hinge", "no body is called 'cup'"),
        ("--joint box box hinge", "would hang on itself"),
        ("--joint box ball hinge --axis 0 0 0", "expected a direction"),
        ("--joint box ball hinge --axis nan 0 0", "expected a direction"),
        ("--joint box ball hinge --at inf 0 0", "expected finite"),
        ("--joint box ball slide --limits 1 2", "0 within limits"),
        ("--joint box ball ball", "ball"),
        ("--axis 0 1 0", "--joint"),
        ("--mass cup 1", "no body is called 'cup'"),
        ("--mass background 1", "'background' is the background or has no shape"),
        ("--mass box 0", "0.0 kg for 'box', expected a positive number"),
        ("--mass box inf", "inf kg for 'box', expected a positive number"),
        ("--mass box heavy", "heavy"),
        ("--remove box --mass box 1", "no body is called 'box'"),
        ("--remove cup", "no body is called 'cup'"),
        ("--remove background", "the background cannot be removed"),
        ("--masks missing", "missing: no such folder"),
        ("--rename box crate --split cup", "no body is called 'cup'"),
    ],
)
def test_what_cannot_be_done_changes_nothing(folder, capsys, options, sentence):
    before = files(folder)
    words = options.split(" ")
    assert main(["segment", str(folder), *words]) == 2
    out, err = capsys.readouterr()
    assert sentence in err
    assert err.count("\n") == 1
    assert err.startswith("splatworld: ")
    assert out == ""
    assert files(folder) == before


def test_masks_that_cannot_be_used(folder, tmp_path, capsys):
    before, given = files(folder), masks(folder, tmp_path, size=(80, 60))

    def refused(*options):
        assert main(["segment", str(folder), "--masks", str(given), *options]) == 2
        assert files(folder) == before
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        return said

    assert "view_0.png: 80x60 px, expected 160x120" in refused()
    (given / "view_0.png").write_bytes(b"no picture")
    assert "not a picture of one channel" in refused()
    cv2.imwrite(str(given / "view_0.png"), np.zeros((120, 160, 3), np.uint8))
    assert "not a picture of one channel" in refused()
    for path in given.iterdir():
        path.rename(path.with_name(f"other_{path.name}"))
    assert "no picture is named like a camera; name them view_0" in refused()


def test_worlds_whose_bodies_cannot_be_corrected(folder, tmp_path, capsys):
    def refused(world, *options):
        path = tmp_path / "w"
        shutil.rmtree(path, ignore_errors=True)
        store.save_world(world, path)
        before = files(path)
        assert main(["segment", str(path), *options]) == 2
        assert files(path) == before
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        return said

    world = store.load_world(folder)
    soft = make_deformable(world, "ball")
    for options in ([], ["--split", "box"]):
        assert "deformable bodies" in refused(soft, *options)
    assert "has nodes already" in refused(soft, "--kind", "ball", "deformable")
    assert "no cameras" in refused(replace(world, cameras={}))
    assert "robot" in refused(make_world())
    splats = replace(make_splats(9), body_ids=(torch.arange(9) > 2).int())
    bodies = (*world.bodies[:1], replace(world.bodies[1], mesh=None))
    heap = replace(world, splats=replace(splats, means=torch.ones(9, 3)), bodies=bodies)
    assert "lie in one place" in refused(heap, "--split", "box")
    few = replace(world, splats=replace(splats, body_ids=(torch.arange(9) > 6).int()), bodies=bodies)
    assert "too few to split" in refused(few, "--split", "box")
    for place, sentence in (("none", "no such world"), ("", "not a world")):
        assert main(["segment", str(tmp_path / place)]) == 2
        assert sentence in capsys.readouterr().err
