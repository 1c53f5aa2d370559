"""What is large about a body, as the named tensors of one file in `bodies/`."""

from __future__ import annotations

import torch
from torch import Tensor

from splatworld.core.body import Body
from splatworld.core.mesh import Mesh
from splatworld.core.shape import Capsules, DistanceGrid


def encode(body: Body) -> dict[str, Tensor]:
    """Mesh, convex parts, distance grid and capsules; empty if the body has none of them."""
    tensors = {} if body.mesh is None else _mesh_tensors("mesh", body.mesh)
    for index, part in enumerate(body.parts):
        tensors |= _mesh_tensors(f"parts.{index:03d}", part)
    if body.grid is not None:
        grid = {"origin": body.grid.origin.double(), "values": body.grid.values.float()}
        grid["spacing"] = torch.tensor([body.grid.spacing], dtype=torch.float64)
        if body.grid.known is not None:
            grid["known"] = body.grid.known.to(torch.uint8)
        tensors |= {f"grid.{name}": value for name, value in grid.items()}
    if body.capsules is not None:
        tensors |= {"capsules.ends": body.capsules.ends.long(), "capsules.radii": body.capsules.radii.double()}
    # Copies, since the file format refuses tensors that share memory.
    return {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}


def decode(tensors: dict[str, Tensor]) -> dict[str, Mesh | tuple[Mesh, ...] | DistanceGrid | Capsules]:
    """The fields of `Body` that `encode` wrote."""
    fields: dict[str, Mesh | tuple[Mesh, ...] | DistanceGrid | Capsules] = {}
    if "mesh.vertices" in tensors:
        fields["mesh"] = _mesh("mesh", tensors)
    parts = sorted(name for name in tensors if name.startswith("parts.") and name.endswith(".vertices"))
    fields["parts"] = tuple(_mesh(name.removesuffix(".vertices"), tensors) for name in parts)
    if "grid.values" in tensors:
        known = tensors.get("grid.known")
        fields["grid"] = DistanceGrid(
            origin=tensors["grid.origin"],
            spacing=float(tensors["grid.spacing"]),
            values=tensors["grid.values"],
            known=None if known is None else known.bool(),
        )
    if "capsules.ends" in tensors:
        fields["capsules"] = Capsules(ends=tensors["capsules.ends"], radii=tensors["capsules.radii"])
    return fields


def _mesh_tensors(name: str, mesh: Mesh) -> dict[str, Tensor]:
    tensors = {f"{name}.vertices": mesh.vertices.double(), f"{name}.faces": mesh.faces.long()}
    return tensors if mesh.colors is None else tensors | {f"{name}.colors": mesh.colors}


def _mesh(name: str, tensors: dict[str, Tensor]) -> Mesh:
    return Mesh(tensors[f"{name}.vertices"], tensors[f"{name}.faces"], tensors.get(f"{name}.colors"))
