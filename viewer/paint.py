"""Bodies coloured by a number: how unsure the prediction is, or how far off it is from another rollout."""

from __future__ import annotations

import numpy as np

from splatworld.core.world import World
from splatworld.viewer import colors
from splatworld.viewer.stage import Stage
from splatworld.viewer.tracks import Track

PLAIN, UNSURE, FROM = "as they are", "uncertainty", "distance to "
LEVELS = 16
"""Colours; a body's splats are sent again only when it gets another one."""
SHARE = 0.75
"""Of a body's colour that is the number's."""
LEAST = 0.01
"""m, least number that has the colour of the most."""


class Paint:
    """Colours the bodies of the rollout that leads.

    Attributes:
        kind: `PLAIN`, `UNSURE`, or `FROM` and the label of another rollout.
    """

    def __init__(self, world: World, stage: Stage) -> None:
        self._world, self._stage = world, stage
        self.kind, self._most = PLAIN, LEAST
        self._bodies = [i for i, body in enumerate(world.bodies) if body.kind not in ("static", "robot")]

    @property
    def kinds(self) -> tuple[str, ...]:
        """What bodies can be coloured by now."""
        lead = self._stage.tracks[self._stage.lead]
        others = tuple(FROM + track.label for track in self._stage.tracks if track is not lead)
        return (PLAIN, *((UNSURE,) if lead.rollout.std is not None else ()), *others)

    def arrange(self) -> str:
        """After another rollout leads or the kind was changed: fix which number has which colour.

        Returns:
            The legend as HTML.
        """
        if self.kind not in self.kinds:
            self.kind = PLAIN
        if self.kind == PLAIN:
            self._stage.tint({}, SHARE)
            return ""
        lead = self._stage.tracks[self._stage.lead]
        self._most = max(LEAST, float(self._numbers(lead, lead.times).max(initial=0.0)))
        unit, factor = ("units", 1.0) if self._world.scale.source == "none" else ("cm", 100.0)
        title = "Sure to, one sigma" if self.kind == UNSURE else self.kind.capitalize()
        ticks = [f"{factor * number:.2g}" for number in np.linspace(0, self._most, 3)]
        return colors.bar(f"{title}, {unit}", ticks, colors.DEPTH_MAP)

    def at(self, time: float) -> None:
        """Colour bodies as a time in s has it."""
        if self.kind == PLAIN or self.kind not in self.kinds:
            return
        lead = self._stage.tracks[self._stage.lead]
        steps = np.round(self._numbers(lead, np.array([time]))[0] / self._most * (LEVELS - 1)).clip(0, LEVELS - 1)
        shades = colors.colored(steps[None], 0, LEVELS - 1, colors.DEPTH_MAP)[0].tolist()
        self._stage.tint({i: (r, g, b) for i, (r, g, b) in zip(self._bodies, shades, strict=True)}, SHARE)

    def _numbers(self, lead: Track, times: np.ndarray) -> np.ndarray:
        """[T, K] m of the bodies that are coloured at times [T]."""
        index = lead.indices(times)[:, None]
        if self.kind == UNSURE:
            assert lead.rollout.std is not None
            return lead.rollout.std[index, self._bodies, :3].double().norm(dim=-1).numpy()
        other = next(track for track in self._stage.tracks if FROM + track.label == self.kind)
        there = other.poses[other.indices(times)[:, None], self._bodies, :3]
        return np.linalg.norm(lead.poses[index, self._bodies, :3] - there, axis=-1)
