from dataclasses import replace

import pytest
import torch

from splatworld.bodies.build import shaped
from splatworld.bodies.segment import with_labels
from splatworld.core.checks import InputError
from splatworld.evaluate import bodies, bodies_geometry, bodies_mjcf
from splatworld.evaluate.report import line
from tests.bodies.tabletop import tabletop
from tests.geometry import solids


@pytest.fixture(scope="module")
def world():
    found, labels = tabletop()
    found = with_labels(found, labels, ["box", "ball"])
    meshes = (solids.box((0.06, 0.06, 0.06), (-0.1, 0.0, 0.03)), solids.SOLIDS["sphere"][0])
    made = (shaped(body, mesh) for body, mesh in zip(found.bodies[1:], meshes, strict=True))
    return replace(found, bodies=(found.bodies[0], *made))


def test_a_world_comes_back_from_mjcf(world):
    pytest.importorskip("mujoco")
    rows = bodies_mjcf.lines(world, name="desk")
    assert len(rows) == 3
    assert all(row.met for row in rows)


def test_what_changes_on_the_way_shows(world, monkeypatch):
    pytest.importorskip("mujoco")
    write = bodies_mjcf.write_mjcf

    def off(path, given):
        shift = torch.tensor([2e-3, 0, 0, 0, 0, 0, 0]).double()
        box = given.bodies[1]
        part = replace(box.parts[0], vertices=1.1 * box.parts[0].vertices)
        changed = replace(box, rest_pose=box.rest_pose + shift, parts=(part,))
        ball = replace(given.bodies[2], name="another")
        write(path, replace(given, bodies=(given.bodies[0], changed, ball)))

    monkeypatch.setattr(bodies_mjcf, "write_mjcf", off)
    lost, poses, shapes = bodies_mjcf.lines(world, name="desk")
    assert lost.value == 1
    assert poses.value == pytest.approx(2e-3)
    assert shapes.value > 2
    assert not any(row.met for row in (lost, poses, shapes))


def test_a_sample_that_fails_leaves_the_other_rows(monkeypatch):
    tried = []

    def fails(*_):
        tried.append(1)
        raise InputError("the video is damaged.")

    monkeypatch.setattr(bodies, "sample_world", fails)
    monkeypatch.setattr(bodies_geometry, "lines", lambda *_, **__: [line("distance", 1.0, "mm", "<= 2")])
    rows = bodies.run(quick=True).lines
    assert [row.name for row in rows if row.value is None] == [
        f"sample: {part}: not measured, the video is damaged."
        for part in ("bodies", "removal", "surfaces", "metres", "MJCF")
    ]
    assert rows[-1].met
    assert tried == [1]
