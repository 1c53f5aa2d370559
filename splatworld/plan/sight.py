"""Bodies that a camera shall go on seeing."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from splatworld.core.camera import Camera
from splatworld.core.rollout import Rollout
from splatworld.core.world import World
from splatworld.plan.cost import last_state
from splatworld.plan.prediction import Prediction


@dataclass(frozen=True)
class KeepVisible:
    """A camera shall see a body at the end.

    Attributes:
        world: of the rollouts.
        body: index.
        camera: that looks.
        weight: cost of a body of which nothing is seen.
    """

    world: World
    body: int
    camera: Camera
    weight: float = 0.1

    def __call__(self, rollout: Rollout) -> Tensor:
        seen = Prediction(self.world, last_state(rollout)).visible_fraction(self.body, self.camera)
        return self.weight * (1 - seen.value)
