"""Bodies of a world or of an MJCF file as shapes: its path stands for their family, the number is the body's."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from splatworld.bodies.edit import check_metric
from splatworld.core.body import Body
from splatworld.core.checks import InputError
from splatworld.geometry.mesh import mass_properties, transform_mesh
from splatworld.robot.mjcf_read import read_mjcf
from splatworld.simulate.episodes import solids
from splatworld.simulate.episodes.solids import Solid
from splatworld.store import load_world, world_id

FLAT = 0.002
"""m above the table below which something that stands still is part of it."""
KINDS = ("rigid", "static")
SPLATS = 10
"""Splats a body of an MJCF file gets, which nobody looks at here."""


@lru_cache(maxsize=2)
def captured(path: str) -> tuple[str, dict[str, Body]]:
    """Identity of a world, and name -> body of what is simulated: all but background, robot, and what is of the table.

    Args:
        path: of a world's folder or of an MJCF file, in metres; the table is the plane z = 0.

    Raises:
        InputError, FormatError: nothing is there, it is damaged, lengths are capture units, a body hangs on a joint, is
            deformable or has no shape, or none can move.
    """
    world = read_mjcf(path, splats=SPLATS)[0] if Path(path).is_file() else load_world(path)
    check_metric("simulate", world)
    found = {}
    for index, body in enumerate(world.bodies):
        if index == 0 or body.kind == "robot":
            continue
        if body.kind not in KINDS or body.mesh is None:
            what = "has no shape" if body.kind in KINDS else f"is {body.kind}"
            raise InputError(f"simulate: {body.name!r} of {path} {what}, expected rigid and static bodies with shapes; "
                             "change or remove it with `splatworld segment`.")  # fmt: skip
        top = float(transform_mesh(body.mesh, body.rest_pose.double()).vertices[:, 2].max())
        if body.kind == "rigid" or top > FLAT:
            found[f"{path}-{index:03d}"] = body
    if not any(body.kind == "rigid" for body in found.values()):
        raise InputError(f"simulate: {path} has no rigid body; find its bodies with `splatworld segment`.")
    return world_id(world), found


def solid_of(name: str) -> Solid:
    """The shape of a body called PATH-NUMBER.

    Raises:
        InputError: as `captured`; no such body, or its surface is open.
    """
    path = name.rpartition("-")[0]
    bodies = captured(path)[1]
    if name not in bodies:
        raise InputError(f"{name!r}: no such body, expected one of {', '.join(bodies)}.")
    mesh = bodies[name].mesh
    assert mesh is not None
    volume, _, inertia = mass_properties(mesh, 1.0)
    parts = tuple(solids.hull(part.vertices.numpy()) for part in bodies[name].parts or (mesh,))
    return Solid(mesh, parts, volume, inertia.numpy())
