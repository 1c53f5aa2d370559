"""From what scenes of ropes, cloths and soft bodies are drawn, and their hidden parameters."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from splatworld.core.checks import InputError, check_choice
from splatworld.simulate.episodes import tools
from splatworld.simulate.episodes.deformable.shapes import KINDS, Shape, cloth, rope, soft
from splatworld.simulate.episodes.families import SPLITS, tool_numbers

MOTIONS = ("push", "hold", "fall")


@dataclass(frozen=True)
class Parameters:
    """What the oracle knows of a deformable body and a model must find out.

    Attributes:
        mass: kg.
        stiffness: bending stiffness of a rope, N m^2, or of a cloth, N m; Young's modulus of a soft body, Pa.
        damping: s, of what is bent or deformed (Rayleigh).
        table_friction, tool_friction, self_friction: Coulomb's coefficients.
    """

    mass: float
    stiffness: float
    damping: float
    table_friction: float
    tool_friction: float
    self_friction: float


@dataclass(frozen=True)
class Ranges:
    """From what parameters are drawn: frictions evenly, all else evenly in the logarithm.

    Attributes:
        density: kg/m of a rope, kg/m^2 of a cloth, kg/m^3 of a soft body.
        stiffness, damping: as in `Parameters`.
        friction: each of the three by itself.
    """

    density: tuple[float, float]
    stiffness: tuple[float, float]
    damping: tuple[float, float] = (0.01, 0.05)
    friction: tuple[float, float] = (0.2, 0.8)

    def draw(self, shape: Shape, rng: np.random.Generator) -> Parameters:
        """Parameters of a body of this shape, by chance."""
        density, stiffness, damping = np.exp([rng.uniform(*np.log(each)) for each in self._logarithmic()])
        return Parameters(density * shape.measure, stiffness, damping, *rng.uniform(*self.friction, 3))

    def mean(self, shape: Shape) -> Parameters:
        """Parameters in the middle of the ranges."""
        density, stiffness, damping = (float(np.sqrt(np.prod(each))) for each in self._logarithmic())
        return Parameters(density * shape.measure, stiffness, damping, *[float(np.mean(self.friction))] * 3)

    def _logarithmic(self) -> tuple[tuple[float, float], ...]:
        return self.density, self.stiffness, self.damping


@dataclass(frozen=True)
class DeformableConfig:
    """From what scenes of one kind of deformable body are drawn.

    Attributes:
        family: rope, cloth or soft.
        seconds: s an episode lasts.
        step: s of one physics step.
        motions: shares of scenes in which a tool pushes, in which it holds a node, and in which the body falls.
        speed: m/s of the tool.
        drop: m, from how high bodies fall.
        force: N, the tool's limit, log-uniform.
        obstacle: share of scenes in which something rigid stands there that nothing moves.
        held_out: shapes that training never sees in place of those that it sees.
        ranges: hidden parameters.
        tools: families of tools that push.
        obstacles: families of shapes that stand there.
    """

    family: str
    ranges: Ranges
    seconds: float = 3.0
    step: float = 0.004
    motions: tuple[float, float, float] = (0.5, 0.4, 0.1)
    speed: tuple[float, float] = (0.05, 0.3)
    drop: tuple[float, float] = (0.03, 0.15)
    force: tuple[float, float] = (3.0, 15.0)
    obstacle: float = 0.25
    held_out: bool = False
    tools: tuple[str, ...] = field(default_factory=lambda: tuple(tools.KNOWN))
    obstacles: tuple[str, ...] = ("box", "cylinder")

    def __post_init__(self) -> None:
        check_choice("DeformableConfig", "family", self.family, KINDS)
        if len(self.motions) != len(MOTIONS) or min(self.motions) < 0 or abs(sum(self.motions) - 1) > 1e-6:
            raise InputError(f"DeformableConfig: motions are {list(self.motions)}, expected shares of "
                             f"{', '.join(MOTIONS)} that sum to 1.")  # fmt: skip


DEFORMABLE = {
    "rope": DeformableConfig("rope", Ranges(density=(0.03, 0.2), stiffness=(1e-5, 3e-4))),
    "cloth": DeformableConfig("cloth", Ranges(density=(0.1, 0.5), stiffness=(1e-6, 1e-4)), motions=(0.2, 0.6, 0.2)),
    "soft": DeformableConfig("soft", Ranges(density=(100, 500), stiffness=(1.5e3, 2e4)), motions=(0.75, 0.0, 0.25)),
}
"""Name -> what `splatworld simulate NAME` draws from."""


def for_split(config: DeformableConfig, split: str) -> DeformableConfig:
    """The family as a split draws it."""
    check_choice("simulate", "split", split, SPLITS)
    if split == "test_heldout":
        return replace(config, held_out=True, tools=tuple(tools.HELD_OUT))
    if split == "test_outside":
        high, ranges = config.speed[1], config.ranges
        beyond = {name: (getattr(ranges, name)[1], 3 * getattr(ranges, name)[1]) for name in ("density", "stiffness")}
        return replace(
            config,
            speed=(high, 1.6 * high),
            drop=(config.drop[1], 1.7 * config.drop[1]),
            ranges=replace(ranges, friction=(0.8, 1.1), **beyond),
        )
    return config


def draw_shape(config: DeformableConfig, rng: np.random.Generator) -> Shape:
    """A rope of 20-50 cm (held out: 50-70 cm), a rectangular (round) cloth, a block (an L) that is soft."""
    if config.family == "rope":
        length = rng.uniform(0.5, 0.7) if config.held_out else rng.uniform(0.2, 0.5)
        return rope(length, rng.uniform(0.018, 0.024), rng.uniform(0.004, 0.008))
    if config.family == "cloth":
        spacing, radius = rng.uniform(0.022, 0.032), rng.uniform(0.0025, 0.004)
        if not config.held_out:
            return cloth(np.ones(rng.integers(4, 9, 2), bool), spacing, radius)
        across = int(rng.integers(5, 9))
        middle = (np.arange(across) + 0.5) / across * 2 - 1
        return cloth(np.hypot(*np.meshgrid(middle, middle, indexing="ij")) < 1.02, spacing, radius)
    spacing, radius = rng.uniform(0.022, 0.032), rng.uniform(0.001, 0.002)
    cells = np.ones((*rng.integers(2, 5, 2), int(rng.integers(1, 3))), bool)
    if config.held_out:
        cells = np.ones((int(rng.integers(3, 5)), int(rng.integers(3, 5)), int(rng.integers(1, 3))), bool)
        cells[-int(rng.integers(1, 3)) :, -int(rng.integers(1, 3)) :] = False
    return soft(cells, spacing, radius)


def draw_tool(config: DeformableConfig, split: str, motion: str, rng: np.random.Generator) -> str:
    """Name of the tool of a scene of a split."""
    families = tuple(tools.HOLDING) if motion == "hold" else config.tools
    return f"{rng.choice(families)}-{rng.choice(tool_numbers(split)):02d}"
