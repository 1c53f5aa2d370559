"""What a link weighs whose file does not say."""

from __future__ import annotations

import torch

from splatworld.core.mesh import Mesh
from splatworld.geometry.mesh import is_closed, mass_properties
from splatworld.geometry.repair import close_mesh
from splatworld.robot.model import Link

DENSITY = 1000.0
"""kg/m^3, assumed of links of which only the shape is known."""


def weigh(
    name: str, visual: Mesh | None, collision: tuple[Mesh, ...], notes: list[str], *, density: float = DENSITY
) -> Link:
    """A link whose mass, centre and inertia follow from its shape; unknown (mass 0) without one.

    Args:
        name: of the link.
        visual: what it looks like, in its frame.
        collision: its collision shape; the masses of its meshes add up.
        notes: gains a sentence that the mass was assumed.
        density: kg/m^3.
    """
    if visual is None:
        return Link(name, None, collision, 0.0, torch.zeros(3, dtype=torch.float64), None)
    shapes = [mesh if is_closed(mesh) else close_mesh(mesh) for mesh in collision or (visual,)]
    weighed = [mass_properties(mesh, density) for mesh in shapes]
    mass = sum(each[0] for each in weighed)
    center = torch.stack([each[0] * each[1] for each in weighed]).sum(dim=0) / mass
    inertia = torch.zeros(3, 3, dtype=torch.float64)
    for part_mass, part_center, part_inertia in weighed:  # parallel axes
        arm = part_center - center
        inertia = inertia + part_inertia + part_mass * (arm @ arm * torch.eye(3).double() - torch.outer(arm, arm))
    notes.append(f"Link {name!r} has no inertial; its mass is taken from its shape at {density:.0f} kg/m^3.")
    return Link(name, visual, collision, float(mass), center, inertia)
