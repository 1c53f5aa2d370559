"""What an episode starts from: which shapes lie where, and the parameters that nobody is told."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from splatworld.simulate.episodes.shapes import shape
from splatworld.simulate.episodes.tools import Servo


@dataclass(frozen=True)
class Parameters:
    """What the oracle knows about bodies and a model must find out; friction is Coulomb's coefficient of a pair.

    Attributes:
        mass: [B] kg.
        com: [B, 3] m, the true centre of mass in the body's frame, whose origin is that of the uniform solid.
        inertia: [B, 3, 3] kg m^2 about the true centre of mass, in the body's axes.
        table_friction: [B] body on table.
        tool_friction: [B] body on tool.
        body_friction: [B, B] body on body, symmetric.
    """

    mass: np.ndarray
    com: np.ndarray
    inertia: np.ndarray
    table_friction: np.ndarray
    tool_friction: np.ndarray
    body_friction: np.ndarray


@dataclass(frozen=True)
class Tool:
    """The tool of a scene.

    Attributes:
        name: of the library of tools.
        servo: its force limits.
        joints: [4] where it starts: x, y, z m of its frame, yaw rad.
        velocities: [4] m/s and rad/s at the start.
        target: [4] where its servos are commanded to at the start; `joints` if None.
    """

    name: str
    servo: Servo
    joints: np.ndarray
    velocities: np.ndarray = field(default_factory=lambda: np.zeros(4))
    target: np.ndarray | None = None


@dataclass(frozen=True)
class Scene:
    """A scene at its first instant; the table is the plane z = 0.

    Attributes:
        shapes: [B] names of the library.
        fixed: [B] bool, bodies that nothing moves.
        poses: [B, 7] world_from_body.
        twists: [B, 6] linear velocity of the origin m/s, angular velocity rad/s, world axes.
        parameters: hidden truth.
        tool: None in scenes that move by themselves.
        settle: s that bodies are given to come to rest before the episode begins.
        step: s of one physics step.
    """

    shapes: tuple[str, ...]
    fixed: np.ndarray
    poses: np.ndarray
    twists: np.ndarray
    parameters: Parameters
    tool: Tool | None = None
    settle: float = 0.0
    step: float = 0.002

    def __len__(self) -> int:
        return len(self.shapes)


@dataclass(frozen=True)
class Ranges:
    """From what parameters are drawn.

    Attributes:
        mass: kg, log-uniform.
        density: kg/m^3, to which masses are limited, so that a die weighs no kilogram.
        friction: uniform, each pair by itself.
        com: how far the centre of mass lies off at most, as a share of the extent along each axis.
        inertia: how far the inertia is off that of the uniform solid at most, as a share.
    """

    mass: tuple[float, float] = (0.05, 1.0)
    density: tuple[float, float] = (30.0, 8000.0)
    friction: tuple[float, float] = (0.2, 0.8)
    com: float = 0.06
    inertia: float = 0.15

    def mass_range(self, volume: float) -> tuple[float, float]:
        """Least and most mass, kg, of a body of `volume` m^3."""
        low, high = self.mass
        least, most = (d * volume for d in self.density)
        return float(np.clip(least, low, high)), float(np.clip(most, low, high))

    def draw(self, shapes: tuple[str, ...], rng: np.random.Generator) -> Parameters:
        """Parameters of bodies of these shapes, by chance."""
        count = len(shapes)
        solids = [shape(name) for name in shapes]
        ranges = np.log([self.mass_range(s.volume) for s in solids])
        mass = np.exp(ranges[:, 0] + rng.random(count) * (ranges[:, 1] - ranges[:, 0]))
        extent = np.array([np.ptp(s.hull, axis=0) for s in solids])
        com = rng.uniform(-self.com, self.com, (count, 3)) * extent
        swell = 1 + rng.uniform(-self.inertia, self.inertia, count)
        bodies = rng.uniform(*self.friction, (count, count))
        return Parameters(
            mass=mass,
            com=com,
            inertia=_inertia(shapes, mass) * swell[:, None, None],
            table_friction=rng.uniform(*self.friction, count),
            tool_friction=rng.uniform(*self.friction, count),
            body_friction=np.triu(bodies, 1) + np.triu(bodies, 1).T,
        )

    def mean(self, shapes: tuple[str, ...]) -> Parameters:
        """Parameters of bodies of these shapes in the middle of the ranges: geometric for the mass, no offsets."""
        count = len(shapes)
        mass = np.array([np.sqrt(np.prod(self.mass_range(shape(name).volume))) for name in shapes])
        friction = float(np.mean(self.friction))
        return Parameters(
            mass=mass,
            com=np.zeros((count, 3)),
            inertia=_inertia(shapes, mass),
            table_friction=np.full(count, friction),
            tool_friction=np.full(count, friction),
            body_friction=friction * (1 - np.eye(count)),
        )


def _inertia(shapes: tuple[str, ...], mass: np.ndarray) -> np.ndarray:
    """[B, 3, 3] of uniform solids of mass [B] kg."""
    solids = [shape(name) for name in shapes]
    return np.array([s.inertia * m / s.volume for s, m in zip(solids, mass, strict=True)])
