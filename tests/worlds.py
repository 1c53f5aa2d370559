"""Small worlds that several tests share."""

from dataclasses import fields, is_dataclass

import torch

from splatworld.core import pose
from splatworld.core.body import Body, Joint, background
from splatworld.core.camera import Camera
from splatworld.core.mesh import Mesh
from splatworld.core.robot import ActionSpec, Robot
from splatworld.core.shape import Capsules, DistanceGrid
from splatworld.core.splats import Splats
from splatworld.core.world import Scale, Skin, World


def make_splats(count: int = 50, degree: int = 3, seed: int = 0) -> Splats:
    rng = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=rng)

    return Splats(
        means=normal(count, 3),
        log_scales=normal(count, 3) - 4,
        quats=normal(count, 4),
        opacity_logits=normal(count),
        sh=normal(count, (degree + 1) ** 2, 3),
        body_ids=torch.arange(count, dtype=torch.int32) % 3,
        provenance=torch.arange(count).to(torch.uint8) % 3,
    )


def make_world(seed: int = 0, count: int = 50) -> World:
    """A world that uses every field: a base, a rigid mug, a door on a hinge, a rope of 4 nodes, a gripper."""
    rng = torch.Generator().manual_seed(seed)

    def poses(*batch: int) -> torch.Tensor:
        return pose.exp(torch.randn(*batch, 6, generator=rng, dtype=torch.float64))

    hinge = Joint(
        type="hinge",
        parent_from_joint=poses(),
        axis=torch.tensor([0, 0, 1], dtype=torch.float64),
        limits=(-float("inf"), 1 / 3),
    )
    slide = Joint("slide", poses(), torch.tensor([0, 1, 0], dtype=torch.float64), (0.0, 0.04), 0.01, (2, -1 / 3, 0.01))
    weights = torch.rand(count, 2, generator=rng)
    vertices = torch.randn(4, 3, generator=rng, dtype=torch.float64)
    faces = torch.tensor([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]])
    values = torch.randn(2, 3, 4, generator=rng)
    mug = Body(
        "mug", "rigid", poses(), mass=0.1 + 0.2, inertia=torch.eye(3, dtype=torch.float64) / 3,
        mesh=Mesh(vertices, faces, torch.arange(12, dtype=torch.uint8).reshape(4, 3)),
        parts=(Mesh(vertices / 3, faces), Mesh(vertices / 7, faces)),
        grid=DistanceGrid(vertices[0] / 3, 1 / 3, values, values > 0),
    )  # fmt: skip
    rope = Capsules(torch.tensor([[0, 1], [1, 2], [2, 3]]), torch.full((3,), 1 / 3, dtype=torch.float64))
    limits = torch.tensor([0.1, 1 / 3], dtype=torch.float64)
    return World(
        splats=make_splats(count, seed=seed),
        bodies=(
            background(),
            mug,
            Body("door", "articulated", poses(), parent=0, joint=hinge),
            Body("rope", "deformable", poses(), node_range=(0, 4), capsules=rope),
            Body("hand", "robot", poses()),
            Body("finger", "robot", poses(), parent=4, joint=slide),
        ),
        gravity=torch.tensor([0, 0.1, -9.81], dtype=torch.float64),
        scale=Scale(value=1 / 7, source="marker", std=0.01),
        cameras={
            f"frame {i}": Camera(
                focal=torch.tensor([300.1, 299.9], dtype=torch.float64),
                center=torch.tensor([160.3, 120.7], dtype=torch.float64),
                size=(320, 240),
                world_from_camera=poses(),
                distortion=torch.tensor([0.1, 0, 0, 1e-17], dtype=torch.float64) if i else None,
                motion=torch.tensor([0.1, 0, -0.2, 0, 1e-17, 0.3], dtype=torch.float64) if i == 2 else None,
                shutter=torch.tensor([0.017, 1 / 60], dtype=torch.float64) if i == 2 else None,
            )
            for i in (2, 10, 1)
        },
        rest_nodes=poses(4),
        skin=Skin(indices=torch.randint(0, 8, (count, 2), generator=rng, dtype=torch.int32), weights=weights),
        robot=Robot(
            "gripper", (4, 5), 4, ActionSpec("joints", ("x", "width"), ("m", "m"), -limits, limits), (5,), 12.0
        ),
        prior_latents=torch.randn(6, 8, generator=rng, dtype=torch.float64),
        metrics={"held_out": {"frames": 5, "names": ["a", "b"]}, "psnr": 27.25},
    )


def assert_equal(a: object, b: object, where: str = "") -> None:
    """Equal to the last bit, field by field, in types, dtypes and order."""
    assert type(a) is type(b), where
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype, where
        assert torch.equal(a, b), where
    elif is_dataclass(a):
        for field in fields(a):
            assert_equal(getattr(a, field.name), getattr(b, field.name), f"{where}.{field.name}")
    elif isinstance(a, dict):
        assert list(a) == list(b), where
        for key in a:
            assert_equal(a[key], b[key], f"{where}[{key!r}]")
    elif isinstance(a, tuple):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_equal(x, y, f"{where}[{i}]")
    else:
        assert a == b, where
