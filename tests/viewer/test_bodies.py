"""Bodies chosen, corrected, undone and saved, without a browser."""

import shutil
import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from splatworld import store
from splatworld.bodies import correct
from splatworld.core.checks import InputError
from splatworld.core.splats import Provenance
from splatworld.render.render import render
from tests.worlds import assert_equal

viewer = pytest.importorskip("splatworld.viewer", reason="the viewer is not installed; make install")
splats = pytest.importorskip("splatworld.viewer.splats")
body_nodes = pytest.importorskip("splatworld.viewer.body_nodes")
corrections = pytest.importorskip("splatworld.viewer.corrections")

pytestmark = pytest.mark.usefixtures("convex")


@pytest.fixture
def shown(folder):
    with viewer.Viewer([folder], port=0) as opened:
        yield opened


@pytest.fixture
def tab(shown):
    return shown.page.bodies


def names(tab):
    return [body.name for body in tab.edits.world.bodies]


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def pixel_of(world, body):
    """A view of the world, and a pixel of it that shows a body."""
    camera = world.cameras["view_0"]
    where = torch.nonzero(render(world, None, camera).body_ids == body).double()
    row, column = where[(where - where.mean(dim=0)).norm(dim=1).argmin()].tolist()
    return camera, torch.tensor([column + 0.5, row + 0.5], dtype=torch.float64)


def visible(tab):
    return [index for index, node in sorted(tab.nodes._nodes.items()) if node.visible]


def test_a_body_is_selected_in_the_list_and_in_the_picture(tab):
    assert tab.selected is None
    plain = {index: node.rgbs.copy() for index, node in tab.nodes._nodes.items()}
    tab.select("box")
    assert "rgba(120,160,255" in tab._list.content.split("<b>box</b>")[0].rsplit("<tr", 1)[1]
    assert tab._choice.value == "1  box"
    assert float(np.abs(tab.nodes._nodes[1].rgbs.astype(float) - plain[1]).mean()) > 10
    np.testing.assert_array_equal(tab.nodes._nodes[2].rgbs, plain[2])
    assert tab.pick(*pixel_of(tab.edits.world, 2)) == "ball"
    np.testing.assert_array_equal(tab.nodes._nodes[1].rgbs, plain[1])
    assert tab.corrections._name.value == "ball"
    with pytest.raises(InputError, match="nothing solid"):
        tab.pick(tab.edits.world.cameras["view_0"], torch.tensor([1.0, 1.0]))
    assert tab.selected == "ball"


def test_bodies_are_hidden_and_shown_alone(tab):
    camera, pixel = pixel_of(tab.edits.world, 1)
    with pytest.raises(InputError, match="no body is selected"):
        tab.hide()
    tab.select("box")
    tab.hide()
    assert visible(tab) == [0, 2]
    assert tab.pick(camera, pixel) == "background"  # what is behind it
    tab.select("ball")
    tab.isolate()
    assert visible(tab) == [2]
    tab.show_all()
    assert visible(tab) == [0, 1, 2]
    assert tab.pick(camera, pixel) == "box"


def test_completed_splats_are_marked(tab):
    tab._marked.value = True
    world = tab.edits.world
    drawn = splats.drawable(world.splats) & (world.splats.body_ids == 0)
    completed = (world.splats.provenance == int(Provenance.COMPLETED))[drawn].numpy()
    marked = (tab.nodes._nodes[0].rgbs == body_nodes.COMPLETED).all(axis=1)
    assert completed.sum() > 100
    np.testing.assert_array_equal(marked, completed)


def test_corrections_are_undone_and_redone(tab):
    worlds = [tab.edits.world]

    def keep():
        worlds.append(tab.edits.world)

    tab.select("ball")
    tab.corrections.rename("orange")
    assert tab.selected == "orange"
    keep()
    tab.corrections.set_kind("static")
    keep()
    tab.corrections.merge("box")
    assert names(tab) == ["background", "orange"]
    keep()
    tab.corrections.split()
    assert names(tab) == ["background", "orange", "orange 2"]
    keep()
    tab.corrections.move(torch.tensor([0.2, 0.1, 0.05, 1, 0, 0, 0], dtype=torch.float64), light=True)
    assert tab.edits.world.bodies[1].rest_pose[:3].tolist() == [0.2, 0.1, 0.05]
    keep()
    tab.corrections.make_box(torch.tensor([-0.3, -0.3, -0.1]), torch.tensor([-0.2, -0.2, 0.1]), " mat ")
    assert (names(tab)[-1], tab.selected) == ("mat", "mat")
    keep()
    assert tab.edits.past[-1] == "new body from a box"
    for before in worlds[-2::-1]:
        tab.step(back=True)
        assert tab.edits.world is before
    assert not tab.edits.unsaved
    with pytest.raises(InputError, match="nothing to undo"):
        tab.step(back=True)
    for after in worlds[1:]:
        tab.step(back=False)
        assert tab.edits.world is after
    tab.step(back=True)
    tab.select("orange")
    tab.corrections.rename("apple")  # what was undone is forgotten
    with pytest.raises(InputError, match="nothing to redo"):
        tab.step(back=False)


