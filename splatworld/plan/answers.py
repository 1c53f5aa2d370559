"""What queries answer: every answer says how sure it is, and whether it rests on anything that was seen."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from splatworld.core.mesh import Mesh
from splatworld.render.rendering import Rendering


@dataclass(frozen=True)
class Estimate:
    """A quantity.

    Attributes:
        value: [...] what was asked for.
        std: its standard deviation, of the same shape, or of the shape that the query says.
        known: bool, False where the answer rests on what nobody has seen, or on a prediction that broke down.
    """

    value: Tensor
    std: Tensor
    known: Tensor


@dataclass(frozen=True)
class Distances:
    """Distances of P places to the nearest body.

    Attributes:
        value: [..., P] m, negative inside; of balls from their surface. Differentiable in places and poses.
        std: [..., P] m: of the body's pose, its surface and the scale.
        known: [..., P] bool: the place lies in space that was seen, and so was the surface nearest to it. A ball that
            touches something before it reaches unseen space is known to.
        unseen: [..., P] m to space that nobody has seen, negative in it; infinite where all was seen.
        gradient: [..., P, 3] of the distance by the place, world axes.
        body: [..., P] int64 the nearest in `World.bodies`, -1 where there is none.
    """

    value: Tensor
    std: Tensor
    known: Tensor
    unseen: Tensor
    gradient: Tensor
    body: Tensor


@dataclass(frozen=True)
class Hits:
    """Where R rays meet the first body.

    Attributes:
        value: [..., R] m along the ray, infinite where nothing is met.
        std: [..., R] m; 0 where nothing is met.
        known: [..., R] bool: everything along the ray was seen, and so was the surface.
        unseen: [..., R] m along the ray to the first space that nobody has seen, infinite where there is none before
            the hit.
        point: [..., R, 3] m, world frame.
        normal: [..., R, 3] unit, world axes.
        body: [..., R] int64 in `World.bodies`, -1 where nothing is met.
    """

    value: Tensor
    std: Tensor
    known: Tensor
    unseen: Tensor
    point: Tensor
    normal: Tensor
    body: Tensor


@dataclass(frozen=True)
class Touches:
    """C contacts, in the order of states and bodies; several a pair of bodies.

    Attributes:
        state: [C] int64, in the flattened batch of plans and times.
        bodies: [C, 2] int64 in `World.bodies`, the lesser first.
        point: [C, 3] m, world frame, halfway between the surfaces.
        normal: [C, 3] unit, world axes, from the second body towards the first.
        distance: [C] m between the surfaces, negative where they overlap.
        approach: [C] m/s at which the surfaces near each other, negative where they part.
        impulse: [C] N s along the normal during the action that ends then, see `impulses`.
        impulse_std: [C] N s.
        std: [C] m, of the distance.
        known: [C] bool.
    """

    state: Tensor
    bodies: Tensor
    point: Tensor
    normal: Tensor
    distance: Tensor
    approach: Tensor
    impulse: Tensor
    impulse_std: Tensor
    std: Tensor
    known: Tensor

    def __len__(self) -> int:
        return len(self.state)

    def __getitem__(self, index: Tensor) -> Touches:
        """Some of the contacts."""
        return Touches(**{name: value[index] for name, value in vars(self).items()})


@dataclass(frozen=True)
class Surface:
    """A body's mesh where it is predicted.

    Attributes:
        body: index in `World.bodies`.
        name: of the body.
        mesh: V vertices in the world's frame.
        std: [V] m, along the surface's normal.
        known: [V] bool, whether that part of the surface was seen.
    """

    body: int
    name: str
    mesh: Mesh
    std: Tensor
    known: Tensor


@dataclass(frozen=True)
class Cloud:
    """Points of a posed world.

    Attributes:
        points: [N, 3] m, world frame.
        colors: [N, 3] in [0, 1].
        body: [N] int64 in `World.bodies`.
        std: [N] m, root mean square over the axes.
        known: [N] bool, False for what was completed.
    """

    points: Tensor
    colors: Tensor
    body: Tensor
    std: Tensor
    known: Tensor


@dataclass(frozen=True)
class View:
    """A picture of a predicted state.

    Attributes:
        rendering: the picture.
        std: [..., H, W] m, of the place of what a pixel shows.
        known: [..., H, W] bool: the pixel shows something, and most of it was seen.
    """

    rendering: Rendering
    std: Tensor
    known: Tensor
