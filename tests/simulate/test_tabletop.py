import numpy as np
import pytest

pytest.importorskip("mujoco", reason="needs the extra 'sim': pip install splatworld[sim]")

import mujoco

from splatworld.simulate.everyday import MAKERS
from splatworld.simulate.meshes import welded


def test_bodies_are_free_and_many(scene):
    assert len(scene.placed) >= 6
    assert {p.thing.name for p in scene.placed} == set(MAKERS)
    for p in scene.placed:
        body = scene.model.body(p.thing.name)
        assert scene.model.jnt_type[body.jntadr[0]] == mujoco.mjtJoint.mjJNT_FREE
        assert 0.05 < body.mass[0] < 1.5
        assert np.allclose(body.ipos, 0, atol=1e-7)  # the frame is at the centre of mass


@pytest.mark.parametrize("name", MAKERS)
def test_same_seed_same_body(name):
    first, again = (MAKERS[name](np.random.default_rng(4)) for _ in range(2))
    assert (first.image == again.image).all()
    assert (first.mesh.vertices == again.mesh.vertices).all()


def test_another_seed_is_another_orange():
    first, other = (MAKERS["orange"](np.random.default_rng(s)) for s in (4, 5))
    assert (first.image != other.image).any()


def test_bodies_stand_on_the_table_and_apart(scene):
    data = scene.at_rest()
    for p in scene.placed:
        vertices, _ = welded(p.mesh)
        rotation = data.body(p.thing.name).xmat.reshape(3, 3)
        world = vertices @ rotation.T + data.body(p.thing.name).xpos
        assert world[:, 2].min() == pytest.approx(0, abs=5e-4), p.thing.name
        assert (np.abs(world[:, 0]) < 0.58).all()
        assert (np.abs(world[:, 1]) < 0.4).all()
    for contact in data.contact:
        assert 0 in scene.model.geom_bodyid[contact.geom], "two bodies touch"


def test_bodies_stay_at_rest(scene):
    data = scene.at_rest()
    start = data.qpos.reshape(-1, 7).copy()
    for _ in range(round(0.5 / scene.model.opt.timestep)):
        mujoco.mj_step(scene.model, data)
    moved = np.linalg.norm(data.qpos.reshape(-1, 7)[:, :3] - start[:, :3], axis=1)
    assert moved.max() < 1e-3
    assert np.abs(data.qpos.reshape(-1, 7)[:, 3:] - start[:, 3:]).max() < 0.01


def test_contact_parts_cover_the_mesh(scene):
    """Mesh and contact geometry agree: their bounding boxes differ by a few millimetres at most."""
    data = scene.at_rest()
    for p in scene.placed:
        body = scene.model.body(p.thing.name)
        low, high = np.full(3, np.inf), np.full(3, -np.inf)
        for g in np.flatnonzero(scene.model.geom_bodyid == body.id):
            if scene.model.geom_group[g] != 3:
                continue
            turn = data.geom_xmat[g].reshape(3, 3)
            centre, half = scene.model.geom_aabb[g][:3], scene.model.geom_aabb[g][3:]
            middle, reach = data.geom_xpos[g] + turn @ centre, np.abs(turn) @ half
            if scene.model.geom_type[g] == mujoco.mjtGeom.mjGEOM_MESH:
                asset = scene.model.geom_dataid[g]
                first, count = scene.model.mesh_vertadr[asset], scene.model.mesh_vertnum[asset]
                points = scene.model.mesh_vert[first : first + count] @ turn.T + data.geom_xpos[g]
                middle, reach = (points.max(0) + points.min(0)) / 2, np.ptp(points, axis=0) / 2
            low, high = np.minimum(low, middle - reach), np.maximum(high, middle + reach)
        mesh = p.mesh.vertices @ data.body(p.thing.name).xmat.reshape(3, 3).T + data.body(p.thing.name).xpos
        assert np.abs(low - mesh.min(0)).max() < 0.02, p.thing.name
        assert np.abs(high - mesh.max(0)).max() < 0.02, p.thing.name


def test_leaving_out_an_unknown_body_names_those_there_are(scene):
    with pytest.raises(KeyError, match="mug"):
        scene.at_rest(without="teapot")