def drag(tab, target, *phases):
    """Does what the page does while somebody drags the handles to a pose [7]."""
    gizmo = tab.corrections._gizmo
    gizmo._handle.position, gizmo._handle.wxyz = target[:3].numpy(), target[3:].numpy()
    told = []
    client = SimpleNamespace(add_notification=lambda *text, **_: told.append(text))
    for phase in phases:
        gizmo._moved(SimpleNamespace(target=gizmo._handle, phase=phase, client=client))
    return told


def drawn_at(tab, index):
    node = tab.nodes._nodes[index]
    return [*node.position, *node.wxyz]


def test_a_body_is_dragged_by_handles(tab, folder):
    before, gizmo = tab.edits.world, tab.corrections._gizmo
    tab.select("box")
    assert gizmo._handle is None
    tab.corrections.drag(True)
    rest = before.bodies[1].rest_pose
    assert [*gizmo._handle.position, *gizmo._handle.wxyz] == rest.tolist()
    assert gizmo._handle.scale == pytest.approx(corrections.HANDLES * 0.06, abs=0.005)
    target = torch.tensor([0.1, -0.2, 0.05, 0.8, 0.0, 0.0, 0.6], dtype=torch.float64)
    drag(tab, target, "start", "update")
    assert drawn_at(tab, 1) == pytest.approx(target.tolist())
    assert tab.edits.world is before
    drag(tab, target, "end")
    torch.testing.assert_close(tab.edits.world.bodies[1].rest_pose, target)
    moved = tab.edits.world.splats  # the support below it was laid anew, so that numbers of splats changed
    where = (moved.means[moved.body_ids == 1] - target[:3]).norm(dim=1)
    assert float(where.max()) < 0.07
    seen = (moved.body_ids == 0) & (moved.provenance == 0)
    assert not torch.equal(
        moved.sh[seen], before.splats.sh[(before.splats.body_ids == 0) & (before.splats.provenance == 0)]
    )  # lit
    assert tab.edits.past == ("move box",)
    drag(tab, target, "start", "end")  # only clicked
    assert tab.edits.past == ("move box",)
    tab.step(back=True)
    assert tab.edits.world is before
    assert [*gizmo._handle.position, *gizmo._handle.wxyz] == drawn_at(tab, 1) == rest.tolist()
    tab.step(back=False)
    tab.save()
    torch.testing.assert_close(store.load_world(folder).bodies[1].rest_pose, target)
    for nothing in ("background", None):
        tab.select(nothing)
        assert gizmo._handle is None
    tab.select("ball")
    assert gizmo._handle.position.tolist() == tab.edits.world.bodies[2].rest_pose[:3].tolist()
    tab.corrections.drag(False)
    assert gizmo._handle is None


def test_what_hangs_on_a_body_is_dragged_along_and_goes_back_if_that_fails(tab):
    axis = {"point": torch.zeros(3), "axis": torch.tensor([0.0, 0.0, 1.0])}
    tab.correct("joint", lambda w: correct.set_joint(w, "ball", "box", type="hinge", limits=(-1.0, 1.0), **axis))
    tab.select("box")
    tab.corrections.drag(True)
    world = tab.edits.world
    target = world.bodies[1].rest_pose + torch.tensor([0.1, 0, 0, 0, 0, 0, 0])
    drag(tab, target, "update")
    assert drawn_at(tab, 2)[0] == pytest.approx(float(world.bodies[2].rest_pose[0]) + 0.1)
    told = drag(tab, torch.full((7,), torch.nan, dtype=torch.float64), "end")
    assert "finite" in told[0][1]
    assert tab.edits.world is world
    assert drawn_at(tab, 2) == world.bodies[2].rest_pose.tolist()
    assert tab.corrections._gizmo._handle.position.tolist() == world.bodies[1].rest_pose[:3].tolist()


def test_a_click_makes_a_body_or_selects_the_one_that_is_there(tab):
    tab.select("ball")
    tab.corrections.merge("background")
    world = tab.edits.world
    assert names(tab) == ["background", "box"]
    assert tab.selected is None
    camera, pixel = pixel_of(tab.edits.source.world, 2)
    tab.grow(camera, pixel)
    assert names(tab)[-1] == tab.selected == "body 1"
    assert tab.edits.world.cameras is world.cameras
    again = tab.edits.world
    tab.grow(*pixel_of(again, 1))
    assert (tab.edits.world, tab.selected) == (again, "box")
    tab.hide()
    with pytest.raises(InputError, match="bodies are hidden"):
        tab.grow(camera, pixel)


