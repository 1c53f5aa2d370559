import numpy as np
import pytest

from splatworld.simulate.meshes import Atlas, box, extrude, lathe, triangulate, tube, welded

ELL = [(0, 0), (2, 0), (2, 1), (1, 1), (1, 2), (0, 2)]


def volume(mesh):
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    return np.einsum("ij,ij->", a, np.cross(b, c)) / 6


def edges_balanced(mesh):
    """Closed and consistently oriented: every directed edge has exactly one partner the other way."""
    _, faces = welded(mesh)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    forward, backward = {tuple(e) for e in edges}, {tuple(e[::-1]) for e in edges}
    return forward == backward and len(forward) == len(edges)


CAN = [("lid", [(0, 2), (1, 2)]), ("side", [(1, 2), (1, 0)]), ("base", [(1, 0), (0, 0)])]
ARC = np.linspace(0, np.pi, 33)
SOLIDS = {
    "box": (lambda: box((1, 2, 3), cell=0.5, density=20)[0], 6.0),
    "lathe": (lambda: lathe(CAN, segments=256, density=20)[0], 2 * np.pi),
    "extrude": (lambda: extrude(ELL, 0.5, density=20)[0], 1.5),
    "tube": (
        lambda: tube(np.stack([np.sin(ARC), 0 * ARC, np.cos(ARC)], 1), 0.1, segments=64),
        np.pi * 0.01 * np.pi,
    ),
}


@pytest.mark.parametrize("name", SOLIDS)
def test_solids_are_closed_and_have_their_volume(name):
    make, expected = SOLIDS[name]
    mesh = make()
    assert edges_balanced(mesh)
    assert volume(mesh) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("name", SOLIDS)
def test_normals_are_unit_and_agree_with_the_winding(name):
    mesh = SOLIDS[name][0]()
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    assert np.allclose(np.linalg.norm(mesh.normals, axis=1), 1)
    assert (np.einsum("ij,ij->i", np.cross(b - a, c - a), mesh.normals[mesh.faces].mean(1)) > 0).all()


def test_triangulate_refuses_clockwise():
    with pytest.raises(ValueError, match="counter-clockwise"):
        triangulate(np.array(ELL[::-1], float))


def test_paint_stays_in_its_rectangle():
    atlas = Atlas((1.0, 1.0), {"a": (0.2, 0.3, 0.4, 0.2)}, density=100)
    atlas.paint("a", np.full((8, 8, 3), 250, np.uint8))
    rows, columns = np.nonzero((atlas.image == 250).all(-1))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (27, 52, 17, 62)  # 3 px of margin
