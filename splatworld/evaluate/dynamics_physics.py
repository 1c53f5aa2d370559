"""Whether predicted bodies keep to what bodies do: stay apart, gain nothing, land on a side, and go on for long."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from splatworld.dynamics.library import Batch
from splatworld.dynamics.model import DynamicsModel
from splatworld.evaluate.dynamics_metrics import (
    energy,
    errors,
    first_contacts,
    movers,
    same_first_pair,
    same_side,
)
from splatworld.evaluate.dynamics_rollouts import Rollouts, depths, mujoco, network, true
from splatworld.evaluate.dynamics_sets import load_set
from splatworld.evaluate.report import Line, line

FLYING = ("fall", "slide", "collide")
SECOND = 10
"""Actions."""


def sunk_lines(name: str, batch: Batch, found: Rollouts, truth: Rollouts) -> list[Line]:
    """How deep bodies sink in at the ends of actions, and by the same measure those of the oracle."""
    own, oracle = depths(batch, found), depths(batch, truth)
    return [
        line(f"{name}: actions that end with bodies at most 1 mm deep", 100 * _share(own, 0.001), "%", ">= 99.9",
             f"oracle {100 * _share(oracle, 0.001):.2f}"),
        line(f"{name}: deepest", 1e3 * float(own.max()), "mm", "<= 3", f"oracle {1e3 * float(oracle.max()):.2f}"),
    ]  # fmt: skip


def event_lines(model: DynamicsModel, count: int, say: Callable[..., object]) -> list[Line]:
    """Sides on which bodies end, which bodies meet first, and the energy that nobody gave."""
    rows: list[Line] = []
    gains: list[Tensor] = []
    oracle_gains: list[Tensor] = []
    sides: tuple[list[Tensor], ...] = ([], [])
    pairs: tuple[list[Tensor], ...] = ([], [])
    for name in FLYING:
        test_set = load_set(name, count, say)
        batch = test_set.batch(0, test_set.actions)
        truth = true(batch)
        which = movers(test_set, truth)
        say(f"events: {name}")
        found = network(model, batch)
        redrawn = mujoco(test_set, "redrawn", 0, test_set.actions)
        own, floor = errors(found, truth, which), errors(redrawn, truth, which)
        rows.append(line(f"{name}: position at the end, median of {len(own.place)}", own.place_mm(), "mm", None,
                         f"MuJoCo redrawn {floor.place_mm():.1f}"))  # fmt: skip
        rows += sunk_lines(name, batch, found, truth)
        met = first_contacts(batch, truth)
        for k, each in enumerate((found, redrawn)):
            sides[k].append(same_side(test_set, each, truth, which))
            if name != "slide":
                pairs[k].append(same_first_pair(first_contacts(batch, each), met))
        for known, each in ((gains, found), (oracle_gains, truth)):
            known.append(energy(test_set, each).diff(dim=1).flatten())
    side, side_floor = (100 * float(torch.cat(each).double().mean()) for each in sides)
    pair, pair_floor = (100 * float(torch.cat(each).double().mean()) for each in pairs)
    gain, oracle = torch.cat(gains), torch.cat(oracle_gains)
    return [
        *rows,
        line(f"final side the same, of {len(torch.cat(sides[0]))} bodies", side, "%", ">= 98",
             f"MuJoCo redrawn {side_floor:.1f}"),
        line(f"first pair to meet the same, of {len(torch.cat(pairs[0]))} episodes", pair, "%", ">= 95",
             f"MuJoCo redrawn {pair_floor:.1f}"),
        line("actions without a tool that gain at most 1 mJ", 100 * _share(gain, 0.001), "%", ">= 100",
             f"oracle {100 * _share(oracle, 0.001):.2f}"),
        line("largest gain of an action without a tool", 1e3 * float(gain.max()), "mJ", None,
             f"oracle {1e3 * float(oracle.max()):.2f}"),
    ]  # fmt: skip


def minute_lines(model: DynamicsModel, count: int, seconds: float, say: Callable[..., object]) -> list[Line]:
    """A long time of pushing: what is left of the prediction, and whether bodies are still bodies on a table."""
    test_set = load_set("minute", count, say, seconds=seconds)
    batch = test_set.batch(0, test_set.actions)
    truth = true(batch)
    say(f"pushing for {seconds:g} s")
    found = network(model, batch)
    which = movers(test_set, truth)
    deep = depths(batch, found)
    low = found.poses[:, -1, :, 2][test_set.free] < 0
    rows = [
        line(f"pushed for {seconds:g} s: position after {second:g} s, median", errors(found, truth, which,
             round(SECOND * second)).place_mm(), "mm")
        for second in (1.0, 3.0, 10.0, 30.0, 60.0) if second <= seconds
    ]  # fmt: skip
    return [
        *rows,
        line(f"pushed for {seconds:g} s: bodies below the table", int(low.sum()), "", "== 0"),
        line(f"pushed for {seconds:g} s: deepest", 1e3 * float(deep.max()), "mm", "<= 3",
             f"oracle {1e3 * float(depths(batch, truth).max()):.2f}"),
        line(f"pushed for {seconds:g} s: actions that end with bodies at most 1 mm deep", 100 * _share(deep, 0.001),
             "%", ">= 99.9"),
    ]  # fmt: skip


def _share(values: Tensor, bound: float) -> float:
    """Of values at most `bound`, to a nanometre or nanojoule."""
    return float((values <= bound + 1e-9).double().mean())
