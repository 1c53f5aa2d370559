"""Options of the planner."""

from __future__ import annotations

from dataclasses import dataclass, field

from splatworld.core.checks import InputError, check_choice
from splatworld.plan.proposals import PushConfig

METHODS = ("pushes", "mppi", "cem")


@dataclass(frozen=True)
class PlanConfig:
    """How to plan.

    Attributes:
        method: "pushes": contact primitives, sampled around the best ones, then polished; "mppi" and "cem": action
            sequences alone, from where the tool is.
        candidates: sequences that are predicted, unless a deadline ends it before.
        horizon: actions of a sequence of "mppi" and "cem".
        generations: each sampled around the best of those before.
        elite: share of candidates that counts as best.
        narrowing: how much nearer to its parents each generation is than the one before.
        polish: share of candidates that are the best push with noise on its way.
        noise: m or rad an action, standard deviation of that noise, and of the sequences of "mppi" and "cem".
        temperature: of MPPI, in cost.
        time_cost: of a second of the tool's time.
        travel_speed: m/s of the tool on its way to a push.
        height: m of the tool's lowest point above z = 0 while it pushes, lower against flat bodies.
        lift: whether the tool may also go over bodies.
        push: the pushes.
        workspace: corners of where the tool may go, m; None: what bodies and aims span, and 0.25 m around it.
        seed: of all chance.
    """

    method: str = "pushes"
    candidates: int = 256
    horizon: int = 10
    generations: int = 2
    elite: float = 0.1
    narrowing: float = 0.5
    polish: float = 0.2
    noise: float = 0.003
    temperature: float = 0.002
    time_cost: float = 0.002
    travel_speed: float = 0.4
    height: float = 0.005
    lift: bool = True
    push: PushConfig = field(default_factory=PushConfig)
    workspace: tuple[tuple[float, float, float], tuple[float, float, float]] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("PlanConfig", "method", self.method, METHODS)
        for name in ("candidates", "horizon", "generations"):
            if getattr(self, name) < 1:
                raise InputError(f"PlanConfig: {name} is {getattr(self, name)}, expected at least 1.")
        if self.push.steps < 4:
            raise InputError(f"PlanConfig: a push of {self.push.steps} actions is too short, expected at least 4.")
