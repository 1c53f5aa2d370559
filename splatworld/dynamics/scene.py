"""Who takes part: the shapes, kinds and weights of the bodies of many states at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from splatworld import native
from splatworld.core.body import Body
from splatworld.core.checks import InputError, ShapeError
from splatworld.core.latents import DENSITY
from splatworld.core.mesh import Mesh
from splatworld.core.world import World
from splatworld.geometry.mesh import mass_properties, solid
from splatworld.geometry.shapes import Shapes, pack_bodies

EXTREMES = 32
"""Outermost points a shape, from which its extents follow however it is turned."""
PROBES = 8
"""Surface points a shape, on which predictions are compared."""


class Kind(IntEnum):
    """What a body is to dynamics."""

    STATIC = 0
    """Nothing moves it."""
    TOOL = 1
    """A link of the robot, which is where its command puts it, or what is where its joint puts it."""
    FREE = 2
    """Predicted."""


@dataclass(frozen=True)
class Solids:
    """L shapes that bodies can have.

    Attributes:
        shapes: packed for contact queries.
        volume: [L] m^3; 0 without a solid.
        spread: [L, 3, 3] m^2 second moments about the centre of mass, over the volume, body axes.
        extremes: [L, 32, 3] m, outermost points in 32 directions.
        probes: [L, 8, 3] m, points far apart on the surface.
    """

    shapes: Shapes
    volume: Tensor
    spread: Tensor
    extremes: Tensor
    probes: Tensor


@dataclass(frozen=True)
class Scene:
    """The bodies of S states, B each; one row stands for all states where they are of one world.

    Attributes:
        solids: the shapes.
        shape_ids: [S or 1, B] int32 into `solids`.
        kinds: [S or 1, B] int64, see `Kind`.
        mass: [S or 1, B] kg, given or by volume; what projection weighs bodies by.
        pairs: [P, 2] int32 bodies that can touch.
        gravity: [3] m/s^2.
    """

    solids: Solids
    shape_ids: Tensor
    kinds: Tensor
    mass: Tensor
    pairs: Tensor
    gravity: Tensor

    def expand(self, states: int) -> Scene:
        """With a row for each of `states`."""
        rows = {name: getattr(self, name).expand(states, -1) for name in ("shape_ids", "kinds", "mass")}
        return Scene(self.solids, rows["shape_ids"], rows["kinds"], rows["mass"], self.pairs, self.gravity)

    @cached_property
    def free(self) -> Tensor:
        """[S, B] bool."""
        return self.kinds == Kind.FREE

    @cached_property
    def tool(self) -> Tensor:
        """[S, B] bool."""
        return self.kinds == Kind.TOOL

    @cached_property
    def inverse_mass(self) -> Tensor:
        """[S, B] 1/kg, 0 of what nothing moves."""
        return torch.where(self.free, 1 / self.mass.clamp(min=1e-6), 0.0)

    @cached_property
    def typical_mass(self) -> Tensor:
        """[S, B] kg by volume, whatever is known: what the network was trained with."""
        return DENSITY * self.solids.volume[self.shape_ids.long()]

    @cached_property
    def turning(self) -> Tensor:
        """[S, B] 1/(kg m^2), 0 of what nothing turns.

        The inertia of a ball of the body's size about each axis is near enough to share a correction out.
        """
        ids = self.shape_ids.long()
        spread = self.solids.spread.diagonal(dim1=-2, dim2=-1).sum(-1)[ids]
        return self.inverse_mass / (2 / 3 * spread).clamp(min=1e-6) * (self.solids.volume[ids] > 1e-9)

    @cached_property
    def packed(self) -> Any:
        """The view that the kernels take.

        Raises:
            InputError: a shape or body that does not exist.
        """
        ids, pairs = self.shape_ids.int().contiguous(), self.pairs.int().contiguous()
        for name, values, end in (("shape_ids", ids, len(self.solids.volume)), ("pairs", pairs, ids.shape[-1])):
            if values.numel() and not 0 <= int(values.min()) <= int(values.max()) < end:
                given = f"{int(values.min())} to {int(values.max())}"
                raise InputError(f"Scene: {name} span {given}, expected 0 to {end - 1}.")
        kinds = self.kinds.to(torch.uint8).contiguous()
        weights = [weight.float().contiguous() for weight in (self.inverse_mass, self.turning)]
        return native.load().PackedScene(self.solids.shapes.packed, ids, kinds, pairs, *weights)

    def posed(self, poses: Tensor) -> Tensor:
        """Poses of its bodies as the kernels take them, [S, B, 7] float64; errors as of `numbers`."""
        return self.numbers("poses", poses, 7)

    def numbers(self, name: str, values: Tensor, width: int) -> Tensor:
        """Some numbers for each body as the kernels take them, [S, B, width] float64.

        Raises:
            ShapeError: another number of states, bodies or numbers.
        """
        if values.shape != (*self.kinds.shape, width):
            raise ShapeError(f"Scene: {name} are {list(values.shape)}, expected {[*self.kinds.shape, width]}.")
        return values.detach().double().contiguous()

    def flags(self, name: str, values: Tensor) -> Tensor:
        """Booleans for each body as the kernels take them, [S, B] uint8; errors as of `numbers`."""
        if values.shape != self.kinds.shape or values.dtype != torch.bool:
            given = f"{list(values.shape)} {values.dtype}"
            raise ShapeError(f"Scene: {name} are {given}, expected {list(self.kinds.shape)} torch.bool.")
        return values.contiguous().view(torch.uint8)

    def of_bodies(self, table: Tensor, at: tuple[Tensor, Tensor]) -> Tensor:
        """Rows of a table [L, ...] of `solids` for bodies at (states, bodies) [N]: [N, ...]."""
        return table[self.shape_ids[at].long()]


def room(size: int) -> Tensor:
    """Room for the kernels, `size` bytes for each of their threads."""
    return torch.empty(native.get_threads(), size, dtype=torch.uint8)


def world_scene(world: World, *, support_height: float | None = 0.0) -> Scene:
    """A world's bodies: rigid ones are predicted, links of the robot are tools and so is what hangs on a joint, see
    `articulated.py`, all others stay where they are; those that are deformable have no shape here, see
    `nets.world_net`.

    Raises:
        InputError: a mesh of a body is open.
    """
    # The mesh of a deformable body is where it was at rest: its nodes are its shape.
    bodies = [replace(b, mesh=None, parts=(), grid=None) if b.kind == "deformable" else b for b in world.bodies]
    solids = pack_solids(bodies, support_height=support_height)
    count = len(world.bodies)
    hung = torch.tensor([_hangs_on_joint(world, i) for i in range(count)])
    kinds = [
        Kind.TOOL if body.kind == "robot" or hung[i] else
        Kind.FREE if body.kind == "rigid" and body.parent is None else Kind.STATIC
        for i, body in enumerate(world.bodies)
    ]  # fmt: skip
    # A body without a shape touches nothing, and nothing says that it stands on anything: it stays.
    shaped = solids.shapes.spheres[:, 3] >= 0
    kinds = [Kind.STATIC if kind == Kind.FREE and not shaped[i] else kind for i, kind in enumerate(kinds)]
    known = torch.tensor([body.mass for body in world.bodies], dtype=torch.float32)
    # A drawer touches its cabinet without end; what tools do to it, `articulated.py` looks at.
    pairs = solids.shapes.pairs
    free = torch.tensor(kinds) == Kind.FREE
    either, loose = hung[pairs.long()].any(-1), free[pairs.long()].any(-1)
    return Scene(
        solids=solids,
        shape_ids=torch.arange(count, dtype=torch.int32)[None],
        kinds=torch.tensor(kinds)[None],
        mass=torch.where(known > 0, known, DENSITY * solids.volume)[None],
        pairs=pairs[~either | loose],
        gravity=world.gravity.float(),
    )


def _hangs_on_joint(world: World, index: int) -> bool:
    """Whether a body moves along a joint, its own or of what it hangs on, and the last of these is static."""
    body, moves = world.bodies[index], False
    while body.parent is not None and body.joint is not None:
        moves = moves or body.joint.type != "fixed"
        body = world.bodies[body.parent]
    return moves and body.kind == "static"


def pack_solids(bodies: Sequence[Body], *, support_height: float | None = 0.0, pairs: Tensor | None = None) -> Solids:
    """Shapes of bodies with what dynamics reads of each; arguments as of `pack_bodies`.

    Raises:
        InputError: a mesh of a body is open.
    """
    shapes = pack_bodies(bodies, support_height=support_height, pairs=pairs)
    found = [_measures(_solid(body)) for body in bodies]
    volume, spread, extremes, probes = (torch.stack(column) for column in zip(*found, strict=True))
    return Solids(shapes, volume, spread, extremes, probes)


def _solid(body: Body) -> Mesh | None:
    if body.kind == "static" and body.grid is not None:
        return None
    source = body.mesh if body.mesh is not None else body.parts
    return None if isinstance(source, tuple) and not source else solid(source)


def _measures(mesh: Mesh | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Volume, spread, extremes, probes."""
    if mesh is None:
        return torch.zeros(()), torch.zeros(3, 3), torch.zeros(EXTREMES, 3), torch.zeros(PROBES, 3)
    volume, _, inertia = mass_properties(mesh, 1.0)
    spread = (inertia.trace() / 2 * torch.eye(3, dtype=inertia.dtype) - inertia) / volume
    vertices = mesh.vertices.double()
    outermost = vertices[(vertices @ _directions().T).argmax(0)]
    probes = [vertices[vertices.norm(dim=-1).argmax()]]
    while len(probes) < PROBES:
        gaps = torch.stack([(vertices - probe).norm(dim=-1) for probe in probes]).amin(0)
        probes.append(vertices[gaps.argmax()])
    return torch.tensor(volume).float(), spread.float(), outermost.float(), torch.stack(probes).float()


def _directions() -> Tensor:
    """[32, 3] the 26 of a cube's faces, edges and corners, and 6 between."""
    steps = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    cube = torch.cartesian_prod(steps, steps, steps)
    cube = cube[cube.abs().sum(-1) > 0]
    between = torch.tensor([[1, 0.4, 0], [-1, -0.4, 0], [0.4, -1, 0], [-0.4, 1, 0], [1, -0.4, 0], [-1, 0.4, 0]])
    return torch.nn.functional.normalize(torch.cat([cube, between.double()]), dim=-1)
