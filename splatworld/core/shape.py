"""How far it is to a body: sampled distances of a rigid body, capsules on the nodes of a deformable one."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from splatworld.core.checks import InputError, check_finite, check_shape


@dataclass(frozen=True)
class DistanceGrid:
    """Signed distances to a surface on a regular grid, linear in between.

    Attributes:
        origin: [3] float64 m, where the first sample lies, in the body's frame.
        spacing: m between samples, the same along every axis.
        values: [X, Y, Z] float32 m, negative inside.
        known: optional [X, Y, Z] bool, False where nobody has seen whether there is something; None if all is known.
    """

    origin: Tensor
    spacing: float
    values: Tensor
    known: Tensor | None = None

    def __post_init__(self) -> None:
        check_shape("DistanceGrid", "origin", self.origin, (3,))
        check_shape("DistanceGrid", "values", self.values, ("X", "Y", "Z"))
        check_finite("DistanceGrid", "values", self.values)
        if self.known is not None:
            check_shape("DistanceGrid", "known", self.known, tuple(self.values.shape))
        if not self.spacing > 0:
            raise InputError(f"DistanceGrid: spacing is {self.spacing}, expected a positive length in m.")
        if min(self.values.shape) < 2:
            raise InputError(f"DistanceGrid: values are {list(self.values.shape)}, expected 2 or more along each axis.")


@dataclass(frozen=True)
class Capsules:
    """The collision shape of a deformable body: thick segments between its nodes.

    Attributes:
        ends: [C, 2] int64 indices into `World.rest_nodes`; the same twice makes a sphere.
        radii: [C] float64 m.
    """

    ends: Tensor
    radii: Tensor

    def __post_init__(self) -> None:
        check_shape("Capsules", "ends", self.ends, ("C", 2))
        check_shape("Capsules", "radii", self.radii, (self.ends.shape[0],))
        if not bool((self.radii > 0).all()):
            raise InputError("Capsules: a radius is not positive; give every capsule a radius in m.")
