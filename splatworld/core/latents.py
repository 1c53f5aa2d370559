"""What a state's latents say of a body: numbers that are 0 of a body that nobody knows.

The first six are physical and enter where bodies coast and how hard they press; the others are free. As `enum Latent`
in cuda/dynamics.h.
"""

from __future__ import annotations

from splatworld.core.state import LATENTS

FRICTION = 0.5
"""Coulomb's, between all of which nobody knows: in the middle of what household things have."""
DENSITY = 400.0
"""kg/m^3 of a body whose mass nobody knows: household things are hollow."""

SUPPORT_FRICTION = 0
"""Log-ratio of the friction with what carries it to `FRICTION`."""
MASS = 1
"""Log-ratio of its mass to that of its volume at `DENSITY`."""
TOOL_FRICTION = 2
"""Log-ratio of the friction with the tool to `FRICTION`."""
CENTER = slice(3, 6)
"""Where its centre of mass lies off that of a uniform solid, body axes, in roots of its second moments along each."""
KNOWN = 6
"""Latents that mean something."""

assert KNOWN <= LATENTS
