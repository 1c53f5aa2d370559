"""The tools that push: rigid shapes on force-limited servos along x, y, z and about z."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from splatworld.core.checks import InputError
from splatworld.simulate.episodes import solids
from splatworld.simulate.episodes.solids import Part, Solid

AXES = ("x", "y", "z", "yaw")
MASS = 0.5
"""kg that a tool and the arm behind it weigh at the tip."""
TURNING = 1e-3
"""kg m^2, the same about the vertical axis."""
STIFFNESS = np.array([5000.0, 5000.0, 5000.0, 10.0])
"""N/m and N m/rad of the servos."""
DAMPING = 2 * np.sqrt(STIFFNESS * [MASS, MASS, MASS, TURNING])
"""N s/m and N m s/rad: critical."""
MAX_SPEED = np.array([0.8, 0.8, 0.8, 3.0])
"""m/s and rad/s, what an action may ask for at most."""
PER_FAMILY = 40
"""Numbers a family of tools has: the first three quarters for training, the others for testing."""


@dataclass(frozen=True)
class Servo:
    """A tool's servos.

    A target never runs farther ahead of the tool than the force limit is worth, so a blocked tool does not wind up.

    Attributes:
        force: [4] N, N, N, N m, the most each servo gives.
    """

    force: np.ndarray

    @property
    def leash(self) -> np.ndarray:
        """[4] m or rad, farthest distance of a target from the tool."""
        return self.force / STIFFNESS

    def retarget(self, target: np.ndarray, joints: np.ndarray, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the target starts and ends during an action, from its place, the tool's joints and the increments."""
        start = np.clip(target, joints - self.leash, joints + self.leash)
        return start, start + action


def _sphere(rng: np.random.Generator) -> list[Part]:
    return [solids.sphere(rng.uniform(0.01, 0.025))]


def _cylinder(rng: np.random.Generator) -> list[Part]:
    radius, height = rng.uniform((0.008, 0.05), (0.025, 0.12))
    return [solids.cylinder(radius, 0.0, height)]


def _pusher(rng: np.random.Generator) -> list[Part]:
    return [solids.box(np.zeros(3), rng.uniform((0.01, 0.03, 0.03), (0.02, 0.10, 0.08)))]


def _fingers(rng: np.random.Generator) -> list[Part]:
    """Two fingers that hang from a bridge."""
    thick, wide, gap, deep = rng.uniform((0.008, 0.01, 0.04, 0.04), (0.014, 0.02, 0.10, 0.08))
    reach = gap / 2 + thick
    left = solids.box((-wide / 2, -reach, 0), (wide / 2, -gap / 2, deep))
    right = solids.box((-wide / 2, gap / 2, 0), (wide / 2, reach, deep))
    return [left, right, solids.box((-wide / 2, -reach, deep - 0.01), (wide / 2, reach, deep))]


def _bent(rng: np.random.Generator) -> list[Part]:
    """A bar bent like a boomerang."""
    thick, arm, height = rng.uniform((0.01, 0.04, 0.04), (0.016, 0.07, 0.08))
    angle = rng.uniform(0.5, 1.1)
    parts = []
    for side in (-1, 1):
        along = np.array([-np.sin(angle), side * np.cos(angle)])
        across = thick / 2 * np.array([along[1], -along[0]])
        parts.append(solids.prism(np.stack([across, -across, arm * along - across, arm * along + across]), height))
    return parts


def _wedge(rng: np.random.Generator) -> list[Part]:
    length, half, height = rng.uniform((0.03, 0.012, 0.03), (0.07, 0.03, 0.08))
    return [solids.prism(np.array([(length, 0.0), (0.0, half), (0.0, -half)]), height)]


def _pinch(rng: np.random.Generator) -> list[Part]:
    """Two fingers closed on each other: what is inside is held."""
    thick, wide, deep = rng.uniform((0.005, 0.006, 0.03), (0.008, 0.012, 0.06))
    return [solids.box((-thick, -wide, -GRIP), (thick, wide, deep))]


KNOWN: dict[str, Callable[[np.random.Generator], list[Part]]] = {
    "sphere": _sphere,
    "cylinder": _cylinder,
    "pusher": _pusher,
    "fingers": _fingers,
}
"""Families that training may use."""
HELD_OUT: dict[str, Callable[[np.random.Generator], list[Part]]] = {"bent": _bent, "wedge": _wedge}
"""Families kept back for testing."""
HOLDING: dict[str, Callable[[np.random.Generator], list[Part]]] = {"pinch": _pinch}
"""Families that hold what lies `GRIP` above their lowest point."""
GRIP = 0.002
"""m above its lowest point at which a holding tool grips, in its middle."""


@lru_cache(maxsize=1024)
def tool(name: str) -> Solid:
    """The tool called FAMILY-NUMBER, such as "pusher-07".

    Raises:
        InputError: there is no such family or number.
    """
    family, _, digits = name.rpartition("-")
    makers = {**KNOWN, **HELD_OUT, **HOLDING}
    if family not in makers or not digits.isdigit() or int(digits) >= PER_FAMILY:
        raise InputError(f"{name!r}: no such tool, expected FAMILY-NUMBER below {PER_FAMILY} of {', '.join(makers)}.")
    rng = np.random.default_rng([zlib.crc32(b"tool"), zlib.crc32(family.encode()), int(digits)])
    return solids.union(makers[family](rng))
