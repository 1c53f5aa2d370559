import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from splatworld import native
from splatworld.core.checks import InputError
from splatworld.core.mesh import Mesh
from splatworld.geometry.distance import MARGIN, distance_grid, is_known, signed_distance
from splatworld.geometry.mesh import solid
from tests.geometry.solids import HALVES, L_BARS, SOLIDS, T_BARS, box, box_distance


def around(mesh: Mesh, count: int, seed: int = 0) -> torch.Tensor:
    """Points [count, 3] in the mesh's box and `MARGIN` around it."""
    rng = torch.Generator().manual_seed(seed)
    low, high = mesh.vertices.amin(0) - MARGIN, mesh.vertices.amax(0) + MARGIN
    return low + (high - low) * torch.rand(count, 3, generator=rng, dtype=torch.float64)


def exact_distance(mesh: Mesh, points: torch.Tensor) -> torch.Tensor:
    """Unsigned, to each triangle: the plane's foot if inside, else the nearest of the three edges."""
    a, b, c = mesh.vertices[mesh.faces].unbind(1)
    normal = torch.linalg.cross(b - a, c - a)
    height = (points @ normal.T - (a * normal).sum(-1)).abs() / normal.norm(dim=-1)
    inside = torch.ones_like(height, dtype=torch.bool)
    best = torch.full_like(height, torch.inf)
    for p, q in ((a, b), (b, c), (c, a)):
        along, outward = q - p, torch.linalg.cross(normal, q - p)
        share = ((points @ along.T - (p * along).sum(-1)) / (along * along).sum(-1)).clamp(0, 1)
        best = torch.minimum(best, (points[:, None] - p - share[..., None] * along).norm(dim=-1))
        inside &= points @ outward.T >= (p * outward).sum(-1)
    return torch.where(inside, torch.minimum(best, height), best).amin(-1)


@pytest.mark.parametrize("name", SOLIDS)
def test_distances_and_gradients_of_solids(name):
    mesh, truth = SOLIDS[name]
    grid = distance_grid(mesh, 0.003)
    points = around(mesh, 4000).requires_grad_()
    distance, gradient = signed_distance(grid, points)
    true = truth(points)
    (slope,) = torch.autograd.grad(true.sum(), points)
    distance, true = distance.detach(), true.detach()
    near = true.abs() < 0.05
    assert float((distance - true).abs()[near].max()) < 2e-3
    # Away from edges: where the direction does not turn within a cell.
    steps = 0.004 * torch.cat([torch.eye(3), -torch.eye(3)]).double()
    others = (points.detach() + steps[:, None]).requires_grad_()
    (turned,) = torch.autograd.grad(truth(others).sum(), others)
    calm = near & ((turned * slope).sum(-1).amin(0) > 0.985)
    angle = torch.acos((torch.nn.functional.normalize(gradient, dim=-1) * slope).sum(-1).clamp(-1, 1))
    assert int(calm.sum()) > 300
    assert float(torch.rad2deg(angle[calm]).max()) < 5
    clear = true.abs() > 1.5e-3
    assert bool(((distance < 0) == (true < 0))[clear].all())


@pytest.mark.parametrize("bars", [L_BARS, T_BARS, HALVES], ids=["L", "T", "halves"])
def test_parts_that_overlap_leave_no_creases(bars):
    parts = tuple(box(*bar) for bar in bars)
    grid = distance_grid(parts, 0.002)
    points = around(solid(parts), 3000)
    outside = torch.stack([box_distance(points, *bar) for bar in bars]).amin(0)
    exact = exact_distance(solid(parts), points) * torch.where(outside < 0, -1.0, 1.0)
    distance, _ = signed_distance(grid, points)
    assert float((distance - exact).abs().max()) < 1.5e-3
    assert bool(((distance < 0) == (outside < 0))[outside.abs() > 1e-3].all())
    if bars is HALVES:  # the parts' own distances, whichever is least, are wrong where they overlap
        assert float((outside - exact).abs().max()) > 5e-3


