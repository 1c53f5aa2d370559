"""Families of scenes, and the splits of what a network trains on and what it is measured on.

Fixed before there was any network: held-out shapes, tools and numbers are used by no training episode.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from splatworld.core.checks import check_choice
from splatworld.simulate.episodes import shapes, tools
from splatworld.simulate.episodes.scene import Ranges

MAX_BODIES = 8
NAMES = ("push", "fall", "slide", "collide", "topple", "stack")
STANDING = ("topple", "stack")
"""Those in which all rests at first and the tool has one stroke."""
SPLITS = ("train", "valid", "test_known", "test_heldout", "test_outside")
"""Known families with numbers for training, validation and testing; families held out; sizes, masses, frictions and
speeds beyond those of training, and crowds."""


@dataclass(frozen=True)
class FamilyConfig:
    """From what a family's scenes are drawn.

    Attributes:
        family: push, fall, slide, collide, topple or stack.
        bodies: least and most bodies.
        seconds: s an episode lasts.
        step: s of one physics step; what falls and flies sinks in by what it travels in one.
        speed: m/s, of the tool (push, topple, stack) or of bodies at the start (slide, collide).
        drop: m, from how high bodies fall (fall).
        force: N, the tool's limit, log-uniform.
        fixed: share of scenes in which one or two bodies are fixed to the table.
        stacked: share of scenes in which bodies stand on others.
        alone: share of scenes in which nothing pushes (stack).
        crowd: m, gap between neighbours that stand close.
        ranges: hidden parameters.
        shapes: families of shapes.
        tools: families of tools.
    """

    family: str = "push"
    bodies: tuple[int, int] = (1, MAX_BODIES)
    seconds: float = 3.0
    step: float = 0.002
    speed: tuple[float, float] = (0.04, 0.4)
    drop: tuple[float, float] = (0.02, 0.3)
    force: tuple[float, float] = (4.0, 30.0)
    fixed: float = 0.2
    stacked: float = 0.15
    alone: float = 0.3
    crowd: tuple[float, float] = (0.002, 0.08)
    ranges: Ranges = field(default_factory=Ranges)
    shapes: tuple[str, ...] = tuple(shapes.KNOWN)
    tools: tuple[str, ...] = tuple(tools.KNOWN)

    def __post_init__(self) -> None:
        check_choice("FamilyConfig", "family", self.family, NAMES)


@dataclass(frozen=True)
class CapturedConfig(FamilyConfig):
    """A tool pushes the bodies of one world, which rest where they do in it.

    Masses are the world's where it has them, and their centres those of uniform solids, since a body with another one
    would not rest as it does; friction, inertia and tools are drawn.

    Attributes:
        world: path of its folder, or of an MJCF file.
        identity: of the world, so that episodes of another one are not mixed with its own.
        origin: x and y m in the world of the middle of the table.
    """

    ranges: Ranges = field(default_factory=lambda: Ranges(com=0.0))
    world: str = ""
    identity: str = ""
    origin: tuple[float, float] = (0.0, 0.0)


FAMILIES = {
    "push": FamilyConfig(),
    "fall": FamilyConfig("fall", bodies=(1, 6), seconds=2.0, step=0.001, fixed=0.1),
    "slide": FamilyConfig("slide", bodies=(1, 5), seconds=1.5, step=0.001, speed=(0.1, 1.2), stacked=0.1),
    "collide": FamilyConfig("collide", bodies=(2, 8), seconds=2.0, step=0.001, speed=(0.2, 0.9), stacked=0.1),
    "topple": FamilyConfig("topple", bodies=(1, 3), fixed=0.0, crowd=(0.01, 0.12)),
    "stack": FamilyConfig("stack", bodies=(4, 4), speed=(0.2, 0.8), fixed=0.0, shapes=("box", "cylinder")),
}
"""Name -> what `splatworld simulate NAME` draws from."""


def for_split(config: FamilyConfig, split: str) -> FamilyConfig:
    """The family as a split draws it."""
    check_choice("simulate", "split", split, SPLITS)
    if split == "test_heldout":
        return replace(config, shapes=tuple(shapes.HELD_OUT), tools=tuple(tools.HELD_OUT))
    if split == "test_outside":
        high = config.speed[1]
        return replace(
            config,
            bodies=(min(5, config.bodies[1]), config.bodies[1]),
            speed=(high, 1.6 * high),
            drop=(config.drop[1], 1.7 * config.drop[1]),
            crowd=(0.001, 0.004),
            ranges=replace(config.ranges, mass=(1.0, 3.0), friction=(0.8, 1.1), com=0.12),
        )
    return config


def shape_numbers(split: str) -> range:
    """Numbers of the shapes that a split uses."""
    return shapes.NUMBERS[split]


def tool_numbers(split: str) -> range:
    """Numbers of the tools that a split uses."""
    known = 3 * tools.PER_FAMILY // 4
    return range(known) if split in ("train", "valid") else range(known, tools.PER_FAMILY)


def draw_shapes(config: FamilyConfig, split: str, count: int, rng: np.random.Generator) -> tuple[str, ...]:
    """Names of `count` shapes for a scene of a split."""
    numbers = shape_numbers(split)
    return tuple(f"{rng.choice(config.shapes)}-{rng.choice(numbers):03d}" for _ in range(count))
