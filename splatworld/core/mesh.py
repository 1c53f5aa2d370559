"""Triangle meshes: the surface of a body."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from splatworld.core.checks import InputError, check_finite, check_shape


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh in the frame of what it belongs to.

    Attributes:
        vertices: [V, 3] float64 m.
        faces: [F, 3] int64 corners of triangles, counter-clockwise seen from outside.
        colors: optional [V, 3] uint8 sRGB.
    """

    vertices: Tensor
    faces: Tensor
    colors: Tensor | None = None

    def __post_init__(self) -> None:
        check_shape("Mesh", "vertices", self.vertices, ("V", 3))
        check_shape("Mesh", "faces", self.faces, ("F", 3))
        check_finite("Mesh", "vertices", self.vertices)
        count = len(self.vertices)
        if self.colors is not None:
            check_shape("Mesh", "colors", self.colors, (count, 3))
        if len(self.faces) and (int(self.faces.min()) < 0 or int(self.faces.max()) >= count):
            given = f"{int(self.faces.min())} to {int(self.faces.max())}"
            raise InputError(f"Mesh: faces name vertices {given}, expected 0 to {count - 1}.")
