import numpy as np
import pytest
import torch

from splatworld.core.checks import InputError
from splatworld.geometry.mesh import is_closed, volume
from splatworld.simulate.episodes import families, shapes, solids, tools
from splatworld.simulate.episodes.footprint import footprint, height, separation

EVERY = [f"{family}-{number:03d}" for family in {**shapes.KNOWN, **shapes.HELD_OUT} for number in (0, 7)]


@pytest.mark.parametrize("name", EVERY)
def test_mesh_parts_and_mass_agree(name):
    solid = shapes.shape(name)
    assert is_closed(solid.mesh)
    assert volume(solid.mesh) == pytest.approx(solid.volume, rel=1e-6)
    assert volume(solid.mesh) <= sum(volume(part.mesh) for part in solid.parts) * (1 + 1e-6)
    longest = np.ptp(solid.mesh.vertices.numpy(), axis=0).max()
    assert 0.9 * shapes.SIZES[0] < longest < 1.01 * shapes.SIZES[1]
    a, b, c = np.linalg.eigvalsh(solid.inertia)
    assert a > 0
    assert c <= a + b


def test_a_box_weighs_what_it_should():
    solid = solids.union([solids.box((0, 0, 0), (0.1, 0.2, 0.3))])
    assert solid.volume == pytest.approx(0.006)
    assert np.diag(solid.inertia) == pytest.approx(0.006 / 12 * np.array([0.13, 0.10, 0.05]))
    assert solid.mesh.vertices.mean(0).abs().max() < 1e-12
    assert solid.parts[0].center == pytest.approx(np.zeros(3))


def test_a_cylinder_weighs_what_it_should():
    solid = solids.union([solids.cylinder(0.1, 0.0, 0.2)])
    mass = np.pi * 0.01 * 0.2
    assert solid.volume == pytest.approx(mass, rel=1e-9)
    assert solid.inertia[2, 2] == pytest.approx(mass * 0.01 / 2, rel=3e-3)


@pytest.mark.parametrize("name", EVERY)
def test_stable_poses_stand_on_the_table(name):
    quats, heights, weights = shapes.stable_poses(name)
    assert weights.sum() == pytest.approx(1)
    for quat, z in zip(quats, heights, strict=True):
        assert height(shapes.shape(name), np.array([0, 0, z, *quat]))[0] == pytest.approx(0, abs=2e-5)


def test_shapes_are_the_same_every_time():
    first = shapes.shape("scan-003")
    shapes.shape.cache_clear()
    again = shapes.shape("scan-003")
    assert torch.equal(first.mesh.vertices, again.mesh.vertices)
    assert (first.inertia == again.inertia).all()


def test_splits_share_no_shape_and_no_tool():
    known = [set(shapes.NUMBERS[split]) for split in ("train", "valid", "test_known", "test_outside")]
    assert sum(map(len, known)) == len(set.union(*known))
    assert not set(shapes.KNOWN) & set(shapes.HELD_OUT)
    assert not set(tools.KNOWN) & set(tools.HELD_OUT)
    assert not set(families.tool_numbers("train")) & set(families.tool_numbers("test_known"))
    held = families.for_split(families.FAMILIES["push"], "test_heldout")
    assert set(held.shapes) == set(shapes.HELD_OUT)
    assert set(held.tools) == set(tools.HELD_OUT)


def test_outside_is_outside():
    sizes = [np.ptp(shapes.shape(f"box-{n}").mesh.vertices.numpy(), axis=0).max() for n in (200, 201, 202, 203)]
    assert all(size < shapes.SIZES[0] or size > shapes.SIZES[1] for size in sizes)


@pytest.mark.parametrize("name", ["box", "box-", "cube-001", "-1", "T-x"])
def test_unknown_shapes_are_refused(name):
    with pytest.raises(InputError, match="no shape"):
        shapes.shape(name)
    with pytest.raises(InputError, match="no such tool"):
        tools.tool(name)


def test_separation_of_squares():
    solid = solids.union([solids.box((0, 0, 0), (0.1, 0.1, 0.1))])
    here = footprint(solid, np.array([0, 0, 0, 1, 0, 0, 0.0]))
    there = footprint(solid, np.array([0.15, 0.02, 0, 1, 0, 0, 0.0]))
    assert separation(here, there) == pytest.approx(0.05)
    assert separation(here, here + 0.09) == pytest.approx(-0.01)