def test_samples_are_exact_and_independent_of_threads():
    mesh = SOLIDS["torus"][0]
    before = native.get_threads()
    try:
        grids = []
        for threads in (1, 3):
            native.set_threads(threads)
            grids.append(distance_grid(mesh, 0.005))
    finally:
        native.set_threads(before)
    assert torch.equal(grids[0].values, grids[1].values)
    grid = grids[0]
    at = torch.cartesian_prod(*(torch.arange(0, n, 9) for n in grid.values.shape))
    exact = exact_distance(mesh, grid.origin + grid.spacing * at.double())
    assert float((grid.values[tuple(at.T)].abs() - exact).abs().max()) < 1e-4


@pytest.fixture(scope="module")
def coarse():
    return distance_grid(SOLIDS["box"][0], 0.01)


@given(st.integers(0, 2**31), st.floats(0.06, 3.0))
@settings(max_examples=20, deadline=None)
def test_beyond_the_grid_it_stays_within_bounds(coarse, seed, reach):
    truth, grid = SOLIDS["box"][1], coarse
    rng = torch.Generator().manual_seed(seed)
    points = torch.nn.functional.normalize(torch.randn(50, 3, generator=rng, dtype=torch.float64), dim=-1) * reach
    distance, gradient = signed_distance(grid, points)
    last = grid.origin + grid.spacing * (torch.tensor(grid.values.shape) - 1)
    edge = points.clamp(grid.origin, last)
    beyond = (points - edge).norm(dim=-1)
    border, _ = signed_distance(grid, edge)
    out = beyond > 0
    assert bool((distance >= torch.hypot(beyond, border) - 1e-5)[out].all())
    assert bool((distance <= beyond + border + 1e-5)[out].all())
    assert float((distance - truth(points)).abs().max()) < 0.02
    assert float((gradient.norm(dim=-1) - 1).abs()[out].max() if out.any() else 0) < 1e-5


def test_the_gradient_is_the_derivative():
    grid = distance_grid(SOLIDS["torus"][0], 0.004)
    points = (around(SOLIDS["torus"][0], 200) * 0.9).requires_grad_()
    distance, gradient = signed_distance(grid, points)
    (slope,) = torch.autograd.grad(distance.sum(), points)
    assert torch.equal(slope, gradient)
    step = 2e-5
    differences = [
        (signed_distance(grid, points + step * axis)[0] - signed_distance(grid, points - step * axis)[0]) / (2 * step)
        for axis in torch.eye(3, dtype=torch.float64)
    ]
    close = (torch.stack(differences, dim=-1) - gradient).abs().amax(-1) < 2e-2
    assert float(close.double().mean()) > 0.97  # the rest step over the face of a cell


def test_batches_types_and_knowledge():
    grid = distance_grid(box(), 0.01)
    points = torch.zeros(2, 0, 3)
    distance, gradient = signed_distance(grid, points)
    assert distance.shape == (2, 0)
    assert gradient.shape == (2, 0, 3)
    assert signed_distance(grid, torch.zeros(3))[0].dtype == torch.float32
    assert bool(is_known(grid, torch.full((3,), 9.0)))


@pytest.mark.parametrize(
    ("mesh", "spacing", "message"),
    [
        (Mesh(box().vertices, box().faces[1:]), None, "open at 3 edges"),
        (Mesh(box().vertices, box().faces.flip(1)), None, "inside out"),
        (Mesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64)), None, "no triangles"),
        ((), None, "no meshes"),
        (box(), 0.0, "spacing is 0.0"),
        (box(), 1e-6, "too many"),
    ],
)
def test_what_cannot_be_sampled_is_named(mesh, spacing, message):
    with pytest.raises(InputError, match=message):
        distance_grid(mesh, spacing)


def test_points_that_are_not_finite_are_named():
    grid = distance_grid(box(), 0.01)
    with pytest.raises(InputError, match=r"points\[1, 0\]"):
        signed_distance(grid, torch.tensor([[0.0, 0, 0], [float("nan"), 0, 0]]))
