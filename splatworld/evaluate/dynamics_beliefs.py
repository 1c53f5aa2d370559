"""What two seconds of watching tell of bodies, and what it is worth to predictions."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from splatworld.dynamics.beliefs import Belief, Interval
from splatworld.dynamics.model import DynamicsModel
from splatworld.dynamics.watching import infer
from splatworld.episodes import SUBSTATES, Truth
from splatworld.evaluate.dynamics_metrics import errors, movers
from splatworld.evaluate.dynamics_rollouts import mujoco, network, true
from splatworld.evaluate.dynamics_sets import TestSet, load_set
from splatworld.evaluate.report import Line, line

WATCHED, PREDICTED = 20, 10
"""Actions."""
SETS = {"one": "one body, known families", "several": "2-4 bodies, held-out shapes and tools"}


def belief_lines(model: DynamicsModel, count: int, say: Callable[..., object]) -> list[Line]:
    """Errors of a prediction after watching, and how often the truth lies within what is believed."""
    return [each for name in SETS for each in _set_lines(model, load_set(name, count, say), say)]


def _set_lines(model: DynamicsModel, test_set: TestSet, say: Callable[..., object]) -> list[Line]:
    name = f"{SETS[test_set.name]}, 2 s of watching"
    seen, later = test_set.batch(0, WATCHED), test_set.batch(WATCHED, PREDICTED)
    known = movers(test_set, true(seen))
    say(f"beliefs: {SETS[test_set.name]}")
    belief = infer(model, seen.scene, seen.poses[:, ::SUBSTATES], seen.twists[:, ::SUBSTATES])
    truth = true(later)
    which = movers(test_set, truth) & known
    mean = errors(mujoco(test_set, "mean", WATCHED, PREDICTED), truth, which)
    found = {
        label: errors(network(model, later, latents=latents), truth, which)
        for label, latents in (
            ("watched", belief.latents),
            ("unwatched", None),
            ("true", later.latents),
        )
    }
    rows = [
        line(f"{name}: position 1 s later, median of {len(found['watched'].place)}", found["watched"].place_mm(), "mm",
             None, f"without watching {found['unwatched'].place_mm():.1f}, told the truth "
             f"{found['true'].place_mm():.1f}, MuJoCo at mean parameters {mean.place_mm():.1f}"),
        line(f"{name}: the same, p90", found["watched"].place_mm(0.9), "mm", None,
             f"without watching {found['unwatched'].place_mm(0.9):.1f}, told the truth "
             f"{found['true'].place_mm(0.9):.1f}, MuJoCo at mean parameters {mean.place_mm(0.9):.1f}"),
        line(f"{name}: position against MuJoCo at mean parameters",
             found["watched"].place_mm() / mean.place_mm() if len(mean.place) else float("nan"), "x", "<= 0.7"),
    ]  # fmt: skip
    return rows + _held_lines(name, belief, test_set.episodes.truth, known)


def _held_lines(name: str, belief: Belief, truth: Truth, which: Tensor) -> list[Line]:
    judged: list[tuple[str, Interval, Tensor]] = [
        ("friction with the table", belief.support_friction, truth.table_friction),
        ("friction with the tool", belief.tool_friction, truth.tool_friction),
        ("mass", belief.mass, truth.mass),
    ]
    rows = []
    for what, interval, actual in judged:
        low, high = interval.low[:, 1:-1][which], interval.high[:, 1:-1][which]
        right = actual[which].float()
        held = 100 * float(((low <= right) & (right <= high)).double().mean())
        rows += [
            line(f"{name}: {what} within the 90 % belief", held, "%", ">= 85",
                 f"width {float((high - low).mean()):.2f} in the mean"),
            line(f"{name}: {what} outside the 90 % belief", 100 - held, "%", ">= 5"),
        ]  # fmt: skip
    return rows