def test_what_cannot_be_done_changes_nothing(tab):
    before = tab.edits.world
    tab.select("box")
    for change, sentence in (
        (lambda: tab.corrections.rename("ball"), "taken"),
        (lambda: tab.corrections.rename(" "), "empty"),
        (lambda: tab.corrections.set_kind("liquid"), "expected one of"),
        (lambda: tab.corrections.merge("cup"), "no body is called 'cup'"),
        (lambda: tab.corrections.make_box(torch.ones(3), torch.zeros(3), ""), "is empty"),
        (lambda: tab.corrections.move(torch.full((7,), torch.nan), light=True), "finite"),
    ):
        with pytest.raises(InputError, match=sentence):
            change()
    tab.select("background")
    for change in (tab.corrections.split, tab.corrections.remove_body, lambda: tab.corrections.rename("wall")):
        with pytest.raises(InputError, match="background"):
            change()
    tab.select(None)
    with pytest.raises(InputError, match="no body is selected"):
        tab.corrections.split()
    assert tab.edits.world is before
    assert tab.edits.past == ()
    assert not tab._bar.visible


def test_one_correction_at_a_time(tab):
    begun, ended = threading.Event(), threading.Event()

    def slow(world):
        begun.set()
        assert ended.wait(10)
        return world

    worker = threading.Thread(target=lambda: tab.correct("slow", slow))
    worker.start()
    assert begun.wait(10)
    assert tab._bar.visible
    assert "slow" in tab._status.content
    tab.select("ball")  # the page goes on
    assert "slow" in tab._status.content
    with pytest.raises(InputError, match="still being worked on"):
        tab.corrections.split()
    ended.set()
    worker.join()
    assert not tab._bar.visible


def test_saving_writes_what_segment_would(shown, tab, folder, monkeypatch):
    with pytest.raises(InputError, match="nothing was corrected"):
        tab.save()
    assert tab._save.disabled
    (folder / "note").write_text("kept")
    tab.select("ball")
    tab.corrections.rename("orange")
    tab.corrections.split()
    assert not tab._save.disabled
    with pytest.raises(InputError, match="save or undo them first"), tab.edits.saved("scale"):
        pass
    said = []
    report = tab._progress
    monkeypatch.setattr(tab, "_progress", lambda *step: (report(*step), said.append(tab._status.content)))
    tab.save()
    assert "saving: shapes, 2 of 2 ..." in said[-1]
    loaded = store.load_world(folder)
    assert_equal(loaded.splats, tab.edits.world.splats)
    assert [body.name for body in loaded.bodies] == ["background", "box", "orange", "orange 2"]
    assert all(body.mass > 0 for body in loaded.bodies[1:])
    assert (folder / "note").read_text() == "kept"
    assert "As on disk" in tab._status.content
    assert "orange 2" in shown.page._summary.content
    for _ in range(2):
        tab.step(back=True)
    tab.save()
    assert store.load_world(folder).bodies[2].name == "ball"


def test_a_world_that_changed_on_disk_is_not_overwritten(tab, folder):
    tab.select("ball")
    tab.corrections.rename("orange")
    world = store.load_world(folder)
    store.save_world(replace(world, cameras={}), folder, overwrite=True)
    before = files(folder)
    with pytest.raises(InputError, match="changed since it was opened"):
        tab.save()
    assert files(folder) == before
    assert tab.edits.unsaved
    assert tab.edits.world.bodies[2].name == "orange"


def test_corrections_wait_while_another_world_is_shown(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "other")
    with viewer.Viewer([folder, tmp_path / "other"], port=0) as opened:
        tab = opened.page.bodies
        tab.select("ball")
        tab.corrections.remove_body()
        opened.show("other")
        assert not opened.page.bodies.edits.unsaved
        tab.refresh()  # of a page that is gone
        opened.show("table")
        assert names(opened.page.bodies) == ["background", "box"]
        assert sorted(opened.page.bodies.nodes._nodes) == [0, 1]
        opened.page.bodies.step(back=True)
        assert sorted(opened.page.bodies.nodes._nodes) == [0, 1, 2]


def test_place_and_yaw_are_those_of_the_body():
    rest = torch.tensor([0.1, 0.2, 0.3, 0.9, 0.1, -0.2, 0.3], dtype=torch.float64)
    rest[3:] /= rest[3:].norm()
    there = corrections.turned(rest, torch.tensor([1.0, 2.0, 3.0]), 0.5)
    assert there[:3].tolist() == [1, 2, 3]
    assert corrections.heading(there) == pytest.approx(0.5)
    torch.testing.assert_close(corrections.turned(there, rest[:3], corrections.heading(rest)), rest)
    lengths = np.linalg.norm(np.diff(corrections.edges(np.zeros(3), np.array([1, 2, 3])), axis=1)[:, 0], axis=1)
    assert sorted(lengths.tolist()) == [1] * 4 + [2] * 4 + [3] * 4


def test_defects_are_told_too():
    from splatworld.viewer.callbacks import reported

    told = []
    event = SimpleNamespace(client=SimpleNamespace(add_notification=lambda *text, **_: told.append(text)))

    @reported
    def broken(_):
        raise IndexError("7")

    @reported
    def refused(_):
        raise InputError("no")

    refused(event)
    with pytest.raises(IndexError):
        broken(event)
    assert told[0] == ("This did not work", "no")
    assert "IndexError: 7" in told[1][1]
