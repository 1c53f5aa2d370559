import pytest
import torch

from splatworld.core import pose
from splatworld.core.camera import Camera
from splatworld.core.checks import InputError
from splatworld.core.mesh import Mesh
from splatworld.core.splats import Provenance
from splatworld.core.world import World
from splatworld.geometry.mesh_splats import splats_of_mesh
from splatworld.render.render import render
from splatworld.robot import primitives


def view(mesh, eye=(0.5, 0.3, 0.4)):
    """Splats and the mesh's own outline in a picture of 160 x 160."""
    up = torch.tensor([0, 0, 1.0]).double()
    placed = pose.look_at(torch.tensor(eye).double(), torch.zeros(3).double(), up)
    focal = torch.tensor([420.0, 420.0]).double()
    return Camera(focal, torch.tensor([80.0, 80.0]).double(), (160, 160), placed)


def outline(mesh, camera):
    import cv2

    from splatworld.core.camera import project

    pixels, _ = project(camera, mesh.vertices)
    mask = torch.zeros(160, 160, dtype=torch.uint8).numpy()
    for face in mesh.faces:
        cv2.fillConvexPoly(mask, (pixels[face].numpy() * 16).round().astype("int32"), 1, shift=4)
    return torch.from_numpy(mask).bool()


@pytest.mark.parametrize(
    "mesh", [primitives.box((0.1, 0.06, 0.12)), primitives.cylinder(0.05, 0.1), primitives.sphere(0.06)],
    ids=["box", "cylinder", "sphere"],
)  # fmt: skip
def test_solid_inside_and_crisp_at_the_edge(mesh):
    import cv2

    splats = splats_of_mesh(mesh, count=2000)
    camera = view(mesh)
    alpha = render(World(splats=splats), None, camera).alpha
    mask = outline(mesh, camera).to(torch.uint8).numpy()
    inside = torch.from_numpy(cv2.erode(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))).bool()
    outside = ~torch.from_numpy(cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7)))).bool()
    assert float(alpha[inside].min()) > 0.9
    assert float(alpha[outside].max()) < 0.3
    assert 1500 < len(splats) < 8000
    assert bool((splats.provenance == int(Provenance.IMPORTED)).all())


def test_splats_lie_on_the_surface_and_face_along_it():
    splats = splats_of_mesh(primitives.sphere(1.0), count=1000)
    assert torch.allclose(splats.means.norm(dim=-1), torch.ones(len(splats)), atol=0.01)
    normal = pose.rotate(splats.quats, torch.tensor([0.0, 0.0, 1.0]).expand(len(splats), 3))
    assert float((normal * splats.means).sum(-1).abs().min()) > 0.98
    assert float((splats.scales[:, 2] / splats.scales[:, 0]).max()) < 0.2


def test_brightest_where_it_faces_the_camera():
    mesh = primitives.painted(primitives.sphere(0.06), (1.0, 0.5, 0.0))
    for turn in (0.0, 2.0):
        splats = splats_of_mesh(mesh, count=1500)
        placed = view(mesh, (0.5 * torch.cos(torch.tensor(turn)), 0.5 * torch.sin(torch.tensor(turn)), 0.1))
        image = render(World(splats=splats), None, placed).image
        assert torch.allclose(image[80, 80], torch.tensor([1.0, 0.5, 0.0]), atol=0.06)
        assert float(image[80, 80 + 46, 0]) < 0.75


def test_the_same_seed_gives_the_same_splats():
    mesh = primitives.box((0.1, 0.1, 0.1))
    assert torch.equal(splats_of_mesh(mesh, count=200).means, splats_of_mesh(mesh, count=200).means)
    assert not torch.equal(splats_of_mesh(mesh, count=200).means, splats_of_mesh(mesh, count=200, seed=1).means)


def test_colours_follow_the_mesh():
    box = primitives.box((1.0, 1.0, 1.0))
    colors = torch.where(box.vertices[:, :1] > 0, 255, 0).repeat(1, 3).to(torch.uint8)
    splats = splats_of_mesh(Mesh(box.vertices, box.faces, colors), count=500)
    bright = splats.sh[:, 0, 0] > splats.sh[:, 0, 0].mean()
    assert torch.equal(bright[splats.means[:, 0].abs() > 0.2], (splats.means[:, 0] > 0)[splats.means[:, 0].abs() > 0.2])


def test_nothing_to_cover_is_told():
    with pytest.raises(InputError, match="no area"):
        splats_of_mesh(Mesh(torch.zeros(3, 3).double(), torch.tensor([[0, 1, 2]])))
