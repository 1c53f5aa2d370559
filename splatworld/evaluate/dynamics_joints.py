"""Rows of the suite `dynamics` about drawers and doors: how far they are open in the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from splatworld.core.world import rest_state
from splatworld.dynamics.model import DynamicsModel
from splatworld.dynamics.predict import predict
from splatworld.evaluate.report import Line, line
from splatworld.robot.actions import clip_action
from splatworld.simulate.episodes.fixtures import (
    draw_fixture,
    draw_resistance,
    fixture_world,
    sent_actions,
    simulate,
)

SEED = 20262
"""Apart from those of others."""
TARGET = 3.0
"""% of the joint's range."""


def joint_lines(model: DynamicsModel, kind: str, count: int, say: Callable[..., object]) -> list[Line]:
    """Rows of drawers or of doors: errors after 3 s, against MuJoCo that does not know friction, damping and mass."""
    own, redrawn, still = [], [], []
    for number in range(count):
        say(f"{kind}: {number + 1} of {count}")
        fixture = draw_fixture(kind, "test_known", np.random.default_rng([SEED, number]))
        truth, whole = simulate(fixture), fixture.limits[1]
        other = draw_resistance(kind, np.random.default_rng([SEED, number, 1]))
        redrawn.append(abs(simulate(replace(fixture, resistance=other)).joint[-1] - truth.joint[-1]) / whole)
        still.append(abs(truth.joint[0] - truth.joint[-1]) / whole)
        world = fixture_world(fixture)
        assert world.robot is not None
        found = predict(world, rest_state(world), clip_action(world.robot.action, sent_actions(truth)), model=model)
        own.append(abs(float(found.states.joints[-1, 0]) - truth.joint[-1]) / whole)
    middle, floor, nothing = (100 * float(np.median(each)) for each in (own, redrawn, still))
    return [
        line(f"{kind}: joint after 3 s, median of {count}", middle, "% of its range", f"<= {TARGET:g}",
             f"MuJoCo redrawn {floor:.1f}, nothing moves {nothing:.1f}"),
        line(f"{kind}: joint after 3 s, p90", 100 * float(np.quantile(own, 0.9)), "% of its range", None,
             f"MuJoCo redrawn {100 * float(np.quantile(redrawn, 0.9)):.1f}"),
    ]  # fmt: skip
