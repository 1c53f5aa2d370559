"""What a state's latents say of a body: numbers that are 0 of a body that nobody knows.

The first six are physical and enter where bodies coast; the others are free. As `enum Latent` in cuda/dynamics.h.
"""

from __future__ import annotations

from splatworld.core.state import LATENTS

SUPPORT_FRICTION = 0
"""Log-ratio of the friction with what carries it to `coasting.FRICTION`."""
MASS = 1
"""Log-ratio of its mass to that of its volume at `scene.DENSITY`."""
TOOL_FRICTION = 2
"""Log-ratio of the friction with the tool to `coasting.FRICTION`."""
CENTER = slice(3, 6)
"""Where its centre of mass lies off that of a uniform solid, body axes, in roots of its second moments along each."""
KNOWN = 6
"""Latents that mean something."""

assert KNOWN <= LATENTS
